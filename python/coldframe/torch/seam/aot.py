"""The private symbols of torch that capturing and restoring backends stand on.

A compiled callable is a tree of closures. Which function of torch made a closure is read off its code object: a nested
function's code is a constant of the code around it, so identity of code is exact where a name would be a guess.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from typing import Any

from ...errors import IncompatiblePackageError
from . import generation
from .symbols import module

_AOT = "torch._functorch._aot_autograd"

# What each kind of closure is called in recipes -> (module, path of the function whose body defines it, its name). Not every
# generation makes all of them.
_CLOSURES = {
    "disabled": ("torch._dynamo.eval_frame", "DisableContext.__call__", "_fn"),
    "forward": ("torch._functorch.aot_autograd", "aot_module_simplified", "forward"),
    "runtime_wrapper": (f"{_AOT}.runtime_wrappers", "_create_runtime_wrapper", "runtime_wrapper"),
    "hooks_disabled": (f"{_AOT}.runtime_wrappers", "_create_runtime_wrapper", "_runtime_wrapper"),
    "replay_aliases": (f"{_AOT}.runtime_wrappers", "_create_runtime_wrapper", "_replay_alias"),
    "apply_mutations": (f"{_AOT}.runtime_wrappers", "_create_runtime_wrapper", "<lambda>"),
    "deduplicated": (f"{_AOT}.runtime_wrappers", "AOTDedupeWrapper.post_compile", "debugged_compiled_fn"),
    "fakified": (f"{_AOT}.runtime_wrappers", "FakifiedOutWrapper.post_compile", "wrapper"),
    "boxed": (f"{_AOT}.utils", "make_boxed_func", "g"),
    "aot_eager": ("torch._dynamo.backends.debugging", "boxed_nop", "run"),
    "aligned": ("torch._inductor.utils", "align_inputs_from_check_idxs", "run"),
    "frozen": ("torch._inductor.compile_fx", "fw_compiler_freezing", "wrapper"),
    "split_part": ("torch._dynamo.backends.distributed", "SubmodCompiler.compile_submod", "forward"),
    "autograd": (f"{_AOT}.runtime_wrappers", "_AOTDispatchAutogradFunctionFactory.build", "forward"),
}


def symbol(module_name: str, path: str) -> Any:
    """The object at a dotted path of a module of torch. IncompatiblePackageError when this torch lacks it."""
    found: Any = module(module_name)
    for part in path.split("."):
        try:
            found = inspect.getattr_static(found, part) if isinstance(found, type) else getattr(found, part)
        except AttributeError:
            import torch

            raise IncompatiblePackageError(
                f"torch {torch.__version__} has no {module_name}.{path}: install the coldframe made for it"
            ) from None
    return found


def _nested_codes(code: types.CodeType, name: str) -> list[types.CodeType]:
    found: list[types.CodeType] = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if constant.co_name == name:
                found.append(constant)
            found.extend(_nested_codes(constant, name))
    return found


@functools.cache
def _closure_codes(kind: str) -> frozenset[types.CodeType]:
    module_name, path, name = _CLOSURES[kind]
    codes = _nested_codes(inspect.unwrap(symbol(module_name, path)).__code__, name)
    if kind == "forward":  # Dynamo's calling convention; the other one takes a list
        codes = [code for code in codes if code.co_flags & inspect.CO_VARARGS]
    return frozenset(codes)


def closure_kind(code: types.CodeType) -> str | None:
    """Which of torch's closures has this code, if any. Imports nothing: what is not loaded cannot have made it."""
    for kind, (module_name, _, name) in _CLOSURES.items():
        if code.co_name == name and module_name in sys.modules and code in _closure_codes(kind):
            return kind
    return None


@functools.cache
def generated_prefix() -> str:
    """The start of co_filename of every straight-line wrapper that AOTAutograd generates."""
    return f"{module(f'{_AOT}.{generation.current().generated}').__file__}:codegen("


def is_empty_graph(function: types.FunctionType) -> bool:
    """Returns whether this stands for a graph without outputs, as it does since torch 2.15."""
    return function is getattr(sys.modules.get("torch._dynamo.output_graph"), "noop_graph_call", None)


def runtime_wrappers() -> Any:
    module("torch._dynamo")  # the two import each other, and only this order works
    return module(f"{_AOT}.runtime_wrappers")


def plain_tensor_meta(size: Any, stride: Any, memory_format: Any) -> Any:
    schemas = module(f"{_AOT}.schemas")
    return schemas.PlainTensorMeta(0, schemas.MemoryFormatMeta(size, stride, memory_format))


def is_plain_tensor_meta(meta: Any) -> bool:
    return type(meta) is symbol(f"{_AOT}.schemas", "PlainTensorMeta")


def compiled_fx_graph() -> Any:
    return symbol("torch._inductor.output_code", "CompiledFxGraph")


def aot_eager_output() -> Any:
    return symbol("torch._dynamo.backends.debugging", "AOTEagerOutputCode")


CODE_CACHE = "torch._inductor.codecache"


def code_cache() -> Any:
    """`write(content, extension, extra)` writes sources under a key made of all that."""
    return module(CODE_CACHE)


def kernel_cache() -> Any:
    """Loads every native kernel of the CPU: `_load_library_inner(path, key)`."""
    return symbol(CODE_CACHE, "CppPythonBindingsCodeCache")


def graph_cache_details() -> Any:
    """Returns what its objects hold is the key of a graph in Inductor's cache, and in AOTAutograd's."""
    return symbol(CODE_CACHE, "FxGraphHashDetails")


def cpp_builder() -> Any:
    """Makes command lines: `_get_cpu_arch_cflags(compiler)` gives the flags that say for which CPU."""
    symbol("torch._inductor.cpp_builder", "_get_cpu_arch_cflags")
    return module("torch._inductor.cpp_builder")


def vec_isa() -> Any:
    return module("torch._inductor.cpu_vec_isa")


def extern_kernels() -> Any:
    return symbol("torch._inductor.select_algorithm", "extern_kernels")


def view_meta_sequence() -> Any:
    return symbol(f"{_AOT}.functional_utils", "ViewMetaSequence")


def hide_from_dynamo(function: Any) -> None:
    """Neither traced into by Dynamo nor compiled when its frame runs, nor is anything that it calls. Imports nothing."""
    import torch

    frames = torch._C._dynamo.eval_frame
    skip = frames._FrameExecStrategy(frames._FrameAction.SKIP, frames._FrameAction.SKIP)
    frames.set_code_exec_strategy(function.__code__, skip)
    function._torchdynamo_disable = True
    function._torchdynamo_disable_recursive = True
    function._torchdynamo_disable_msg = "restored compiled graph"


def tensor_data_pointer() -> int:
    """The address of the C function by which kernels get at a tensor's data."""
    import torch

    return int(torch._C._dynamo.guards._torchinductor_pyobject_tensor_data_ptr)

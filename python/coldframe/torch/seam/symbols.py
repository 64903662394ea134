"""The private symbols of torch that coldframe stands on, in one table, with what each is for.

A module is fetched on first use, so that importing this one costs nothing; a torch that lacks one of its symbols is named then.
`probe` looks at all that Dynamo consists of. What is replaced in torch is in patches.py, which closures its compilers make in
aot.py.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any

from ...errors import IncompatiblePackageError
from . import generation

# (module, what it is for, symbols)
_TABLE: tuple[tuple[str, str, str], ...] = (
    ("torch", "what torch.compile makes of a backend's name", "_TorchCompileInductorWrapper _TorchCompileWrapper"),
    ("torch", "how expressions of guards make tensors of numbers", "_as_tensor_fullprec"),
    ("torch._C", "guards on memory that is copied on write", "DispatchKey _is_cow_tensor"),
    ("torch._C", "guards on dispatch keys", "DispatchKeySet _ForceDispatchKeyGuard _dispatch_keys"),
    ("torch._C", "... as they are on this thread", "_dispatch_tls_local_exclude_set _dispatch_tls_local_include_set"),
    ("torch._C", "guards on modes", "_get_function_stack_at _len_torch_function_stack _len_torch_dispatch_stack"),
    ("torch._C", "whether something is tracing", "_get_tracing_state"),
    ("torch._C", "who registered a kernel", "_dispatch_dump _jit_get_schemas_for_operator"),
    ("torch._C", "wrappers around compiled graphs", "DisableTorchFunctionSubclass _DisableAutocast"),
    ("torch._C._nn", "functions that others of torch call", ""),
    ("torch._VF", "... under their first names", ""),
    ("torch._C._autograd", "guards on hooks of saved tensors", "_top_saved_tensors_default_hooks"),
    ("torch._C._autograd", "backwards", "_get_current_graph_task_keep_graph _unsafe_set_version_counter"),
    ("torch._C._functorch", "guards on transforms", "get_interpreter_stack peek_interpreter_stack"),
    ("torch._C._functionalization", "views that are made again", "apply_view_meta_sequence"),
    (
        "torch._C._dynamo.guards",
        "guards: recorded as they are made, and made again",
        "DictGuardManager GlobalStateGuard GuardManager RootGuardManager TensorGuards compute_overlapping_tensors "
        "install_no_tensor_aliasing_guard install_object_aliasing_guard install_storage_overlapping_guard",
    ),
    (
        "torch._C._dynamo.guards",
        "how kernels get at a tensor's data, and what they say of it",
        "_torchinductor_pyobject_tensor_data_ptr assert_size_stride",
    ),
    (
        "torch._C._dynamo.eval_frame",
        "variants on code objects",
        "_load_precompile_entry _reset_precompile_entries set_fullgraph_compiled_frame_count",
    ),
    (
        "torch._C._dynamo.eval_frame",
        "code that Dynamo leaves alone, and whether it looks",
        "_FrameAction _FrameExecStrategy get_eval_frame_callback set_code_exec_strategy",
    ),
    ("torch._dynamo", "torch.compile's way into Dynamo, and out", "disable optimize reset_code_caches"),
    ("torch._dynamo.backends.registry", "the default backend, and names of backends", "get_default_backend list_backends"),
    ("torch._dynamo.backends.debugging", "graphs that run as they are", "AOTEagerOutputCode"),
    ("torch._dynamo.config", "settings", "_config caching_precompile disable patch recompile_limit"),
    ("torch._dynamo.config", "... of guards", "skip_nnmodule_hook_guards"),
    ("torch._dynamo.config", "... of backwards", "compiled_autograd"),
    ("torch._dynamo.compiled_autograd", "backwards under compiled autograd", "in_compiled_autograd_region"),
    (
        "torch._dynamo.convert_frame",
        "the compilation of a frame",
        "ConvertFrame ConvertFrameAssert ConvertFrameReturn _compile output_codes",
    ),
    (
        "torch._dynamo.eval_frame",
        "compiled callables",
        "OptimizeContext OptimizedModule get_compiler_fn innermost_fn set_code_exec_strategy skip_code",
    ),
    ("torch._dynamo.exc", "frames that Dynamo does not compile", "SkipFrame Unsupported"),
    ("torch._dynamo.external_utils", "callables that Dynamo enters through a function of its own", "wrap_inline"),
    (
        "torch._dynamo.guards",
        "guards of a frame",
        "CheckFunctionManager GuardBuilder GuardManagerType GuardManagerWrapper RootGuardManager "
        "install_no_tensor_aliasing_guard install_object_aliasing_guard install_storage_overlapping_guard "
        "install_symbolic_shape_guard",
    ),
    (
        "torch._dynamo.guards",
        "names in expressions of guards",
        "_get_closure_vars check_opaque_obj dataclass_fields from_numpy get_current_stream "
        "get_torch_function_mode_stack_at normalize_count_iter",
    ),
    ("torch._dynamo.output_graph", "globals that compiled code needs", "OutputGraph get_builtins_dict"),
    (
        "torch._dynamo.package",
        "torch's own packages",
        "CompilePackage DynamoCache DynamoStore PrecompileCacheArtifact",
    ),
    ("torch._dynamo.precompile_context", "what torch's own packages are gathered in", "DynamoCache PrecompileContext"),
    (
        "torch._dynamo.pgo",
        "shapes that made a dimension dynamic",
        "CodeId FrameStateSizeEntry InferStride auto_dynamic auto_unset get_code_state",
    ),
    ("torch._dynamo.polyfills", "functions that Dynamo traces in place of builtins", ""),
    ("torch._dynamo.side_effects", "registries that a frame reads", "SideEffects"),
    ("torch._dynamo.source", "what Dynamo does not guard", "is_from_skip_guard_source"),
    ("torch._dynamo.symbolic_convert", "imports of a frame", "InstructionTranslatorBase _import_module compare_op_handlers"),
    ("torch._dynamo.trace_rules", "what Dynamo does not trace", "SKIP_DIRS _recompile_re add FunctionIdSet"),
    ("torch._dynamo.types", "what Dynamo does with a frame", "FrameAction FrameExecStrategy"),
    ("torch._dynamo.utils", "counters", "counters"),
    ("torch._dynamo.variables.base", "values that Dynamo takes for constants", "VariableTracker"),
    ("torch._dynamo.variables.builtin", "... in builtins", "BuiltinVariable"),
    ("torch._dynamo.variables.constant", "... in methods of constants", "ConstantVariable"),
    ("torch._dynamo.variables", "all kinds of values", ""),
    ("torch._dynamo.variables.dicts", "... in dicts", "ConstDictVariable SideEffectsProxyDict"),
    (
        "torch._dynamo.variables.functions",
        "... in functions",
        "PolyfilledFunctionVariable UserFunctionVariable invoke_and_store_as_constant",
    ),
    ("torch._dynamo.variables.hashable", "... as keys", "HashableTracker"),
    ("torch._dynamo.variables.lists", "... in lists", "ListVariable"),
    ("torch._dynamo.variables.object_protocol", "... by their hashes", "generic_hash"),
    ("torch._dynamo.variables.sets", "... in sets", "SetVariable"),
    ("torch._dynamo.variables.torch", "... of torch's functions", "TorchInGraphFunctionVariable"),
    ("torch._dynamo.variables.builder", "... as it finds them", "VariableBuilder"),
    ("torch._dynamo.variables.tensor", "... of tensors", "TensorVariable UntypedStorageVariable"),
    (
        "torch._dynamo.variables.user_defined",
        "... of the program's",
        "UserDefinedClassVariable UserDefinedObjectVariable UserDefinedVariable",
    ),
    ("torch._functorch._aot_autograd.functional_utils", "views that are made again", "ViewMetaSequence"),
    ("torch._functorch._aot_autograd.runtime_wrappers", "training graphs", "AOTDispatchAutograd _AutogradBackwardCompiler"),
    ("torch._functorch._aot_autograd.schemas", "what graphs take and give", "MemoryFormatMeta PlainTensorMeta"),
    (
        "torch._functorch._aot_autograd.utils",
        "guards on hooks of saved tensors",
        "saved_tensors_hooks_are_inlineable top_saved_tensors_hooks",
    ),
    ("torch._functorch.config", "donated buffers", "donated_buffer"),
    ("torch._functorch.pyfunctorch", "guards on transforms", "compare_functorch_state"),
    ("torch._guards", "sources of guards", "Source"),
    (
        "torch._inductor.codecache",
        "kernels, as they are compiled and loaded",
        "BypassFxGraphCache CppPythonBindingsCodeCache FxGraphHashDetails write",
    ),
    ("torch._inductor.cpp_builder", "the C++ compiler and its flags", "_get_cpu_arch_cflags get_cpp_compiler"),
    ("torch._inductor.cpu_vec_isa", "instruction sets", ""),
    ("torch._inductor.output_code", "graphs that Inductor compiled", "CompiledFxGraph"),
    ("torch._inductor.runtime.cache_dir_utils", "where torch's own packages lie", "cache_dir"),
    ("torch._inductor.select_algorithm", "kernels of torch's that graphs call", "extern_kernels"),
    ("torch._library.custom_ops", "operators of the program", "OPDEFS"),
    ("torch._library.simple_registry", "... and their rules for dispatch", "singleton"),
    ("torch.fx.node", "... and which calls are kept", "_side_effectful_functions"),
    ("torch.library", "... and their rules", "_impls"),
    ("torch._decomp", "... which the program may replace", "global_decomposition_table"),
    ("torch._inductor.decomposition", "... which the program may replace", "decompositions"),
    ("torch._inductor.lowering", "... which the program may replace", "lowerings"),
    ("torch._inductor.fx_passes.pre_grad", "... or add to", "PRE_GRAD_PATTERNS"),
    ("torch._inductor.fx_passes.joint_graph", "... or add to", "pass_patterns patterns"),
    ("torch._inductor.fx_passes.freezing_patterns", "... or add to", "pass_patterns"),
    ("torch._inductor.fx_passes.post_grad", "... or add to", "POST_GRAD_PATTERNS pass_patterns"),
    ("torch._library.fake_class_registry", "guards on script objects", "FakeScriptObject"),
    ("torch._library.opaque_object", "guards on opaque objects", "get_opaque_obj_info"),
    ("torch._ops", "operators", "OpOverload OpOverloadPacket OperatorBase"),
    ("torch.autograd.forward_ad", "guards on levels of forward mode", "_current_level"),
    (
        "torch.compiler._cache",
        "packages among torch's cache artifacts",
        "CacheArtifact CacheArtifactFactory CacheArtifactManager CacheInfo",
    ),
    ("torch.distributed._functional_collectives", "tensors that are waited for", "AsyncCollectiveTensor"),
    ("torch.fx._lazy_graph_module", "graphs that run as they are", "_LazyGraphModule"),
    ("torch.fx.experimental.symbolic_shapes", "names in expressions of guards", "SYMPY_INTERP"),
    ("torch.nn.modules.module", "hooks of all modules", ""),
    ("torch.utils._device", "guards on the default device", "CURRENT_DEVICE"),
    ("torch.utils._pytree", "trees of values", "SUPPORTED_NODES tree_leaves"),
    ("torch.utils._triton", "the version of Triton", "get_triton_version"),
)

# What only one generation has.
_ONLY: dict[str, tuple[tuple[str, str, str], ...]] = {
    "2.13": (
        ("torch._dynamo.package", "the device of a graph", "_graph_device_type"),
        ("torch._functorch._aot_autograd.subclass_codegen", "the name of generated code", ""),
        ("torch.fx._symbolic_trace", "whether something is tracing", "_is_fx_tracing_flag"),
    ),
    "2.14": (
        ("torch._dynamo.package", "the device of a graph", "_graph_device_type"),
        ("torch._dynamo.graph_bytecode_inputs", "streams and events of backwards", "index_to_external_object_weakref"),
        ("torch._functorch._aot_autograd.codegen", "the name of generated code", ""),
        ("torch.fx._symbolic_trace", "whether something is tracing, on this thread", "_is_fx_tracing_tls"),
    ),
    "2.15": (
        ("torch._dynamo.package", "the devices of a graph", "_collapse_device_types _graph_device_types"),
        (
            "torch._dynamo.graph_bytecode_inputs",
            "streams and events of backwards",
            "index_to_external_object_weakref set_external_object_by_index",
        ),
        ("torch._functorch._aot_autograd.codegen", "the name of generated code", ""),
        ("torch.fx._symbolic_trace", "whether something is tracing, on this thread", "_is_fx_tracing_tls"),
    ),
}

_SYMBOLS: dict[str, set[str]] = {}
for _module, _, _names in (*_TABLE, *_ONLY[generation.current().release]):
    _SYMBOLS.setdefault(_module, set()).update(_names.split())
_complete: set[str] = set()  # modules that have all of theirs


def module(name: str) -> Any:
    """A private module of torch, with every symbol that coldframe uses present. IncompatiblePackageError otherwise."""
    try:
        found = imported(name) or _import(name)
    except ImportError as error:
        raise IncompatiblePackageError(_message(name)) from error
    if name not in _complete:
        _check(name, found)
    return found


def _check(name: str, found: Any) -> None:
    for symbol in sorted(_SYMBOLS.get(name, ())):
        if not hasattr(found, symbol):
            raise IncompatiblePackageError(_message(f"{name}.{symbol}"))
    _complete.add(name)


def imported(name: str) -> Any:
    """A module of torch that has been imported; None where it has not. One that another thread is importing is waited for."""
    for each in (".".join(name.split(".")[:2]), name):  # a package first: its modules import one another
        if _is_initializing(sys.modules.get(each)):
            importlib.import_module(each)
    found = sys.modules.get(name)
    return None if _is_initializing(found) else found


def _is_initializing(module: Any) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _import(name: str) -> Any:
    # Importing Dynamo makes half a million objects and next to no garbage; looking for it would take half as long again.
    enabled = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if enabled:
            gc.enable()


def probe() -> None:
    """Imports Dynamo. Raises IncompatiblePackageError, naming the first symbol of it that this torch lacks."""
    module("torch._dynamo")
    for name in _SYMBOLS:
        if name.startswith("torch._dynamo.") or name in sys.modules:
            module(name)


def _message(what: str) -> str:
    import torch

    return f"torch {torch.__version__} has no {what}: this coldframe knows torch {generation.RELEASES}; install a matching pair"

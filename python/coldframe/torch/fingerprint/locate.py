"""Finding a code object again: from the target that is compiled, or from a module.

Dynamo's caches lie on code objects, so a package must name each one that it has variants for. A *code source* is a text: a
root and steps from it, for example

    target.forward.__code__                        the forward of the module that is being compiled
    target.forward.__wrapped__.__code__            what a decorator wrapped
    transformers.utils.generic:check.__code__.co_consts[2]     a function made inside another

Steps: ".name", "[index]". `find` yields the first source that leads to exactly the given code; `resolve` walks it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch

from ...errors import IncompatiblePackageError, NotPortableError
from ..seam import symbols

_DEPTH = 8
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")


def find(code: types.CodeType, module: str, target: Any) -> str:
    """The code source of `code`, whose frames have the globals of `module`. NotPortableError when it cannot be reached."""
    target = called(target)
    for root, function in _roots(code, module, target):
        for path in _paths(function, code, 0, set()):
            return root + path
    raise NotPortableError(
        f"function {code.co_qualname!r} of module {module!r} cannot be found again by name or through the compiled target"
    )


def resolve(source: str, target: Any, module: str) -> types.CodeType:
    """The code that `source` leads to now, of a function over the globals of `module`. IncompatiblePackageError naming the
    first step that fails."""
    match = re.match(r"target\b|([^:\[]+):([^.\[]+)", source)
    if match is None:
        raise IncompatiblePackageError(f"code source {source!r} has no root")
    if match[1]:
        try:
            value: Any = importlib.import_module(match[1])
        except ImportError as error:
            raise IncompatiblePackageError(f"module {match[1]!r}, compiled into the package, cannot be imported") from error
        steps = "." + source[match.start(2) :]
    else:
        value, steps = _start(called(target), source[match.end() :])
    function = None
    for step in _STEP.finditer(steps):
        function = value if isinstance(value, types.FunctionType) else function
        try:
            value = getattr(value, step[1]) if step[1] else value[int(step[2])]
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise IncompatiblePackageError(f"{source!r}, compiled into the package, is not there: {error}") from error
    if not isinstance(value, types.CodeType):
        raise IncompatiblePackageError(f"{source!r} leads to {type(value).__name__}, not to code")
    if function is not None and function.__globals__ is not vars(importlib.import_module(module)):
        raise IncompatiblePackageError(f"the globals of {function.__qualname__!r} are not those of module {module!r}")
    return value


def _start(target: Any, steps: str) -> tuple[Any, str]:
    """From where the steps go: what was compiled as a module serves its bound forward, and the other way round."""
    if isinstance(target, torch.nn.Module) and steps.startswith(".__func__."):
        return target.forward, steps
    if isinstance(target, types.MethodType) and steps.startswith(".forward."):
        return target, steps.removeprefix(".forward")
    return target, steps


def uncompiled(target: Any) -> Any:
    """Returns what torch.compile, ours or plain, was given to make `target`; `target` itself when it is not compiled."""
    eval_frame = symbols.imported("torch._dynamo.eval_frame")
    of_torch = () if eval_frame is None else eval_frame.OptimizedModule
    while getattr(type(target), "is_served", False) or isinstance(target, of_torch):
        target = target._orig_mod
    if not hasattr(target, "_torchdynamo_orig_callable"):
        return target
    return symbols.module("torch._dynamo.eval_frame").innermost_fn(target)


def called(target: Any) -> Any:
    """The module, where the target is its call: what module.compile() compiles. torch skips the frames of Module itself, so
    such a call begins with the same code as that of the module. Any other target is what is called."""
    owner, function = getattr(target, "__self__", None), getattr(target, "__func__", None)
    is_call = function is torch.nn.Module.__call__ or function is torch.nn.Module._call_impl
    return owner if is_call and isinstance(owner, torch.nn.Module) else target


def frame_name(code: types.CodeType, module: str, target: Any) -> str:
    """Returns the name of the frames of `code` for people. torch runs the forward of its own module classes, and callable
    objects, through a function of Dynamo."""
    if code.co_qualname == "wrap_inline.<locals>.inner" and module.startswith("torch."):
        if isinstance(target, torch.nn.Module):
            return f"{type(target).__module__}.{type(target).__qualname__}.forward"
        return name_of(target)
    return f"{module}.{code.co_qualname}"


def name_of(target: Any) -> str:
    """Returns what people call a target that is no module: the function that it runs, or a class."""
    owner = function_of(target) or (target if isinstance(target, type) else type(target))
    return f"{owner.__module__}.{owner.__qualname__}"


def function_of(target: Any) -> types.FunctionType | None:
    """The function that a call of `target` runs: of a module its class's forward. None when it is not one of Python."""
    target = called(target)
    if isinstance(target, torch.nn.Module):
        function: Any = type(target).forward
    else:
        while isinstance(target, functools.partial):
            target = target.func
        function = getattr(target, "__func__", target)
        if not isinstance(function, types.FunctionType):
            function = inspect.getattr_static(type(function), "__call__", None)
    return function if isinstance(function, types.FunctionType) else None


def entry_codes(target: Any) -> set[int]:
    """Ids of the code objects with which a call of `target` begins."""
    functions = [function_of(target)]
    if isinstance(called(target), torch.nn.Module):
        functions.append(symbols.module("torch._dynamo.external_utils").wrap_inline(functions[0]))  # see frame_name
    return {id(function.__code__) for function in functions if function is not None}


def _roots(code: types.CodeType, module: str, target: Any) -> Iterator[tuple[str, Any]]:
    yield "target", target
    forward = getattr(target, "forward", None)
    if forward is not None:
        yield "target.forward", forward
    if inspect.getattr_static(type(target), "__call__", None) is not None and not isinstance(
        target, (types.FunctionType, types.MethodType)
    ):
        yield "target.__call__", target.__call__
    names = {module, getattr(target, "__module__", None)}
    head = code.co_qualname.split(".<locals>")[0].split(".")
    for name in sorted(n for n in names if isinstance(n, str)):
        value: Any = sys.modules.get(name)
        for part in head:
            value = getattr(value, part, None)
        if value is not None:
            yield f"{name}:{'.'.join(head)}", value
    # A method that the standard library generated, of a dataclass say, is named after what generated it.
    for cls in [value for value in list(vars(sys.modules.get(module, types)).values()) if isinstance(value, type)]:
        if cls.__module__ == module and code.co_name in vars(cls):
            yield f"{module}:{cls.__qualname__}.{code.co_name}", vars(cls)[code.co_name]


def _paths(value: Any, code: types.CodeType, depth: int, seen: set[int]) -> Iterator[str]:
    """Steps from `value` to `code`, through functions, what they wrap, their closures and nested code."""
    if depth > _DEPTH or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.CodeType):
        if value is code:
            yield ""
        for index, const in enumerate(value.co_consts):
            if isinstance(const, types.CodeType):
                for path in _paths(const, code, depth + 1, seen):
                    yield f".co_consts[{index}]{path}"
    elif isinstance(value, (types.MethodType, staticmethod, classmethod)):
        for path in _paths(value.__func__, code, depth + 1, seen):
            yield f".__func__{path}"
    elif isinstance(value, property):
        for name in ("fget", "fset", "fdel"):
            for path in _paths(getattr(value, name), code, depth + 1, seen):
                yield f".{name}{path}"
    elif isinstance(value, (functools.partial, functools.cached_property)):
        for path in _paths(value.func, code, depth + 1, seen):
            yield f".func{path}"
    elif isinstance(value, types.FunctionType):
        for path in _paths(value.__code__, code, depth + 1, seen):
            yield f".__code__{path}"
        if hasattr(value, "__wrapped__"):
            for path in _paths(value.__wrapped__, code, depth + 1, seen):
                yield f".__wrapped__{path}"
        for index, cell in enumerate(value.__closure__ or ()):
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            if isinstance(content, (types.FunctionType, types.MethodType)):
                for path in _paths(content, code, depth + 1, seen):
                    yield f".__closure__[{index}].cell_contents{path}"


def is_being_imported(target: Any) -> bool:
    """Returns whether the module of a function or method may still lack names: its body is running."""
    namespace = getattr(getattr(target, "__func__", target), "__globals__", {})
    spec = namespace.get("__spec__")
    return namespace.get("__name__") == "__main__" or bool(getattr(spec, "_initializing", False))

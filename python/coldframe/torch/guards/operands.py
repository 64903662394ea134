"""Process-specific operands of guards, made portable.

A guard by identity holds an address. Here the object behind it becomes something that finds the same object in another
process: a reference by name, checked to yield exactly this object; for a code object the function that owns it; for a
function of a `<locals>` scope a description (a *rebinding*) that the object found at the guarded place must fit.
"""

from __future__ import annotations

import operator
import sys
import types
from collections.abc import Iterable
from typing import Any

import torch

from ... import _core
from ...errors import NotPortableError
from ..fingerprint import state
from ..seam import symbols

_C = symbols.module("torch._C")

_MAX_CLOSURE_DEPTH = 8
_SINGLE_INTEGERS = range(-5, 257)  # of which the interpreter has one object each
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def reference(obj: object) -> _core.ImportRef:
    """The name under which exactly `obj` is importable. NotPortableError, saying why, when there is none."""
    try:
        return _core.import_ref(obj)
    except NotPortableError:
        if isinstance(obj, types.FunctionType) and (found := _wrapped_reference(obj) or _alias_reference(obj)):
            return found
        if isinstance(obj, types.BuiltinFunctionType) and (found := _module_function(obj)):
            return found
        raise


def _module_function(function: Any) -> _core.ImportRef | None:
    # A function of a pybind11 module has a qualified name of pybind11's own; one that is a method of an object which a module
    # keeps to itself, as random.random is, has that of its class.
    module = function.__module__ or type(function.__self__).__module__
    name = getattr(function, "__name__", None)
    if isinstance(module, str) and isinstance(name, str) and getattr(sys.modules.get(module), name, None) is function:
        return _core.ImportRef(module, name)
    return None


def _wrapped_reference(function: types.FunctionType) -> _core.ImportRef | None:
    # functools.wraps gives the wrapper the name of what it wraps: the function itself is the wrapper's __wrapped__.
    candidate: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        candidate = getattr(candidate, part, None)
    qualname = function.__qualname__
    for _ in range(16):
        candidate = getattr(candidate, "__wrapped__", None)
        if candidate is None:
            return None
        qualname += ".__wrapped__"
        if candidate is function:
            return _core.ImportRef(function.__module__, qualname)
    return None


def _alias_reference(function: types.FunctionType) -> _core.ImportRef | None:
    # A function that a factory of torch made for a module's global, such as torch.nn.functional.max_pool2d. In a program's
    # module the same name may hold a function of another closure next time: that is for a description to tell.
    for name in (function.__module__, function.__globals__.get("__name__")):
        module = sys.modules.get(name) if isinstance(name, str) and name.partition(".")[0] == "torch" else None
        if module is not None:
            for alias, value in list(vars(module).items()):
                if value is function:
                    return _core.ImportRef(module.__name__, alias)
    return None


def _function_reference(function: types.FunctionType, holder: object) -> _core.ImportRef:
    # __new__ of a namedtuple, say, has globals of its own and is found through its class only.
    try:
        return reference(function)
    except NotPortableError:
        if isinstance(holder, type) and getattr(holder, function.__name__, None) is function:
            ref = reference(holder)
            return _core.ImportRef(ref.module, f"{ref.qualname}.{function.__name__}")
        raise


def identity(obj: object, owner: object = None, holder: object = None) -> Any:
    """The operand of a guard on the identity of `obj`.

    `owner` is what `obj` was read from, of a code object its function; `holder` the class through which it was reached. A
    reference to a function or its code carries the code's semantic digest and the module of its globals, one to anything else
    but a module what the object says of itself, so that nothing else under the same name passes for it.
    """
    if isinstance(obj, types.CodeType):
        if not isinstance(owner, types.FunctionType) or owner.__code__ is not obj:
            raise NotPortableError(f"no function is known that owns the guarded code {obj.co_qualname!r}")
        try:
            ref = _function_reference(owner, holder)
        except NotPortableError:
            return {"rebind": "code", **describe_function(owner)}
        code = _core.ImportRef(ref.module, f"{ref.qualname}.__code__")
        return {"code": code, "digest": semantic_digest(obj), "globals": globals_module(owner)}
    if isinstance(obj, types.FunctionType):
        try:
            ref = _function_reference(obj, holder)
            return {"function": ref, "digest": semantic_digest(obj.__code__), "globals": globals_module(obj)}
        except NotPortableError:
            return {"rebind": "function", **describe_function(obj)}
    if obj is None or obj is True or obj is False or obj is Ellipsis or (type(obj) is int and obj in _SINGLE_INTEGERS):
        return obj
    if type(obj) is torch.amp.autocast_mode.autocast:  # the object that a decorator holds: what Dynamo reads of it
        said = {name: getattr(obj, name) for name in ("device", "fast_dtype", "_enabled", "_cache_enabled")}
        return {"rebind": "object", "class": reference(type(obj)), "state": said}
    if isinstance(obj, types.ModuleType):
        return _module_reference(obj, owner)
    try:
        return {"object": reference(obj), "claims": claims(obj)}
    except NotPortableError:
        if state.is_said_by_content(obj):
            return {"rebind": "content", "content": state.describe(obj)}
        raise


def _module_reference(module: types.ModuleType, owner: object) -> _core.ImportRef:
    """The name of a module, or of the attribute that it was read from of another one, where it is not what has its name."""
    try:
        return reference(module)
    except NotPortableError:
        if isinstance(owner, types.ModuleType) and sys.modules.get(owner.__name__) is owner:
            for name, value in vars(owner).items():
                if value is module:
                    return _core.ImportRef(owner.__name__, name)
        raise


def claims(obj: Any) -> bytes:
    """The digest of what an object says of itself, under whatever name it is found: its type, its own names and, of a function
    of C, the module or class that defines it and the library that its code lies in. A class: whether Python made it."""
    owner = next((each for name in ("__objclass__", "__self__") if (each := _said(obj, name)) is not None), None)
    if owner is not None and not isinstance(owner, (types.ModuleType, type)):
        owner = type(owner)
    made = isinstance(obj, type) and bool(obj.__flags__ & _HEAP_TYPE)
    return _core.digest((made, _core.library_of(obj), *(_own_names(each) for each in (type(obj), obj, owner))))


def claims_of_tensors(names: Iterable[str]) -> bytes:
    """The digest of what the attributes of torch.Tensor with these names say of themselves."""
    ordered = tuple(sorted(names))
    members = [vars(cls) for cls in torch.Tensor.__mro__ if cls.__flags__ & _HEAP_TYPE]  # what others have nobody replaces
    values = [next((each[name] for each in members if name in each), None) for name in ordered]
    known, digest = _of_tensors.get(ordered, ([], b""))
    if len(known) != len(values) or not all(map(operator.is_, known, values)):
        said = ((name, claims(value), *_plain(value)) for name, value in zip(ordered, values, strict=True))
        digest = _core.digest(tuple(said))
        _of_tensors[ordered] = values, digest
    return digest


def _plain(value: object) -> tuple[object, ...]:
    return (value,) if isinstance(value, state.PLAIN) else ()


def _operators() -> tuple[str, ...]:
    binary = [name for name in vars(operator) if name.startswith("__") and callable(getattr(operator, name))]
    reflected = [f"__r{name[2:]}" for name in binary]
    others = ["bool", "complex", "divmod", "float", "int", "iter", "len", "reversed", "torch_dispatch", "torch_function"]
    return tuple(sorted({*binary, *reflected, *(f"__{name}__" for name in others)} & set(dir(torch.Tensor))))


OPERATORS = _operators()  # that torch.Tensor has, beside what its attributes are
_of_tensors: dict[tuple[str, ...], tuple[list[Any], bytes]] = {}  # the last attributes seen, and their digest


def _own_names(obj: Any) -> tuple[str | None, ...]:
    names = (_said(obj, name) for name in ("__module__", "__qualname__", "__name__"))
    return tuple(name if isinstance(name, str) else None for name in names)


def _said(obj: Any, name: str) -> Any:
    try:
        return getattr(obj, name, None)
    except Exception:  # of a __getattr__ of the object's own
        return None


def semantic_digest(code: types.CodeType) -> bytes:
    return _core.CodeObject.from_code(code).semantic_digest


def describe_function(function: types.FunctionType, depth: int = 0) -> dict[str, Any]:
    """Returns what must be equal for another function object to stand for this one.

    Its code by semantic digest is not enough: two modules may hold the same text over different globals. Defaults and closure
    count where a package can hold them; what it cannot hold (modules, tensors) Dynamo guards by itself where it reads them.
    """
    namespace = globals_module(function)
    if namespace is None:
        raise NotPortableError(f"function {function.__qualname__!r} has globals that belong to no imported module")
    return {
        "module": function.__module__,
        "globals": namespace,
        "qualname": function.__qualname__,
        "digest": semantic_digest(function.__code__),
        "defaults": tuple(_content(value, depth) for value in function.__defaults__ or ()),
        "kwdefaults": {name: _content(value, depth) for name, value in (function.__kwdefaults__ or {}).items()},
        "closure": tuple(_cell(cell, depth) for cell in function.__closure__ or ()),
    }


def globals_module(function: types.FunctionType) -> str | None:
    """The imported module whose dictionary is the function's globals (`__module__` may lie: functools.wraps)."""
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return name if module is not None and vars(module) is function.__globals__ else None


def _cell(cell: types.CellType, depth: int) -> Any:
    try:
        return _content(cell.cell_contents, depth)
    except ValueError:
        return {"empty": True}


def _content(value: Any, depth: int) -> Any:
    """{"value": v}, {"function": description}, or {} for what only Dynamo's own guards can speak of."""
    if depth >= _MAX_CLOSURE_DEPTH:
        return {}
    try:
        return {"value": _core.portable(value)}
    except NotPortableError:
        pass
    if isinstance(value, types.FunctionType):
        try:
            return {"function": describe_function(value, depth + 1)}
        except NotPortableError:
            return {}
    return {}


def tensor(value: Any, size: list[Any], stride: list[Any], name: str, pytype: type, keys: Any) -> dict[str, Any]:
    """The operand of a tensor_match guard: what torch's class reads of its example tensor, and no tensor.

    Of the dispatch keys it takes those that count where the guard is made: autocast and inference mode, say, change them.
    """
    keys = (keys | _C._dispatch_tls_local_include_set()) - _C._dispatch_tls_local_exclude_set()
    return {
        "name": name,
        "pytype": reference(pytype),
        "dtype": value.dtype,
        "device": value.device,
        "requires_grad": value.requires_grad,
        "size": tuple(None if s is None else int(s) for s in size),
        "stride": tuple(None if s is None else int(s) for s in stride),
        "dispatch_keys": keys.raw_repr(),
    }

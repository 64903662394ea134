"""Descriptions of what functions of the program hold and read, for another process to compare.

Functions that run while a frame is compiled (rules of operators, say) are not traced, so no guard speaks of what they hold in
defaults and closures, or read of their module's globals. `describe` says what a value is made of, by content; where that
cannot be said it raises NotPortableError.
"""

from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import enum
import functools
import importlib.metadata
import importlib.util
import inspect
import operator
import re
import sys
import threading
import types
import typing
from collections.abc import Iterable, Iterator
from logging import Logger
from typing import Any

import torch

from ... import _core
from ...errors import NotPortableError
from ..seam import symbols
from . import builds, libraries

# What a function is like, beside what it does.
OF_FUNCTIONS = ("__annotations__", "__code__", "__defaults__", "__doc__", "__kwdefaults__")
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
DEPTH = 6
ITEMS = 1000
_VALUES = (
    *(str, bytes, int, float, complex, tuple, frozenset, types.NoneType, types.ModuleType, types.CodeType),
    *(types.FunctionType, types.MethodType, types.BuiltinFunctionType),
)
PLAIN = (bool, int, float, complex, str, bytes)
_UNWRAPPED = 64
_PLAIN_SIZE = type("", (), {}).__basicsize__  # bytes, of objects with attributes and nothing else
MISSING = object()

# What has no say in any result, whatever it holds.
_INERT = (Logger, type(threading.Lock()), type(threading.RLock()), torch.library.Library)
_NATIVE = (
    *(types.BuiltinFunctionType, types.ClassMethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType),
    *(types.MethodDescriptorType, types.MethodWrapperType, types.WrapperDescriptorType),
)
_ALIASES = (types.UnionType, types.GenericAlias, type(typing.Optional[int]), type(typing.List[int]))  # noqa: UP006, UP045
_MAPPINGS = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict, types.MappingProxyType)
# Whose text is all that there is to them. By name: not every program imports their modules.
_SAID_BY_REPR = frozenset(
    [
        *("builtins:range", "datetime:date", "datetime:timedelta", "decimal:Decimal", "fractions:Fraction"),
        *("inspect:Parameter", "inspect:Signature"),
    ]
)
_GETTERS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
OPERATORS = (symbols.module("torch._ops").OperatorBase, symbols.module("torch._ops").OpOverloadPacket)


class Met(set[type]):
    """Classes of the program that values are made with; beside them, what else of these values may be asked for more than their
    content says."""

    def __init__(self) -> None:
        super().__init__()
        self.modules: set[types.ModuleType] = set()
        self.abstract: set[abc.ABCMeta] = set()  # classes of the library or torch: who may have registered others with them
        self.loggers: set[Logger] = set()
        self.functions: set[Any] = set()
        self.cached: dict[int, functools._lru_cache_wrapper[Any]] = {}  # functions that keep what they gave
        self.names: set[str] = set()  # of attributes that are looked up, by operator.attrgetter and the like

    def note(self, value: Any, depth: int = 0) -> None:
        """Adds what a value is, is of, has in containers, or is made of as a callable."""
        self.update(cls for cls in (value, type(value)) if isinstance(cls, type) and not builds.is_of_exact_build(cls))
        if isinstance(value, types.ModuleType):
            self.modules.add(value)
        elif isinstance(value, abc.ABCMeta) and builds.is_of_exact_build(value):
            self.abstract.add(value)
        elif getattr(value, "_is_protocol", False):
            self.names.update({*vars(value), *value.__annotations__} - vars(typing.Protocol).keys())
        elif isinstance(value, Logger):
            self.loggers.add(value)
        elif isinstance(value, (types.BuiltinFunctionType, types.FunctionType)):
            self.functions.add(value)
        elif isinstance(value, _GETTERS):
            self.names.update(part for name in value.__reduce__()[1] if isinstance(name, str) for part in name.split("."))
        elif isinstance(value, (types.MethodType, types.MethodWrapperType)):
            self.note(value.__self__, depth)
        if isinstance(value, functools._lru_cache_wrapper):
            self.cached[id(value)] = value
        for part in _parts_of(value) if depth < DEPTH else ():
            self.note(part, depth + 1)


def _parts_of(value: Any) -> Iterable[Any]:
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return () if len(value) > ITEMS else list(value.values() if isinstance(value, dict) else value)
    if isinstance(value, functools.partial):
        return value.func, *value.args, *value.keywords.values()
    if isinstance(value, (classmethod, staticmethod, property)):
        return _held_functions(value)
    origin = typing.get_origin(value)
    return () if origin is None else (origin, *typing.get_args(value))


def key_of(cls: type) -> str:
    """The name of a class, with its module."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _documentation(code: types.CodeType) -> Iterator[str]:
    """The first constants of a code and of those within, where they are texts: no part of the semantic digest."""
    if isinstance(text := next(iter(code.co_consts), None), str):
        yield text
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _documentation(const)


def semantic_digest(code: types.CodeType) -> bytes:
    return _core.CodeObject.from_code(code).semantic_digest


def describe(value: Any, met: Met | None = None, depth: int = 0) -> dict[str, Any]:
    """The content of `value`; adds to `met` what it is made with."""
    if depth > DEPTH:
        raise NotPortableError("it holds objects within objects without end")
    if met is not None:
        met.note(value)
    inner = functools.partial(describe, met=met, depth=depth + 1)
    cls = type(value)
    if isinstance(value, functools._lru_cache_wrapper):
        return {"cached": inner(value.__wrapped__)}
    if isinstance(value, types.FunctionType) and isinstance(vars(value).get("registry"), types.MappingProxyType):
        return {"dispatches": tuple((inner(key), inner(function)) for key, function in vars(value)["registry"].items())}
    if isinstance(value, types.CodeType):
        return {"code": semantic_digest(value), "documentation": tuple(_documentation(value))}
    try:
        return {"value": _core.portable(value), **_library_of(value)}
    except NotPortableError:
        pass
    if isinstance(value, _INERT):
        return {"type": key_of(cls)}
    if isinstance(value, OPERATORS):
        return {"type": key_of(cls), "name": str(value)}
    if value is dataclasses.MISSING:
        return {"missing": True}
    if isinstance(value, dataclasses.Field):
        given = inner(value.default), inner(value.default_factory)
        return {"field": value.name, "given": given, "is": (value.init, value.compare, value.repr, bool(value.kw_only))}
    if isinstance(value, _ALIASES):
        origin = typing.get_origin(value)
        of = inner(origin) if isinstance(origin, type) else str(origin)
        return {"type": key_of(cls), "of": of, "arguments": tuple(map(inner, typing.get_args(value)))}
    if isinstance(value, torch.jit.ScriptFunction):
        return {"script": value.inlined_graph.str(False)}
    if cls is re.Pattern:
        return {"pattern": value.pattern, "flags": value.flags}
    if isinstance(value, _NATIVE):
        owner = getattr(value, "__self__", None)
        of = {} if owner is None or isinstance(owner, (types.ModuleType, type)) else {"self": inner(owner)}
        name = f"{getattr(value, '__module__', None)}.{value.__qualname__}"
        return {"type": key_of(cls), "name": name, **of, **_library_of(value)}
    if isinstance(value, types.FunctionType):
        return {"function": describe_function(value, met, depth + 1)}
    if isinstance(value, types.MethodType):
        return {"self": inner(value.__self__), "method": inner(value.__func__)}
    if isinstance(value, (staticmethod, classmethod)):
        return {"type": key_of(cls), "function": inner(value.__func__)}
    if isinstance(value, property):
        return {"property": tuple(map(inner, (value.fget, value.fset, value.fdel)))}
    if isinstance(value, functools.partial):
        return {"partial": inner(value.func), "args": inner(value.args), "keywords": inner(value.keywords)}
    if cls in (tuple, list) and len(value) <= ITEMS:
        return {"type": key_of(cls), "items": tuple(map(inner, value))}
    if cls in _MAPPINGS and len(value) <= ITEMS:
        made = {"made": inner(value.default_factory)} if cls is collections.defaultdict else {}
        return {"type": key_of(cls), "items": tuple((inner(key), inner(item)) for key, item in value.items()), **made}
    if cls is collections.deque and len(value) <= ITEMS:
        return {"type": key_of(cls), "items": tuple(map(inner, value)), "longest": value.maxlen}
    if key_of(cls) in _SAID_BY_REPR:
        return {"type": key_of(cls), "repr": repr(value)}
    if isinstance(value, _GETTERS):
        return {"type": key_of(cls), "made": inner(value.__reduce__()[1:])}
    if _is_plain_object(value):
        attributes = {name: item for name, item in sorted(vars(value).items()) if not is_kept_property(cls, name)}
        return {"type": key_of(cls), "state": {name: inner(item) for name, item in attributes.items()}}
    raise NotPortableError(f"a {cls.__qualname__} object cannot be compared with that of another process")


def _library_of(value: Any) -> dict[str, str]:
    """Of what a shared library of the program defines: the digest of the library, which is all that says what it does."""
    if not isinstance(value, (type, *_NATIVE)):
        return {}
    digest = libraries.digest(str(getattr(getattr(value, "__objclass__", value), "__module__", None)))
    return {"library": digest} if digest else {}


def is_said_by_content(value: Any) -> bool:
    """Returns whether a value, to which no name leads, is as it was made, and all that there is to it is what `describe` says.
    Of functions of C these are methods of objects: of others their names say too little."""
    if isinstance(value, types.BuiltinMethodType):
        return not isinstance(value.__self__, (types.ModuleType, type, types.NoneType))
    return isinstance(value, (*_ALIASES, re.Pattern)) or type(value) in (int, float, complex, str, bytes)


def can_be_described(value: Any) -> bool:
    try:
        describe(value)
    except NotPortableError:
        return False
    return True


def is_described(value: Any, description: dict[str, Any]) -> bool:
    """Returns whether `describe` says this of the value."""
    try:
        return _core.same(describe(value), description)
    except NotPortableError:
        return False


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """A value under the name ""; or, of one that torch's or the library's Python code makes, its class and its attributes, by
    which alone it can be compared."""
    cls = type(value)
    of_python = all(base is object or (base.__flags__ & _HEAP_TYPE and "__slots__" not in vars(base)) for base in cls.__mro__)
    if _is_plain_object(value) or not (of_python and any(map(builds.is_of_exact_build, cls.__mro__[:-1]))):
        yield "", value
        return
    yield "__class__", cls
    yield from vars(value).items()


def attributes_of(value: Any) -> dict[str, Any]:
    """Returns what an object of Python's keeps in attributes, those in slots among them."""
    slots = (each for cls in type(value).__mro__ for each in vars(cls).values() if isinstance(each, types.MemberDescriptorType))
    found = dict(getattr(value, "__dict__", {}))
    for slot in slots:
        with contextlib.suppress(AttributeError):  # an empty one
            found[slot.__name__] = slot.__get__(value)
    return found


def is_kept_property(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), functools.cached_property)


def _is_plain_object(value: Any) -> bool:
    """Returns whether the attributes of an object of the program are all that there is to it."""
    cls = type(value)
    native = any(base is not object and builds.is_of_exact_build(base) for base in cls.__mro__)
    holds_more = cls.__basicsize__ > _PLAIN_SIZE or cls.__itemsize__ or any("__slots__" in vars(base) for base in cls.__mro__)
    return hasattr(value, "__dict__") and not native and not holds_more and not builds.is_of_exact_build(cls)


def describe_function(function: types.FunctionType, met: Met | None = None, depth: int = 0) -> dict[str, Any]:
    """A function by its code, defaults and closure."""
    cells = (content_of(cell) for cell in function.__closure__ or ())
    return {
        "code": semantic_digest(function.__code__),
        "defaults": tuple(describe(value, met, depth) for value in function.__defaults__ or ()),
        "kwdefaults": {name: describe(value, met, depth) for name, value in (function.__kwdefaults__ or {}).items()},
        "closure": tuple({} if value in (MISSING, function) else describe(value, met, depth) for value in cells),
    }


def describe_called(value: Any, met: Met | None = None) -> dict[str, Any]:
    """A function by its content, whatever its name is; anything else as `describe` says it."""
    return {"function": describe_function(value, met)} if isinstance(value, types.FunctionType) else describe(value, met)


def is_function(function: types.FunctionType, description: dict[str, Any]) -> bool:
    """Returns whether `describe_function` says this of the function."""
    if semantic_digest(function.__code__) != description["code"]:
        return False
    try:
        return _core.same(describe_function(function), description)
    except NotPortableError:
        return False


def content_of(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def holds(function: types.FunctionType) -> bool:
    """Returns whether there is more to a function than its code and globals."""
    return bool(function.__closure__ or function.__defaults__ or function.__kwdefaults__)


def functions_under(module: str, qualname: str) -> Iterator[types.FunctionType]:
    """The function under this name in an imported module, and those that it or what stands there in its place wraps."""
    value: Any = sys.modules.get(module)
    for part in qualname.split("."):
        value = inspect.getattr_static(value, part, None)
    return functions_of(value)


def functions_of(value: Any) -> Iterator[types.FunctionType]:
    """A function, or those that make up what is called or read as one, and the functions that these wrap."""
    stack, seen = [value], set[int]()
    while stack and len(seen) < _UNWRAPPED:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            yield value
            stack.append(vars(value).get("__wrapped__"))
            stack.extend(each for each in map(content_of, value.__closure__ or ()) if isinstance(each, types.FunctionType))
        else:
            stack.extend(_held_functions(value))


def functions_within(value: Any, depth: int = 0) -> Iterator[types.FunctionType]:
    """Functions of the program that a value is, or that containers in it hold."""
    if isinstance(value, types.FunctionType) and not builds.is_of_build(str(value.__module__)):
        yield value
    elif isinstance(value, (dict, list, tuple)) and depth < DEPTH and len(value) <= ITEMS:
        for each in value.values() if isinstance(value, dict) else value:
            yield from functions_within(each, depth + 1)


def names_of_code(function: types.FunctionType) -> tuple[str, str]:
    """Of a function, and of its code: what functools.wraps made has the name of another. What has no name is what it does."""
    name = function.__code__.co_qualname
    return f"{function.__module__}.{function.__qualname__}", semantic_digest(function.__code__).hex() if "<" in name else name


def name_of(function: types.FunctionType, module: str) -> tuple[str, str] | None:
    """The module and the name that lead to a function over the globals of `module`: its own, those that functools.wraps gave it
    or, of a generated method, its place in a class. None for "_", which is no function's own."""
    if function.__qualname__ == "_":
        return None
    names = [(module, function.__qualname__), (str(function.__module__), function.__qualname__)]
    if function.__code__.co_filename.startswith("<"):
        method = function.__code__.co_name
        classes = (value for value in list(vars(sys.modules[module]).values()) if isinstance(value, type))
        owning = (cls for cls in classes if cls.__module__ == module and method in vars(cls))
        names.extend((module, f"{cls.__qualname__}.{method}") for cls in owning)
    return next((name for name in names if function in functions_under(*name)), None)


def owners(module: str, qualname: str) -> Iterator[type]:
    """The classes of the program in whose bodies the name lies."""
    value: Any = sys.modules.get(module)
    for part in qualname.split(".")[:-1]:
        value = inspect.getattr_static(value, part, None)
        if isinstance(value, type):
            yield value


def _held_functions(value: Any) -> Iterable[Any]:
    if isinstance(value, (staticmethod, classmethod, types.MethodType)):
        return (value.__func__,)
    if isinstance(value, property):
        return tuple(each for each in (value.fget, value.fset, value.fdel) if each is not None)
    if isinstance(value, (functools.partial, functools.cached_property)):
        return (value.func,)
    if isinstance(value, functools._lru_cache_wrapper):
        return (value.__wrapped__,)
    if value is None or isinstance(value, (type, types.ModuleType)):
        return ()
    return tuple(each for each in getattr(value, "__dict__", {}).values() if isinstance(each, types.FunctionType))


def in_memory(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, int, int]]:
    """Tensors by their sources, with the number of the memory in which they lie, and how many bytes behind the first one that
    lies there. Those without memory are left out."""
    known: dict[int, tuple[int, int]] = {}
    for source, tensor in tensors.items():
        with contextlib.suppress(NotImplementedError, RuntimeError):
            if address := tensor.untyped_storage().data_ptr():
                number, first = known.setdefault(address, (len(known), tensor.data_ptr()))
                yield source, number, tensor.data_ptr() - first


def can_be_shared(value: Any) -> bool:
    """Returns whether it matters that two names lead to one object: it can be changed, or is equal to itself alone."""
    if isinstance(value, types.FunctionType):
        return not builds.is_of_build(str(value.__module__))
    if type(value) is object:
        return True
    if isinstance(value, (torch.Tensor, torch.nn.Module, list, dict, set, collections.deque, types.CellType)):
        return True
    return not isinstance(value, (type, enum.Enum, *_VALUES)) and not builds.is_of_exact_build(type(value))


def has_other_equals(value: Any) -> bool:
    """Returns whether something else is equal to it that is not the same: 0.0 and -0.0, (1,) and (True,)."""
    if isinstance(value, (tuple, list, set, frozenset)):
        return any(isinstance(item, (bool, int, float, complex)) or has_other_equals(item) for item in value)
    return isinstance(value, (float, complex)) and (value == 0 or value != value or isinstance(value, complex))


def lacks(module: str, name: str) -> bool:
    """Returns whether a module has neither such an attribute nor such a submodule; one that is not imported has nothing."""
    found = sys.modules.get(module)
    if found is None or hasattr(found, name):
        return found is None
    return not hasattr(found, "__path__") or importlib.util.find_spec(f"{module}.{name}") is None


def has(value: Any, name: str) -> bool:
    """Returns whether an object, or its class, has an attribute. Runs nothing of the program: __getattr__ does not count."""
    if isinstance(value, types.ModuleType):
        return not lacks(value.__name__, name)
    if isinstance(value, torch.nn.Module):
        tables = (vars(value).get(table) for table in ("_parameters", "_buffers", "_modules"))
        if any(name in table for table in tables if table):
            return True
    if isinstance(value, types.MethodType) and has(value.__func__, name):
        return True
    found = inspect.getattr_static(value, name, MISSING)
    if isinstance(found, types.MemberDescriptorType) and not isinstance(value, type):
        try:
            found.__get__(value)  # of a slot that may be empty
        except AttributeError:
            return False
    return found is not MISSING


def installed(name: str) -> str | bool:
    """The version of a distribution of this name; whether there is a module of this name where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    try:
        package = name.rpartition(".")[0]
        return importlib.util.find_spec(name if package in sys.modules else name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False

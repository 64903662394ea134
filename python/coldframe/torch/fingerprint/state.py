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
import string
import sys
import threading
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from logging import Logger
from typing import Any

import torch

from ... import _core
from ...errors import NotPortableError
from ..seam import symbols
from . import builds, libraries, objects

# What a function is like, beside what it does.
OF_FUNCTIONS = ("__annotations__", "__code__", "__defaults__", "__doc__", "__kwdefaults__")
DEPTH = 6
ITEMS = 1000
_PARTS = 100_000  # of one value
_VALUES = (
    *(str, bytes, int, float, complex, tuple, frozenset, types.NoneType, types.ModuleType, types.CodeType),
    *(types.FunctionType, types.MethodType, types.BuiltinFunctionType),
)
PLAIN = (bool, int, float, complex, str, bytes)
_UNWRAPPED = 64
MISSING = object()

# What has no say in any result, whatever it holds.
_INERT = (Logger, type(threading.Lock()), type(threading.RLock()), torch.library.Library)
_NATIVE = (
    *(types.BuiltinFunctionType, types.ClassMethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType),
    *(types.MethodDescriptorType, types.MethodWrapperType, types.WrapperDescriptorType),
)
_ALIASES = (types.UnionType, types.GenericAlias, type(typing.Optional[int]), type(typing.List[int]))  # noqa: UP006, UP045
_VARIABLES = tuple(cls for name in ("ParamSpec", "TypeVar", "TypeVarTuple") if (cls := getattr(typing, name, None)) is not None)
# What functools.wraps and the like leave beside a function that they wrap.
_OF_WRAPPED = frozenset([*functools.WRAPPER_ASSIGNMENTS, "__wrapped__"])
# Whose text is all that there is to them. By name: not every program imports their modules.
_SAID_BY_REPR = frozenset(["builtins:range", "datetime:date", "datetime:timedelta", "decimal:Decimal", "fractions:Fraction"])
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
        self.operators: list[Any] = []

    def note(self, value: Any, depth: int = 0) -> None:
        """Adds what a value is, is of, has in containers, or is made of as a callable."""
        self.update(cls for cls in (value, type(value)) if isinstance(cls, type) and not builds.is_of_exact_build(cls))
        if isinstance(value, types.ModuleType):
            self.modules.add(value)
        elif isinstance(value, abc.ABCMeta) and builds.is_of_exact_build(value):
            self.abstract.add(value)
        elif isinstance(value, type) and vars(value).get("_is_protocol"):
            self.names.update({*vars(value), *value.__annotations__} - vars(typing.Protocol).keys())
        elif isinstance(value, Logger):
            self.loggers.add(value)
        elif isinstance(value, (types.BuiltinFunctionType, types.FunctionType)):
            self.functions.add(value)
        elif isinstance(value, OPERATORS):
            self.operators.append(value)
        elif isinstance(value, str) and "{" in value:
            self.names.update(names_of_format(value))
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
        return () if len(value) > ITEMS else [*(value.values() if isinstance(value, dict) else ()), *value]
    if isinstance(value, functools.partial):
        return value.func, *value.args, *value.keywords.values()
    if isinstance(value, (classmethod, staticmethod, property)):
        return _held_functions(value)
    origin = typing.get_origin(value)
    return () if origin is None else (origin, *typing.get_args(value))


def names_of_format(text: str) -> Iterator[str]:
    """Names of the attributes that str.format reads to fill a text."""
    with contextlib.suppress(ValueError):
        fields = [field for _, field, *_ in string.Formatter().parse(text) if field]
        yield from (part for field in fields for part in re.findall(r"\.(\w+)", field))


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


def describe(value: Any, met: Met | None = None, depth: int = 0, parts: Iterator[int] | None = None) -> dict[str, Any]:
    """The content of `value`; adds to `met` what it is made with."""
    parts = parts or iter(range(_PARTS))
    if depth > DEPTH or next(parts, None) is None:
        raise NotPortableError("it holds objects within objects without end")
    if met is not None:
        met.note(value)
    inner = functools.partial(describe, met=met, depth=depth + 1, parts=parts)
    cls = type(value)
    if isinstance(value, functools._lru_cache_wrapper):
        return {"cached": inner(value.__wrapped__), "state": _state(value, inner)}
    if isinstance(value, types.FunctionType) and isinstance(vars(value).get("registry"), types.MappingProxyType):
        return {"dispatches": tuple((inner(key), inner(function)) for key, function in vars(value)["registry"].items())}
    if isinstance(value, types.CodeType):
        return {"code": semantic_digest(value), "documentation": tuple(_documentation(value))}
    try:
        return {"value": _core.portable(value), **_library_of(value)}
    except NotPortableError:
        pass
    if cls is torch.library.Library:
        own = vars(value).keys() - set(cls.__init__.__code__.co_names)
        return {"type": key_of(cls), "state": {name: inner(vars(value)[name]) for name in sorted(own)}}
    if isinstance(value, _INERT):
        return {"type": key_of(cls)}
    if isinstance(value, OPERATORS):
        return {"type": key_of(cls), "name": str(value)}
    if value is dataclasses.MISSING:
        return {"missing": True}
    if isinstance(value, dataclasses.Field):
        given = inner(value.default), inner(value.default_factory)
        said = value.init, value.compare, value.repr, value.hash, bool(value.kw_only)
        annotation = key_of(value.type) if isinstance(value.type, type) else str(value.type)
        return {"field": value.name, "given": given, "is": said, "type": annotation, "metadata": inner(value.metadata)}
    if isinstance(value, _VARIABLES):
        limits = getattr(value, "__bound__", None), getattr(value, "__constraints__", ())
        return {"type": key_of(cls), "name": value.__name__, "limits": inner(limits)}
    if cls is typing.NewType:
        return {"type": key_of(cls), "name": value.__qualname__, "behind": inner(value.__supertype__)}
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
        return {"function": describe_function(value, met, depth + 1, parts)}
    if isinstance(value, types.MethodType):
        return {"self": inner(value.__self__), "method": inner(value.__func__)}
    if key_of(cls) in _SAID_BY_REPR:
        return {"type": key_of(cls), "repr": repr(value)}
    if cls in (set, frozenset) and len(value) <= ITEMS:
        return {"type": key_of(cls), "items": tuple(sorted(_core.digest(inner(item)) for item in value))}
    if (kept := objects.kept(value)) is not None and len(items := tuple(kept)) <= ITEMS:
        return {"type": key_of(cls), "items": tuple(map(inner, items)), "state": _state(value, inner)}
    raise NotPortableError(f"a {cls.__qualname__} object cannot be compared with that of another process")


def _state(value: Any, inner: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """The attributes of an object, but for what it keeps of properties that are asked for once."""
    cls = type(value)
    is_wrapper = isinstance(value, (functools._lru_cache_wrapper, staticmethod, classmethod))
    own = {name: each for name, each in objects.attributes(value).items() if not is_kept_property(cls, name)}
    return {name: inner(each) for name, each in own.items() if not (is_wrapper and name in _OF_WRAPPED)}


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


def is_kept_property(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), functools.cached_property)


def describe_function(
    function: types.FunctionType, met: Met | None = None, depth: int = 0, parts: Iterator[int] | None = None
) -> dict[str, Any]:
    """A function by its code, defaults and closure, and the names that it was given."""
    inner = functools.partial(describe, met=met, depth=depth, parts=parts)
    cells = (content_of(cell) for cell in function.__closure__ or ())
    code = function.__code__
    names = function.__name__, function.__qualname__, function.__module__
    own = code.co_name, code.co_qualname, function.__globals__.get("__name__")
    given = {"names": names} if names != own else {}
    return {
        "code": semantic_digest(function.__code__),
        "defaults": tuple(map(inner, function.__defaults__ or ())),
        "kwdefaults": {name: inner(value) for name, value in (function.__kwdefaults__ or {}).items()},
        "closure": tuple({} if value is MISSING or value is function else inner(value) for value in cells),
        **given,
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
    elif isinstance(value, (dict, list, tuple, set, frozenset)) and depth < DEPTH and len(value) <= ITEMS:
        for each in (*(value.values() if isinstance(value, dict) else ()), *value):
            yield from functions_within(each, depth + 1)


def names_of_code(function: types.FunctionType) -> tuple[str, str]:
    """Of a function, and of its code: what functools.wraps made has the name of another. What has no name is what it does."""
    name = function.__code__.co_qualname
    return f"{function.__module__}.{function.__qualname__}", semantic_digest(function.__code__).hex() if "<" in name else name


def name_of(function: types.FunctionType, module: str) -> tuple[str, str] | None:
    """The module and the name that lead to a function over the globals of `module`: its own, those that functools.wraps gave it
    or, of one that was generated or made within another, its place there or in a class. None for "_", which is no function's
    own."""
    if function.__qualname__ == "_":
        return None
    names = [(module, function.__qualname__), (str(function.__module__), function.__qualname__)]
    if "<" in function.__qualname__ or function.__code__.co_filename.startswith("<"):
        held = [
            (name, value) for name, value in list(vars(sys.modules[module]).items()) if not isinstance(value, torch.nn.Module)
        ]
        names += [(module, name) for name, value in held if function in functions_of(value)]
        classes = [value for _, value in held if isinstance(value, type) and value.__module__ == module]
        members = ((cls, name) for cls in classes for name, value in vars(cls).items() if function in functions_of(value))
        names.extend((module, f"{cls.__qualname__}.{name}") for cls, name in members)
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
    return tuple(each for each in objects.attributes(value).values() if isinstance(each, types.FunctionType))


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

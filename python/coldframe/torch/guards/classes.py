"""The make-up of classes, as far as a compilation depends on it.

Dynamo guards on the type of an object and then takes the type for granted: its bases, its special methods, the methods it
inlines, the fields of a dataclass, the members of an enum. Between two processes a source edit, a setting or a replaced
method changes them under the same name. `describe` says how classes are made up; `difference` compares a description with the
classes of this process. Edits that cannot matter (another method's body, a new method, a comment) make no difference.
"""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable, Iterable, Iterator, Set
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ... import _core
from ...errors import NotPortableError, PackageError
from ..fingerprint import builds, state
from . import class_tables, operands

_IN_TABLES = frozenset({"__dataclass_fields__", "_abc_impl", "_member_map_"})  # below
_SPECIAL_DATA = frozenset({"__match_args__", "__slots__"})  # that the interpreter reads
_OF_TEXT = frozenset({"__format__", "__repr__", "__str__"})
_MEMBER_TABLES = frozenset({"_hashable_values_", "_member_map_", "_member_names_", "_unhashable_values_", "_value2member_map_"})
_OF_PARTS = ("classmethod", "property", "staticmethod")  # kinds of members that consist of others
_BY_VALUE = frozenset({"_hashable_values_", "_unhashable_values_", "_value2member_map_"})  # grow as flags are combined
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by Python code or at run time, so that it can differ

_UNREAD = "(unread)"  # stands among a class's entries for the names of members that had no say
_MET = "(met)"  # stands among the entries of a class that code which ran has to do with
_ASKED = "?"  # stands among a class's entries for those of the names looked up that it has
_OF_EVERY = (object, torch.nn.Module)  # bases whose other attributes matter where they were asked for
_NAMES = frozenset({"__module__", "__name__", "__qualname__"})  # of a class, which it may have been given
ANY_NAME = "*"  # stands among the names that were read where they were not to be seen, and among a class's entries
# What the interpreter and the standard library put into every class, or into some as they go.
_IGNORED = frozenset(
    f"__{name}__"
    for name in [
        "abstractmethods",
        "annotations",
        "annotate",
        "annotations_cache",
        "classcell",
        "classdictcell",
        "dataclass_params",
        "dict",
        "doc",
        "firstlineno",
        "module",
        "orig_bases",
        "parameters",
        "qualname",
        "slotnames",
        "static_attributes",
        "type_params",
        "weakref",
    ]
)
# What torch itself asks of a class. Of classes of the exact python and torch builds, what programs are known to replace.
_REPLACED = frozenset({"__call__", "__getattr__", "__getattribute__", "__setattr__", "_call_impl", "_wrapped_call_impl"})
# What Dynamo replaces in torch.nn.Module when it is imported.
_BY_DYNAMO = frozenset({"__init__", "__setstate__"})

Inlined = Callable[[types.CodeType], bool]


def describe(
    roots: Iterable[type],
    inlined: Inlined,
    read: Set[str] = frozenset(),
    needed: Set[str] = frozenset(),
    met: state.Met | None = None,
    asked: Set[str] = frozenset(),
    read_by_member: Callable[[type], bool] = lambda cls: False,
) -> dict[str, Any]:
    """A portable description of `roots` and all classes in their method resolution orders.

    inlined: whether the compilation looked into a code object; read: names of attributes that code of the program may have read
    while it ran, needed: those that stand in it; of the classes in `met`, to which those are added that these attributes are
    made with; asked: names that were looked up in objects, whatever class has them; read_by_member: whether an enum was used
    for members of it alone. NotPortableError for a root without an importable name, and for a needed attribute that cannot be
    compared.
    """
    classes: dict[type, int] = {}
    named = []
    for root in _with_metaclasses(roots):
        order = []
        for cls in root.__mro__:
            made_by_python = bool(cls.__flags__ & _HEAP_TYPE)
            order.append((state.key_of(cls), classes.setdefault(cls, len(classes)) if made_by_python else None))
        named.append(({"class": operands.reference(root)}, tuple(order)))
    known = {name for cls in classes for name, value in vars(cls).items() if _is_inlined(value, inlined)}
    asked = asked - _IGNORED
    of_met = set[type]().union(*(cls.__mro__ for cls in met or ()))
    entries = {}
    for cls in classes:
        unread = frozenset[str]() if cls in of_met else _unread(cls, inlined, asked, read_by_member)
        is_met = cls in of_met and not builds.is_of_exact_build(cls)
        entries[cls] = _entries(cls, known, inlined, asked, unread, met if is_met else None)
    for cls in classes:
        if not builds.is_of_exact_build(cls):
            entries[cls].update(_read_entries(cls, read - _IGNORED, needed, inlined, met if cls in of_met else None))
            if ANY_NAME in read and cls in of_met:
                entries[cls][ANY_NAME] = {"value": _public_names(cls)}
            if cls in of_met:
                entries[cls].update({name: {"value": _name(cls, name)} for name in sorted(_NAMES & read)})
            if asked:
                entries[cls][_ASKED] = tuple(sorted(asked & vars(cls).keys()))
        elif cls in of_met:  # what somebody has put there
            own = {name: value for name, value in vars(cls).items() if name in read and name not in _NAMES}
            plain = {name: value for name, value in own.items() if isinstance(value, state.PLAIN)}
            entries[cls].update({name: {"content": state.describe(value)} for name, value in sorted(plain.items())})
    of_program = [cls for cls in classes if not builds.is_of_exact_build(cls)]
    return {
        "asked": tuple(sorted(asked)) if of_program else (),
        "roots": tuple(named),
        "known": tuple(sorted(known)),
        "read": tuple(sorted(read)) if of_program else (),
        "classes": tuple(entries.values()),
    }


def difference(description: dict[str, Any]) -> str | None:
    """Returns what is different now from `description`, in words; None when nothing is."""
    known, read, asked = set(description["known"]), set(description["read"]), set(description.get("asked", ()))
    done: set[tuple[type, int]] = set()
    for root, order in description["roots"]:
        try:
            cls = _core.resolve(root["class"])
        except PackageError as error:
            return str(error)
        if not isinstance(cls, type):
            return f"{_key_text(order[0][0])} is not a class any more"
        if tuple(state.key_of(base) for base in cls.__mro__) != tuple(key for key, _ in order):
            return f"class {_key_text(order[0][0])} has other bases"
        for base, (key, index) in zip(cls.__mro__, order, strict=True):
            if index is not None and (base, index) not in done:
                done.add((base, index))
                if (name := _changed(base, description["classes"][index], known, read, asked)) is not None:
                    return f"{name!r} of class {_key_text(key)} is not what it was"
    return None


def describe_made(cls: type) -> dict[str, Any]:
    """Returns what must be equal for another class to stand for `cls`, which torch made at run time and no name leads to.

    For example the class of one module with a parametrized weight. Every member counts, so that of a class which was made in
    another way none fits. NotPortableError for a class of anyone else, whose members might be anything, and where a member
    cannot be held by a package.
    """
    if str(cls.__module__).partition(".")[0] != "torch":
        raise NotPortableError(f"no name leads to class {cls.__qualname__!r}")
    members = {name: value for name, value in vars(cls).items() if name not in _IGNORED}
    for name, value in members.items():
        if not _functions(value) and "value" not in _describe_member(value, _every_function):
            raise NotPortableError(f"no name leads to class {cls.__qualname__!r}, and its {name!r} is not portable")
    return {
        "module": cls.__module__,
        "qualname": cls.__qualname__,
        "metaclass": operands.reference(type(cls)),
        "bases": tuple(operands.reference(base) for base in cls.__bases__),
        "members": {name: _describe_member(value, _every_function) for name, value in members.items()},
    }


def is_described(cls: type, description: dict[str, Any]) -> bool:
    """Returns whether `cls` may stand for the described class: it was made in the same way."""
    members = {name: value for name, value in vars(cls).items() if name not in _IGNORED}
    return (
        cls.__module__ == description["module"]
        and cls.__qualname__ == description["qualname"]
        and type(cls) is _core.resolve(description["metaclass"])
        and cls.__bases__ == _core.resolve(description["bases"])
        and members.keys() == description["members"].keys()
        and all(_fits_member(value, description["members"][name]) for name, value in members.items())
    )


def _every_function(code: types.CodeType) -> bool:
    return True


def without_code(description: dict[str, Any] | None) -> dict[str, Any]:
    """`description`, with any function in the place of those that were inlined."""
    if not description:
        return {"roots": (), "known": (), "read": (), "classes": ()}
    return {**description, "classes": tuple(_without_code(entries) for entries in description["classes"])}


def _without_code(entry: Any) -> Any:
    if isinstance(entry, dict):
        if "function" in entry or "code" in entry:
            return {"any function": True}
        as_they_are = ("(", _ASKED)
        return {name: value if name.startswith(as_they_are) else _without_code(value) for name, value in entry.items()}
    return tuple(map(_without_code, entry)) if isinstance(entry, tuple) else entry


def _with_metaclasses(roots: Iterable[type]) -> Iterator[type]:
    seen: set[type] = set()
    for root in roots:
        for cls in (root, type(root)):
            if cls not in seen and cls.__flags__ & _HEAP_TYPE:
                seen.add(cls)
                yield cls


def _key_text(key: str) -> str:
    return key.replace(":", ".", 1)


def _entries(
    cls: type, known: set[str], inlined: Inlined, asked: Set[str], unread: frozenset[str], met: state.Met | None
) -> dict[str, Any]:
    entries: dict[str, Any] = {
        name: _describe_member(value, inlined, met)
        for name, value in list(vars(cls).items())
        if name not in unread and (_matters(cls, name, value, known, asked, met is not None) or _is_inlined(value, inlined))
    }
    entries.update(class_tables.of(cls, unread, functools.partial(_plain, met=met)))
    if unread:
        entries[_UNREAD] = tuple(sorted(unread))
    if met is not None:
        entries[_MET] = {}
    return entries


def _unread(cls: type, inlined: Inlined, asked: Set[str], read_by_member: Callable[[type], bool]) -> frozenset[str]:
    """Returns names of members, there or not, that could only have mattered in a way in which the class was not used.

    How objects show as text; further members of an enum; of a dataclass whose objects were neither made nor compared nor asked
    for their fields, what the standard library generates from these.
    """
    if builds.is_of_exact_build(cls):
        return frozenset()
    unread = _OF_TEXT if _OF_TEXT.isdisjoint(asked) else frozenset[str]()
    if issubclass(cls, enum.Enum):
        return unread | (_MEMBER_TABLES if not issubclass(cls, enum.Flag) and read_by_member(cls) else frozenset())
    parameters = vars(cls).get("__dataclass_params__")
    is_plain = not issubclass(cls, (dict, tuple, list, torch.Tensor)) and cls not in pytree.SUPPORTED_NODES
    if parameters is None or parameters.frozen or parameters.unsafe_hash or not is_plain or pytree.is_constant_class(cls):
        return unread
    of_fields = {"__dataclass_fields__", "__match_args__", "__post_init__"} | {
        name for name, value in vars(cls).items() if any(f.__code__.co_filename == "<string>" for f in _functions(value))
    }
    is_used = not of_fields.isdisjoint(asked) or any(_is_inlined(vars(cls).get(name), inlined) for name in of_fields)
    return unread if is_used else unread | of_fields


def _read_entries(
    cls: type, read: Set[str], needed: Set[str], inlined: Inlined, met: state.Met | None
) -> Iterator[tuple[str, Any]]:
    """Returns the content of attributes that were read by name, which no guard speaks of."""
    for name in sorted(read & vars(cls).keys()):
        entry = _describe_member(vars(cls)[name], inlined, met)
        if met is not None and name in needed and name not in _IN_TABLES and (lacking := _lacking(entry)) is not None:
            raise NotPortableError(f"{cls.__qualname__}.{name} was read, and {lacking} cannot be compared")
        yield name, entry


def _lacking(entry: Any) -> str | None:
    """The type of what is said of a member by its type alone."""
    if isinstance(entry, tuple):
        return next((found for each in entry if (found := _lacking(each)) is not None), None)
    if "type" in entry:
        return f"an object of {_key_text(entry['type'])}"
    return next((found for kind in _OF_PARTS if kind in entry and (found := _lacking(entry[kind])) is not None), None)


def _changed(cls: type, recorded: dict[str, Any], known: set[str], read: set[str], asked: set[str]) -> str | None:
    """The name of the first member of `cls` that is not as recorded."""
    if not builds.is_of_exact_build(cls):
        known = known | (read - _IGNORED)
    members = dict(vars(cls))
    unread = frozenset(recorded.get(_UNREAD, ()))
    tables = class_tables.of(cls, unread, functools.partial(_plain, met=None))
    if ANY_NAME in recorded:
        known = known | (members.keys() - _IGNORED)
        if recorded[ANY_NAME]["value"] != _public_names(cls):
            return "__dict__"
    if _ASKED in recorded and (new := asked & members.keys() - set(recorded[_ASKED])):
        return min(new)
    for name, entry in recorded.items():
        if name in (ANY_NAME, _ASKED, _MET, _UNREAD):
            continue
        if name in _NAMES:
            same = _name(cls, name) == entry["value"]
        elif name == class_tables.MEMBERS and not unread.isdisjoint(_MEMBER_TABLES):
            same = set(map(_core.digest, entry)) <= set(map(_core.digest, tables[name]))
        elif name == class_tables.ATTRIBUTES and not unread.isdisjoint(_MEMBER_TABLES):
            same = all(_core.same(tables.get(name, {}).get(member), attributes) for member, attributes in entry.items())
        elif name.startswith("("):
            same = name in tables and _core.same(tables[name], entry)
        else:
            same = name in members and _fits_member(members[name], entry)
        if not same:
            return name
    for name, value in members.items():
        if name not in recorded and name not in unread and _matters(cls, name, value, known, asked, _MET in recorded):
            return name
    return None


def _public_names(cls: type) -> tuple[str, ...]:
    return tuple(name for name in vars(cls) if not name.startswith("_"))


def _name(cls: type, name: str) -> Any:
    return vars(type)[name].__get__(cls)


def _matters(cls: type, name: str, value: Any, known: set[str], asked: Set[str], is_met: bool) -> bool:
    """Returns whether a member could change what a compilation does with an object of the class, unseen by Dynamo's guards."""
    if name in _IGNORED or (cls is torch.nn.Module and name in _BY_DYNAMO):
        return False
    if name in known or name in _REPLACED:
        return True
    if builds.is_of_exact_build(cls):
        return False
    if issubclass(cls, enum.Enum) and (name in cls._member_map_ or name in _BY_VALUE):
        return False  # in the table of members
    if any(name in vars(base) for base in cls.__mro__[1:] if base not in _OF_EVERY and builds.is_of_exact_build(base)):
        return True  # of what Dynamo, or C, asks of a subclass
    special = name.startswith("__") and name.endswith("__")
    if isinstance(value, (types.FunctionType, staticmethod, classmethod)):
        return special
    if hasattr(type(value), "__get__") or hasattr(type(value), "__set__"):
        return special or name in asked
    return special and (is_met or callable(value) or value is None or name in _SPECIAL_DATA)  # else a library's own


def _functions(value: Any) -> list[types.FunctionType]:
    if isinstance(value, types.FunctionType):
        return [value]
    if isinstance(value, (staticmethod, classmethod)):
        return _functions(value.__func__)
    if isinstance(value, property):
        return [f for part in (value.fget, value.fset, value.fdel) for f in _functions(part)]
    return []


def _is_inlined(value: Any, inlined: Inlined) -> bool:
    return any(inlined(function.__code__) for function in _functions(value))


def _describe_member(value: Any, inlined: Inlined, met: state.Met | None = None) -> dict[str, Any]:
    if type(value) in (staticmethod, classmethod):
        return {type(value).__name__: _describe_member(value.__func__, inlined, met)}
    if type(value) is property:
        return {"property": tuple(_describe_member(part, inlined, met) for part in (value.fget, value.fset, value.fdel))}
    if isinstance(value, types.FunctionType):
        if inlined(value.__code__) or value.__code__.co_filename.startswith("<"):
            return _describe_function(value)
        return {"name": f"{value.__module__}.{value.__qualname__}"}
    if met is not None:
        met.note(value)
    try:
        return {"value": _core.portable(value)}
    except NotPortableError:
        return _content(value, met)


def _content(value: Any, met: state.Met | None) -> dict[str, Any]:
    """A value by what it is made of, or by its type where that cannot be compared."""
    try:
        return {"content": state.describe(value, met)}
    except NotPortableError:
        return {"type": state.key_of(type(value))}


def _fits_member(value: Any, entry: dict[str, Any]) -> bool:
    for kind in (staticmethod, classmethod):
        if kind.__name__ in entry:
            return type(value) is kind and _fits_member(value.__func__, entry[kind.__name__])
    if "property" in entry:
        return type(value) is property and all(
            _fits_member(part, e) for part, e in zip((value.fget, value.fset, value.fdel), entry["property"], strict=True)
        )
    if "content" in entry:
        return state.is_described(value, entry["content"])
    if "any function" in entry:
        return isinstance(value, types.FunctionType)
    if "function" in entry or "code" in entry:
        return isinstance(value, types.FunctionType) and _core.same(_describe_function(value), entry)
    if "name" in entry:
        return isinstance(value, types.FunctionType) and entry["name"] == f"{value.__module__}.{value.__qualname__}"
    return _core.same(_describe_member(value, lambda code: False), entry)


def _describe_function(function: types.FunctionType) -> dict[str, Any]:
    try:
        return {"function": operands.describe_function(function)}
    except NotPortableError:  # globals of its own: __new__ of a namedtuple, say
        return {"code": operands.semantic_digest(function.__code__)}


def _plain(value: Any, met: state.Met | None) -> Any:
    """`value` as a package holds it; what it is made of, or its type, where it cannot be held."""
    try:
        return _core.portable(value)
    except NotPortableError:
        return _content(value, met)

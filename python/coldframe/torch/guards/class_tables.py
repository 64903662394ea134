"""Tables of classes: the members of enums, the fields of dataclasses and named tuples, who is registered with abstract ones."""

from __future__ import annotations

import abc
import dataclasses
import enum
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from ..fingerprint import builds, state

MEMBERS, ATTRIBUTES = "(members)", "(attributes)"  # of enums, by the names of members
_OF_MEMBERS = frozenset({"_inverted_", "_name_", "_value_", "__objclass__", "_sort_order_"})  # _inverted_: made when asked for
_registry_of: Any = vars(abc)["_get_dump"]


def of(cls: type, unread: frozenset[str], plain: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns what decides over code that the standard library generates or implements, with values as `plain` says them."""
    tables: dict[str, Any] = {}
    if issubclass(cls, enum.Enum):
        members = cls._member_map_.items()
        tables[MEMBERS] = tuple((name, member.name, plain(member._value_)) for name, member in members)
        own = {name: _own_attributes(member, plain) for name, member in members if name == member.name}
        if any(own.values()):
            tables[ATTRIBUTES] = own
        if (boundary := vars(cls).get("_boundary_")) is not None:
            tables["(boundary)"] = str(boundary)
    if isinstance(cls, abc.ABCMeta) and not builds.is_of_exact_build(cls):
        tables["(registered)"] = tuple(sorted({state.key_of(each) for each in _registered(cls)}))
        tables["(abstract)"] = inspect.isabstract(cls)
    if "__dataclass_fields__" in vars(cls):
        if "__dataclass_fields__" not in unread:
            tables["(fields)"] = tuple(_field(field, plain) for field in vars(cls)["__dataclass_fields__"].values())
    elif issubclass(cls, tuple) and "_fields" in vars(cls):
        names = tuple(vars(cls)["_fields"])
        tables["(fields)"] = names, tuple((k, plain(v)) for k, v in getattr(cls, "_field_defaults", {}).items())
    return tables


def _own_attributes(member: enum.Enum, plain: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns what a member of an enum has beside its name and its value."""
    return {name: plain(value) for name, value in sorted(vars(member).items()) if name not in _OF_MEMBERS}


def _registered(cls: type) -> Iterator[type]:
    """The classes that count as subclasses of an abstract one, or of a subclass of it, without being made from it."""
    for each in (cls, *cls.__subclasses__()):
        if each is not cls:
            yield from _registered(each)
        elif isinstance(cls, abc.ABCMeta):
            yield from (found for ref in _registry_of(cls)[0] if (found := ref()) is not None)


def _field(field: dataclasses.Field[Any], plain: Callable[[Any], Any]) -> tuple[Any, ...]:
    factory = field.default_factory
    made = None if factory is dataclasses.MISSING else plain(factory)
    default = None if field.default is dataclasses.MISSING else (plain(field.default),)
    said = field.init, field.compare, field.repr, bool(field.kw_only)
    return field.name, default, made, *said, *((plain(dict(field.metadata)),) if field.metadata else ())

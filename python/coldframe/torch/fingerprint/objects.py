"""Attributes of objects, those in slots among them, and what a class of the interpreter's keeps for one derived from it.

Nothing of the program runs: none of its properties, and no `__getattr__`.
"""

from __future__ import annotations

import array
import builtins
import collections
import contextlib
import functools
import operator
import struct
import types
from collections.abc import Callable, Iterable
from typing import Any

_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8  # Py_TPFLAGS_
_POINTER = struct.calcsize("P")  # bytes
_ALL = slice(None)
_EXCEPTIONS = [
    cls
    for cls in vars(builtins).values()
    if isinstance(cls, type) and issubclass(cls, BaseException) and cls.__basicsize__ == BaseException.__basicsize__
]
_OF_EXCEPTIONS = ("args", "__cause__", "__context__", "__suppress_context__")
_FIELD = type(vars(collections.namedtuple("_", "field"))["field"])
# By class, what its objects keep beside attributes.
KEPT: dict[type, Callable[[Any], Iterable[Any]]] = {
    object: lambda value: (),
    type(None): lambda value: (),
    int: lambda value: (int.__pos__(value),),
    float: lambda value: (float.__pos__(value),),
    complex: lambda value: (complex.__pos__(value),),
    str: lambda value: (str.__str__(value),),
    bytes: lambda value: (bytes.__getitem__(value, _ALL),),
    bytearray: lambda value: (bytes(bytearray.copy(value)),),
    array.array: lambda value: (_own(array.array, "typecode", value), array.array.tobytes(value)),
    tuple: tuple.__iter__,
    list: list.__iter__,
    _FIELD: lambda value: value.__reduce__()[1][:1],
    set: lambda value: (frozenset(set.__iter__(value)),),
    frozenset: lambda value: (frozenset(frozenset.__iter__(value)),),
    dict: dict.items,
    collections.OrderedDict: collections.OrderedDict.items,
    collections.defaultdict: lambda value: (_own(collections.defaultdict, "default_factory", value), *dict.items(value)),
    collections.deque: lambda value: (
        _own(collections.deque, "maxlen", value),
        *collections.deque.__iter__(value),
    ),
    property: lambda value: (*(_own(property, name, value) for name in ("fget", "fset", "fdel")), _documentation(value)),
    staticmethod: lambda value: (_own(staticmethod, "__func__", value),),
    classmethod: lambda value: (_own(classmethod, "__func__", value),),
    functools.partial: lambda value: tuple(_own(functools.partial, name, value) for name in ("func", "args", "keywords")),
    types.SimpleNamespace: lambda value: (),
    types.MappingProxyType: lambda value: value.items(),
    operator.attrgetter: lambda value: value.__reduce__()[1],
    operator.itemgetter: lambda value: value.__reduce__()[1],
    operator.methodcaller: lambda value: value.__reduce__()[1:],
    **{cls: lambda value: tuple(_own(BaseException, name, value) for name in _OF_EXCEPTIONS) for cls in _EXCEPTIONS},
}


def _documentation(value: property) -> Any:
    """Returns what a property was given for its documentation; None where it has that of its function."""
    text = vars(property)["__doc__"].__get__(value)
    return None if text == getattr(value.fget, "__doc__", None) else text


def _own(cls: type, name: str, value: Any) -> Any:
    return vars(cls)[name].__get__(value)


def kept(value: Any) -> Iterable[Any] | None:
    """Returns what an object keeps beside its attributes, of a mapping pairs. None where that is not known: of a class that is,
    or is derived from, one of C's that is not in the table."""
    cls = type(value)
    base = next(each for each in cls.__mro__ if each in KEPT or not each.__flags__ & _HEAP_TYPE)
    if base not in KEPT or not _adds_attributes_only(cls, base):
        return None
    return KEPT[base](value)


def _adds_attributes_only(cls: type, base: type) -> bool:
    """Returns whether objects of a class have nothing that those of a base lack but slots, a dict and weak references."""
    slots = [slot for each in cls.__mro__ if each is not base for slot in _slots_of(each)]
    size = base.__basicsize__ + _POINTER * len(slots)
    if cls.__weakrefoffset__ > 0 and not base.__weakrefoffset__:
        size += _POINTER
    if (cls.__dictoffset__ > 0 or cls.__dictoffset__ == -_POINTER) and not base.__dictoffset__:
        size += _POINTER
    return cls.__basicsize__ == size


def _slots_of(cls: type) -> list[types.MemberDescriptorType]:
    if cls in KEPT or cls.__flags__ & (_HEAP_TYPE | _IMMUTABLE_TYPE) != _HEAP_TYPE:  # fields of C
        return []
    found = [each for each in vars(cls).values() if isinstance(each, types.MemberDescriptorType)]
    return [each for each in found if each.__objclass__ is cls]


def attributes(value: Any) -> dict[str, Any]:
    """Returns what an object keeps in attributes, those in slots among them."""
    found = dict_of(value)
    for cls in type(value).__mro__:
        for slot in _slots_of(cls):
            with contextlib.suppress(AttributeError):  # an empty one
                found.setdefault(slot.__name__, slot.__get__(value))
    return found


def dict_of(value: Any) -> dict[str, Any]:
    """Returns the attributes that an object keeps in a dict; none where it has none."""
    for cls in type(value).__mro__:
        found = vars(cls).get("__dict__")
        if isinstance(found, (types.GetSetDescriptorType, types.MemberDescriptorType)):
            held = found.__get__(value)
            return dict(held) if isinstance(held, dict) else {}
    return {}

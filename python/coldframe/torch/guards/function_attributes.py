"""Attributes of functions that code of the program may have asked for: those that it found, and those that are not there.

A decorator of the standard library leaves one ("__final__"), and nothing else of the function says so.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

from ... import _core
from ...errors import NotPortableError
from ..fingerprint import state

_WRAPPED = "__wrapped__"
_BY_OTHERS = (_WRAPPED, "_torch")  # functions that count by themselves; what Dynamo notes


class FunctionAttributes:
    """Those of one frame."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._places: set[tuple[str, str]] = set()

    def asked(self, names: Iterable[str]) -> None:
        """Code that ran has these names, of attributes perhaps."""
        self._names.update(name for name in names if not name.startswith(_BY_OTHERS))

    def met(self, place: tuple[str, str] | None) -> None:
        """The code may have asked it of a function, to which this module and name lead."""
        if place is not None:
            self._places.add(place)

    def described(self) -> tuple[Any, ...]:
        """Returns the names, and for each place what is there under them. Nothing where there is neither."""
        if not self._names or not self._places:
            return ()
        return tuple(sorted(self._names)), tuple((*place, _found(*place, self._names)) for place in sorted(self._places))


def difference(description: Any, scope: dict[str, Any]) -> str | None:
    """Returns which function has other attributes now, in words; None when none has."""
    names, places = description
    asked = set(names)
    for module, qualname, expected in places:
        if _found(module, qualname, asked) != expected:
            return f"attributes of {module}.{qualname}() are not what they were"
    return None


def _found(module: str, qualname: str, names: set[str]) -> tuple[Any, ...]:
    """The attributes of the function under a name, and of those that it wraps."""
    found = []
    for number, function in enumerate(state.functions_under(module, qualname)):
        own = vars(function)
        special = {name for name in own if name.startswith("__") and name != _WRAPPED}  # the library may ask for these
        found += [(number, name, _content(own[name])) for name in sorted(own.keys() & names | special)]
    return tuple(found)


def _content(value: Any) -> bytes | str:
    try:
        return _core.digest(state.describe_called(value) if isinstance(value, types.FunctionType) else state.describe(value))
    except NotPortableError:
        return state.key_of(type(value))

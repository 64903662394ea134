"""By what names a frame looked things up: those that stand in no code, and types in registries of trees."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from typing import Any

from ... import _core
from ..fingerprint import state
from . import operands

# By what code reads attributes whose names do not stand in it.
BY_ANY_NAME = frozenset(
    ["__dict__", "__getattribute__", "attrgetter", "dir", "getattr", "getattr_static", "getmembers", "hasattr", "vars"]
)


def names_in(code: types.CodeType) -> Iterator[str]:
    """Names of attributes that a code may look up: its own, those in its tuples, where patterns for classes have them, and in
    texts that str.format fills."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, tuple):
            yield from (name for name in const if isinstance(name, str))
        elif isinstance(const, str) and "{" in const:
            yield from state.names_of_format(const)


def digest_of_keys(value: Any) -> bytes:
    """Returns the digest of a dict's keys, in order, or of a set's items. NotPortableError for those that are objects."""
    if isinstance(value, dict):
        return _core.digest(list(dict.keys(value)))
    return _core.digest(sorted(map(_core.digest, value)))


class Lookups:
    """Types that one frame looked up in registries of trees, and whether these knew them."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int], tuple[Any, bool]] = {}

    def note(self, module: str, registry: str, key: Any) -> None:
        """Notes that it decided how a tree was walked whether a registry, a dict of the module, knows the key."""
        known = key in getattr(importlib.import_module(module), registry)
        self._found[module, registry, id(key)] = (key, known)

    def add_to(self, program: _core.GuardProgram) -> None:
        """Not as premises: what is registered between two calls counts from then on, as in torch."""
        registries: dict[tuple[str, str], int] = {}
        for (module, name, _), (key, known) in self._found.items():
            place = f"{module}.{name}"
            if (module, name) not in registries:
                of_module = (operands.reference(types.ModuleType), False, None, False)
                node = program.add("named_accessor", (0,), ("import_module", (module,)), module, (), of_module)
                assert node is not None
                node = program.add("getattr", (node,), (name,), place, (), (operands.reference(dict), False, 0, False))
                assert node is not None
                registries[module, name] = node
            text = f"{getattr(key, '__qualname__', repr(key))} {'in' if known else 'not in'} {place}"
            program.add("dict_contains", (registries[module, name],), (known, key), "", [text])

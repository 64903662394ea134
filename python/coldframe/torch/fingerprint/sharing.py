"""Which objects within what code reads are one and the same, and what names lead to them there.

Descriptions say what objects are like; that two places hold the same one is said here.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Iterable, Iterator, Set
from typing import Any

from ... import _core
from ...errors import NotPortableError
from . import builds, chains, objects, state

Place = tuple[str, chains.Chain]  # of a module's globals
_OBJECTS = 100_000  # that are looked at
_OF_SETS = (set, frozenset)  # in an order that each process has for itself


def places(
    reads: Iterable[Place], functions: Iterable[tuple[str, str]], classes: Iterable[type], names: Set[str]
) -> tuple[Place, ...]:
    """Returns the names that lead to what code has read, to its functions, and to those attributes of classes that it names."""
    all_places = {(module, chain) for module, chain in reads if chain[-1] not in (chains.CHOSEN, chains.INSIDE)}
    all_places |= {(module, tuple(name.split("."))) for module, name in functions}
    for cls in classes:
        read = (name for name in names & vars(cls).keys() if not name.startswith("__"))  # some come as they are asked for
        all_places |= {(cls.__module__, (*cls.__qualname__.split("."), name)) for name in read}
    return tuple(sorted(place for place in all_places if _is_found(place)))


def described(places: tuple[Place, ...], of_all: bool) -> tuple[Any, ...]:
    """Returns what a premise compares; nothing where there is nothing to be shared."""
    found_there = numbers(places, of_all)
    return (places, of_all, _core.digest(found_there)) if len(found_there) > 1 else ()


def _is_found(place: Place) -> bool:
    module, chain = place
    return chain[0] in vars(sys.modules.get(module, types)) and any(found([place]))


def found(places: Iterable[Place]) -> Iterator[tuple[str, Any]]:
    """Returns what lies at these places, with the last name of each."""
    for module, chain in places:
        value, followed = chains.of_module(importlib.import_module(module), chain)
        if followed == chain:
            yield chain[-1], value


def numbers(places: Iterable[Place], of_all: bool) -> tuple[Any, ...]:
    """Returns, of each object that can be shared, or `of_all`, in the order in which one comes to them from these places, the
    number of the first place where the same object lies; of sets, whose order is none, also the numbers of their items.
    NotPortableError where there are too many."""
    known: dict[int, int] = {}
    values = [value for _, value in walk(found(places), of_sets=True, of_all=of_all)]
    firsts = [known.setdefault(id(value), number) for number, value in enumerate(values)]
    items = (sorted(known.get(id(item), -1) for item in value) for value in values if isinstance(value, _OF_SETS))
    return (*firsts, *map(tuple, items))


def sets_in(places: Iterable[Place]) -> Iterator[tuple[str, Any]]:
    """Returns the sets within what lies at these places, with the name of what holds each; "" within containers."""
    return ((name, value) for name, value in walk(found(places), of_sets=True) if isinstance(value, _OF_SETS))


def walk(values: Iterable[tuple[str, Any]], of_sets: bool = False, of_all: bool = False) -> Iterator[tuple[str, Any]]:
    """Returns the objects that can be shared within named values, with all sets, or all that names alone do not tell, each as
    often as it is held; what is within them once."""
    seen: dict[int, Any] = {}
    waiting = list(values)[::-1]
    while waiting:
        name, value = waiting.pop()
        if state.can_be_shared(value) or (of_sets and isinstance(value, _OF_SETS)) or (of_all and not _is_told_by_name(value)):
            yield name, value
        if id(value) in seen:
            continue
        seen[id(value)] = value  # alive, so that no other object has its number
        if len(seen) > _OBJECTS:
            raise NotPortableError("it holds too many objects to be compared")
        waiting.extend(list(_within(value))[::-1])


def _is_told_by_name(value: Any) -> bool:
    return value is None or value is Ellipsis or isinstance(value, (bool, type, types.ModuleType))


def _within(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, types.FunctionType):
        arguments = value.__code__.co_varnames[: value.__code__.co_argcount]
        yield from zip(reversed(arguments), reversed(value.__defaults__ or ()), strict=False)
        yield from sorted((value.__kwdefaults__ or {}).items())
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield name, state.content_of(cell)
        return
    if isinstance(value, types.MethodType):
        yield from (("", value.__self__), ("", value.__func__))
    elif isinstance(value, functools._lru_cache_wrapper):
        yield "", value.__wrapped__
    elif type(value) in objects.KEPT or not builds.is_of_exact_build(type(value)):
        if isinstance(value, (type, *_OF_SETS, *state.PLAIN)):
            return
        yield from (("", item) for item in objects.kept(value) or ())
        own = objects.attributes(value).items()
        yield from ((name, each) for name, each in own if not state.is_kept_property(type(value), name))

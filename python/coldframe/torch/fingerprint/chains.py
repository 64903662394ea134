"""Chains of names by which code of the program reads globals and attributes, as far as that runs nothing of the program."""

from __future__ import annotations

import inspect
import types
from typing import Any

import torch

from ... import _core
from ...errors import NotPortableError
from . import builds, state

CHOSEN = "<chosen>"  # ends a chain: which functions and classes a value is or holds, whatever they do, and what else it holds
INSIDE = "<inside>"  # ends a chain that leads to a class: what its own body and its functions are like
_GIVEN = ("__name__", "__qualname__")  # to functions
Chain = tuple[str, ...]  # a global and attributes of it


def read(namespace: dict[str, Any], chain: Chain) -> tuple[Any, Chain]:
    """Returns the value at the end of a chain, and the part of the chain that was followed: as far as reading runs nothing of
    the program."""
    value = namespace[chain[0]]
    for used, name in enumerate(chain[1:], 1):
        found = _attribute(value, name)
        if found is state.MISSING:
            return value, chain[:used]
        value = found
    return value, chain


def of_module(module: types.ModuleType, chain: Chain) -> tuple[Any, Chain]:
    """The same, beginning with an attribute of a module, which may be one that it makes when it is asked."""
    name = chain[0]
    return read({name: vars(module)[name] if name in vars(module) else getattr(module, name)}, chain)


def _attribute(value: Any, name: str) -> Any:
    if name == CHOSEN:
        return _chosen(value)
    if isinstance(value, types.ModuleType):
        return getattr(value, name, state.MISSING)
    if isinstance(value, types.FunctionType) and name in (*state.OF_FUNCTIONS, *_GIVEN):
        return getattr(value, name)
    if name == "__dict__" or state.is_kept_property(type(value), name):
        return state.MISSING
    if isinstance(value, type) and name == INSIDE:
        return _inside(value)
    if isinstance(value, type) and not any(name in vars(base) for base in value.__mro__):
        return state.MISSING  # its bases, say, or what its metaclass gives
    static = inspect.getattr_static(value, name, state.MISSING)
    if isinstance(value, type):
        return static
    if name in getattr(value, "__dict__", {}) or not hasattr(type(static), "__get__"):
        return static
    return state.MISSING


def _chosen(value: Any, depth: int = 0) -> Any:
    if isinstance(value, types.FunctionType):
        made_of = (
            value.__closure__ if builds.is_of_build(str(value.__globals__.get("__name__"))) and depth < state.DEPTH else None
        )
        cells = (state.content_of(cell) for cell in made_of or ())
        return *state.names_of_code(value), *(_chosen(each, depth + 1) for each in cells if each is not state.MISSING)
    if isinstance(value, (tuple, list)) and depth < state.DEPTH and len(value) <= state.ITEMS:
        return tuple(_chosen(each, depth + 1) for each in value)
    if isinstance(value, dict) and depth < state.DEPTH and len(value) <= state.ITEMS:
        return tuple((_chosen(key, depth + 1), _chosen(each, depth + 1)) for key, each in value.items())
    if isinstance(value, (type, types.ModuleType)):
        return state.key_of(value if isinstance(value, type) else type(value))
    try:
        return _core.digest(state.describe(value))
    except NotPortableError:
        if isinstance(value, (tuple, list, dict)):
            raise
        held = vars(value).items() if isinstance(value, torch.nn.Module) else ()
        said = ((name, _core.digest(state.describe(each))) for name, each in held if state.can_be_described(each))
        return state.key_of(type(value)), *said


def _inside(cls: type) -> dict[str, Any]:
    found = {name: vars(cls).get(name) for name in ("__annotations__", "__doc__")}
    for member, value in sorted(vars(cls).items()):
        for number, function in enumerate(state.functions_of(value)):
            found.update({f"{member}.{number}.{name}": getattr(function, name) for name in state.OF_FUNCTIONS})
    return found

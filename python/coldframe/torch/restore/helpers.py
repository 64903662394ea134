"""Modules of torch's compiler as compiled code sees them on the native path: without importing them."""

from __future__ import annotations

import importlib
import itertools
import types
from collections.abc import Callable
from typing import Any

from ... import _core


def has_own(name: str) -> bool:
    """Whether functions of the module are here, and better for compiled code than its own."""
    return name in _OWN


asked: dict[str, set[str]] = {}  # by module that was imported so: what for


class LazyModule:
    """The module of this name: imported when something is asked for that is not here."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name
        self.__dict__.update(_OWN.get(name, {}))

    def __getattr__(self, name: str) -> Any:
        asked.setdefault(self._name, set()).add(name)
        return getattr(importlib.import_module(self._name), name)


def _key_at(keys: dict[Any, Any], index: int) -> Any:
    return next(itertools.islice(dict.keys(keys), index, index + 1))


def _nested_function(
    code: types.CodeType,
    namespace: dict[str, Any],
    name: str,
    defaults: tuple[Any, ...] | None,
    closure: tuple[types.CellType, ...] | None,
    kwdefaults: dict[str, Any] | None,
    annotations: Any,
) -> types.FunctionType:
    made = types.FunctionType(code, namespace, name, defaults, closure)
    made.__kwdefaults__ = kwdefaults
    made.__annotations__ = (
        dict(zip(annotations[::2], annotations[1::2], strict=True)) if type(annotations) is tuple else annotations or {}
    )
    return made


# What the functions of these names do, without their marks for Dynamo and for the profiler.
_OWN: dict[str, dict[str, Callable[..., Any]]] = {
    "torch._dynamo.utils": {
        "call_size": lambda tensor, dimension: tensor.size(dimension),
        "call_storage_offset": lambda tensor: tensor.storage_offset(),
        "call_stride": lambda tensor, dimension: tensor.stride(dimension),
        "dict_getitem": dict.__getitem__,
        "dict_keys_getitem": _key_at,
        "iter_next": next,
        "list_getitem": list.__getitem__,
        "make_cell": types.CellType,
        "object_new": object.__new__,
        "object_setattr_ignore_descriptor": _core.set_in_instance_dict,
        "record_pregraph_bytecode_enter": lambda: None,
        "record_pregraph_bytecode_exit": lambda _: None,
    },
    "torch._dynamo.variables.functions": {"_create_nested_fn": _nested_function},
}

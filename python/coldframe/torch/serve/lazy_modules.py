"""Stand-ins for modules of torch's compiler that code on the native path names, without importing them."""

from __future__ import annotations

import importlib
import itertools
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from ... import _core
from ..seam import symbols


def has_own(name: str) -> bool:
    """Returns whether functions of the module are here, and better for compiled code than its own."""
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


def leave_operators_alone() -> None:
    """Custom operators whose kernels are of Python run as they are while Dynamo is not imported: torch imports it to keep it
    out of them."""
    for operator in list(symbols.module("torch._library.custom_ops").OPDEFS.values()):
        for kernel in operator._backend_fns.values():
            inner = getattr(kernel, "__wrapped__", None)
            if isinstance(inner, types.FunctionType) and _KEPT_OUT not in vars(inner):
                setattr(inner, _KEPT_OUT, partial(_run_kernel, kernel, inner))


_KEPT_OUT = "__dynamo_disable"  # what torch._disable_dynamo makes of a function, which it keeps there


def _run_kernel(kernel: Callable[..., Any], inner: types.FunctionType, *args: Any, **kwargs: Any) -> Any:
    if "torch._dynamo" not in sys.modules:
        return inner(*args, **kwargs)
    vars(inner).pop(_KEPT_OUT, None)
    return kernel(*args, **kwargs)


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

"""Functions in torch's namespaces that are not torch's own, or have another's name.

A function of torch that a graph calls may call any other: where somebody has replaced that by a third one of torch's, or comes
to replace it later, nothing of the program runs while the graph is traced.
"""

from __future__ import annotations

import operator
import types
from typing import Any

import torch

from ... import _core
from ..fingerprint import state
from ..seam import symbols

_NAMESPACES: tuple[Any, ...] = (
    *(torch, torch.Tensor, torch.nn.functional, torch.functional, torch.linalg, torch.fft, torch.special),
    *(symbols.module("torch._C._nn"), symbols.module("torch._VF")),
)
_TORCH, _OURS = ("torch", "torch.", "typing"), "coldframe."

_seen: tuple[list[Any], bytes] = [], b""  # the last values, and their digest


def digest() -> bytes:
    """Returns the digest of what these functions say of themselves."""
    global _seen
    values = [value for each in _NAMESPACES for value in vars(each).values()]
    known, said = _seen
    if len(known) != len(values) or not all(map(operator.is_, known, values)):
        items = ((each.__name__, name, value) for each in _NAMESPACES for name, value in vars(each).items())
        said = _core.digest(tuple((*place, name, *_who(value)) for *place, name, value in items if _is_replaced(name, value)))
        _seen = values, said
    return said


def _is_replaced(name: str, value: Any) -> bool:
    if isinstance(value, types.BuiltinFunctionType):
        return value.__name__ != name
    if not isinstance(value, types.FunctionType):
        return False
    module = str(value.__globals__.get("__name__"))
    return not module.startswith(_OURS) and (not module.startswith(_TORCH) or value.__name__ != name)


def _who(function: Any) -> tuple[str, str, bytes]:
    code = getattr(function, "__code__", None)
    return str(function.__module__), function.__qualname__, b"" if code is None else state.semantic_digest(code)

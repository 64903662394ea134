"""Functions in torch's namespaces that are not torch's own, or have another's name.

A function of torch that a graph calls may call any other: where somebody has replaced that by a third one of torch's, or comes
to replace it later, nothing of the program runs while the graph is traced.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from ... import _core
from ..fingerprint import state
from ..seam import symbols

_NAMESPACES: tuple[Any, ...] = (
    *(torch, torch.Tensor, torch.nn.functional, torch.functional, torch.linalg, torch.fft, torch.special),
    *(symbols.module("torch._C._nn"), symbols.module("torch._VF")),
)
_OF_TORCH = ("torch", "torch.")


def reached(graph: Any) -> set[str]:
    """Returns the names of what a torch.fx.Graph may come to run, and of what functions of torch among it call."""
    waiting: list[Any] = []
    for node in graph.nodes:
        if node.op == "call_method":
            waiting.append(node.target)
        elif node.op == "call_function":
            name = str(getattr(node.target, "__name__", ""))
            of_tensors = getattr(node.target, "__module__", None) == "_operator"
            waiting += [f"__{name.strip('_')}__", f"__r{name.strip('_')}__"] if of_tensors else [name, node.target]
    return reached_by(waiting)


def reached_by(called: Iterable[Any]) -> set[str]:
    """Returns the names among these names and functions, and those in functions of torch that they may come to call."""
    waiting = list(called)
    names, seen = set[str](), set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if each not in names:
                names.add(each)
                waiting += [vars(space)[each] for space in _NAMESPACES if each in vars(space)]
        elif isinstance(each, types.FunctionType) and id(each) not in seen and _module(each).startswith(_OF_TORCH):
            seen.add(id(each))
            waiting += [*each.__code__.co_names, *(state.content_of(cell) for cell in each.__closure__ or ())]
    return names


def digest(names: Iterable[str]) -> bytes:
    """Returns the digest of what is replaced under these names."""
    return _core.digest(tuple(_said(names)))


def _said(names: Iterable[str]) -> Iterator[tuple[str, str, str, str, bytes]]:
    for space in _NAMESPACES:
        members = vars(space)
        for name in names:
            if name in members and _is_replaced(name, value := members[name]):
                code = getattr(value, "__code__", None)
                content = b"" if code is None else state.semantic_digest(code)
                yield space.__name__, name, str(value.__module__), value.__qualname__, content


def _is_replaced(name: str, value: Any) -> bool:
    if isinstance(value, types.BuiltinFunctionType):
        return value.__name__ != name
    return isinstance(value, types.FunctionType) and (not _module(value).startswith(_OF_TORCH) or value.__name__ != name)


def _module(function: types.FunctionType) -> str:
    return str(function.__globals__.get("__name__"))

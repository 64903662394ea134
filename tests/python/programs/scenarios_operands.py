"""Scenarios of operands: what guards compare with, of kinds that have no name of their own."""

from __future__ import annotations

import collections
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scenario_support import EAGER, same, vector
from torch.nn.attention import SDPBackend, sdpa_kernel

import coldframe


class Constant:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value)


class Slotted(Constant):
    __slots__ = ("other",)

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.other = value


@dataclass(frozen=True)
class Frozen:
    value: Any


for registered in (Constant, Slotted, Frozen):
    torch.utils._pytree.register_constant(registered)


def of_constant(x: torch.Tensor, constant: Any) -> torch.Tensor:
    return x + constant.value


def among_constants(x: torch.Tensor, constants: Any) -> torch.Tensor:
    first, *others = constants
    return x + 1 if first in others else x + 2


def of_backend(x: torch.Tensor, backend: Any) -> torch.Tensor:
    return x + 1 if backend == SDPBackend.MATH else x + 2


def in_kernel(x: torch.Tensor, backend: Any) -> torch.Tensor:
    query = x.reshape(1, 1, 2, 3)
    with sdpa_kernel([backend]):
        return torch.nn.functional.scaled_dot_product_attention(query, query, query)


def through_view(x: torch.Tensor, view: Any) -> torch.Tensor:
    for each in view:
        x = x * 2 + (each[0] if isinstance(each, tuple) else each)
    return x


def of_dict(*items: tuple[int, int]) -> Any:
    return collections.OrderedDict(items)


# By name: the function, what it is compiled for, and what is none of that.
OPERANDS: dict[str, tuple[Any, Any, Any]] = {
    "constant": (of_constant, lambda: Constant(4), lambda: Constant(5)),
    "slots": (of_constant, lambda: Slotted(4), lambda: Slotted(5)),
    "dataclass": (of_constant, lambda: Frozen(1), lambda: Frozen(2)),
    "among": (among_constants, lambda: [Constant(n) for n in (4, 2, 4)], lambda: [Constant(n) for n in (4, 2, 3)]),
    "backend": (of_backend, lambda: SDPBackend.MATH, lambda: SDPBackend.FLASH_ATTENTION),
    "kernel": (in_kernel, lambda: SDPBackend.MATH, lambda: SDPBackend.FLASH_ATTENTION),
    "keys": (through_view, lambda: {1: 2, 3: 4}.keys(), lambda: {1: 2, 5: 4}.keys()),
    "items": (through_view, lambda: {1: 2, 3: 4}.items(), lambda: {1: 2, 5: 4}.items()),
    "ordered_keys": (through_view, lambda: of_dict((1, 2), (3, 4)).keys(), lambda: of_dict((1, 2), (5, 4)).keys()),
}


def first_operands(folder: Path) -> None:
    for name, (function, operand, _) in OPERANDS.items():
        torch._dynamo.reset()
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector(), operand())
        report = coldframe.save(compiled, folder / name)
        assert report.bypasses == (), (name, report.bypasses)


def second_operands(folder: Path, made: Any) -> None:
    for name, (function, operand, other) in OPERANDS.items():
        loaded = coldframe.load(folder / name, function, on_miss="error")
        for _ in range(3):
            assert same(loaded(vector(), operand()), function(vector(), operand())), name
        with contextlib.suppress(coldframe.MissError):
            assert same(loaded(vector(), other()), function(vector(), other())), name

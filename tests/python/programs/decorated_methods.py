"""torch.compile as a decorator of functions, methods and a class, for it wraps when the module is imported."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


@torch.compile(backend="eager")
def function(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 2


class Methods:
    def __init__(self, k: float) -> None:
        self.k = k

    @torch.compile(backend="eager")
    def method(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.k

    @staticmethod
    @torch.compile(backend="eager")
    def of_nobody(x: torch.Tensor) -> torch.Tensor:
        return x.sin() * 2

    @classmethod
    @torch.compile(backend="eager")
    def of_class(cls, x: torch.Tensor) -> torch.Tensor:
        return x + len(cls.__name__)


class Forward(nn.Module):
    @torch.compile(backend="eager")
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cos() + 3


@torch.compile(backend="eager")
class Whole:
    """A class: torch.compile compiles the call that makes an object."""

    def __init__(self, x: torch.Tensor) -> None:
        self.y = x * 2


def run() -> list[Any]:
    x = torch.linspace(-1, 1, 6)
    return [
        *(function(x), Methods(2.0).method(x), Methods(3.0).method(x)),
        *(Methods.of_nobody(x), Methods.of_class(x), Forward()(x), Whole(x).y),
    ]

"""More small programs: what the models of libraries do."""

from __future__ import annotations

from collections.abc import Callable

import torch
from programs import vector
from steps import Program
from torch import nn
from torch.nn.utils import parametrizations

CASES: dict[str, Callable[[], Program]] = {}


def case(function: Callable[[], Program]) -> Callable[[], Program]:
    CASES[function.__name__] = function
    return function


class Normalized(nn.Module):
    """Each parametrized module gets a class of its own, and no name leads to it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.weight_norm(nn.Linear(6, 6))
        self.second = parametrizations.weight_norm(nn.Linear(6, 6), dim=None)
        self.third = parametrizations.orthogonal(nn.Linear(6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(x)))


@case
def parametrized() -> Program:
    return Program(Normalized().eval(), lambda f: [f(vector()), f(vector() * 2)])

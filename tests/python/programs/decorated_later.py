"""Decorators that run before the names that their functions use are there."""

from __future__ import annotations

import os
from pathlib import Path

import torch

import coldframe

FOLDER = Path(os.environ["DECORATED_LATER"])


@coldframe.compile(package=FOLDER / "function", backend="eager")
def function(x: torch.Tensor) -> torch.Tensor:
    return helper(x) * FACTOR


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    @coldframe.compile(package=FOLDER / "method", backend="eager")
    def method(self, x: torch.Tensor) -> torch.Tensor:
        return helper(x) * self.factor


def helper(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + FACTOR


FACTOR = 2.0


def use(x: torch.Tensor) -> list[torch.Tensor]:
    return [function(x), Scaled(3.0).method(x), function(x)]

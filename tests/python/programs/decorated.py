"""Functions that are compiled as their module is imported."""

from __future__ import annotations

import os

import torch

import coldframe


@coldframe.compile(package=os.environ.get("SERVED_BY_DECORATOR"), backend="eager")
def function(x: torch.Tensor, k: int) -> torch.Tensor:
    return x.sin() * k


@coldframe.compile(backend="eager")
def plain(x: torch.Tensor) -> torch.Tensor:
    return x.cos() + 2

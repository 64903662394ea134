"""Scenarios of identity: what a guard knows by it is found again by name, and nothing else of that name passes for it."""

from __future__ import annotations

import builtins
import cmath
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from scenario_support import EAGER, same, vector

import coldframe


def made_module(name: str, factor: int) -> Any:
    """A module with this factor, imported."""
    module = sys.modules[name] = types.ModuleType(name)
    exec(f"FACTOR = {factor}\ndef scaled(x):\n    return x * FACTOR\n", vars(module))
    return module


twice, thrice = made_module("made_twice", 2), made_module("made_thrice", 3)


def root(x: torch.Tensor) -> torch.Tensor:
    return x * math.sqrt(4)


def total(x: torch.Tensor) -> torch.Tensor:
    return x * sum([1, 2])


def sine(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x)


def scaled(x: torch.Tensor) -> Any:
    return twice.scaled(x)


_sum = builtins.sum


def one_more(*args: Any) -> Any:
    return _sum(*args) + 1


REPLACED: tuple[tuple[Callable[[torch.Tensor], Any], Any, str, tuple[Any, ...]], ...] = (
    (root, math, "sqrt", (lambda number: 9.0, math.floor, cmath.sqrt)),
    (total, builtins, "sum", (one_more,)),
    (sine, torch, "sin", (torch.cos,)),
    (scaled, twice, "scaled", (thrice.scaled,)),
)


def first_functions_replaced(folder: Path) -> None:
    for function, *_ in REPLACED:
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector())
        coldframe.save(compiled, folder / function.__name__)


def second_functions_replaced(folder: Path, made: Any) -> None:
    for function, owner, name, replacements in REPLACED:
        loaded = coldframe.load(folder / function.__name__, function, on_miss="error")
        for replacement in replacements:
            for _ in range(3):
                assert same(loaded(vector()), function(vector()))
            with mock.patch.object(owner, name, replacement):
                with pytest.raises(coldframe.MissError):
                    loaded(vector())
                with pytest.raises((coldframe.MissError, coldframe.IncompatiblePackageError)):
                    coldframe.load(folder / function.__name__, function, on_miss="error")(vector())


# What a function imports in its body.


def imports(x: torch.Tensor) -> torch.Tensor:
    import made_anew

    return x + made_anew.FACTOR


def first_modules_replaced(folder: Path) -> None:
    made_module("made_anew", 2)
    compiled = coldframe.compile(imports, **EAGER)
    compiled(vector())
    coldframe.save(compiled, folder / "package")


def second_modules_replaced(folder: Path, made: Any) -> None:
    for on_miss in ("error", "compile"):
        made_module("made_anew", 2)
        loaded = coldframe.load(folder / "package", imports, on_miss=on_miss)
        for _ in range(3):
            assert same(loaded(vector()), imports(vector()))
        for factor in (7, 8):
            made_module("made_anew", factor)
            if on_miss == "error":
                with pytest.raises(coldframe.MissError, match="made_anew"):
                    loaded(vector())
            else:
                assert all(same(loaded(vector()), vector() + factor) for _ in range(3))

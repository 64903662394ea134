"""Parts of scenarios. A scenario is a story of processes: `first_x` runs in one and leaves packages in a folder,
`second_x` and perhaps `third_x` run in others. What one returns, the next gets. Each asserts for itself.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import child
import torch

import coldframe

EAGER: dict[str, Any] = {"backend": "eager"}
STAGES = ("first", "second", "third")


@contextlib.contextmanager
def counted() -> Iterator[dict[str, Any]]:
    """Yields a dict that at its end has what coldframe.stats() grew by within it."""
    before = coldframe.stats()
    grown: dict[str, Any] = {}
    yield grown
    grown.update(child.growth(coldframe.stats(), before))


@contextlib.contextmanager
def strict(value: str) -> Iterator[None]:
    """Raises errors of the cache within it ("1"), or contains them as for users ("0")."""
    with mock.patch.dict(os.environ, COLDFRAME_STRICT=value):
        yield


def vector(n: int = 6) -> torch.Tensor:
    return torch.linspace(-1, 1, n)


def same(a: Any, b: Any) -> bool:
    return bool(torch.equal(a, b))


def names(module: ModuleType) -> list[str]:
    """The scenarios of a module, as "module:name"."""
    return [f"{module.__name__}:{name.removeprefix('first_')}" for name in vars(module) if name.startswith("first_")]


def act(stage: str, scenario: str, folder: Path) -> None:
    """One stage of a scenario, when it has that stage; what an earlier one returned lies in a file."""
    module, _, name = scenario.partition(":")
    function = getattr(importlib.import_module(module), f"{stage}_{name}", None)
    if function is None:
        return
    place, notes = folder / "files", folder / "notes"
    place.mkdir(parents=True, exist_ok=True)
    result = function(place) if stage == "first" else function(place, torch.load(notes, weights_only=False))
    torch.save(result, notes)

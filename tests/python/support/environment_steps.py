"""Small programs compiled with Inductor or eager, at a given thread count; and what loading them elsewhere gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import coldframe
from coldframe import _core


def pointwise(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * 2 + 1


def parallel(x: torch.Tensor) -> torch.Tensor:
    return (x * 3).cos()


TARGETS = {"pointwise": (pointwise, (8, 16)), "parallel": (parallel, (512, 512))}


def make(name: str, path: Path, threads: int, backend: str = "inductor") -> dict[str, Any]:
    torch.set_num_threads(threads)
    target, shape = TARGETS[name]
    compiled = coldframe.compile(target, backend=backend)
    compiled(torch.ones(shape))
    coldframe.save(compiled, path)
    package = _core.Package.open(path)
    (guarded,) = package.codes[0].guarded_codes
    return {"matter": guarded.details["threads_matter"], "features": package.environment["cpu_features"]}


def serve(name: str, path: Path, threads: int, later: int | None = None) -> dict[str, Any]:
    """{"right", "misses", "later"}; with `later`, the thread count of a second call and its misses. Or {"refused"}."""
    torch.set_num_threads(threads)
    target, shape = TARGETS[name]
    x = torch.linspace(-1, 1, shape[0] * shape[1]).reshape(shape)
    try:
        loaded = coldframe.load(path, target, on_miss="eager")
    except coldframe.PackageError as error:
        return {"refused": (type(error).__name__, str(error))}
    right = torch.allclose(loaded(x), target(x))
    first = [str(miss) for miss in coldframe.explain(loaded).misses]
    if later is not None:
        torch.set_num_threads(later)
        right = right and torch.allclose(loaded(x), target(x))
    return {"right": right, "misses": first, "later": [str(miss) for miss in coldframe.explain(loaded).misses[len(first) :]]}

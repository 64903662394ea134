"""A program whose kernels differ by vector instructions, compiled by torch alone, captured, and served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import coldframe
from coldframe import _core


def vectorized(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (x.sin() * y + x.cumsum(0)).exp().sum(1), (x - y).amax(0)


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(37, 53), torch.randn(37, 53)


def is_right(compiled: Any) -> bool:
    x, y = inputs()
    return all(torch.allclose(a, b, rtol=1e-4) for a, b in zip(compiled(x, y), vectorized(x, y), strict=True))


def by_torch_alone() -> bool:
    return is_right(torch.compile(vectorized))


def captured(path: Path) -> dict[str, Any]:
    compiled = coldframe.compile(vectorized)
    right = is_right(compiled)
    coldframe.save(compiled, path)
    package = _core.Package.open(path)
    (artifact,) = package.artifacts
    return {"right": right, "features": package.environment["cpu_features"], "isa": artifact.recipe["report"]["vec_isa"]}


def lazily_by_inductor(graph: torch.fx.GraphModule, example_inputs: list[torch.Tensor]) -> Any:
    from torch._inductor.compile_fx import compile_fx

    return compile_fx(graph, example_inputs)


def by_a_backend_that_imports_inductor(path: Path) -> list[str]:
    compiled = coldframe.compile(vectorized, backend=lazily_by_inductor)
    assert is_right(compiled)
    return list(coldframe.save(compiled, path).bypasses)


def served(path: Path) -> bool:
    return is_right(coldframe.load(path, vectorized, on_miss="error"))

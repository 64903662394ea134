"""Calls that are not stored, or not served, for different reasons."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import coldframe


def made_inside() -> Any:
    class Local:
        factor = 2

    return Local()


LOCAL = made_inside()


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * LOCAL.factor


def broken(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    torch._dynamo.graph_break()
    return y * LOCAL.factor


def power(x: torch.Tensor, n: int) -> torch.Tensor:
    return x**n


def halved(x: torch.Tensor) -> torch.Tensor:
    return x / 2


@contextlib.contextmanager
def around() -> Iterator[None]:
    yield


def seldom(x: torch.Tensor) -> torch.Tensor:
    if not torch.is_grad_enabled():
        return x.sin()
    with around():
        torch._dynamo.graph_break()
        return power(x, 2)


def has_nothing_at_times(store: Path) -> int:
    """Two kinds of calls; of one, torch compiles nothing of the frame with which it begins, but what that calls."""
    coldframe.enable(store)
    compiled, x = torch.compile(seldom, backend="eager"), torch.ones(3)
    with torch.no_grad():
        assert torch.equal(compiled(x), x.sin())
    assert coldframe.flush()
    for _ in range(2):
        assert torch.equal(compiled(x), x**2)
    assert coldframe.flush()
    return int(coldframe.stats()["compiles"])


def passed_on(x: torch.Tensor, on: bool) -> torch.Tensor:
    return x if on else x.sin()


def compiles(store: Path, nothing: bool) -> int:
    """Calls of which torch compiles nothing, for their arguments or for a transform around them, or others."""
    coldframe.enable(store)
    first, second, x = torch.compile(passed_on, backend="eager"), torch.compile(halved, backend="eager"), torch.ones(3)
    assert torch.equal(first(x, nothing), passed_on(x, nothing))
    assert torch.equal((torch.func.vmap(second) if nothing else second)(x), x / 2)
    assert coldframe.flush()
    return int(coldframe.stats()["compiles"])


async def awaited(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


def suspended(store: Path) -> str:
    """A coroutine that is compiled, but not run: what torch makes of it may crash."""
    coldframe.enable(store)
    compiled = torch.compile(awaited, backend="eager")
    for _ in range(3):
        compiled(torch.ones(3)).close()
    assert coldframe.flush()
    return str(coldframe.explain(compiled))


class Scaled:
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x * 3


class Sized(torch.nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.size


def bypassed(store: Path) -> list[str]:
    """Returns what cannot be stored, and what explain says of it."""
    coldframe.enable(store)
    x, said = torch.ones(3), []
    for target in (scaled, broken, functools.partial(power, n=3), Scaled(), staticmethod(halved)):
        compiled = torch.compile(target, backend="eager")
        assert torch.equal(compiled(x), target(x))
        said.append(str(coldframe.explain(compiled)))
    alone = torch.compile(Scaled(), backend="eager")
    try:
        coldframe.save(alone, store / "package")
    except coldframe.InvalidArgumentError as error:
        said.append(str(error))
    named = coldframe.compile(functools.partial(power, n=3), backend="eager")
    named(x)
    assert coldframe.flush()
    return [*said, str(coldframe.explain(named))]


def measured(x: torch.Tensor) -> torch.Tensor:
    return x * x.untyped_storage().size()


def not_saved(path: Path) -> str:
    """Returns why a function that asks for the memory of an argument is not saved."""
    compiled = coldframe.compile(measured, backend="eager")
    assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 8.0))
    try:
        coldframe.save(compiled, path)
    except coldframe.PackageError as error:
        return str(error)
    return ""


def many_variants(store: Path) -> None:
    """A module for each of six sizes: all but the first find packages that do not serve them."""
    coldframe.enable(store)
    for size in range(1, 7):
        module = Sized(size)
        torch.compile(module, backend="eager")(torch.ones(3))
        assert coldframe.flush()

"""More small programs: what the models of libraries do."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

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


@dataclasses.dataclass
class Output:
    value: torch.Tensor
    doubled: torch.Tensor | None = None

    def __post_init__(self) -> None:
        self.doubled = self.value * 2


def in_a_dataclass(x: torch.Tensor) -> Output:
    for _ in range(2):
        torch._dynamo.graph_break()  # in a loop: this frame runs as it is, and what it calls is compiled
    return Output(x.sin())


@case
def dataclass_of_uncompiled_frame() -> Program:
    def use(f: Any) -> Any:
        output = f(vector())
        return output.value, output.doubled

    return Program(in_a_dataclass, use)


def helper(x: torch.Tensor, scale: int = 2, *, shift: float = 1.0) -> torch.Tensor:
    return x * scale + shift


def bound_by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    def call(*args: Any) -> Any:
        return function(**dict(zip(signature.parameters, args, strict=False)))

    return call


@case
def signature() -> Program:
    return Program(bound_by_name(helper), lambda f: [f(vector()), f(vector(), 3)])


def sets_data(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = x * 2
    z.data = y
    return z.sin() + x


@case
def data_of_a_tensor() -> Program:
    def use(f: Any) -> Any:
        x, y = vector(), vector() + 1
        return f(x, y), x, y, x._version, y._version

    return Program(sets_data, use)


kinds = ["sliding", "full", "linear", "full", "chunked", "sliding", "global", "local"]


def by_kind(x: torch.Tensor) -> torch.Tensor:
    found = {}
    for kind in set(kinds):  # Dynamo's order is that of the list, in every process
        found[kind] = x * len(kind)
    return torch.cat([found[kind] for kind in kinds])


@case
def set_of_a_list() -> Program:
    return Program(by_kind, lambda f: f(vector()))


names = [letter * count for count in range(1, 6) for letter in "ab"]


def named(x: torch.Tensor, name: str) -> torch.Tensor:
    return inner(x, name) + len(name)


@torch._dynamo.disable(recursive=False)
def inner(x: torch.Tensor, name: str) -> torch.Tensor:
    return innermost(x, name)


def innermost(x: torch.Tensor, name: str) -> torch.Tensor:
    return x.sin() * len(name)


def of_many_kinds(x: torch.Tensor) -> torch.Tensor:
    for name in names:
        torch._dynamo.graph_break()  # in a loop: this frame runs as it is, and what it calls is compiled
        x = named(x, name)
    return x


@case
def more_variants_than_torch_compiles() -> Program:
    def use(f: Any) -> Any:
        return f(vector())

    return Program(of_many_kinds, use)

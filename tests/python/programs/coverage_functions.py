"""Coverage: closures, cells, defaults, the ways to pass arguments, and the ways of being a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from coverage_kit import Table, attempt, vector
from steps import Program

CLOSURES = "closures, cells changed later, defaults, keyword-only, var-args"
TABLE = Table()
covers = TABLE.covers
Function = Callable[..., Any]


def make_setter(value: Any) -> tuple[Function, Function]:
    def scaled(x: torch.Tensor) -> torch.Tensor:
        return x * value

    def change(new: Any) -> None:
        nonlocal value
        value = new

    return scaled, change


@covers(CLOSURES, "a float in a cell, changed between calls and changed back")
def cell_of_float() -> Program:
    scaled, change = make_setter(2.0)

    def use(f: Any) -> Any:
        outputs = [f(vector())]
        for new in (3.0, 2.0, 4):
            change(new)
            outputs.append(f(vector()))
        return outputs

    return Program(scaled, use)


@covers(CLOSURES, "a tensor in a cell, replaced by one of another shape, then by a number")
def cell_of_tensor() -> Program:
    scaled, change = make_setter(vector())

    def use(f: Any) -> Any:
        outputs = [f(vector())]
        for new in (vector() + 1, torch.ones(1), 3, torch.ones(6, dtype=torch.float64)):
            change(new)
            outputs.append(f(vector()))
        return outputs

    return Program(scaled, use)


def plus_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def times_two(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def make_caller(function: Function) -> tuple[Function, Function]:
    def calls(x: torch.Tensor) -> torch.Tensor:
        return function(x) + 1

    def change(new: Function) -> None:
        nonlocal function
        function = new

    return calls, change


@covers(CLOSURES, "a function in a cell, changed between calls")
def cell_of_function() -> Program:
    calls, change = make_caller(plus_one)

    def use(f: Any) -> Any:
        outputs = [f(vector())]
        for new in (times_two, torch.sin, plus_one):
            change(new)
            outputs.append(f(vector()))
        return outputs

    return Program(calls, use)


@covers(CLOSURES, "a list and a dict in cells, mutated between calls")
def cell_of_containers() -> Program:
    weights, table = [1.0, 2.0], {"k": 3}

    def weighed(x: torch.Tensor) -> torch.Tensor:
        return x * sum(weights) + table["k"] * len(table)

    def use(f: Any) -> Any:
        outputs = [f(vector())]
        weights.append(0.5)
        outputs.append(f(vector()))
        table["other"] = 1
        outputs.append(f(vector()))
        table["k"] = 4
        outputs.append(f(vector()))
        return outputs

    return Program(weighed, use)


@covers(CLOSURES, "an empty cell: the error is eager's", nothing="torch runs the frame as it is")
def empty_cell() -> Program:
    def reads(x: torch.Tensor) -> torch.Tensor:
        return x * later

    def use(f: Any) -> Any:
        return attempt(f, vector())

    if reads is None:
        later = 1.0
    return Program(reads, use)


def with_tensor_default(x: torch.Tensor, y: Any = torch.ones(6), *, k: Any = (2, 3)) -> torch.Tensor:  # noqa: B008
    return x * y + k[0] - k[-1]


@covers(CLOSURES, "defaults that are a tensor and a tuple, given or not")
def tensor_default() -> Program:
    return Program(
        with_tensor_default, lambda f: [f(vector()), f(vector(), 2.0), f(vector(), k=[1, 2, 3]), f(vector(), y=vector())]
    )


def mutable_default(x: torch.Tensor, seen: list[int] = []) -> torch.Tensor:  # noqa: B006
    seen.append(1)
    return x * len(seen)


@covers(CLOSURES, "a mutable default that grows at each call")
def growing_default() -> Program:
    mutable_default.__defaults__[0].clear()  # type: ignore[index]
    return Program(mutable_default, lambda f: [f(vector()) for _ in range(3)])


def changed_default(x: torch.Tensor, k: float = 1.0, *, shift: float = 0.0) -> torch.Tensor:
    return x * k + shift


@covers(CLOSURES, "defaults that the program changes between calls")
def default_changed() -> Program:
    changed_default.__defaults__ = (1.0,)
    changed_default.__kwdefaults__ = {"shift": 0.0}

    def use(f: Any) -> Any:
        outputs = [f(vector())]
        changed_default.__defaults__ = (5.0,)
        outputs.append(f(vector()))
        changed_default.__kwdefaults__ = {"shift": 7.0}
        outputs.append(f(vector()))
        return outputs

    return Program(changed_default, use)


def every_kind(a: Any, /, b: Any, c: Any = 3, *args: Any, d: Any, e: Any = 5, **kwargs: Any) -> Any:
    total = a * b + c + d * e
    for value in args:
        total = total + value
    for name, value in sorted(kwargs.items()):
        total = total - value * len(name)
    return total


@covers(CLOSURES, "positional-only, defaults, *args, keyword-only and **kwargs in one signature")
def every_kind_of_argument() -> Program:
    def use(f: Any) -> Any:
        x = vector()
        return [
            f(x, 2, d=1),
            f(x, b=2, d=x),
            f(x, 2, 3, x, 5.0, d=1, e=2, zz=x, y=1),
            f(x, x, x, x, x, d=x, e=x, q=x),
        ]

    return Program(every_kind, use)


@covers(CLOSURES, "calls that do not fit the signature: the error is Python's")
def wrong_arguments() -> Program:
    def use(f: Any) -> Any:
        x = vector()
        return [
            f(x, 2, d=1),
            attempt(f),
            attempt(f, x, 2),
            attempt(f, a=x, b=1, d=1),
            attempt(f, x, 2, b=3, d=1),
            f(x, 2, d=1),
        ]

    return Program(every_kind, use)


@covers(CLOSURES, "keywords in another order")
def keyword_order() -> Program:
    return Program(changed_default, lambda f: [f(x=vector(), k=2.0, shift=1.0), f(shift=1.0, k=2.0, x=vector())])


def rows(*xs: torch.Tensor) -> Any:
    return [x + i for i, x in enumerate(xs)]


@covers(CLOSURES, "*args of several lengths, and none")
def var_args_lengths() -> Program:
    return Program(rows, lambda f: [f(vector()), f(vector(), vector()), f(vector(2), vector(3), vector(4)), f()])

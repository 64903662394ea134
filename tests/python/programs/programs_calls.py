"""Programs about what Dynamo leaves out, what it looks into, and the kinds of arguments it takes."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from programs import INDUCTOR, Worker, vector
from steps import Program

CASES: dict[str, Callable[[], Program]] = {}


def case(function: Callable[[], Program]) -> Callable[[], Program]:
    CASES[function.__name__] = function
    return function


@torch.compiler.disable
def not_compiled(x: torch.Tensor) -> torch.Tensor:
    return x + 100


@torch.no_grad()
def without_gradients(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@functools.lru_cache
def cached(n: int) -> int:
    return n * n


logger = logging.getLogger(__name__)


def calls_disabled(x: torch.Tensor) -> torch.Tensor:
    return not_compiled(x.sin()).cos()


def calls_decorated(x: torch.Tensor) -> torch.Tensor:
    logger.debug("a message %s", x.shape)
    return without_gradients(x) + cached(4)


def loops_over_a_call(x: torch.Tensor) -> torch.Tensor:
    for i in range(2):
        print("this loop runs as it is, what it calls is compiled", i)
        x = helper(x)
    return x


def helper(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + x.cos()


def local_frame(x: torch.Tensor) -> torch.Tensor:
    def local(y: torch.Tensor) -> torch.Tensor:
        z = y * 3
        print("a break in a function made here")
        return z + 1

    return local(x) * local(x + 1)


def maps(x: torch.Tensor) -> Any:
    return torch.vmap(torch.sin)(x), torch.func.grad(lambda y: y.square().sum())(x)


def chooses(x: torch.Tensor) -> torch.Tensor:
    return torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (x,))


def with_numpy(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.sin(x.numpy()) * 2)


def scalars(x: torch.Tensor, i: int, f: float, flag: bool, nothing: None, text: str) -> torch.Tensor:
    return x * i + f if flag and nothing is None and text == "yes" else x


def nested_inputs(tree: dict[str, list[torch.Tensor]], pair: tuple[torch.Tensor, int]) -> Any:
    return {key: [t * pair[1] for t in value] for key, value in tree.items()}, pair[0].sum()


def generated(x: torch.Tensor) -> torch.Tensor:
    return sum(piece for piece in pieces(x))  # type: ignore[return-value]


def pieces(x: torch.Tensor) -> Iterator[torch.Tensor]:
    for i in range(3):
        yield x * i


@case
def disabled_call() -> Program:
    return Program(calls_disabled, lambda f: f(vector()))


@case
def decorated_calls() -> Program:
    return Program(calls_decorated, lambda f: f(vector()))


@case
def loop_over_a_call() -> Program:
    return Program(loops_over_a_call, lambda f: f(vector()))


@case
def local_function_frame() -> Program:
    return Program(local_frame, lambda f: f(vector()))


@case
def transforms() -> Program:
    return Program(maps, lambda f: f(vector()))


@case
def conditional() -> Program:
    return Program(chooses, lambda f: [f(vector() + 1), f(vector() - 1)])


@case
def numpy_inside() -> Program:
    return Program(with_numpy, lambda f: f(vector()))


@case
def scalar_arguments() -> Program:
    return Program(scalars, lambda f: [f(vector(), i, i / 2, True, None, "yes") for i in range(4)])


@case
def nested_arguments() -> Program:
    return Program(nested_inputs, lambda f: f({"b": [vector(), vector()], "a": [vector()]}, (vector(), 3)))


@case
def generator() -> Program:
    return Program(generated, lambda f: f(vector()))


@case
def inference_mode() -> Program:
    def use(f: Any) -> Any:
        with torch.inference_mode():
            return [f(vector()) * 1]

    return Program(Worker().eval(), use, INDUCTOR)


@case
def autocast() -> Program:
    def use(f: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return f(vector())

    return Program(Worker().eval(), use)


@case
def default_dtype() -> Program:
    def use(f: Any) -> Any:
        torch.set_default_dtype(torch.float64)
        try:
            return f(torch.ones(6))
        finally:
            torch.set_default_dtype(torch.float32)

    return Program(default_typed, use)


def default_typed(x: torch.Tensor) -> torch.Tensor:
    return x + torch.ones(6) * 0.1

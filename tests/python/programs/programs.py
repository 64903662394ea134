"""Small programs that Dynamo treats in different ways. Each of `CASES` makes a `Program`, the same in every process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from steps import Program
from torch import nn

INDUCTOR = {"backend": "inductor"}
CASES: dict[str, Callable[[], Program]] = {}


def case(function: Callable[[], Program]) -> Callable[[], Program]:
    CASES[function.__name__] = function
    return function


def said(*words: object) -> None:
    """Dynamo cannot trace this: a graph break."""
    torch._dynamo.graph_break()


def vector(n: int = 6) -> torch.Tensor:
    return torch.linspace(-1, 1, n)


# Graph breaks.


def breaks_at_print(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    print("in the middle")
    return y.cos() + x


def breaks_on_data(x: torch.Tensor) -> torch.Tensor:
    if x.sum() > 0.5:
        return x.sin() * 2
    return x.cos() * 3


def breaks_twice(x: torch.Tensor) -> torch.Tensor:
    y = x + 1
    said("first")
    said("second")
    return y * 2


def inner(x: torch.Tensor, k: int) -> torch.Tensor:
    y = x * k
    print("inside")
    return y.tanh()


def breaks_in_a_call(x: torch.Tensor) -> torch.Tensor:
    y = inner(x.sin(), 3)
    return y + inner(y, 3)


def breaks_in_a_loop(x: torch.Tensor) -> torch.Tensor:
    for i in range(3):
        x = x * (i + 2)
        print("round", i)
    return x.exp()


def breaks_with_a_closure(x: torch.Tensor) -> torch.Tensor:
    k = 3.0

    def scaled(y: torch.Tensor) -> torch.Tensor:
        return y * k

    y = scaled(x)
    print("the resume function has a free variable")
    k = 5.0
    return scaled(y) + 1


def breaks_in_a_context(x: torch.Tensor) -> Any:
    y = x * 2
    with torch.no_grad():
        z = y.sin()
        print("inside no_grad", torch.is_grad_enabled())
        z = z + y
    return z, (y * 3).requires_grad


def breaks_in_try(x: torch.Tensor) -> torch.Tensor:
    try:
        x = x + 1
        print("in try")
        x = x * 2
        raise KeyError("out")
    except KeyError:
        x = x - 3
    finally:
        x = x / 7
    return x


def breaks_on_item(x: torch.Tensor) -> torch.Tensor:
    n = int(x.abs().sum().item())
    return x.repeat(n) + n


@case
def print_break() -> Program:
    return Program(breaks_at_print, lambda f: f(vector()))


@case
def print_break_inductor() -> Program:
    def breaks_at_print_in_a_factory(x: torch.Tensor) -> torch.Tensor:
        y = x.sin()
        print("in the middle")
        return y.cos() + x

    return Program(breaks_at_print_in_a_factory, lambda f: f(vector()), INDUCTOR)


@case
def data_break() -> Program:
    return Program(breaks_on_data, lambda f: [f(vector()), f(vector() + 1)])


@case
def two_breaks() -> Program:
    return Program(breaks_twice, lambda f: f(vector()))


@case
def call_break() -> Program:
    return Program(breaks_in_a_call, lambda f: f(vector()))


@case
def loop_break() -> Program:
    return Program(breaks_in_a_loop, lambda f: f(vector()))


@case
def closure_break() -> Program:
    return Program(breaks_with_a_closure, lambda f: f(vector()))


@case
def context_break() -> Program:
    return Program(breaks_in_a_context, lambda f: f(vector().requires_grad_(True)), grad=True)


@case
def try_break() -> Program:
    return Program(breaks_in_try, lambda f: f(vector()))


@case
def item_break() -> Program:
    return Program(breaks_on_item, lambda f: f(vector()))


# Ways of being a callable.


def make_scaler(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def scale(x: torch.Tensor) -> torch.Tensor:
        return x * factor

    return scale


def make_adder(tensor: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    def add(x: torch.Tensor) -> torch.Tensor:
        return x + tensor

    return add


def with_default(x: torch.Tensor, k: int = 3, *, bias: float = 0.5) -> torch.Tensor:
    return x * k + bias


def keyword_only(x: torch.Tensor, *, scale: float, shift: int) -> torch.Tensor:
    return x * scale + shift


def starred(*xs: torch.Tensor, **named: float) -> torch.Tensor:
    return sum(xs) * named["factor"]  # type: ignore[return-value]


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) * 2

    return wrapper


@doubled
def wrapped(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


a_lambda = lambda x: x.sin() + 4  # noqa: E731


class Worker(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.power = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) ** self.power

    @staticmethod
    def squash(x: torch.Tensor) -> torch.Tensor:
        return x.tanh()

    @classmethod
    def shifted(cls, x: torch.Tensor) -> torch.Tensor:
        return x + len(cls.__name__)


class Callable_:  # noqa: N801
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


@case
def closure_over_float() -> Program:
    return Program(make_scaler(2.5), lambda f: f(vector()))


@case
def closure_over_tensor() -> Program:
    return Program(make_adder(vector()), lambda f: f(vector()))


@case
def default_argument() -> Program:
    return Program(with_default, lambda f: [f(vector()), f(vector(), 4), f(vector(), bias=1.5)])


@case
def keywords() -> Program:
    return Program(keyword_only, lambda f: f(vector(), scale=2.0, shift=1))


@case
def starred_arguments() -> Program:
    return Program(starred, lambda f: f(vector(), vector(), factor=0.5))


@case
def wraps() -> Program:
    return Program(wrapped, lambda f: f(vector()))


@case
def partial() -> Program:
    return Program(functools.partial(with_default, k=5), lambda f: f(vector()))


@case
def lambda_at_module_level() -> Program:
    return Program(a_lambda, lambda f: f(vector()))


@case
def bound_method() -> Program:
    return Program(Worker().encode, lambda f: f(vector()))


@case
def static_method() -> Program:
    return Program(Worker.squash, lambda f: f(vector()))


@case
def class_method() -> Program:
    return Program(Worker.shifted, lambda f: f(vector()))


@case
def callable_object() -> Program:
    return Program(Callable_(3.5), lambda f: f(vector()))


@case
def module() -> Program:
    return Program(Worker(), lambda f: f(vector()))


# Shapes.


def summed(x: torch.Tensor) -> Any:
    return x.sum(0) * x.shape[0], x.softmax(-1)


def automatic(x: torch.Tensor) -> torch.Tensor:
    return (x + x.size(0)).sin()


def marked(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, 2).sum(1)


def branching_on_size(x: torch.Tensor) -> torch.Tensor:
    return x * 2 if x.size(0) > 5 else x * 3


@case
def dynamic() -> Program:
    use = lambda f: [f(torch.ones(n, 3)) for n in (4, 5, 9)]  # noqa: E731
    return Program(summed, use, {"backend": "inductor", "dynamic": True})


@case
def automatic_dynamic() -> Program:
    return Program(automatic, lambda f: [f(vector(n)) for n in (4, 5, 9, 4, 20)])


@case
def marked_dynamic() -> Program:
    def use(f: Any) -> Any:
        results = []
        for n in (4, 8, 12):
            x = vector(n)
            torch._dynamo.mark_dynamic(x, 0)
            results.append(f(x))
        return results

    return Program(marked, use)


@case
def size_branch() -> Program:
    use = lambda f: [f(vector(n)) for n in (4, 8, 3, 12)]  # noqa: E731
    return Program(branching_on_size, use, {"backend": "eager", "dynamic": True})

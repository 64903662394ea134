"""Coverage: graph breaks wherever they can be, resume functions, and frames that are reached only through a break."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from coverage_kit import COMPREHENSION, Table, attempt, matrix, vector
from steps import Program

BREAKS = "graph breaks and chains of them"
TABLE = Table()
covers = TABLE.covers
log: list[Any] = []


@torch.compiler.disable
def note(value: Any) -> None:
    """A break where it is called."""
    log.append(value)


def logged(use: Any) -> Any:
    """Returns a function that gives the result of `use`, and what it wrote down."""

    def both(f: Any) -> Any:
        log.clear()
        return use(f), list(log)

    return both


def prints_much(x: torch.Tensor) -> torch.Tensor:
    print("one", x.shape)
    x = x.sin()
    print("two", f"{tuple(x.shape)!r}", sep="-", end="!\n")
    x = x + 1
    print("three")
    return x * 2


@covers(BREAKS, "three prints, the first before any graph, one of them with what is known of a tensor")
def print_chain() -> Program:
    return Program(prints_much, lambda f: [f(vector()), f(vector())])


def prints_a_value(x: torch.Tensor) -> torch.Tensor:
    y = x.sum()
    print("the sum is", y.item())
    return x / y


@covers(BREAKS, "a print of a tensor's value, which other calls change")
def print_of_a_value() -> Program:
    return Program(prints_a_value, lambda f: [f(vector() + 1), f(vector() + 2)])


def branches_twice(x: torch.Tensor) -> torch.Tensor:
    if x.sum() > 0:
        x = x - 10
        if x.sum() > 0:
            return x.sin()
        return x.cos()
    if x.min() < -5:
        return x.exp()
    return x.tanh()


@covers(BREAKS, "data-dependent branches in branches: all four ways")
def nested_branches() -> Program:
    return Program(branches_twice, lambda f: [f(vector() + k) for k in (1, 20, -20, -0.5)])


def elif_chain(x: torch.Tensor) -> torch.Tensor:
    if x[0] > 3:
        y = x + 3
    elif x[0] > 2 and x[1] > 0:
        y = x + 2
    else:
        y = x
    return y * 2


@covers(BREAKS, "a data-dependent elif and `and`, joined again after it")
def elif_break() -> Program:
    return Program(elif_chain, lambda f: [f(vector() + k) for k in (1, 3.5, 5)])


def conditional_expression(x: torch.Tensor) -> torch.Tensor:
    y = x.sin() if x.sum() > 0 else x.cos()
    assert bool((y < 10).all()), "small"
    return y + 1


@covers(BREAKS, "a data-dependent conditional expression and an assertion on data")
def expression_break() -> Program:
    return Program(conditional_expression, lambda f: [f(vector() + 1), f(vector() - 1)])


def while_on_data(x: torch.Tensor) -> torch.Tensor:
    while x.sum() < 100:
        x = x * 2 + 1
    return x - 1


@covers(BREAKS, "a while loop on data: a resume function that is its own successor")
def while_break() -> Program:
    return Program(while_on_data, lambda f: [f(vector()), f(vector() + 90)])


def body(x: torch.Tensor, i: int) -> torch.Tensor:
    y = x * (i + 1)
    note(i)
    return y.sin()


def loops(x: torch.Tensor) -> torch.Tensor:
    x = x + 1
    for i in range(3):
        x = body(x, i)
    return x * 2


@covers(BREAKS, "a break in what a loop calls: the loop is not compiled, its callee is")
def loop_in_call() -> Program:
    return Program(loops, logged(lambda f: [f(vector()), f(vector())]))


def deep_three(x: torch.Tensor) -> torch.Tensor:
    x = x * 3
    note("deep")
    return x.cos()


def deep_two(x: torch.Tensor) -> torch.Tensor:
    x = deep_three(x + 2)
    return x * 2


def deep_one(x: torch.Tensor) -> torch.Tensor:
    y = deep_two(x.sin())
    return y + x


@covers(BREAKS, "a break three calls down")
def deep_break() -> Program:
    return Program(deep_one, logged(lambda f: [f(vector()), f(vector())]))


def noted(x: torch.Tensor) -> torch.Tensor:
    note("item")
    return x + 1


def comprehends(x: torch.Tensor) -> Any:
    parts = [noted(x * i) for i in range(2)]
    return parts[0] + parts[1]


@covers(BREAKS, "a break in a list comprehension", bypass=COMPREHENSION)
def comprehension_break() -> Program:
    return Program(comprehends, logged(lambda f: f(vector())))


def dict_comprehends(x: torch.Tensor) -> Any:
    y = x.sin()
    table = {str(i): noted(y * i) for i in range(2)}
    return table["0"] - table["1"]


@covers(BREAKS, "a break in a dict comprehension, after a graph", bypass=COMPREHENSION)
def dict_comprehension_break() -> Program:
    return Program(dict_comprehends, logged(lambda f: f(vector())))


def generates(x: torch.Tensor) -> Iterator[torch.Tensor]:
    for i in range(2):
        y = x * (i + 1)
        note(i)
        yield y + 1


def sums_generator(x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros_like(x)
    for piece in generates(x.sin()):
        total = total + piece
    return total


@covers(BREAKS, "a break in a generator that the frame consumes", nothing="torch runs the frame as it is")
def generator_break() -> Program:
    return Program(sums_generator, logged(lambda f: [f(vector()), f(vector())]))


def generator_expression(x: torch.Tensor) -> torch.Tensor:
    y = x.exp()
    return sum(noted(y * i) for i in range(2))  # type: ignore[return-value]


@covers(BREAKS, "a break in a generator expression")
def generator_expression_break() -> Program:
    return Program(generator_expression, logged(lambda f: f(vector())))


class SpecialError(ValueError):
    pass


def fails_after_a_break(x: torch.Tensor, fail: bool) -> torch.Tensor:
    y = x.sin()
    note("before")
    if fail:
        raise SpecialError(f"no {tuple(y.shape)}")
    return y + 1


@covers(BREAKS, "an exception raised in a resume function reaches the caller")
def raise_after_break() -> Program:
    return Program(
        fails_after_a_break, logged(lambda f: [attempt(f, vector(), False), attempt(f, vector(), True), f(vector(), False)])
    )


def catches(x: torch.Tensor) -> torch.Tensor:
    try:
        y = x * 2
        note("in try")
        y = y + 1
    except ValueError:
        y = x
    finally:
        note("finally")
    return y.cos()


@covers(BREAKS, "breaks in try and in finally", nothing="torch runs the frame as it is")
def try_finally_break() -> Program:
    return Program(catches, logged(lambda f: [f(vector()), f(vector())]))


def raising(x: torch.Tensor) -> torch.Tensor:
    note("raises")
    raise SpecialError("inside")


def caught_below(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    try:
        raising(y)
    except SpecialError as error:
        note(str(error))
        y = y + len(str(error))
    return y.cos()


@covers(BREAKS, "an exception of a callee that breaks, caught by the frame", nothing="torch runs the frame as it is")
def caught_exception() -> Program:
    return Program(caught_below, logged(lambda f: [f(vector()), f(vector())]))


def breaks_with_grad_modes(x: torch.Tensor) -> Any:
    with torch.enable_grad():
        y = x * 2
        note(torch.is_grad_enabled())
        with torch.no_grad():
            z = y.sin()
            note(torch.is_grad_enabled())
        w = z + 1
    note(torch.is_grad_enabled())
    return y + w


@covers(BREAKS, "breaks inside nested grad modes")
def with_grad_modes() -> Program:
    return Program(breaks_with_grad_modes, logged(lambda f: [f(vector()), f(vector())]))


def breaks_in_autocast(x: torch.Tensor, w: torch.Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = x @ w
        note(str(y.dtype))
        z = y @ w
    return z, (x @ w).dtype


@covers(BREAKS, "a break inside autocast")
def with_autocast() -> Program:
    return Program(breaks_in_autocast, logged(lambda f: f(matrix(4, 4), matrix(4, 4))))


@contextlib.contextmanager
def section(name: str) -> Iterator[str]:
    log.append("enter " + name)
    try:
        yield name
    finally:
        log.append("leave " + name)


def breaks_in_manager(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    with section("a") as name:
        y = y + len(name)
        note("inside")
        y = y * 2
    return y.cos()


@covers(BREAKS, "a break inside a context manager of the user's", nothing="torch runs the frame as it is")
def with_user_manager() -> Program:
    return Program(breaks_in_manager, logged(lambda f: [f(vector()), f(vector())]))


def warns(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    warnings.warn("careful", UserWarning, stacklevel=1)
    return y + 1


@covers(BREAKS, "a warning in the middle: it is given at every call")
def warning_break() -> Program:
    def use(f: Any) -> Any:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            outputs = [f(vector()) for _ in range(3)]
        return outputs, [str(w.message) for w in said if "careful" in str(w.message)]

    return Program(warns, use)


def lists(x: torch.Tensor) -> Any:
    y = x.sin()
    values = y.tolist()
    return y + len(values), sum(values) > 0


@covers(BREAKS, "an unsupported call: tolist()")
def tolist_break() -> Program:
    return Program(lists, lambda f: [f(vector()), f(vector(3))])


def shaped_by_data(x: torch.Tensor) -> torch.Tensor:
    y = x[x > 0]
    return y * 2


@covers(BREAKS, "an output whose size depends on data")
def nonzero_break() -> Program:
    return Program(shaped_by_data, lambda f: [f(vector()), f(vector() + 5), f(vector() - 5)])

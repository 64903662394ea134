"""Coverage: resume functions, frames that are reached only through a break, recursion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from coverage_breaks import log, logged, note
from coverage_kit import Table, attempt, matrix, vector
from steps import Program
from torch import nn

RESUME = "resume functions with and without free variables"
HOSTED = "user frames reached only through a break (hosted path)"
RECURSION = "nested and recursive user functions"
TABLE = Table()
covers = TABLE.covers


def many_locals(x: torch.Tensor, *rest: float, scale: float = 2.0, **named: float) -> Any:
    a, b = x.sin(), x.cos()
    note(len(rest))
    c = a * scale + sum(rest)
    note(sorted(named))
    return {"a": a, "c": c * named.get("k", 1.0), "b": b, "rest": rest}


@covers(RESUME, "without free variables: locals, *args, keyword-only and **kwargs live on")
def resume_locals() -> Program:
    return Program(many_locals, logged(lambda f: [f(vector(), 1.0, 2.0, k=3.0), f(vector(), scale=0.5), f(vector())]))


def cell_is_written(x: torch.Tensor) -> torch.Tensor:
    k = 1.0

    def grow(by: float) -> None:
        nonlocal k
        k += by

    y = x * k
    grow(2.0)
    note("grown")
    grow(3.0)
    return y * k


@covers(RESUME, "a free variable that a nested function writes before and after the break")
def resume_nonlocal() -> Program:
    return Program(cell_is_written, logged(lambda f: [f(vector()), f(vector())]))


def make_counter(start: int) -> Callable[[torch.Tensor], torch.Tensor]:
    count = start

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        y = x.sin()
        note("counting")
        return y * count

    return step


@covers(RESUME, "free variables of the target itself, written at each call")
def resume_of_a_closure() -> Program:
    return Program(make_counter(0), logged(lambda f: [f(vector()) for _ in range(4)]))


def returns_closure(x: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    scale = x.sum()

    def scaled(y: torch.Tensor) -> torch.Tensor:
        return y * scale

    note("made")
    return scaled


@covers(RESUME, "a closure made before the break is returned after it")
def resume_returns_closure() -> Program:
    return Program(returns_closure, logged(lambda f: f(vector() + 1)(vector())))


def stack_is_live(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + torch.stack([x, tagged(x.cos(), "left"), x.exp()]).sum(0) * tagged(x, "right")


def tagged(x: torch.Tensor, name: str) -> torch.Tensor:
    note(name)
    return x + len(name)


@covers(RESUME, "values on the stack when the graph breaks inside an expression")
def resume_with_stack() -> Program:
    return Program(stack_is_live, logged(lambda f: [f(vector()), f(vector())]))


def unpacks(x: torch.Tensor) -> Any:
    first, *others, last = x.sin(), x.cos(), x.exp(), x
    note("unpacked")
    del others[0]
    return first + last, others


@covers(RESUME, "lists, tuples and deleted items over a break")
def resume_with_lists() -> Program:
    return Program(unpacks, logged(lambda f: f(vector())))


class Account:
    """An object of the user's that frames change."""

    def __init__(self) -> None:
        self.total = 0.0
        self.history: list[torch.Tensor] = []

    def pay(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        self.history.append(y)
        note("paid")
        self.total += 1.5
        return y + self.total


def uses_account(account: Account, x: torch.Tensor) -> torch.Tensor:
    return account.pay(x.sin()).cos()


@covers(
    HOSTED,
    "a method of an argument that breaks and writes to the object",
    not_as_torch="it loses an update of a float attribute",
)
def method_frame() -> Program:
    account = Account()
    return Program(uses_account, logged(lambda f: [[f(account, vector()) for _ in range(3)], account.total, account.history]))


class Talking(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        note(self.name)
        return y.relu()


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Talking("a"), Talking("b")])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * 2
        for block in self.blocks:
            x = block(x)
        return x + 1


@covers(HOSTED, "submodules in a loop, each with a break")
def submodule_frames() -> Program:
    return Program(Stack().eval(), logged(lambda f: [f(matrix()), f(matrix())]))


@torch.compiler.disable
def runs(function: Callable[..., Any], *args: Any) -> Any:
    """Not compiled itself, and neither is what it calls."""
    return function(*args)


@torch.compiler.disable(recursive=False)
def lets(function: Callable[..., Any], *args: Any) -> Any:
    """Not compiled itself; what it calls is."""
    log.append("lets")
    return function(*args)


def squares(x: torch.Tensor) -> torch.Tensor:
    return x * x


def through_disabled(x: torch.Tensor) -> torch.Tensor:
    y = runs(squares, x + 1)
    z = lets(squares, x + 2)
    return y + z


@covers(HOSTED, "what a disabled function calls, with recursive=False and without")
def through_disable() -> Program:
    return Program(through_disabled, logged(lambda f: [f(vector()), f(vector())]))


def by_key(pair: tuple[str, torch.Tensor]) -> float:
    return float(pair[1].sum() * 2)


def sorts(x: torch.Tensor) -> Any:
    pairs = [("a", x + 1), ("b", x - 1), ("c", x)]
    y = x.sin()
    ordered = sorted(pairs, key=by_key)
    return [name for name, _ in ordered], y + ordered[0][1]


@covers(HOSTED, "a function that sorted() calls with tensors")
def sort_key_frame() -> Program:
    return Program(sorts, lambda f: f(vector()))


def callback(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * 3


def maps_over(x: torch.Tensor) -> Any:
    y = x + 1
    note("before map")
    return list(map(callback, [x, y])), {k: callback(v) for k, v in {"k": y}.items()}


@covers(HOSTED, "map() over a function of the user's after a break")
def map_frame() -> Program:
    return Program(maps_over, logged(lambda f: f(vector())))


def factorial(x: torch.Tensor, n: int) -> torch.Tensor:
    return x if n <= 1 else factorial(x, n - 1) * n


@covers(RECURSION, "recursion that is compiled into one graph; another depth is another variant")
def recursion_inlined() -> Program:
    return Program(factorial, lambda f: [f(vector(), 3), f(vector(), 5), f(vector(), 3)])


def descends(x: torch.Tensor, n: int) -> torch.Tensor:
    y = x + n
    note(n)
    return descends(y, n - 1).sin() if n else y


@covers(
    RECURSION,
    "recursion with a break at every level",
    any_variant="one for a depth and one for any, which torch orders by their use",
)
def recursion_with_break() -> Program:
    return Program(descends, logged(lambda f: [f(vector(), 2), f(vector(), 2)]))


def is_even(x: torch.Tensor, n: int) -> torch.Tensor:
    note(("even", n))
    return x.sin() if n == 0 else is_odd(x + 1, n - 1)


def is_odd(x: torch.Tensor, n: int) -> torch.Tensor:
    note(("odd", n))
    return x.cos() if n == 0 else is_even(x * 2, n - 1)


@covers(RECURSION, "two functions that call one another and break")
def mutual_recursion() -> Program:
    return Program(is_even, logged(lambda f: [f(vector(), 2), f(vector(), 1)]))


def has_nested(x: torch.Tensor) -> torch.Tensor:
    def outer(y: torch.Tensor) -> torch.Tensor:
        def inner(z: torch.Tensor) -> torch.Tensor:
            note("inner")
            return z + x

        return inner(y * 2) + 1

    return outer(x.sin())


@covers(RECURSION, "functions nested two deep, the inner one with a break and a free variable")
def nested_functions() -> Program:
    return Program(has_nested, logged(lambda f: [f(vector()), f(vector())]))


def tree_sum(tree: Any) -> torch.Tensor:
    if isinstance(tree, torch.Tensor):
        return tree.sin()
    parts = [tree_sum(part) for part in (tree.values() if isinstance(tree, dict) else tree)]
    return torch.stack(parts).sum(0)


@covers(RECURSION, "recursion over a tree of dicts and lists")
def tree_recursion() -> Program:
    tree = {"a": [vector(), vector() + 1], "b": {"c": vector() * 2}}
    return Program(tree_sum, lambda f: [f(tree), f([vector(), vector()])])


def recursing_local(x: torch.Tensor) -> torch.Tensor:
    def halve(y: torch.Tensor, n: int) -> torch.Tensor:
        return y if n == 0 else halve(y / 2, n - 1)

    return halve(x, 3) + 1


@covers(RECURSION, "a local function that is its own free variable")
def local_recursion() -> Program:
    return Program(recursing_local, lambda f: f(vector()))


def endless(x: torch.Tensor, n: int) -> torch.Tensor:
    if n == 0:
        raise RecursionError("my own")
    return endless(x, n - 1)


@covers(RECURSION, "an exception from the bottom of a recursion", nothing="torch runs the frame as it is")
def recursion_raises() -> Program:
    return Program(endless, lambda f: attempt(f, vector(), 3))

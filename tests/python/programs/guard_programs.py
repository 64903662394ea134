"""Programs whose compilation makes guards, with calls that those hold for and calls that they refuse."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import guard_objects as objects
import torch
from guard_cases_tensor import current_device, grad, setting, vmap
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

Arguments = tuple[Any, ...]
State = Callable[[], AbstractContextManager[Any]]


@dataclasses.dataclass
class Call:
    arguments: Arguments
    state: State = contextlib.nullcontext


@dataclasses.dataclass
class Compiled:
    """A function, the call it is compiled for, calls that the same variant serves, and calls that it must not serve."""

    function: Callable[..., Any]
    first: Call
    holds: list[Call]
    fails: list[Call]
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


class Color(enum.Enum):
    RED = 2.0
    BLUE = 3.0


@dataclasses.dataclass
class Settings:
    factor: float = 2.0
    names: tuple[str, ...] = ("a",)


class Scale(int):
    pass


class Model(nn.Module):
    def __init__(self, width: int = 3, factors: tuple[float, ...] = (2.0, 3.0), bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(3, width, bias=bias)
        self.factors = list(factors)
        self.table = {"shift": 1.0}
        self.dropout = nn.Dropout(0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.linear(x)) * self.factors[1] + self.table["shift"]


def calls(*arguments: Any) -> list[Call]:
    return [Call(a if isinstance(a, tuple) else (a,)) for a in arguments]


def compiled(function: Callable[..., Any], first: Any, holds: list[Any], fails: list[Any], **more: Any) -> Compiled:
    made = first if isinstance(first, Call) else calls(first)[0]
    as_calls = [[c if isinstance(c, Call) else calls(c)[0] for c in group] for group in (holds, fails)]
    return Compiled(function, made, *as_calls, **more)


def changed(model: nn.Module, **attributes: Any) -> nn.Module:
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def f(rows: int, columns: int = 3) -> torch.Tensor:
    return torch.ones(rows, columns)


def dynamic(rows: int) -> torch.Tensor:
    made = f(rows)
    torch._dynamo.mark_dynamic(made, 0)
    return made


def subclass(a: float, b: float) -> TwoTensor:
    return TwoTensor(torch.full((2,), a), torch.full((2,), b))


base = torch.arange(12.0)
shared = f(2)


def rows_twice(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x.sum() + y.sum() if x.shape[0] == 2 * y.shape[0] else x.sum() - y.sum()


def rows_even(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if x.shape[0] % 2 == 0 and x.shape[0] > 5 else x - 1


def product(x: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
    for value in (*rest, *named.values()):
        x = x * value
    return x


def mutating(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(1)
    return x.sum() + y.sum()


def through(maker: Callable[[Any], Any]) -> Callable[..., torch.Tensor]:
    def run(x: torch.Tensor, value: Any) -> torch.Tensor:
        return x * maker(value)

    return run


def total(values: Any) -> Any:
    result = 0.0
    for value in values:
        result = result * 10 + value
    return result


PROGRAMS: dict[str, Callable[[], Compiled]] = {
    "range of a size": lambda: compiled(lambda x: x * x.shape[0], dynamic(4), [f(7), f(100), dynamic(5)], [f(1), f(4, 2)]),
    "relation of sizes": lambda: compiled(
        rows_twice, (f(8), f(4)), [(f(6), f(3))], [(f(7), f(3)), (f(2), f(1)), (f(3), f(6))], options={"dynamic": True}
    ),
    "remainder of a size": lambda: compiled(rows_even, f(8), [f(6), f(100)], [f(7), f(4)], options={"dynamic": True}),
    "relation of sizes, checked in C++": lambda: compiled(
        rows_twice,
        (f(8), f(4)),
        [(f(6), f(3))],
        [(f(7), f(3)), (f(2), f(1)), (f(3), f(6))],
        config={"enable_cpp_symbolic_shape_guards": True},
        options={"dynamic": True},
    ),
    "size with a filter of guards, checked in C++": lambda: compiled(
        rows_even,
        f(8),
        [f(6)],
        [f(7)],
        config={"enable_cpp_symbolic_shape_guards": True},
        options={"dynamic": True, "options": {"guard_filter_fn": lambda guards: [True for _ in guards]}},
    ),
    "dynamic int": lambda: compiled(
        lambda x, n: x + n if n > 3 else x - n,
        (f(2), 5),
        [(f(2), 7), (f(2), 100)],
        [(f(2), 3), (f(2), True)],
        options={"dynamic": True},
    ),
    "int": lambda: compiled(product, (f(2), 5), [(f(2), 5)], [(f(2), 7), (f(2), 5.0), (f(2), True), (f(2),)]),
    "float": lambda: compiled(product, (f(2), 1.5), [(f(2), 1.5)], [(f(2), 2.5), (f(2), 1)]),
    "not a number": lambda: compiled(
        product,
        (f(2), float("nan")),
        [(f(2), float("nan") if objects.BY_BITS else -float("nan"))],
        [(f(2), 1.0), *([(f(2), -float("nan"))] if objects.BY_BITS else [])],
    ),
    "string": lambda: compiled(through(len), (f(2), "ab"), [(f(2), "ab")], [(f(2), "abc"), (f(2), b"ab")]),
    "enum": lambda: compiled(
        through(lambda color: color.value), (f(2), Color.RED), [(f(2), Color.RED)], [(f(2), Color.BLUE), (f(2), 2.0)]
    ),
    "subclass of int": lambda: compiled(through(int), (f(2), Scale(3)), [(f(2), Scale(3))], [(f(2), Scale(4)), (f(2), 3)]),
    "one tensor twice": lambda: compiled(
        lambda x, y: x + y,
        (shared, shared),
        [(shared, shared)],
        [(f(2), f(2))],
        config={"use_lamba_guard_for_object_aliasing": True},
    ),
    "one tensor twice, as a relation": lambda: compiled(
        lambda x, y: x + y,
        (shared, shared),
        [(shared, shared)],
        [(f(2), f(2))],
        config={"use_lamba_guard_for_object_aliasing": False},
    ),
    "two tensors": lambda: compiled(lambda x, y: x + y, (f(2), f(2)), [(f(2), f(2))], [(shared, shared)]),
    "storages that overlap": lambda: compiled(
        mutating,
        (base[:6], base[3:9]),
        [(base[:6], base[5:11])],
        [(base[:6], base[6:])],
        options={"backend": "aot_eager", "dynamic": True},
    ),
    "storages that do not overlap": lambda: compiled(
        mutating,
        (base[:6], base[6:]),
        [],
        [(base[:6], base[3:9]), (torch.zeros(6), base[6:])],  # torch asks for the sizes of the bases: there must be two
        options={"backend": "aot_eager", "dynamic": True},
    ),
    "grad mode": lambda: compiled(
        lambda x: x * (2 if torch.is_grad_enabled() else 3), f(2), [f(2)], [Call((f(2),), torch.no_grad)]
    ),
    "autocast": lambda: compiled(lambda x: x @ x.T, f(2), [f(2)], [Call((f(2),), lambda: torch.autocast("cpu")), f(3)]),
    "under autocast": lambda: compiled(
        lambda x: x @ x.T,
        Call((f(2),), lambda: torch.autocast("cpu")),
        [],
        [f(2), Call((f(2),), lambda: torch.autocast("cpu", torch.float16))],
    ),
    "default dtype": lambda: compiled(
        lambda x: x + torch.ones(3),
        f(2),
        [f(2)],
        [Call((f(2),), lambda: setting(torch.set_default_dtype, torch.float64, torch.float32))],
    ),
    "default device": lambda: compiled(
        lambda x: x + 1, f(2), [f(2)], [Call((f(2),), lambda: current_device(torch.device("cpu")))]
    ),
    "mode of torch functions": lambda: compiled(lambda x: x + 1, Call((f(2),), lambda: objects.Mode(1)), [], [f(2)]),
    "no functorch": lambda: compiled(lambda x: x.sin(), f(2), [f(2)], [Call((f(2),), grad), Call((f(2),), vmap)]),
    "functorch inside": lambda: compiled(
        lambda x: torch.func.grad(lambda y: (y * y).sum())(x), f(2), [f(2)], [f(3), Call((f(2),), grad)]
    ),
    "tensor subclass": lambda: compiled(
        lambda x: x * 2, subclass(1, 2), [subclass(3, 4)], [torch.ones(2)], options={"backend": "aot_eager"}
    ),
    "module": lambda: compiled(
        lambda model, x: model(x),
        (Model(), f(2)),
        [(Model(), f(2)), (changed(Model(), unused=3), f(2))],
        [
            (Model().eval(), f(2)),
            (Model(width=4), f(2)),
            (Model(factors=(2.0, 5.0)), f(2)),
            (Model(bias=False), f(2)),
            (changed(Model(), table={"shift": 2.0}), f(2)),
            (Model().double(), f(2).double()),
            (Model().requires_grad_(False), f(2)),
            (changed(Model(), dropout=nn.Identity()), f(2)),
            (Model(), f(3)),
            (nn.Linear(3, 3), f(2)),
        ],
    ),
    "names of parameters in order": lambda: compiled(
        lambda model, x: x * total(len(name) for name, _ in model.named_parameters()),
        (Model(), f(2)),
        [(Model(), f(2))],
        [(Model(bias=False), f(2))],
    ),
    "list": lambda: compiled(
        through(total), (f(2), [1.0, 2.0]), [(f(2), [1.0, 2.0])], [(f(2), [2.0, 1.0]), (f(2), [1.0]), (f(2), (1.0, 2.0))]
    ),
    "dict in order": lambda: compiled(
        through(lambda table: total(table.values())),
        (f(2), {"a": 1.0, "b": 2.0}),
        [(f(2), {"a": 1.0, "b": 2.0})],
        [(f(2), {"b": 2.0, "a": 1.0}), (f(2), {"a": 1.0}), (f(2), {"a": 1.0, "c": 2.0})],
    ),
    "keys of a dict": lambda: compiled(
        through(lambda table: 2 if "a" in table else 3), (f(2), {"a": 1}), [(f(2), {"a": 1})], [(f(2), {"b": 1}), (f(2), {})]
    ),
    "set": lambda: compiled(
        through(lambda names: 2 if "a" in names else 3), (f(2), {"a"}), [(f(2), {"a"})], [(f(2), {"b"}), (f(2), set())]
    ),
    "deque": lambda: compiled(
        through(total),
        (f(2), collections.deque([1.0, 2.0])),
        [(f(2), collections.deque([1.0, 2.0]))],
        [(f(2), collections.deque([2.0, 1.0])), (f(2), [1.0, 2.0])],
    ),
    "dataclass": lambda: compiled(
        through(lambda settings: settings.factor * len(settings.names)),
        (f(2), Settings()),
        [(f(2), Settings())],
        [(f(2), Settings(3.0)), (f(2), Settings(2.0, ("a", "b"))), (f(2), objects.Box(factor=2.0, names=("a",)))],
    ),
    "named tuple": lambda: compiled(
        through(lambda pair: pair.a * 10 + pair.b),
        (f(2), objects.Pair(1, 2)),
        [(f(2), objects.Pair(1, 2))],
        [(f(2), objects.Swapped(1, 2)), (f(2), objects.Pair(2, 1))],
    ),
    "iterator of a range": lambda: compiled(
        through(total),
        (f(2), Fresh(lambda: iter(range(3)))),
        [(f(2), Fresh(lambda: iter(range(3))))],
        [(f(2), Fresh(lambda: iter(range(4))))],
    ),
    "iterator of a tuple": lambda: compiled(
        through(total),
        (f(2), Fresh(lambda: iter((1.0, 2.0)))),
        [(f(2), Fresh(lambda: iter((1.0, 2.0))))],
        [(f(2), Fresh(lambda: iter((1.0,)))), (f(2), Fresh(lambda: iter((1.0, 3.0))))],
    ),
    "endless count": lambda: compiled(
        through(next),
        (f(2), Fresh(lambda: itertools.count(3))),
        [(f(2), Fresh(lambda: itertools.count(3)))],
        [(f(2), Fresh(lambda: itertools.count(4)))],
    ),
    "function": lambda: compiled(
        through(lambda function: function()),
        (f(2), objects.function),
        [(f(2), objects.function)],
        [(f(2), objects.other_default), (f(2), objects.read_switch)],
    ),
    "closure": lambda: compiled(
        through(lambda function: function()),
        (f(2), objects.closing_over(2.0)),
        [(f(2), objects.closing_over(2.0))],
        [(f(2), objects.closing_over(3.0)), (f(2), objects.function)],
    ),
    "tensor attribute": lambda: compiled(lambda x: x * x.factor, tagged(2.0), [tagged(2.0)], [tagged(3.0), f(2)]),
    "gradient": lambda: compiled(
        lambda x: x + 1 if x.grad is None else x - 1,
        f(2).requires_grad_(),
        [f(2).requires_grad_()],
        [f(2), objects_with_grad()],
    ),
    "array": lambda: compiled(lambda x: x * 2, f(2).numpy(), [f(2).numpy()], [f(3).numpy(), f(2).double().numpy()]),
}


class Fresh:
    """An argument that is made anew for each call, because a call uses it up."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def tagged(factor: float) -> torch.Tensor:
    made = f(2)
    made.factor = factor  # type: ignore[attr-defined]
    return made


def objects_with_grad() -> torch.Tensor:
    made = f(2).requires_grad_()
    made.grad = f(2)
    return made

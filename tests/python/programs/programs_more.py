"""More small programs: state, side effects, structures, effects on tensors, options, and modules of many shapes."""

from __future__ import annotations

import collections
import contextlib
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from programs import INDUCTOR, Worker, vector
from steps import Program
from torch import nn
from torch._functorch.aot_autograd import aot_module_simplified

CASES: dict[str, Callable[[], Program]] = {}


def case(function: Callable[[], Program]) -> Callable[[], Program]:
    CASES[function.__name__] = function
    return function


# State and side effects.


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.register_buffer("total", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.total += x
        return self.total * self.calls


scale_of_module = 2.0
tensor_of_module = torch.arange(6.0)
seen: list[int] = []


def reads_globals(x: torch.Tensor) -> torch.Tensor:
    return x * scale_of_module + tensor_of_module


def appends(x: torch.Tensor, log: list[torch.Tensor]) -> torch.Tensor:
    log.append(x + 1)
    seen.append(len(log))
    return x * 2


def writes_global(x: torch.Tensor) -> torch.Tensor:
    global scale_of_module
    scale_of_module = 2.0
    return x * 2


def draws(x: torch.Tensor) -> torch.Tensor:
    return x + torch.rand(6)


class Color(enum.Enum):
    red = 1
    blue = 2


@dataclass
class Settings:
    width: int
    color: Color


Pair = collections.namedtuple("Pair", ["left", "right"])


def structured(pair: Pair, settings: Settings, table: dict[str, torch.Tensor]) -> Any:
    factor = settings.width if settings.color is Color.blue else 1
    return Pair(pair.left * factor, {name: value + pair.right for name, value in table.items()})


@contextlib.contextmanager
def managed(log: list[str]) -> Iterator[int]:
    log.append("in")
    yield 3
    log.append("out")


def uses_manager(x: torch.Tensor, log: list[str]) -> torch.Tensor:
    with managed(log) as k:
        return x * k


def makes_functions(x: torch.Tensor) -> Any:
    def power(y: torch.Tensor, n: int = 2) -> torch.Tensor:
        return y**n

    squares = [power(x, i) for i in range(1, 4)]
    return sum(squares), max(i for i in range(4)), {i: i * i for i in range(3)}, list(zip("ab", (1, 2), strict=True))


def returns_function(x: torch.Tensor) -> Any:
    y = x * 2

    def later(z: torch.Tensor) -> torch.Tensor:
        return y + z

    return y, later


@case
def module_state() -> Program:
    model = Counter()
    return Program(model, lambda f: [[f(vector()) for _ in range(3)], model.total, model.calls])


@case
def global_reads() -> Program:
    return Program(reads_globals, lambda f: f(vector()))


@case
def global_writes() -> Program:
    return Program(writes_global, lambda f: [f(vector()), scale_of_module])


@case
def list_appends() -> Program:
    def use(f: Any) -> Any:
        seen.clear()
        log: list[torch.Tensor] = []
        return [f(vector(), log), list(log), list(seen)]

    return Program(appends, use)


@case
def random_numbers() -> Program:
    return Program(draws, lambda f: f(vector()))


@case
def structures() -> Program:
    def use(f: Any) -> Any:
        result = f(Pair(vector(), 1.5), Settings(4, Color.blue), {"a": vector(), "b": vector() * 2})
        return [tuple(result), type(result).__name__]

    return Program(structured, use)


@case
def context_manager() -> Program:
    def use(f: Any) -> Any:
        log: list[str] = []
        return [f(vector(), log), log]

    return Program(uses_manager, use)


@case
def nested_functions() -> Program:
    return Program(makes_functions, lambda f: f(vector()))


@case
def function_result() -> Program:
    def use(f: Any) -> Any:
        y, later = f(vector())
        return y, later(vector())

    return Program(returns_function, use)


# Effects on tensors.


def mutates(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(1)
    y[0].mul_(3)
    return x * y


def views(x: torch.Tensor) -> Any:
    y = x * 2
    return x[1:], x.view(2, 3), y, y.t() if y.dim() == 2 else y[:2], x


def same_twice(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.mul_(2)
    return x + y


@case
def input_mutation() -> Program:
    def use(f: Any) -> Any:
        x, y = vector(), vector()
        return [f(x, y), x, y]

    return Program(mutates, use, INDUCTOR)


@case
def output_views() -> Program:
    def use(f: Any) -> Any:
        x = vector()
        first, matrix, fresh, part, same = f(x)
        x.add_(10)  # what is a view of x sees this
        fresh.add_(1)
        return [first, matrix, fresh, part, same, same is x, part._base is fresh or part._base is fresh._base]

    return Program(views, use, INDUCTOR)


@case
def aliased_inputs() -> Program:
    def use(f: Any) -> Any:
        x = vector()
        return [f(x, x), x]

    return Program(same_twice, use, INDUCTOR)


@case
def several_options() -> Program:
    def options_of_inductor(x: torch.Tensor) -> torch.Tensor:
        return x.sin().sum()

    options = {"backend": "inductor", "options": {"epilogue_fusion": False}, "fullgraph": True}
    return Program(options_of_inductor, lambda f: f(vector()), options)


@case
def default_mode() -> Program:
    def mode_of_inductor(x: torch.Tensor) -> torch.Tensor:
        return x.sin().sum() + 1

    return Program(mode_of_inductor, lambda f: f(vector()), {"mode": "reduce-overhead"})


@case
def aot_eager() -> Program:
    return Program(Worker(), lambda f: f(vector()), {"backend": "aot_eager"})


def graphs_as_they_are(module: torch.fx.GraphModule, inputs: Any) -> Any:
    """A backend whose forward and backward take their arguments one by one."""
    return aot_module_simplified(module, inputs, fw_compiler=lambda graph, _: graph)


@case
def backward_of_a_graph_as_it_is() -> Program:
    def use(f: Any) -> Any:
        x = vector().requires_grad_()
        return torch.autograd.grad(f(x).sum(), x)

    return Program(nn.Tanh(), use, {"backend": graphs_as_they_are}, grad=True)


# Modules.


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        print("a break in a module inside")
        return y.relu()


class Base(nn.Module):
    @property
    def gain(self) -> float:
        return 1.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain


class Derived(Base):
    table: ClassVar = {"a": 2, "b": 3}

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"one": nn.Linear(6, 6), "two": nn.Identity()})
        self.scales = nn.ParameterList([nn.Parameter(torch.full((6,), float(i + 1))) for i in range(2)])
        self.names = ["one", "two"]

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = super().forward(x)
        for name, scale in zip(self.names, self.scales, strict=True):
            x = self.parts[name](x) * scale
        return x * self.table["b"] if mask is None else x * mask


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.memory = nn.GRUCell(8, 8)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.memory(y[:, 0], x[:, 0])


def hooked(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
    return output + 1


@case
def break_in_a_module() -> Program:
    return Program(nn.Sequential(Inner(), Inner()), lambda f: f(vector()))


@case
def inherited() -> Program:
    return Program(Derived().eval(), lambda f: [f(vector()), f(vector(), mask=torch.ones(6))])


@case
def attention() -> Program:
    return Program(Attention().eval(), lambda f: f(torch.arange(6).reshape(2, 3)))


@case
def hooks() -> Program:
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    model[0].register_forward_hook(hooked)
    return Program(model, lambda f: f(vector()))


@case
def two_models_of_one_class() -> Program:
    other = Worker()
    other.power = 3

    def use(f: Any) -> Any:
        result = f(Worker(), vector()), f(other, vector())
        return [r.shape for r in result]

    return Program(encodes, use)


def encodes(worker: Worker, x: torch.Tensor) -> torch.Tensor:
    return worker.encode(x)

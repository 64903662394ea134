"""Training programs: forward and backward, and what they do to parameters, buffers and inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from steps import Program
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

CASES: dict[str, Callable[[], Program]] = {}


def case(function: Callable[[], Program]) -> Callable[[], Program]:
    CASES[function.__name__] = function
    return function


def training(target: Any, use: Callable[[Any], Any], **options: Any) -> Program:
    return Program(target, use, {"backend": "inductor", **options}, grad=True)


def gradients(module: nn.Module) -> dict[str, torch.Tensor | None]:
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def batch() -> torch.Tensor:
    return torch.linspace(-2, 2, 24).reshape(4, 6)


class Perceptron(nn.Module):
    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 3)
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(functional.dropout(self.first(x).tanh(), self.p, self.training))


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1, bias=False)  # a bias would have gradients of mere rounding errors
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(x)).relu()


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 11)

    def forward(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.head(self.embedding(tokens)).flatten(0, 1), labels.flatten())


def one_step(model: nn.Module, *inputs: torch.Tensor) -> Callable[[Any], Any]:
    def use(f: Any) -> Any:
        output = f(*inputs)
        output.square().mean().backward()
        return output, gradients(model), dict(model.named_buffers()), [x.grad for x in inputs]

    return use


@case
def step() -> Program:
    model = Perceptron()
    return training(model, one_step(model, batch().requires_grad_()))


@case
def dropout() -> Program:
    model = Perceptron(0.5)
    return training(model, one_step(model, batch()))


@case
def batch_norm() -> Program:
    model = Normed()
    return training(model, one_step(model, torch.randn(2, 3, 8, 8)))


@case
def language_model() -> Program:
    model = Language()
    tokens = torch.arange(10).reshape(2, 5)

    def use(f: Any) -> Any:
        losses = []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            loss = f(tokens, (tokens + 1) % 11)
            loss.backward()
            optimizer.step()
            losses.append(loss)
        return losses, dict(model.named_parameters())

    return training(model, use)


def mutating(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    x.mul_(2)
    return (x @ weight).sigmoid()


@case
def input_mutation() -> Program:
    def use(f: Any) -> Any:
        x, weight = batch(), torch.ones(6, 2, requires_grad=True)
        output = f(x, weight)
        output.sum().backward()
        return output, x, weight.grad

    return training(mutating, use)


def aliasing(x: torch.Tensor, weight: torch.Tensor) -> Any:
    y = x * weight
    return y, y[0], x.t(), weight.view(-1), weight


@case
def output_views() -> Program:
    def use(f: Any) -> Any:
        x, weight = batch(), torch.ones(4, 6, requires_grad=True)
        y, row, turned, flat, same = f(x, weight)
        (y.sum() + row.square().sum() + flat.sum()).backward()
        x.zero_()
        return y, row, turned, flat, weight.grad, same is weight, turned._base is x, row._base is not None

    return training(aliasing, use)


def folded(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (x @ weight).relu().mean(0) * x.shape[0]


@case
def dynamic_batches() -> Program:
    def use(f: Any) -> Any:
        weight = torch.ones(6, 2, requires_grad=True)
        outputs = []
        for n in (3, 5, 9):
            outputs.append(f(torch.ones(n, 6), weight))
            outputs[-1].sum().backward()
        return outputs, weight.grad

    return training(folded, use, dynamic=True)


# What does not need Inductor: the graph above it.


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return gradient * x.exp() * 2


def with_autograd_function(x: torch.Tensor) -> torch.Tensor:
    return Doubled.apply(x.sin())


def with_checkpoint(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return checkpoint(lambda y: (y @ weight).tanh().square(), x, use_reentrant=False)


def with_break(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    y = (x @ weight).tanh()
    torch._dynamo.graph_break()
    return y.square() @ weight.t()


def whole_step(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    loss = model(x).square().mean()
    loss.backward()
    return loss.detach()


def on_weight(f: Any) -> Any:
    x, weight = batch().requires_grad_(), torch.linspace(-1, 1, 12).reshape(6, 2).requires_grad_()
    output = f(x, weight)
    output.sum().backward()
    return output, x.grad, weight.grad


@case
def autograd_function() -> Program:
    def use(f: Any) -> Any:
        x = batch().requires_grad_()
        output = f(x)
        output.sum().backward()
        return output, x.grad

    return training(with_autograd_function, use, backend="aot_eager")


@case
def checkpointed() -> Program:
    return training(with_checkpoint, on_weight, backend="aot_eager")


@case
def graph_break() -> Program:
    return training(with_break, on_weight, backend="aot_eager")


@case
def eager_backend() -> Program:
    model = Perceptron()
    return training(model, one_step(model, batch()), backend="eager")


@case
def backward_inside() -> Program:
    model = Perceptron()
    return training(whole_step, lambda f: [f(model, batch()), gradients(model)], backend="aot_eager")


@case
def autocast() -> Program:
    model = Perceptron()

    def use(f: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            output = f(batch())
        output.float().sum().backward()
        return output, gradients(model)

    return training(model, use, backend="aot_eager")

"""Coverage: training. What training.py has already is not repeated here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from coverage_kit import TRAINING, Table, attempt
from steps import Program
from torch import nn
from torch.utils.checkpoint import checkpoint
from training import Perceptron, batch, gradients

STEPS = "forward, backward, uncompiled optimizer steps"
COMPILED_STEP = "a compiled optimizer.step is a documented bypass"
ACCUMULATION = "gradient accumulation"
CHECKPOINTING = "activation checkpointing"
FUNCTIONS = "custom autograd.Function"
GRAPHS = "retain_graph, double backward where torch.compile has it"
TABLE = Table(TRAINING)
OPTIMIZER = "optim"
covers = TABLE.covers


def training(target: Any, use: Callable[[Any], Any], **options: Any) -> Program:
    return Program(target, use, options, grad=True)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def steps_with(make: Callable[[Any], torch.optim.Optimizer], schedule: bool = False) -> Program:
    model = Perceptron()
    optimizer = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5) if schedule else None

    def use(f: Any) -> Any:
        losses = []
        for i in range(3):
            optimizer.zero_grad(set_to_none=i != 1)
            loss = f(batch() + i).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            losses.append(loss)
        return losses, weights(model)

    return training(model, use)


@covers(STEPS, "Adam with clipped gradients and a learning-rate schedule", not_as_eager="Adam enlarges differences of rounding")
def adam() -> Program:
    return steps_with(lambda parameters: torch.optim.Adam(parameters, lr=0.1), schedule=True)


@covers(STEPS, "SGD with momentum")
def sgd_momentum() -> Program:
    return steps_with(lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9))


def trains(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> torch.Tensor:
    optimizer.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
    return loss.detach()


@covers(
    STEPS,
    "a whole training step as target: forward, backward and optimizer.step inside",
    backends=("aot_eager",),
    bypass=OPTIMIZER,
)
def whole_step() -> Program:
    model = Perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return training(trains, lambda f: [[f(model, optimizer, batch()) for _ in range(3)], weights(model)])


def optimizes(optimizer: torch.optim.Optimizer) -> None:
    optimizer.step()


@covers(COMPILED_STEP, "optimizer.step compiled alone", backends=("aot_eager",), bypass=OPTIMIZER)
def compiled_step() -> Program:
    model = Perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def use(f: Any) -> Any:
        for _ in range(2):
            optimizer.zero_grad()
            model(batch()).square().mean().backward()
            f(optimizer)
        return weights(model)

    return training(optimizes, use)


@covers(STEPS, "evaluation under no_grad between training steps, train() and eval()")
def train_and_evaluate() -> Program:
    model = Perceptron()

    def use(f: Any) -> Any:
        outputs = []
        for _ in range(2):
            model.train()
            loss = f(batch()).sum()
            loss.backward()
            model.eval()
            with torch.no_grad():
                outputs.extend([loss, f(batch())])
        return outputs, gradients(model)

    return training(model, use)


@covers(STEPS, "frozen parameters; unfrozen between calls")
def frozen_parameters() -> Program:
    model = Perceptron()
    model.first.requires_grad_(False)

    def use(f: Any) -> Any:
        f(batch()).sum().backward()
        first = {name: grad is not None and grad.clone() for name, grad in gradients(model).items()}
        model.first.requires_grad_(True)
        f(batch()).sum().backward()
        return first, gradients(model)

    return training(model, use)


@covers(ACCUMULATION, "two backwards before a step, of two batches of other sizes")
def accumulation() -> Program:
    model = Perceptron()

    def use(f: Any) -> Any:
        losses = [f(x).square().mean() for x in (batch(), batch()[:2])]
        for loss in losses:
            (loss / 2).backward()
        return losses, gradients(model)

    return training(model, use)


@covers(GRAPHS, "backward twice with retain_graph, and torch.autograd.grad")
def retained() -> Program:
    model = Perceptron()

    def use(f: Any) -> Any:
        x = batch().requires_grad_()
        loss = f(x).square().mean()
        (by_input,) = torch.autograd.grad(loss, x, retain_graph=True)
        loss.backward(retain_graph=True)
        loss.backward()
        return loss, by_input, x.grad, gradients(model)

    return training(model, use)


@covers(GRAPHS, "double backward through a compiled function: torch refuses it", not_as_eager="torch refuses it")
def double_backward() -> Program:
    def use(f: Any) -> Any:
        x = batch().requires_grad_()
        (first,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
        return attempt(lambda: first.sum().backward())

    return training(cubed, use)


def cubed(x: torch.Tensor) -> torch.Tensor:
    return x * x * x


@covers(GRAPHS, "double backward with the backend eager, where torch has it", backends=("eager",))
def double_backward_eager() -> Program:
    def use(f: Any) -> Any:
        x = batch().requires_grad_()
        (first,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
        first.sum().backward()
        return first, x.grad

    return training(cubed, use)


@covers(GRAPHS, "hooks of gradients: of a leaf, of an output, and post_accumulate_grad")
def gradient_hooks() -> Program:
    model = Perceptron()

    def use(f: Any) -> Any:
        said: list[Any] = []
        model.second.weight.register_hook(lambda g: g * 2)
        model.second.weight.register_post_accumulate_grad_hook(lambda p: said.append(tuple(p.shape)))
        output = f(batch())
        output.register_hook(lambda g: said.append(float(g.sum())))
        output.sum().backward()
        return output, gradients(model), said

    return training(model, use)


@covers(GRAPHS, "an output that is not used, gradients only of some outputs, and a backward that never comes")
def partial_backward() -> Program:
    def use(f: Any) -> Any:
        x, y = batch().requires_grad_(), (batch() + 1).requires_grad_()
        first, second = f(x, y)
        first.sum().backward()
        third, fourth = f(x, y)
        fourth.sum().backward()
        f(x, y)
        return first, second, third, fourth, x.grad, y.grad

    return training(two_outputs, use)


def two_outputs(x: torch.Tensor, y: torch.Tensor) -> Any:
    return x.sin() * y, x.cos().sum()


# Activation checkpointing.


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool, p: float = 0.0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Perceptron(p), nn.Linear(3, 6), Perceptron(p)])
        self.reentrant = reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=self.reentrant)
        return x


def backward_of(model: nn.Module) -> Callable[[Any], Any]:
    def use(f: Any) -> Any:
        x = batch().requires_grad_()
        output = f(x)
        output.square().sum().backward()
        return output, x.grad, gradients(model)

    return use


@covers(CHECKPOINTING, "each block of a model, use_reentrant=False")
def checkpointed_blocks() -> Program:
    model = Checkpointed(False)
    return training(model, backward_of(model))


@covers(CHECKPOINTING, "each block of a model, use_reentrant=True")
def checkpointed_reentrant() -> Program:
    model = Checkpointed(True)
    return training(model, backward_of(model))


@covers(CHECKPOINTING, "with dropout: the recomputation draws the same numbers", not_as_eager="compiled dropout draws others")
def checkpointed_dropout() -> Program:
    model = Checkpointed(False, 0.5)
    return training(model, backward_of(model))


@covers(CHECKPOINTING, "checkpoint around a compiled module, outside of what is compiled")
def checkpointed_outside() -> Program:
    model = Perceptron()

    def use(f: Any) -> Any:
        x = batch().requires_grad_()
        output = checkpoint(f, x, use_reentrant=False)
        output.sum().backward()
        return output, x.grad, gradients(model)

    return training(model, use)


# Custom autograd functions.


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, low: float, high: float) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        low, high = ctx.bounds
        return grads[0] * ((x > low) & (x < high)), None, None


class Split(torch.autograd.Function):
    @staticmethod
    def forward(x: torch.Tensor, y: torch.Tensor) -> Any:
        return x * y, x + y

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(True)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        x, y = ctx.saved_tensors
        return grads[0] * y + grads[1], grads[0] * x + grads[1]


def clips(x: torch.Tensor, bound: float) -> torch.Tensor:
    return Clipped.apply(x * 2, -bound, bound) + 1


def splits(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    product, total = Split.apply(x, y.sin())
    return product * 2 + total


@covers(FUNCTIONS, "saved tensors, attributes of ctx and arguments that are no tensors")
def autograd_function() -> Program:
    def use(f: Any) -> Any:
        x = batch().requires_grad_()
        outputs = [f(x, bound) for bound in (1.0, 2.0)]
        sum(output.sum() for output in outputs).backward()
        return outputs, x.grad

    return training(clips, use)


@covers(FUNCTIONS, "setup_context and several outputs")
def autograd_function_of_two() -> Program:
    def use(f: Any) -> Any:
        x, y = batch().requires_grad_(), (batch() + 1).requires_grad_()
        output = f(x, y)
        output.sum().backward()
        return output, x.grad, y.grad

    return training(splits, use)


def grads_inside(x: torch.Tensor) -> Any:
    y = x * 3
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    return gradient + y


@covers(GRAPHS, "torch.autograd.grad inside the function")
def grad_inside() -> Program:
    def use(f: Any) -> Any:
        return attempt(f, batch().requires_grad_())

    return training(grads_inside, use)

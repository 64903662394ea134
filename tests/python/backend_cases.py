"""What the backend tests compile: `CASES[name]()` gives a callable, its arguments and how it is compiled and used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass
class Case:
    target: Any
    args: tuple[Any, ...]
    grad: bool = False  # called with autograd on
    backward: bool = False  # and backward() runs before the artifacts are saved
    autocast: bool = False
    options: dict[str, Any] = field(default_factory=dict)  # of torch.compile
    random: bool = False  # the result depends on the generator


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.block = Block(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.stem(x)).mean((2, 3)))


def mlp_module() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32), nn.LayerNorm(32)).eval()


def mlp() -> Case:
    return Case(mlp_module(), (torch.randn(8, 32),))


def mlp_grad() -> Case:
    return Case(mlp_module(), (torch.randn(8, 32),), grad=True, backward=True)


def mlp_forward_only() -> Case:
    module = nn.Sequential(nn.Linear(24, 48), nn.GELU(), nn.LayerNorm(48))  # no other case: torch's own cache has its backward
    return Case(module, (torch.randn(8, 24),), grad=True)


def resnet_eval() -> Case:
    return Case(ResNet().eval(), (torch.randn(2, 3, 12, 12),))


def resnet_train() -> Case:
    return Case(ResNet().train(), (torch.randn(2, 3, 12, 12),), grad=True, backward=True)


def mutate_input() -> Case:
    def mutate(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x.add_(1)
        return x * y

    return Case(mutate, (torch.randn(4, 4), torch.randn(4, 4)))


def mutate_under_grad() -> Case:
    def mutate(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        x.mul_(2)
        return (x @ weight).tanh()

    return Case(mutate, (torch.randn(4, 4), torch.randn(4, 4, requires_grad=True)), grad=True, backward=True)


def mutate_metadata() -> Case:
    def transpose(x: torch.Tensor) -> torch.Tensor:
        x.t_()
        return x + 1

    return Case(transpose, (torch.randn(3, 5),))


def alias_of_input() -> Case:
    def aliases(x: torch.Tensor, y: torch.Tensor) -> Any:
        x[0].mul_(2)
        return x.view(-1) + y.sum(), x.t(), y[1:], y

    return Case(aliases, (torch.randn(4, 4), torch.randn(4, 4)))


def alias_under_grad() -> Case:
    def aliases(x: torch.Tensor, y: torch.Tensor) -> Any:
        z = y.sin()
        return z, z.view(-1), x.t(), y[1:]

    return Case(aliases, (torch.randn(4, 4), torch.randn(4, 4, requires_grad=True)), grad=True, backward=True)


def synthetic_base() -> Case:
    def mutate(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a.add_(1)
        return a.reshape(-1) * 2 + b.reshape(-1)

    x = torch.randn(4, 4)
    return Case(mutate, (x, x.t()))


def duplicated_input() -> Case:
    def mutate(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a.add_(1)
        return a + b

    x = torch.randn(6)
    return Case(mutate, (x, x))


def dynamic_shapes() -> Case:
    def softmax(x: torch.Tensor) -> Any:
        y = torch.softmax(x * 2, -1)
        return y.sum(0), y.size(0) * 2

    return Case(softmax, (torch.randn(5, 7),), options={"dynamic": True})


def dynamic_training() -> Case:
    def step(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return (x @ weight).relu().mean(0) * x.size(0)

    return Case(step, (torch.randn(5, 4), torch.randn(4, 3, requires_grad=True)), True, True, options={"dynamic": True})


def integers() -> Case:
    def arithmetic(x: torch.Tensor, y: torch.Tensor) -> Any:
        return x // 3 + y, x > y, (x & 1).bool()

    return Case(arithmetic, (torch.arange(9), torch.arange(9, 0, -1)))


def complex_numbers() -> Case:
    return Case(lambda x: (x * x + 1, x.real + x.imag), (torch.randn(8, dtype=torch.complex64),))


def bfloat16() -> Case:
    return Case(lambda x: torch.nn.functional.gelu(x).float().sum(), (torch.randn(8, 8).bfloat16(),))


def autocast() -> Case:
    return Case(mlp_module(), (torch.randn(8, 32),), autocast=True)


def dropout_training() -> Case:
    def step(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(x @ weight, 0.5, True)

    return Case(step, (torch.randn(8, 8), torch.randn(8, 8, requires_grad=True)), True, True, random=True)


def constants() -> Case:
    def scaled(x: torch.Tensor) -> torch.Tensor:
        return x * torch.tensor([1.0, -0.0, 3.5, 1e-30]) + torch.tensor(2)

    return Case(scaled, (torch.randn(3, 4),))


def no_work() -> Case:
    return Case(lambda x: (x, x.view(-1)), (torch.randn(2, 3),))


def conditional() -> Case:
    def branch(x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (x,))

    return Case(branch, (torch.randn(3, 4),))


def sorting() -> Case:
    def top(x: torch.Tensor) -> Any:
        values, indices = torch.topk(x, 3)
        return values, indices, torch.nonzero(indices > 2), torch.linalg.inv(x[:, :4] + 4 * torch.eye(4))

    return Case(top, (torch.randn(4, 9),))


def random_numbers() -> Case:
    return Case(lambda x: x + torch.rand_like(x) + torch.randn(4), (torch.randn(4),), random=True)


def grad_mode_change() -> Case:
    def change(x: torch.Tensor) -> torch.Tensor:
        y = x.sin()
        torch.set_grad_enabled(False)
        return y + 1

    return Case(change, (torch.randn(4),), grad=True)


def attention() -> Case:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    return Case(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), (torch.randn(2, 5, 16),), grad=True)


def eager_backend() -> Case:
    return Case(ResNet().eval(), (torch.randn(1, 3, 8, 8),), options={"backend": "eager"})


def eager_conditional() -> Case:
    case = conditional()
    case.options = {"backend": "eager"}
    return case


def eager_conditional_training() -> Case:
    def branch(x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda y: y.sin() * 2, lambda y: y.cos(), (x,))

    return Case(branch, (torch.randn(3, 4, requires_grad=True),), True, True, options={"backend": "eager"})


def conditional_training() -> Case:
    case = eager_conditional_training()
    case.options = {}
    return case


def aot_eager_conditional() -> Case:
    case = conditional()
    case.options = {"backend": "aot_eager"}
    return case


def eager_under_grad() -> Case:
    case = mlp_grad()
    case.options = {"backend": "eager"}
    return case


def aot_eager_training() -> Case:
    case = resnet_train()
    case.options = {"backend": "aot_eager"}
    return case


def aot_eager_aliases() -> Case:
    case = alias_of_input()
    case.options = {"backend": "aot_eager"}
    return case


CASES: dict[str, Callable[[], Case]] = {
    function.__name__: function
    for function in (
        mlp, mlp_grad, mlp_forward_only, resnet_eval, resnet_train, mutate_input, mutate_under_grad, mutate_metadata,
        alias_of_input, alias_under_grad, synthetic_base, duplicated_input, dynamic_shapes, dynamic_training, integers,
        complex_numbers, bfloat16, autocast, dropout_training, constants, no_work, conditional, sorting, random_numbers,
        grad_mode_change, attention, eager_backend, eager_conditional, eager_conditional_training, conditional_training, aot_eager_conditional, eager_under_grad, aot_eager_training,
        aot_eager_aliases,
    )
}  # fmt: skip

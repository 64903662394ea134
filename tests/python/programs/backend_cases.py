"""Programs of the backend tests: `CASES[name]()` gives a callable, its arguments and how it is compiled and used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

EAGER = {"backend": "eager"}
AOT_EAGER = {"backend": "aot_eager"}
DYNAMIC = {"dynamic": True}


@dataclass
class Case:
    target: Any
    args: tuple[Any, ...]
    grad: bool = False  # called with autograd on
    backward: bool = False  # and backward() runs before the artifacts are saved
    autocast: bool = False
    options: dict[str, Any] = field(default_factory=dict)  # of torch.compile
    random: bool = False  # the result depends on the generator


CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES[make.__name__] = make
    return make


def training(target: Any, *args: Any, **settings: Any) -> Case:
    return Case(target, args, grad=True, backward=True, **settings)


def weight(*size: int) -> torch.Tensor:
    return torch.randn(*size, requires_grad=True)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        return self.head(torch.relu(y + self.norm(y)).mean((2, 3)))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return gradient * x.cos() * 2


@dataclass(frozen=True)
class Label:
    text: str


class Labelled(torch.Tensor):
    """A traceable wrapper subclass whose flattening context is an object that no Value can hold."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor, label: Label) -> Any:
        size, stride, dtype, grad = inner.size(), inner.stride(), inner.dtype, inner.requires_grad
        return torch.Tensor._make_wrapper_subclass(cls, size, stride, dtype=dtype, requires_grad=grad)

    def __init__(self, inner: torch.Tensor, label: Label) -> None:
        self.inner = inner
        self.label = label

    def __tensor_flatten__(self) -> Any:
        return ["inner"], self.label

    @staticmethod
    def __tensor_unflatten__(inner: Any, label: Any, size: Any, stride: Any) -> Any:
        return Labelled(inner["inner"], label)

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.utils._python_dispatch import return_and_correct_aliasing
        from torch.utils._pytree import tree_map_only

        labels: list[Label] = []

        def unwrap(tensor: Labelled) -> torch.Tensor:
            labels.append(tensor.label)
            return tensor.inner

        plain = tree_map_only(Labelled, unwrap, (args, kwargs or {}))
        out = function(*plain[0], **plain[1])
        wrapped = tree_map_only(torch.Tensor, lambda tensor: Labelled(tensor, labels[0]), out)
        return return_and_correct_aliasing(function, args, kwargs or {}, wrapped)


@torch.library.custom_op("coldframe_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


def mlp_module(width: int = 32) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, 32), nn.LayerNorm(32)).eval()


@case
def mlp() -> Case:
    return Case(mlp_module(), (torch.randn(8, 32),))


@case
def mlp_training() -> Case:
    return training(mlp_module(), torch.randn(8, 32))


@case
def forward_only() -> Case:
    # No other case has this width: with it in torch's own cache, the backward would be there at once.
    return Case(mlp_module(24), (torch.randn(8, 24),), grad=True)


@case
def autocast_training() -> Case:
    return training(mlp_module(), torch.randn(8, 32), autocast=True)


@case
def cpp_wrapper() -> Case:
    return Case(mlp_module(), (torch.randn(8, 32),), options={"options": {"cpp_wrapper": True}})


@case
def freezing_option() -> Case:
    return Case(mlp_module(), (torch.randn(8, 32),), options={"options": {"freezing": True}})


@case
def max_autotune() -> Case:
    module = nn.Sequential(nn.Linear(32, 64), nn.ReLU()).eval()
    return Case(module, (torch.randn(16, 32),), options={"mode": "max-autotune"})


@case
def resnet() -> Case:
    return Case(ResNet().eval(), (torch.randn(2, 3, 12, 12),))


@case
def resnet_training() -> Case:
    return training(ResNet().train(), torch.randn(2, 3, 12, 12))


@case
def attention_training() -> Case:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    return training(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), torch.randn(2, 5, 16))


@case
def embedding_training() -> Case:
    module = nn.Sequential(nn.Embedding(50, 16), nn.Linear(16, 4), nn.LogSoftmax(-1))
    return training(module, torch.randint(0, 50, (3, 5)))


@case
def mutated_input() -> Case:
    def mutate(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x.add_(1)
        return x * y

    return Case(mutate, (torch.randn(4, 4), torch.randn(4, 4)))


@case
def mutated_input_training() -> Case:
    def mutate(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        x.mul_(2)
        return (x @ w).tanh()

    return training(mutate, torch.randn(4, 4), weight(4, 4))


@case
def mutated_leaf_training() -> Case:
    def mutate(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x.mul_(2)
        return x.sin()

    return training(mutate, weight(4))


@case
def mutated_metadata() -> Case:
    def transpose(x: torch.Tensor) -> torch.Tensor:
        x.t_()
        return x + 1

    return Case(transpose, (torch.randn(3, 5),))


@case
def mutated_view() -> Case:
    def mutate(x: torch.Tensor) -> Any:
        y = x.view(2, -1)
        y.t_()
        y.mul_(2)
        return y, x

    return Case(mutate, (torch.randn(4),))


@case
def replaced_storage() -> Case:
    def replace(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x.set_(y * 2)
        return x + 1

    return Case(replace, (torch.randn(4), torch.randn(4)))


@case
def aliases() -> Case:
    def alias(x: torch.Tensor, y: torch.Tensor) -> Any:
        x[0].mul_(2)
        return x.view(-1) + y.sum(), x.t(), y[1:], y

    return Case(alias, (torch.randn(4, 4), torch.randn(4, 4)))


@case
def aliases_training() -> Case:
    def alias(x: torch.Tensor, y: torch.Tensor) -> Any:
        z = y.sin()
        return z, z.view(-1), x.t(), y[1:]

    return training(alias, torch.randn(4, 4), weight(4, 4))


@case
def aliases_dynamic() -> Case:
    return Case(lambda x, n: (x[:n].t(), x.expand(2, *x.shape)), (torch.randn(5, 7), 3), options=DYNAMIC)


@case
def synthetic_base() -> Case:
    def mutate(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a.add_(1)
        return a.reshape(-1) * 2 + b.reshape(-1)

    x = torch.randn(4, 4)
    return Case(mutate, (x, x.t()))


@case
def duplicated_input() -> Case:
    def mutate(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a.add_(1)
        return a + b

    x = torch.randn(6)
    return Case(mutate, (x, x))


@case
def dynamic() -> Case:
    def softmax(x: torch.Tensor, scale: float) -> Any:
        y = torch.softmax(x * scale, -1)
        return y.sum(0), y.size(0) * 2

    return Case(softmax, (torch.randn(5, 7), 2.5), options=DYNAMIC)


@case
def dynamic_training() -> Case:
    return training(lambda x, w: (x @ w).relu().mean(0) * x.size(0), torch.randn(5, 4), weight(4, 3), options=DYNAMIC)


@case
def unbacked() -> Case:
    def nonzero(x: torch.Tensor) -> Any:
        indices = torch.nonzero(x > 0)
        return indices.sum(0), indices.size(0)

    return Case(nonzero, (torch.randn(6, 6),))


@case
def integers() -> Case:
    return Case(lambda x, y: (x // 3 + y, x > y, (x & 1).bool()), (torch.arange(9), torch.arange(9, 0, -1)))


@case
def complex_numbers() -> Case:
    return Case(lambda x: (x * x + 1, x.real + x.imag), (torch.randn(8, dtype=torch.complex64),))


@case
def bfloat16() -> Case:
    return Case(lambda x: x.relu() + 1, (torch.randn(8, 8).bfloat16(),))


@case
def constants() -> Case:
    return Case(lambda x: x * torch.tensor([1.0, -0.0, 3.5, 1e-30]) + torch.tensor(2), (torch.randn(3, 4),))


@case
def no_work() -> Case:
    return Case(lambda x: (x, x.view(-1)), (torch.randn(2, 3),))


@case
def mixed_outputs_training() -> Case:
    return training(lambda x, y: (x.sin().expand(4, 3), (y * 2).detach(), x.size(0), None, y.cos()), weight(3), torch.randn(3))


@case
def dropout_training() -> Case:
    return training(lambda x, w: nn.functional.dropout(x @ w, 0.5, True), torch.randn(8, 8), weight(8, 8), random=True)


@case
def random_numbers() -> Case:
    return Case(lambda x: x + torch.rand_like(x) + torch.randn(4), (torch.randn(4),), random=True)


@case
def grad_mode_change() -> Case:
    def change(x: torch.Tensor) -> torch.Tensor:
        y = x.sin()
        torch.set_grad_enabled(False)
        return y + 1

    return Case(change, (torch.randn(4),), grad=True)


@case
def operators() -> Case:
    def top(x: torch.Tensor) -> Any:
        values, indices = torch.topk(x, 3)
        return values, indices, torch.linalg.inv(x[:, :4] + 4 * torch.eye(4)), torch.ops.coldframe_tests.twice(x) + 1

    return Case(top, (torch.randn(4, 9),))


@case
def custom_function_training() -> Case:
    return training(lambda x: Doubled.apply(x) * 2, weight(4))


@case
def conditional_training() -> Case:
    def branch(x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda y: y.sin() * 2, lambda y: y.cos(), (x,))

    return training(branch, weight(3, 4))


@case
def printing() -> Case:
    def effect(x: torch.Tensor) -> torch.Tensor:
        torch.ops.aten._print("an effect")
        return x + 1

    return Case(effect, (torch.randn(3),))


@case
def subclass_training() -> Case:
    x = Labelled(torch.randn(4, 4), Label("left")).requires_grad_()
    return training(lambda x, y: (x * y).sin() + 1, x, torch.randn(4, 4))


@case
def eager() -> Case:
    return Case(ResNet().eval(), (torch.randn(1, 3, 8, 8),), options=EAGER)


@case
def eager_training() -> Case:
    return training(mlp_module(), torch.randn(8, 32), options=EAGER)


@case
def eager_conditional_training() -> Case:
    made = conditional_training()
    made.options = EAGER
    return made


@case
def aot_eager_training() -> Case:
    return training(ResNet().train(), torch.randn(2, 3, 12, 12), options=AOT_EAGER)


@case
def aot_eager_aliases() -> Case:
    made = aliases()
    made.options = AOT_EAGER
    return made

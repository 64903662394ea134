"""The programs of the golden packages, one of each kind. Do not edit: packages know their sources.

`tools/golden NAME ...` writes the packages that are not there yet; those that are stay as an older coldframe wrote them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from steps import Program

X = torch.arange(8.0).reshape(2, 4)


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(4, 3)
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        return torch.nn.functional.gelu(self.inner(x)) * scale + self.shift


def function(x: torch.Tensor, names: dict[str, int], flag: bool = True) -> torch.Tensor:
    return x.sin() * names["a"] if flag else x.cos()


def broken(x: torch.Tensor) -> torch.Tensor:
    y = x + 1
    torch._dynamo.graph_break()
    return y.relu() * 2


def without_graph(x: torch.Tensor, sizes: list[int]) -> int:
    sizes.append(x.ndim)
    torch._dynamo.graph_break()
    return x.shape[0]


def views(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x.add_(1)
    return x.view(-1), x.t()


def _train(call: Callable[..., Any]) -> Any:
    x = X.clone().requires_grad_()
    loss = call(x).square().sum()
    loss.backward()
    return loss, x.grad


def eager() -> Program:
    return Program(function, lambda call: (call(X, {"a": 3}), call(X, {"a": 3}, False)))


def eager_module() -> Program:
    return Program(Model(), lambda call: (call(X), call(X, 3.0)))


def no_graph() -> Program:
    return Program(without_graph, lambda call: call(X, []))


def resumed() -> Program:
    return Program(broken, lambda call: call(X))


def dynamic() -> Program:
    return Program(Model(), lambda call: [call(X.repeat(n, 1)) for n in (1, 2, 3)], {"backend": "eager", "dynamic": True})


def aot_eager() -> Program:
    return Program(Model(), lambda call: call(X), {"backend": "aot_eager"})


def aot_mutation() -> Program:
    return Program(views, lambda call: call(X.clone()), {"backend": "aot_eager"})


def aot_training() -> Program:
    return Program(Model(), _train, {"backend": "aot_eager"}, grad=True)


def inductor() -> Program:
    return Program(Model(), lambda call: call(X), {"backend": "inductor"})


def inductor_training() -> Program:
    return Program(Model(), _train, {"backend": "inductor"}, grad=True)


NAMES = ("eager", "eager_module", "no_graph", "resumed", "dynamic", "aot_eager", "aot_mutation", "aot_training")
WITH_KERNELS = ("inductor", "inductor_training")

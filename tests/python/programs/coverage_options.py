"""Coverage: the options of torch.compile."""

from __future__ import annotations

from typing import Any

import torch
from coverage_kit import Table, attempt, matrix, vector
from steps import Program
from torch import nn

OPTIONS = "torch.compile(fullgraph=True), mode=, options=, custom backends"
TABLE = Table()
covers = TABLE.covers


def pure(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def breaking(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    torch._dynamo.graph_break()
    return y + 1


def printing(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    print("here")
    return y + 1


@covers(OPTIONS, "fullgraph=True of what has one graph")
def fullgraph() -> Program:
    return Program(pure, lambda f: [f(vector()), f(vector(3))], {"fullgraph": True})


@covers(OPTIONS, "fullgraph=True of what breaks", refused="graph_break")
def fullgraph_breaks() -> Program:
    return Program(breaking, lambda f: [attempt(f, vector()), attempt(f, vector())], {"fullgraph": True})


@covers(OPTIONS, "fullgraph=True with a print", refused="print")
def fullgraph_prints() -> Program:
    return Program(printing, lambda f: attempt(f, vector()), {"fullgraph": True})


@covers(OPTIONS, "an unknown backend", refused="Invalid backend", backends=())
def unknown_backend() -> Program:
    return Program(pure, lambda f: attempt(f, vector()), {"backend": "no_such_backend"})


def decided(x: torch.Tensor, k: int) -> torch.Tensor:
    if k == 2:
        torch._dynamo.graph_break()
    return x * k


@covers(OPTIONS, "fullgraph=True, refused only in a later call: what was compiled before is served")
def fullgraph_later() -> Program:
    def use(f: Any) -> Any:
        return [f(vector(), 1), f(vector(), 3)]

    return Program(decided, use, {"fullgraph": True})


@covers(OPTIONS, "mode='default'", backends=())
def mode_default() -> Program:
    return Program(pure, lambda f: f(vector()), {"backend": "inductor", "mode": "default"})


@covers(OPTIONS, "mode='reduce-overhead', which has no CUDA graphs on CPU", backends=())
def mode_reduce_overhead() -> Program:
    return Program(pure, lambda f: [f(vector()), f(vector())], {"backend": "inductor", "mode": "reduce-overhead"})


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu() + x


@covers(OPTIONS, "mode='max-autotune-no-cudagraphs' of a matrix product", backends=())
def mode_max_autotune() -> Program:
    options = {"backend": "inductor", "mode": "max-autotune-no-cudagraphs"}
    return Program(Product().eval(), lambda f: f(matrix(4, 8)), options)


@covers(OPTIONS, "mode='max-autotune'", backends=())
def mode_max_autotune_graphs() -> Program:
    return Program(pure, lambda f: f(vector()), {"backend": "inductor", "mode": "max-autotune"})


@covers(OPTIONS, "an unknown mode", refused="Unrecognized mode", backends=())
def mode_unknown() -> Program:
    return Program(pure, lambda f: attempt(f, vector()), {"backend": "inductor", "mode": "fastest"})


def many_operations(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x.sin() * 2 + y.cos(), 0).sum() + x


@covers(OPTIONS, "options: settings of Inductor", backends=())
def options_of_inductor() -> Program:
    options = {"max_fusion_size": 1, "cpp.simdlen": 0, "size_asserts": False}
    return Program(many_operations, lambda f: f(vector(), vector()), {"backend": "inductor", "options": options})


@covers(OPTIONS, "freezing: weights become constants of the graph", backends=())
def freezing() -> Program:
    return Program(Product().eval(), lambda f: f(matrix(4, 8)), {"backend": "inductor", "options": {"freezing": True}})


@covers(OPTIONS, "cpp_wrapper", backends=())
def cpp_wrapper() -> Program:
    return Program(pure, lambda f: f(vector()), {"backend": "inductor", "options": {"cpp_wrapper": True}})


@covers(OPTIONS, "an option that Inductor does not have", refused="Unexpected optimization option", backends=())
def option_unknown() -> Program:
    return Program(pure, lambda f: attempt(f, vector()), {"backend": "inductor", "options": {"no_such_option": 1}})


@covers(OPTIONS, "the backend aot_eager_decomp_partition", backends=())
def aot_eager_decompositions() -> Program:
    return Program(many_operations, lambda f: f(vector(), vector()), {"backend": "aot_eager_decomp_partition"})


def own_backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
    """A function of the user's: what it returns need not be something that can be kept."""
    forward = graph.forward
    return lambda *args: tuple(value + 0 for value in forward(*args))


@covers(OPTIONS, "a custom backend without a way to keep what it returns", backends=(), bypass="backend")
def custom_backend() -> Program:
    return Program(pure, lambda f: [f(vector()), f(vector(3))], {"backend": own_backend})


def passing_backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
    return graph.forward


@covers(OPTIONS, "a custom backend that returns the graph as it is", backends=())
def custom_backend_of_graph() -> Program:
    return Program(pure, lambda f: f(vector()), {"backend": passing_backend})


@covers(OPTIONS, "disable=True: torch.compile gives the function itself", nothing="it is disabled")
def disabled() -> Program:
    return Program(pure, lambda f: f(vector()), {"disable": True})


def with_stance(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1


@covers(OPTIONS, "torch.compiler.set_stance('force_eager') around some calls")
def stance() -> Program:
    def use(f: Any) -> Any:
        outputs = [f(vector())]
        with torch.compiler.set_stance("force_eager"):
            outputs.append(f(vector(3)))
        return [*outputs, f(vector())]

    return Program(with_stance, use)


def is_compiling(x: torch.Tensor) -> Any:
    return (x * 2, True) if torch.compiler.is_compiling() else (x * 2, False)


@covers(OPTIONS, "torch.compiler.is_compiling() in the function", not_as_eager="it says so")
def compiling() -> Program:
    return Program(is_compiling, lambda f: f(vector()))

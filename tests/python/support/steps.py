"""The two processes of a package's life, as steps for `child`: one compiles and saves, another loads and serves."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import coldframe


@dataclasses.dataclass
class Program:
    """Something to compile, and what is done with the result: `use` gets the callable and gives tensors and plain values."""

    target: Any
    use: Callable[[Any], Any]
    options: dict[str, Any] = dataclasses.field(default_factory=lambda: {"backend": "eager"})
    grad: bool = False


def program(case: str) -> Program:
    """`case` is "module:function", of a function that makes a Program, "zoo:name", or "zoo_more:" and what that says."""
    torch.manual_seed(0)
    module, _, name = case.partition(":")
    found = importlib.import_module(module)
    if module == "zoo":
        model, args, kwargs = found.make(name)
        return Program(model, lambda call: found.tensors(call(*args, **kwargs)), {"backend": "inductor"})
    made: Program = found.program(name) if module == "zoo_more" else getattr(found, name)()
    return made


def use(made: Program, callable_: Any) -> Any:
    torch.manual_seed(1)
    with torch.set_grad_enabled(made.grad):
        return detached(made.use(callable_))


def detached(tree: Any) -> Any:
    """`tree` with tensors copied and without their graphs."""
    return torch.utils._pytree.tree_map_only(torch.Tensor, lambda t: t.detach().clone(), tree)


def make(case: str, path: Path) -> Any:
    """Compiles, runs and saves. {"outputs", "report"}."""
    made = program(case)
    compiled = coldframe.compile(made.target, **made.options)
    outputs = use(made, compiled)
    report = coldframe.save(compiled, path)
    return {"outputs": outputs, "report": dataclasses.asdict(report)}


def serve(case: str, path: Path, on_miss: str = "error") -> Any:
    """Loads and runs, then runs the same without compiling. {"outputs", "eager", "explanation"}."""
    made = program(case)
    loaded = coldframe.load(path, made.target, on_miss=on_miss)
    outputs = use(made, loaded)
    explanation = coldframe.explain(loaded)
    plain = program(case)
    return {"outputs": outputs, "eager": use(plain, plain.target), "explanation": str(explanation)}

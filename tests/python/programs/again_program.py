"""Compiled callables as frameworks take them: read, copied, compiled again: `again_program.py NAME`, as automatic_program."""

from __future__ import annotations

import copy
import json
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

import automatic_program
import torch
from automatic_program import Net, net, ones


class Stepping(Net):
    def training_step(self, x: torch.Tensor) -> torch.Tensor:
        return self(x).square().mean()


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def by_file(target: Any) -> Any:
    import coldframe

    name = "module" if isinstance(target, torch.nn.Module) else "function"
    return coldframe.compile(target, package=f"{os.environ['COLDFRAME_DIR']}-{name}.cfp", backend="eager")


def by_torch(target: Any) -> Any:
    return torch.compile(target, backend="eager")


def plainly(target: Any) -> Any:
    """torch's own, though torch.compile is served."""
    from coldframe.torch.seam import plain_compile

    return plain_compile.torch_compile(target, backend="eager")


def in_place(target: Any) -> Any:
    target.compile(backend="eager")
    return target


@torch.no_grad()
def again() -> Any:
    """Each way to compile is given what another one made, or a copy of that, before its first call and after it."""
    x = ones(2, 8)
    expected = net()(x)
    ways: list[Callable[[Any], Any]] = [by_file, by_torch, plainly]
    for first in ways:
        for second in [*ways, in_place]:
            for called in (False, True):
                for copied in (lambda made: made, copy.copy, copy.deepcopy):
                    made = first(net())
                    if called:
                        made(x)
                    if second is not in_place or copied is copy.deepcopy:
                        assert torch.equal(second(copied(made))(x), expected), (first, second, called, copied)
                        assert torch.equal(copy.deepcopy(second(copied(made)))(x), expected), (first, second, called, copied)
                    assert torch.equal(made(x), expected)
        function = first(double)
        for copied in (copy.copy, copy.deepcopy):
            for second in ways:
                assert torch.equal(second(copied(function))(x), x * 2)
    return torch.equal(pickle.loads(pickle.dumps(by_torch(net())))(x), expected)


@torch.no_grad()
def attributes() -> Any:
    """Attributes of torch.compile's modules and functions are there, and other methods are compiled by a module's context."""
    made = Stepping()
    compiled = by_torch(made)
    assert type(compiled).__name__ == compiled.__class__.__name__ == repr(compiled).partition("(")[0] == "OptimizedModule"
    ours, plain = dir(compiled), dir(plainly(Stepping()))
    missing = [name for name in plain if not hasattr(compiled, name)]
    step = compiled.dynamo_ctx(made.training_step)
    assert torch.equal(step(ones(2, 8)), made.training_step(ones(2, 8)))
    assert isinstance(compiled.dynamo_ctx, torch._dynamo.eval_frame.OptimizeContext)
    assert compiled.dynamo_ctx.fullgraph is False and compiled.get_compiler_config() is None
    functions = [name for name in vars(plainly(double)) if not hasattr(by_torch(double), name)]
    return missing, functions, [name for name in ("training_step", "first") if name not in ours]


@torch.no_grad()
def bound() -> Any:
    """A module or its bound forward, which share what is stored, with as many rows as are told."""
    made = net()
    compiled = by_torch(made.forward if "TEST_BOUND" in os.environ else made)
    return [torch.equal(compiled(ones(int(rows), 8)), made(ones(int(rows), 8))) for rows in os.environ["TEST_ROWS"].split()]


if __name__ == "__main__":
    setattr(automatic_program, sys.argv[1], globals()[sys.argv[1]])
    print(json.dumps(automatic_program.answer(sys.argv[1])))

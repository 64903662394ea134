"""A user's program for hosts that may not compile: `automatic_misses.py on_miss|compiler`.

The last line is JSON: what came of each call, and coldframe.stats().
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch

import coldframe


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu()


class Linear(torch.nn.Module):
    """Its forward needs no kernel, its backward does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4, 4))
        self.bias = torch.nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x, self.weight)


def shifted(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def in_one(x: torch.Tensor) -> torch.Tensor:
    return x.cos() + 1


def in_two(x: torch.Tensor) -> torch.Tensor:
    y = x.cos() * 2
    print("between", file=sys.stderr)
    return y.sin() + 1


def elsewhere(x: torch.Tensor) -> torch.Tensor:
    return x.exp() + 1


def attempt(compiled: Callable[..., Any], target: Callable[..., Any], x: torch.Tensor) -> str:
    try:
        result = compiled(x)
    except coldframe.MissError as error:
        return str(error)
    torch.testing.assert_close(result, target(x))
    return "served"


def on_miss() -> Any:
    """Calls of two sizes, of which the store may know one; and what a child has been told."""
    net = Net()
    targets = {"function": shifted, "in one": in_one, "in two": in_two, "module": net}
    compiled = {name: torch.compile(target, backend="eager", fullgraph=name == "in one") for name, target in targets.items()}
    told = "import torch; from coldframe.torch import automatic; print(automatic._on_miss)"
    child = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.strip()
    with torch.no_grad():
        sizes = map(int, os.environ["TEST_SIZES"].split())
        found = {
            size: {name: attempt(compiled[name], targets[name], torch.ones(size, 4)) for name in targets} for size in sizes
        }
    return {"found": found, "child": child, "dynamo": "torch._dynamo" in sys.modules}


def compiler() -> Any:
    """Without a C++ compiler: with and without fullgraph, a graph break, forward and backward; what is never stored."""
    net, linear = Net(), Linear()
    partial = functools.partial(torch.add, torch.ones(()))
    pairs = [
        (torch.compile(shifted), shifted),
        (torch.compile(in_one, fullgraph=True), in_one),
        (torch.compile(in_two), in_two),
        (torch.compile(net), net),
        (torch.compile(elsewhere, backend="aot_eager"), elsewhere),
        (torch.compile(partial), partial),
    ]
    trained, plain = torch.compile(linear), Linear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for size in (3, 4, 3):
            x = torch.ones(size, 4)
            assert {attempt(compiled, target, x) for compiled, target in pairs} == {"served"}
            for each in (trained, plain):
                each(torch.ones(3, 4)).square().sum().backward()
            torch.testing.assert_close(linear.bias.grad, plain.bias.grad)
            torch.testing.assert_close(linear.weight.grad, plain.weight.grad)
    said = [str(warning.message) for warning in caught if "coldframe" in str(warning.message)]
    return {"said": said, "explanation": str(coldframe.explain(pairs[0][0]))}


if __name__ == "__main__":
    answer = {"on_miss": on_miss, "compiler": compiler}[sys.argv[1]]()
    coldframe.flush()
    print(json.dumps({"answer": answer, "stats": coldframe.stats()}))

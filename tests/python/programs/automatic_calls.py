"""A user's program that calls each thing a hundred times, which knows nothing of coldframe but for what it prints at its end.

The last line is JSON: for each thing the number of the call after which Dynamo was imported, or null, and how often the store
was read for it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

BACKEND = "aot_eager"
SIZES = range(3, 11)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu()

    def twice(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * 2


@torch.library.custom_op("coldframe_test::tripled", mutates_args=())
def tripled(x: torch.Tensor) -> torch.Tensor:
    return x * 3


@tripled.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


def function(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def in_threads(x: torch.Tensor) -> torch.Tensor:
    return x.cos() + 1


def with_operator(x: torch.Tensor) -> torch.Tensor:
    return tripled(x).cos()


def summed(x: torch.Tensor) -> torch.Tensor:
    return x.sum() + x


def separately(x: torch.Tensor) -> torch.Tensor:
    return x.exp() + 2


scale = 1.0


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * scale if scale > 0.25 else x


def shifted(x: torch.Tensor, by: float) -> torch.Tensor:
    return x * by if by > 0.25 and math.floor(by) >= 0 and abs(by) < 1e6 and round(by * 2) > 0 else x


def ones(number: int) -> tuple[Any, ...]:
    return (torch.ones(2, 4),)


def of_all_sizes(number: int) -> tuple[Any, ...]:
    return (torch.ones(SIZES[number % len(SIZES)]),)


def with_float(number: int) -> tuple[Any, ...]:
    return torch.ones(4), 0.5 + number


def with_other_scale(number: int) -> tuple[Any, ...]:
    global scale
    scale = 0.5 + number
    return (torch.ones(4),)


def compiled_in_place(net: Net) -> Net:
    net.compile(backend=BACKEND)
    return net


def through(target: Callable[..., Any], **options: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return torch.compile(target, backend=BACKEND, **options), target


def from_threads(compiled: Callable[..., Any], target: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def call(*args: Any) -> Any:
        with ThreadPoolExecutor(8) as pool:
            return [call.result() for call in [pool.submit(compiled, *args) for _ in range(8)]][-1]

    return call, target


def things() -> dict[str, tuple[tuple[Callable[..., Any], Callable[..., Any]], Callable[[int], tuple[Any, ...]]]]:
    """By name: what is compiled and what gives the same, and the arguments of each call."""
    torch.manual_seed(0)
    net = Net().eval()
    return {
        "function": (through(function), ones),
        "module": (through(net), ones),
        "bound method": (through(net.twice), ones),
        "call of a module": (through(net.__call__), ones),
        "module.compile": ((compiled_in_place(in_place), in_place.forward), ones),
        "threads": (from_threads(*through(in_threads)), ones),
        "operator": (through(with_operator), ones),
        "eight shapes": (through(summed), of_all_sizes),
        "eight static shapes": (through(separately, dynamic=False), of_all_sizes),
        "argument": (through(shifted), with_float),
        "global": (through(scaled), with_other_scale),
    }


in_place = Net().eval()


def count_reads() -> list[Any]:
    from coldframe.torch.automatic import StoredSession

    reads: list[Any] = []
    original = StoredSession._find
    StoredSession._find = lambda self, slot, structure: reads.append(structure) or original(self, slot, structure)
    return reads


@torch.no_grad()
def main() -> None:
    reads = count_reads()
    found = {}
    for name, ((compiled, target), arguments) in things().items():
        reads.clear()
        imported = None
        for number in range(100):
            args = arguments(number)
            torch.testing.assert_close(compiled(*args), target(*args))
            if imported is None and "torch._dynamo" in sys.modules:
                imported = number
        found[name] = imported, len(reads)
    if "TEST_HOOKS" in os.environ:
        hooked()
    import coldframe

    coldframe.flush()
    print(json.dumps({"answer": found, "stats": coldframe.stats()}))


def hooked() -> None:
    """Hooks that a module gets later run around what serves it."""
    x = torch.ones(2, 4)
    handles = [
        in_place.register_forward_pre_hook(lambda _, args: (args[0] + 1,)),
        in_place.register_forward_hook(lambda *given: given[2] * 2),
    ]
    torch.testing.assert_close(in_place(x), in_place.forward(x + 1) * 2)
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(in_place(x), in_place.forward(x))


if __name__ == "__main__":
    main()

"""Programs of which parts go away, come late or are compiled otherwise while a call runs: `running_program.py NAME`, as
automatic_program.py."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import automatic_program
import torch
from automatic_program import net, ones


def lost_backward() -> Any:
    """Steps of training that are compiled whole. Where one fails before its backward, only what comes before that is stored."""
    made = net()

    @torch.compiler.disable
    def hiccup() -> None:
        if "TEST_FAILS" in os.environ:
            raise MemoryError

    @torch.compile(backend="aot_eager")
    def step(x: torch.Tensor) -> torch.Tensor:
        loss = made(x).square().sum()
        hiccup()
        loss.backward()
        return loss.detach()

    try:
        return [step(ones(2, 8)).item() for _ in range(2)], made.first.weight.grad.sum().item()
    except MemoryError:
        return "failed"


def compiled_autograd() -> Any:
    """Steps that are compiled whole, their backward, too."""
    torch._dynamo.config.compiled_autograd = True
    made = net()

    @torch.compile(backend="aot_eager")
    def step(x: torch.Tensor) -> torch.Tensor:
        loss = made(x).square().sum()
        loss.backward()
        return loss.detach()

    return [step(ones(size, 8)).item() for size in (2, 4)], made.first.weight.grad.sum().item()


def compiled_backward() -> Any:
    """A module is compiled as always, and its backward by compiled autograd; once more without that."""
    made = net()
    compiled = torch.compile(made, backend="aot_eager")
    for size in (2, 4):
        with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager")):
            compiled(ones(size, 8)).square().sum().backward()
    compiled(ones(4, 8)).square().sum().backward()
    return made.first.weight.grad.sum().item()


def backward_function() -> Any:
    """A module is compiled as always, and a function runs its backward, compiled with compiled autograd."""
    made = net()
    compiled = torch.compile(made, backend="aot_eager")
    with torch._dynamo.config.patch(compiled_autograd=True):

        @torch.compile(backend="aot_eager")
        def backward(loss: torch.Tensor) -> None:
            loss.backward()

        backward(compiled(ones(2, 8)).square().sum())
    return made.first.weight.grad.sum().item()


def imported_meanwhile() -> Any:
    """While one thread imports Dynamo for the first time, others load, call, and ask what they have."""
    import coldframe

    path = os.environ["COLDFRAME_DIR"] + ".cfp"
    made = net()
    served = coldframe.compile(made, package=path, backend="aot_eager")
    with torch.no_grad():
        expected = served(ones(2, 8)).sum().item()
    done = threading.Event()

    @torch.no_grad()
    def call() -> None:
        while not done.is_set():
            loaded = coldframe.load(path, made)
            assert not isinstance(loaded, dict)
            assert loaded(ones(2, 8)).sum().item() == served(ones(2, 8)).sum().item() == expected

    sys.setswitchinterval(1e-5)
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(call) for _ in range(3)]
        time.sleep(0.1)
        importlib.import_module("torch._dynamo")
        done.set()
        for each in running:
            each.result()
    return expected


def given_up() -> Any:
    """Torch compiles eight variants of a function, and runs it as it is for what none of them serves: also by modules of one
    of its own classes, which share the code in which they are called; and from a file."""
    import coldframe

    def wave(x: torch.Tensor) -> torch.Tensor:
        return x.sin() + 1

    def turn(x: torch.Tensor) -> torch.Tensor:
        return x.cos() + 1

    path = os.environ["COLDFRAME_DIR"] + ".cfp"
    served = torch.compile(wave, backend="eager", dynamic=False)
    by_file = coldframe.compile(turn, package=path, backend="eager", dynamic=False)
    layers = [torch.nn.Dropout(n / 20) for n in range(10)]
    compiled = [torch.compile(layer.eval(), backend="eager") for layer in layers]
    for size in range(2, 13):
        x = torch.linspace(0, 1, size)
        assert torch.equal(served(x), wave(x)) and torch.equal(by_file(x), turn(x))
    for layer in compiled:
        assert torch.equal(layer(ones(3)), ones(3))
    return True


if __name__ == "__main__":
    setattr(automatic_program, sys.argv[1], globals()[sys.argv[1]])
    print(json.dumps(automatic_program.answer(sys.argv[1])))

"""Reductions of a variant's guards after they held: words of memory, and arguments that are bound."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import torch
from native_steps import function, net, reduction, x
from torch import nn

import coldframe
from coldframe.torch.session.sessions import session_of


def words(folder: Path) -> None:
    """Words, and what they bind, hold on to nothing that the program gives up, and do not wear out."""
    module = net()
    loaded = coldframe.load(folder / "net", module, on_miss="error")
    with torch.no_grad():
        loaded(x())
        assert reduction(loaded) is None  # a process that calls once does not pay for it
        for _ in range(3):
            loaded(x())
        assert reduction(loaded)[2]
        # A parameter that is taken out is freed at once, and the new one is used.
        gone = weakref.ref(module.linear.weight)
        module.linear.weight = nn.Parameter(torch.full((3, 4), 0.5))
        assert gone() is None
        for _ in range(3):
            torch.testing.assert_close(loaded(x()), module(x()))
        # A global that the program writes all the time costs nothing.
        before = reduction(loaded)
        for number in range(50):
            globals()["busy"] = number
            torch.testing.assert_close(loaded(x()), module(x()))
        assert reduction(loaded) == before
        # Modules, a parameter and list items come and go.
        for number in range(200):
            module.linear = nn.Linear(4, 3)
            module.scales = [1.0, 2.0]
            torch.testing.assert_close(loaded(x() * number), module(x() * number))
        for _ in range(3000):
            loaded(x())
        assert reduction(loaded)[2]
        # What the compiled code may call is nothing without the call that it is for.
        bound = [
            c for f in gc.get_objects() if type(f) is type(function) for c in f.__code__.co_consts if "Bound" in repr(type(c))
        ]
        assert bound
        for call in bound:
            try:
                call(x())
            except RuntimeError as error:
                assert "bound graph" in str(error)
            else:
                raise AssertionError("called")
    failing = coldframe.load(folder / "net", module, on_miss="error")
    with torch.no_grad():
        for _ in range(5):
            torch.testing.assert_close(failing(x(), shift=0.0), module(x(), shift=0.0))
            try:
                failing(x().numpy())
            except coldframe.MissError:
                pass
            else:
                raise AssertionError("served an array")
        assert reduction(failing)[2]


def trained(folder: Path) -> None:
    """The process that compiles a training graph: native from the second call on, and its file gets the backward."""
    path = folder / "trained"
    module, plain = net(), net()
    compiled = coldframe.compile(module, backend="aot_eager", package=path)

    def step(model: nn.Module) -> list[torch.Tensor]:
        for parameter in model.parameters():
            parameter.grad = None
        model(x()).square().sum().backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    for call in range(6):
        torch.testing.assert_close(step(compiled), step(plain))
        with torch.no_grad():
            for parameters in zip(module.parameters(), plain.parameters(), strict=True):
                for parameter in parameters:
                    parameter.mul_(0.9)
        stats = coldframe.stats()
        assert stats["compiles"] == 1 and stats["saves"] == min(call + 1, 2), (call, stats)
    assert reduction(compiled) is not None
    session = session_of(compiled)
    assert session.serving.native is not None and not session.serving.native.package.artifacts  # they run already
    loaded = coldframe.load(path, module, on_miss="error")
    torch.testing.assert_close(step(loaded), step(plain))
    # What is thrown away is compiled again, and other graphs do not come in its place.
    torch._dynamo.reset()
    torch.testing.assert_close(step(compiled), step(plain))
    assert coldframe.stats()["compiles"] == 2


def dynamic(folder: Path) -> None:
    """Variants compiled by misses are served natively, sizes read at each call included."""
    module = net()
    compiled = coldframe.compile(module, backend="eager")
    with torch.no_grad():
        for rows in (2, 3, 4, 5, 2, 3, 17, 4, 4, 4):
            given = torch.linspace(-1, 1, 4 * rows).reshape(rows, 4)
            torch.testing.assert_close(compiled(given), module(given))
        assert coldframe.stats()["compiles"] == 2  # of the first size, and of any
        assert reduction_of_all(compiled)[-1][2]
        path = folder / "dynamic"
        coldframe.save(compiled, path)
        loaded = coldframe.load(path, module, on_miss="error")
        for rows in (9, 8, 7, 7, 7, 2, 2):
            given = torch.linspace(-1, 1, 4 * rows).reshape(rows, 4)
            torch.testing.assert_close(loaded(given), module(given))
    assert coldframe.stats()["compiles"] == 2


def reduction_of_all(compiled: Any) -> Any:
    return session_of(compiled).serving.native.dispatcher.reductions


class Capturing(nn.Module):
    """Its argument is a variable of an inner function: a cell, where compiled code passes what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        def inner() -> torch.Tensor:
            return x

        return self.linear(x), inner


def captured(folder: Path) -> None:
    torch.manual_seed(0)
    module = Capturing().eval()
    path = folder / "captured"
    with torch.no_grad():
        compiled = coldframe.compile(module, backend="eager")
        check_captured(module, compiled)
        coldframe.save(compiled, path)
        loaded = coldframe.load(path, module, on_miss="error")
        check_captured(module, loaded)
        assert reduction(compiled)[2] and reduction(loaded)[2]


def check_captured(module: nn.Module, served: Any) -> None:
    for _ in range(6):
        given = torch.rand(2, 4)
        output, inner = served(given)
        torch.testing.assert_close(output, module(given)[0])
        assert inner() is given


def like_torch(folder: Path) -> None:
    """The result of coldframe.compile is used as that of torch.compile."""
    ours, torchs = coldframe.compile(net(), backend="eager"), torch.compile(net(), backend="eager")
    with torch.no_grad():
        for compiled in (ours, torchs):
            for _ in range(4):
                compiled(x())
            compiled.forward = lambda value: value * 32
            torch.testing.assert_close(compiled(x()), x() * 32)
            del compiled.forward
    functions = coldframe.compile(function, backend="eager"), torch.compile(function, backend="eager")
    assert not set(vars(functions[1])) - set(vars(functions[0])), set(vars(functions[1])) - set(vars(functions[0]))

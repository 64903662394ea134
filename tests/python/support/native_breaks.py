"""Frames that break their graph, on the native path: steps that run in processes of their own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import torch
from native_steps import imported, x
from torch import nn

import coldframe
from coldframe.torch.guards.native import UnsupportedError
from coldframe.torch.serve import native as native_path
from coldframe.torch.session.sessions import session_of

said: list[str] = []


def say(text: str) -> None:
    """Breaks the graph where it is called from compiled code, and is not compiled itself."""
    print(text, end="")
    said.append(text)


def once(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    say("once")
    return y * 2


def chain(x: torch.Tensor, k: float = 3.0, *, shift: float = 1.0) -> torch.Tensor:
    y = x + shift
    say("first")
    y = y * k
    say("second")
    return y.cos()


def branch(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    if y.sum() > 100:
        return y + 7
    return y - 1


def cells(x: torch.Tensor) -> torch.Tensor:
    total = x.sum()
    scale = 2.0

    def scaled(y: torch.Tensor) -> torch.Tensor:
        return y * scale + total

    say("cells")
    scale = scale + 1.0
    return scaled(x)


def last(x: torch.Tensor, more: bool = False) -> torch.Tensor:
    y = x.sin()
    say("last")
    return y.cos() if more else y


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.factor = 2.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        say("block")
        return y * self.factor


def counting(x: torch.Tensor, n: int = 2) -> torch.Tensor:
    y = x + n
    say("down")
    return counting(y, n - 1) if n else y


def helped(x: torch.Tensor) -> torch.Tensor:
    return through(x + 1) * 2


def through(y: torch.Tensor) -> torch.Tensor:
    """A frame of its own, for a call of what breaks is not looked into."""
    z = y.tanh()
    say("through")
    return z + 1


def early(x: torch.Tensor) -> torch.Tensor:
    say("early")
    return x * 5


def block() -> Block:
    torch.manual_seed(0)
    return Block().eval()


NATIVE = {"once": once, "chain": chain, "branch": branch, "cells": cells, "last": last, "block": block()}
HOSTED = {"counting": "entered again", "helped": "2 frames", "early": "breaks before"}


def target(name: str) -> Any:
    return NATIVE[name] if name in NATIVE else globals()[name]


def make(folder: Path) -> None:
    with torch.no_grad():
        for name in [*NATIVE, *HOSTED]:
            compiled = coldframe.compile(target(name), backend="eager")
            for _ in range(5):
                torch.testing.assert_close(compiled(x()), target(name)(x()))
                if name == "last":
                    torch.testing.assert_close(compiled(x(), True), last(x(), True))
            compiles = coldframe.stats()["compiles"]
            check_served(name, compiled)
            assert coldframe.stats()["compiles"] == compiles
            coldframe.save(compiled, folder / name)


def check_served(name: str, compiled: Any) -> None:
    serving = session_of(compiled).serving
    if name in HOSTED:
        assert serving.native is None and HOSTED[name] in serving.hosted_because, (name, serving.hosted_because)
        assert f"served through Dynamo: {serving.hosted_because}" in str(coldframe.explain(compiled))
        return
    assert serving.native is not None, (name, serving.hosted_because)
    for frame in serving.native.frames:
        assert all(reduction is not None for reduction in frame.dispatcher.reductions), (name, frame.function)


def loaded(folder: Path) -> None:
    with torch.no_grad():
        for name in [*NATIVE, *HOSTED]:
            served = coldframe.load(folder / name, target(name), on_miss="error")
            for _ in range(5):
                before = len(said)
                expected, there = target(name)(x()), len(said) - before
                torch.testing.assert_close(served(x()), expected)
                assert len(said) - before == 2 * there, name
            check_served(name, served)
            assert name in HOSTED or not any(hidden in sys.modules for hidden in HIDDEN), name
        assert coldframe.stats()["compiles"] == 0


HIDDEN = ("torch._dynamo.convert_frame", "torch._inductor.compile_fx")


def missed(folder: Path) -> None:
    """A miss in a resume function goes on from there: what came before it is not done again."""
    large = x() + 100
    with torch.no_grad():
        strict = coldframe.load(folder / "branch", branch, on_miss="error")
        for _ in range(3):
            strict(x())
        try:
            strict(large)
        except coldframe.MissError as error:
            assert "branch" in str(error), error
        else:
            raise AssertionError("served")
        torch.testing.assert_close(strict(x()), branch(x()))
        served = coldframe.load(folder / "branch", branch)
        torch.testing.assert_close(served(large), branch(large))
        stats = coldframe.stats()
        assert stats["compiles"] == 1, stats
        for _ in range(4):
            torch.testing.assert_close(served(large), branch(large))
            torch.testing.assert_close(served(x()), branch(x()))
        assert coldframe.stats()["compiles"] == 1
        check_served("branch", served)
        # With free variables.
        served = coldframe.load(folder / "cells", cells)
        wide = torch.ones(3, 5)
        for _ in range(3):
            torch.testing.assert_close(served(x()), cells(x()))
            torch.testing.assert_close(served(wide), cells(wide))
        assert coldframe.stats()["compiles"] == 3, coldframe.explain(served)
        served = coldframe.load(folder / "once", once)
        for given in (x(), wide, x().double()):
            said.clear()
            torch.testing.assert_close(served(given), given.sin() * 2)
            assert said == ["once"]
        # Two modules of one class have their own.
        first, second = block(), block()
        second.linear.weight.fill_(1.0)
        both = [coldframe.load(folder / "block", module) for module in (first, second)]
        for module, served in zip((first, second), both, strict=True):
            for _ in range(3):
                torch.testing.assert_close(served(x()), module(x()))
        del both
        torch.testing.assert_close(served(x()), second(x()))
    assert imported()


NESTED = """
import torch


def nested(x):
    total = x.sum()
    scale = 2.0

    def scaled(y):
        return y * scale + total

    print(end="")
    scale = scale + 1.0
    return scaled(x)
"""


def nested(folder: Path, text: str) -> Any:
    """The function of that text, from a file of its own."""
    (folder / "nested_program.py").write_text(text)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return importlib.import_module("nested_program").nested


def make_nested(folder: Path) -> None:
    function = nested(folder, NESTED)
    with torch.no_grad():
        compiled = coldframe.compile(function, backend="eager")
        torch.testing.assert_close(compiled(x()), function(x()))
        coldframe.save(compiled, folder / "nested")


def loaded_nested(folder: Path, hosted: bool) -> None:
    """A function that is made in the frame has the code that guards are bound to, although its lines have moved, and although
    the plan is made again."""
    moved = NESTED.replace("import torch", "# moved\n\n\nimport torch").replace("    def ", "    # so\n    def ")
    function = nested(folder, moved)
    if hosted:
        native_path.split = refuse
    with torch.no_grad():
        served = coldframe.load(folder / "nested", function, on_miss="error")
        for call in range(6):
            torch.testing.assert_close(served(x()), function(x()))
            if call == 2:
                importlib.import_module("torch._dynamo")
    assert (session_of(served).serving.native is None) is hosted


def refuse(package: Any) -> Any:
    raise UnsupportedError("not in this test")

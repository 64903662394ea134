"""What a variant's guards are reduced to after they held: words of memory, and arguments that are bound."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import torch
from native_steps import function, net, reduction, x
from torch import nn

import coldframe


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

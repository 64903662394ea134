"""Methods on the native path: steps that run in processes of their own."""

from __future__ import annotations

from pathlib import Path

import torch
from native_steps import imported, is_native, x
from torch import nn

import coldframe


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.factor = 3.0

    def encode(self, x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        return self.linear(x) * scale * self.factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encode(x).relu()


def model() -> Model:
    torch.manual_seed(0)
    return Model().eval()


@torch.no_grad()
def make(folder: Path) -> None:
    made = model()
    for name in ("encode", "forward"):
        compiled = coldframe.compile(getattr(made, name), backend="eager")
        compiled(x())
        coldframe.save(compiled, folder / name)
        torch.testing.assert_close(compiled(x()), getattr(model(), name)(x()))


@torch.no_grad()
def serve(folder: Path) -> None:
    made = model()
    loaded = coldframe.load(folder / "encode", made.encode, on_miss="error")
    torch.testing.assert_close(loaded(x()), made.encode(x()))
    torch.testing.assert_close(loaded(scale=2.0, x=x()), made.encode(x()))
    assert is_native(loaded) and not imported()
    made.forward = coldframe.load(folder / "forward", made.forward, on_miss="error")
    calls: list[int] = []
    handle = made.register_forward_hook(lambda *_: calls.append(1))
    torch.testing.assert_close(made(x()), model()(x()))  # as with torch.compile, hooks run around it
    assert calls == [1] and is_native(made.forward) and not imported()
    handle.remove()
    try:
        loaded(x(), 3.0)
    except coldframe.MissError as error:
        assert "L['scale'] == 2.0" in str(error), error
    else:
        raise AssertionError("served another scale")
    other = model()
    other.factor = 5.0
    again = coldframe.load(folder / "encode", other.encode)
    torch.testing.assert_close(again(x()), other.encode(x()))  # a miss: compiled
    assert coldframe.stats()["compiles"] == 1
    torch.testing.assert_close(again(x()), other.encode(x()))
    torch.testing.assert_close(loaded(x()), made.encode(x()))
    assert coldframe.stats()["compiles"] == 1

"""Dynamo's profile of sizes after a load and a miss is that of one process which compiled both variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo import pgo

import coldframe

SCALE = 2


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * SCALE


def profile() -> dict[str, Any]:
    (state,) = (state for code, state in pgo.get_code_state().items() if code.name == "scaled")
    return {source: (entry.size, entry.stride) for source, entry in state.automatic_dynamic.items()}


@pytest.mark.parametrize(
    "x",
    [torch.ones(2, 3), torch.ones(3, 2).t(), torch.ones(2, 1, 3), torch.ones(1, 1), torch.ones(4, 3)[:, :2], torch.ones(3, 0)],
    ids=lambda x: f"{list(x.size())} by {list(x.stride())}",
)
def test_strides_follow_from_sizes_as_in_one_process(x: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    compiled = coldframe.compile(scaled, backend="eager")
    compiled(x)
    coldframe.save(compiled, tmp_path / "package.cfp")
    monkeypatch.setitem(globals(), "SCALE", 3)
    compiled(x)
    in_one = profile()
    torch._dynamo.reset()
    loaded = coldframe.load(tmp_path / "package.cfp", scaled)
    torch.testing.assert_close(loaded(x), x * 3)
    assert profile() == in_one

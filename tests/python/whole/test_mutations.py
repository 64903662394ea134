"""Models that change before their package is loaded, or after: the answer is torch's. COLDFRAME_FULL=1 makes every change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import mutation_lives
import pytest
from harness import Processes

FULL = os.environ.get("COLDFRAME_FULL") == "1"
COUNTS = {"mlp": 384, "resnet": 336, "encoder": 288, "hf_resnet": 192, "bert": 144, "gpt2": 96, "llama": 96}
SAMPLE = {"mlp": 96, "resnet": 48, "bert": 48}


@pytest.mark.parametrize("name", COUNTS if FULL else SAMPLE)
def test_a_changed_model_is_answered_as_torch_answers(
    processes: Processes, tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    count = COUNTS[name] if FULL else SAMPLE[name]
    seen = processes.run(mutation_lives.live, name=name, path=tmp_path / "package", count=count).get()
    record_property("mutations", sum(distinct for distinct, _ in seen.values()))
    became = {what: sum(counts.get(what, 0) for _, counts in seen.values()) for what in ("served", "missed", "refused")}
    assert sum(became.values()) >= 0.9 * count and all(became.values()), became
    assert len(seen) >= 44  # kinds of changes, before loading and after
    assert "missed" in seen["change_class after loading"][1] and "missed" in seen["change_input before loading"][1]

"""Whatever is changed, the native engine, with its words and without, decides as torch's guard managers do."""

from __future__ import annotations

from pathlib import Path

import mutation_steps
import pytest
import zoo
from harness import Processes


@pytest.mark.parametrize("name", zoo.MODELS)
def test_random_changes_are_noticed_as_torch_notices_them(processes: Processes, tmp_path: Path, name: str) -> None:
    seen = processes.run(mutation_steps.mutate, name=name, path=tmp_path / "package", count=216).get()
    assert sum(sum(counts) for counts in seen.values()) >= 200
    assert all(sum(column) >= 40 for column in zip(*seen.values(), strict=True)), seen  # both verdicts
    assert seen["change_busy_global"][1] == 0 and seen["change_class"][1] > 0 and seen["change_tensor_in_place"][1] > 0

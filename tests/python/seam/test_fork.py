"""A child forked while another thread of its parent loads does not hang, and is served."""

from __future__ import annotations

from pathlib import Path

import fork_steps
import pytest
from harness import Processes


@pytest.mark.parametrize("hosted", [False, True], ids=["native", "hosted"])
def test_children_of_a_loading_thread_are_served(processes: Processes, tmp_path: Path, hosted: bool) -> None:
    path = tmp_path / "function.cfp"
    processes.run(fork_steps.package, path=path).get()
    ended = processes.run(fork_steps.children_of_a_loading_thread, path=path, hosted=hosted).get()
    assert ended == ["served"] * fork_steps.CHILDREN

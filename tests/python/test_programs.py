"""Small programs: what one process compiled, another serves, with the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import programs
import steps
from child import Answer
from conftest import Processes, assert_served, equal, near

Lives = dict[str, tuple[Answer, Answer]]
RANDOM = {"random_numbers"}  # compiled, they draw other numbers than eager does


@pytest.fixture(scope="module")
def lives(processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """Of each selected program, what the process that compiled it and the process that served it answered."""
    folder = tmp_path_factory.mktemp("programs")
    chosen = {item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")}
    names = [name for name in programs.CASES if name in chosen]
    jobs = [{"case": f"programs:{name}", "path": folder / f"{name}.cfp"} for name in names]
    made = processes.run_all([(steps.make, job) for job in jobs])
    served = processes.run_all([(steps.serve, job) for job in jobs], sealed=True)
    return {name: pair for name, *pair in zip(names, made, served, strict=True)}


@pytest.mark.parametrize("case", programs.CASES)
def test_program_is_served(lives: Lives, case: str) -> None:
    made, served = lives[case]
    report = made.get()["report"]
    assert report["bypasses"] == () and made.stats["bypasses"] == {}
    outputs = served.get()["outputs"]
    assert_served(served)
    assert equal(outputs, made.get()["outputs"])
    if case not in RANDOM:
        assert near(outputs, served.get()["eager"])

"""The coverage table: what one process compiled another serves, with the outputs of torch.compile and of eager."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import coverage_oracle
import coverage_run
import coverage_table
import pytest
import scenario_support
import scenarios_coverage
import scenarios_process
from child import Answer
from conftest import chosen
from coverage_run import Key, Life
from harness import PROGRAMS, ROOT, Processes


@pytest.fixture(scope="module")
def lives(processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Key, Life]:
    """Lives of the selected programs."""
    folder = tmp_path_factory.mktemp("coverage")
    keys = chosen(request, "key")
    return coverage_run.run(processes, folder, keys)


# Of the topics that are Dynamo's alone each program runs with eager; unless all is to run, every third with Inductor, too.
FULL = os.environ.get("COLDFRAME_FULL") == "1"
OF_DYNAMO = ("breaks", "callables", "frames", "functions", "modules", "shapes")


def chosen_keys() -> list[Key]:
    def is_chosen(key: Key) -> bool:
        program, backend = key
        topic = program.partition(":")[0].removeprefix("coverage_")
        return FULL or backend != "inductor" or topic not in OF_DYNAMO or zlib.crc32(program.encode()) % 3 == 0

    return [key for key in coverage_table.lives() if is_chosen(key)]


def parameters() -> list[Any]:
    made = []
    for key in chosen_keys():
        failing = coverage_table.ENTRIES[key[0]].failing
        marks = [pytest.mark.xfail(reason=failing, strict=True)] if failing else []
        made.append(pytest.param(key, id="-".join(key), marks=marks))
    return made


@pytest.mark.parametrize("key", parameters())
def test_program(lives: dict[Key, Life], key: Key) -> None:
    coverage_run.check(key, lives[key])
    case, backend = key
    found = coverage_run.oracle(key, lives[key])
    assert coverage_oracle.fits(case, backend, found), f"{found}: see tools/coverage_table"


SCENARIOS = [name for module in (scenarios_coverage, scenarios_process) for name in scenario_support.names(module)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(acts: dict[str, list[Answer]], scenario: str) -> None:
    first, *later = acts[scenario]
    first.get()
    for answer in later:
        answer.get()
        assert answer.processes == []


def test_functions_of_main_and_of_text(tmp_path: Path) -> None:
    for stage in ("first", "second"):
        command = [sys.executable, str(PROGRAMS / "main_program.py"), stage, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-4000:]


def test_table_has_every_program() -> None:
    text = (ROOT / "docs" / "coverage.md").read_text()
    rows = [
        line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ") and line.count(" | ") > 1
    ]
    assert sorted(row for row in rows if row not in ("program", "scenario")) == sorted(coverage_table.rows())

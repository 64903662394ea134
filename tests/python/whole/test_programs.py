"""Small programs: what one process compiled, another serves, with the same answers."""

from __future__ import annotations

from pathlib import Path

import programs
import programs_calls
import programs_library
import programs_more
import pytest
import scenario_support
import scenarios
import scenarios_failures
import scenarios_files
import scenarios_frames
import scenarios_identity
import scenarios_operands
import scenarios_trees
import steps
from child import Answer
from conftest import chosen
from harness import Processes, assert_close, assert_same_bits, assert_served

CASES = [
    f"{module.__name__}:{name}"
    for module in (programs, programs_more, programs_calls, programs_library)
    for name in module.CASES
]
NOT_AS_EAGER = {"programs_more:random_numbers"}  # compiled, it draws other numbers than eager does
NOTHING_TO_SERVE = {"programs:loop_break", "programs:try_break"}  # torch compiles nothing of them and runs them as they are


@pytest.fixture(scope="module")
def lives(
    processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Answer, Answer]]:
    """Answers of the process that compiled it and of the one that served it, by selected program."""
    folder = tmp_path_factory.mktemp("programs")
    names = chosen(request, "case")
    jobs = [{"case": name, "path": folder / f"{name}.cfp"} for name in names]
    made = processes.run_all([(steps.make, job) for job in jobs])
    served = processes.run_all([(steps.serve, job) for job in jobs], sealed=True)
    return {name: (first, second) for name, first, second in zip(names, made, served, strict=True)}


@pytest.mark.parametrize("case", CASES)
def test_program_is_served(lives: dict[str, tuple[Answer, Answer]], case: str) -> None:
    made, served = lives[case]
    report = made.get()["report"]
    assert report["bypasses"] == () and made.stats["bypasses"] == {}
    outputs = served.get()["outputs"]
    assert_same_bits(outputs, made.get()["outputs"])
    if case not in NOT_AS_EAGER:
        assert_close(outputs, served.get()["eager"])
    assert_served(served, hits=0 if case in NOTHING_TO_SERVE else 1)


SCENARIOS = [
    name
    for module in (
        scenarios,
        scenarios_failures,
        scenarios_files,
        scenarios_frames,
        scenarios_identity,
        scenarios_operands,
        scenarios_trees,
    )
    for name in scenario_support.names(module)
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(acts: dict[str, list[Answer]], scenario: str) -> None:
    first, *later = acts[scenario]
    first.get()
    for answer in later:
        answer.get()
        assert answer.processes == []
        assert answer.cache_files == []


def test_package_made_in_one_directory_is_served_in_another(processes: Processes, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    made = processes.run(steps.make, case="programs:data_break", path=Path("package"), cwd=here)
    assert made.get()["report"]["path"] == "package"
    # Alone in its process it makes the first comparison of a tensor with a number, which has C code look for builtins.
    (here / "package").rename(there / "other")
    served = processes.run(steps.serve, sealed=True, case="programs:data_break", path=Path("other"), cwd=there)
    assert_same_bits(served.get()["outputs"], made.get()["outputs"])
    assert_served(served)

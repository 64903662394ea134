"""Needs of a running call, and compilations beside it: the programs of running_program.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner import Runner, compiled


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path, "running_program.py")


def test_a_step_whose_backward_is_not_stored_runs_to_its_end(runner: Runner) -> None:
    assert runner.run("lost_backward", TEST_FAILS="1")["answer"] == "failed"
    found = [runner.run("lost_backward") for _ in range(3)]
    plain = runner.run("lost_backward", COLDFRAME="0")["answer"]
    assert [each["answer"] for each in found] == [plain] * 3
    assert found[1]["stats"]["misses"].get("backward") == 1 and compiled(found[2]) == 0


def test_steps_that_are_compiled_whole_with_compiled_autograd_run_to_their_end(runner: Runner) -> None:
    assert runner.run("compiled_autograd")["answer"] == runner.run("compiled_autograd")["answer"]


def test_a_function_that_runs_the_backward_of_what_is_served(runner: Runner) -> None:
    plain = runner.run("backward_function", COLDFRAME="0")["answer"]
    assert [runner.run("backward_function")["answer"] for _ in range(3)] == [plain] * 3


def test_compiled_autograd_calls_the_backward_of_what_is_served(runner: Runner) -> None:
    first, second = runner.run("compiled_backward"), runner.run("compiled_backward")
    assert second["answer"] == first["answer"]
    assert compiled(second) == 0 and second["stats"]["misses"] == {}


def test_what_torch_gave_up_compiling_is_not_compiled_later(runner: Runner) -> None:
    first, second = runner.run("given_up"), runner.run("given_up")
    assert compiled(first) > compiled(second) == 0 and second["stats"]["misses"] == {}


def test_calls_go_on_while_another_thread_imports_dynamo(runner: Runner) -> None:
    first, second = runner.run("imported_meanwhile"), runner.run("imported_meanwhile")
    assert second["answer"] == first["answer"]
    assert compiled(second) == 0

"""Compiled callables as frameworks take them: the programs of again_program.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner import Runner, compiled


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path, "again_program.py")


def test_what_is_compiled_can_be_copied_and_compiled_again(runner: Runner) -> None:
    assert runner.run("again")["answer"] is runner.run("again")["answer"] is True


def test_served_callables_have_the_attributes_of_compiled_ones(runner: Runner) -> None:
    first, second = runner.run("attributes"), runner.run("attributes")
    assert first["answer"] == second["answer"] == [[], [], []]
    assert compiled(second) == 0 and second["stats"]["hits"] == 1


def test_a_module_and_its_bound_forward_serve_each_other_after_a_miss_too(runner: Runner) -> None:
    runner.run("bound", TEST_BOUND="1", TEST_ROWS="2")
    for found in (runner.run("bound", TEST_ROWS="2 5 2"), runner.run("bound", TEST_ROWS="2 0 2", TEST_BOUND="1")):
        assert all(found["answer"]) and compiled(found) == 1 and found["stats"]["misses"] == {"guard": 1}

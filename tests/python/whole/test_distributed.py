"""Graphs that torch's DDPOptimizer splits at the ends of the buckets. examples/ddp_train.py has more ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runner import Runner, compiled

PLAIN = {"COLDFRAME": "0"}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path, "distributed_program.py")


@pytest.mark.parametrize(
    ("how", "backend"),
    [("inner", "eager"), ("inner", "aot_eager"), ("inner", "inductor"), ("outer", "aot_eager"), ("growing", "aot_eager")],
)
def test_what_was_split_is_served(runner: Runner, how: str, backend: str) -> None:
    plain = runner.run(how, TEST_BACKEND=backend, **PLAIN)
    first, second = (runner.run(how, TEST_BACKEND=backend) for _ in range(2))
    assert first["answer"] == second["answer"] == plain["answer"]
    assert compiled(first) and first["stats"]["bypasses"] == {}
    assert compiled(second) == 0 and second["stats"]["misses"] == {}


def test_backwards_that_were_never_compiled_are_compiled_when_they_are_wanted(runner: Runner) -> None:
    plain = runner.run("inner", **PLAIN)["answer"]
    runner.run("forward_alone")
    first, second = runner.run("inner"), runner.run("inner")
    assert first["stats"]["misses"].get("backward") and compiled(first) == 1
    assert compiled(second) == 0 and second["stats"]["misses"] == {}
    assert second["answer"] == plain


def test_buckets_of_another_size_are_other_packages(runner: Runner) -> None:
    large = {"TEST_BUCKET_MB": "100"}
    alone, split, whole = runner.run("alone"), runner.run("inner"), runner.run("inner", **large)
    assert compiled(alone) and compiled(split) and compiled(whole)
    assert alone["answer"][0] == split["answer"][0] == whole["answer"][0]
    assert alone["answer"][1] < whole["answer"][1] < split["answer"][1], "gradients are sent part by part"
    for how, more, before in (("alone", {}, alone), ("inner", {}, split), ("inner", large, whole)):
        again = runner.run(how, **more)
        assert compiled(again) == 0 and again["answer"] == before["answer"]


def test_ranks_that_gather_parameters_before_each_block(runner: Runner) -> None:
    def ranks(number: int, **environment: str) -> list[dict[str, Any]]:
        rendezvous = str(runner.folder / f"rendezvous{number}")
        shared = {"WORLD_SIZE": "2", "TEST_RENDEZVOUS": rendezvous, **environment}
        started = [runner.start("sharded", RANK=str(rank), **shared) for rank in range(2)]
        return [runner.result(process) for process in started]

    plain, first, second = ranks(0, **PLAIN), ranks(1), ranks(2)
    assert [each["answer"] for each in first] == [each["answer"] for each in second] == [each["answer"] for each in plain]
    assert any(map(compiled, first)) and not any(map(compiled, second))

"""Automatic mode: what is served natively stays so, call after call, and the store is read no more often than it has to be."""

from __future__ import annotations

from pathlib import Path

from runner import Runner, compiled

# How often the store is read: once for what a call finds at once, and once for each other package that serves.
READS = {"eight shapes": 2, "eight static shapes": 8, "argument": 2}


def test_no_call_that_is_served_imports_the_compiler(tmp_path: Path) -> None:
    runner = Runner(tmp_path, "automatic_calls.py")
    assert compiled(runner.run("")) >= len(READS)
    found = runner.run("")
    assert found["answer"] == {name: [None, READS.get(name, 1)] for name in found["answer"]}
    assert compiled(found) == 0 and found["stats"]["misses"] == {}
    assert compiled(runner.run("", TEST_HOOKS="1")) == 2, "the hooks, which are called from outside of what is compiled"

"""Automatic mode where nothing in the store serves a call: `on_miss`, and hosts without a C++ compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import PROGRAMS
from runner import Runner, compiled

import coldframe

PROGRAM = str(PROGRAMS / "automatic_misses.py")
REASON = "no C++ compiler works on this host"


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path, PROGRAM)


def served(found: dict[str, Any], size: int) -> set[str]:
    return {name for name, outcome in found["answer"]["found"][str(size)].items() if outcome == "served"}


def test_a_store_says_what_to_do_on_a_miss(runner: Runner) -> None:
    names = {"function", "in one", "in two", "module"}
    runner.store.mkdir()
    nothing = runner.run("on_miss", COLDFRAME_ON_MISS="eager", TEST_SIZES="3")
    assert served(nothing, 3) == names and compiled(nothing) == 0 and nothing["stats"]["misses"] == {"absent": 4}
    assert not nothing["answer"]["dynamo"], "what the store has nothing of runs without the compiler"
    assert list(runner.store.iterdir()) == [], "a directory that was only looked into can still become a store"
    assert compiled(runner.run("on_miss", TEST_SIZES="3")) >= 4
    eager = runner.run("on_miss", COLDFRAME_ON_MISS="eager", TEST_SIZES="3 4 3")
    assert served(eager, 3) == served(eager, 4) == names and eager["answer"]["child"] == "eager"
    assert compiled(eager) == eager["stats"]["saves"] == 0 and eager["stats"]["misses"]["guard"] == 4
    command = [str(Path(sys.executable).with_name("coldframe")), "run", "--on-miss", "error", "--python", sys.executable]
    environment = runner.environment(TEST_SIZES="3 4 3")
    done = subprocess.run(
        [*command, PROGRAM, "on_miss"], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    error = json.loads(done.stdout.splitlines()[-1])
    assert served(error, 3) == names and served(error, 4) == set() and error["answer"]["child"] == "error"
    assert "expected 3, actual 4" in error["answer"]["found"]["4"]["function"]
    assert compiled(error) == error["stats"]["saves"] == 0


def test_without_a_compiler_what_would_need_one_runs_as_it_is(runner: Runner) -> None:
    broken = runner.folder / "c++"
    broken.write_text('#!/bin/sh\necho c++ 1.0\ntest "$1" = --version\n')
    broken.chmod(0o755)
    absent = {"PATH": os.fspath(runner.folder / "nothing"), "CXX": os.fspath(runner.folder / "nothing" / "c++")}
    for environment in (absent, {"CXX": os.fspath(broken)}):
        found = runner.run("compiler", **environment)
        assert len(found["answer"]["said"]) == 1 and REASON in found["answer"]["said"][0]
        assert REASON in found["answer"]["explanation"]
        assert found["stats"]["bypasses"][f"not compiled: {REASON}"] == 6, "each once: five forwards and a backward"
        assert found["stats"]["hits"] == (0 if environment is absent else 3), "what needs no compiler is compiled and stored"


def test_an_unknown_way_to_miss_is_refused() -> None:
    with pytest.raises(coldframe.InvalidArgumentError, match="'compile', 'eager' or 'error', not 'explode'"):
        coldframe.enable(on_miss="explode")

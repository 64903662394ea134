"""`coldframe why` and `explain` name why something is compiled again, and stay short."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import reason_steps
from harness import Processes

from coldframe import _core

LOCAL = "no name leads to class 'made_inside.<locals>.Local'"


def why(store: Path, *options: str) -> str:
    command = Path(sys.executable).with_name("coldframe")
    return subprocess.run([command, "why", "--store", store, *options], capture_output=True, text=True, check=True).stdout


def notes(store: Path) -> list[dict[str, Any]]:
    return sorted(_core.Store.open(store).misses(), key=lambda note: str(note["function"]))


def test_what_cannot_be_stored_says_why(processes: Processes, tmp_path: Path) -> None:
    for run in range(2):
        store = tmp_path / "store"
        scaled, broken, partial, called, static, saved, named = processes.run(reason_steps.bypassed, store=store).get()
        assert LOCAL in scaled and LOCAL in broken
        for said, kind in ((partial, "partial"), (called, "Scaled"), (static, "staticmethod"), (saved, "Scaled")):
            assert f"served by torch.compile alone: a {kind} is not called as functions are" in said
        assert named.startswith("reason_steps.power (")
        found: dict[str, list[str]] = {}
        for note in notes(store):
            found.setdefault(note["function"], []).extend(note["reasons"])
        assert found.keys() == {f"reason_steps.{name}" for name in ("Scaled.__call__", "broken", "halved", "power", "scaled")}
        for name in ("scaled", "broken"):
            assert all(LOCAL in reason for reason in found[f"reason_steps.{name}"]), found
        assert len(found["reason_steps.broken"]) == (1, 3)[run]  # the second time there is a package, without that frame
        assert found["reason_steps.power"] == ["not stored: a partial is not called as functions are"] * (run + 1)


def test_what_is_taken_for_a_constant_is_not_saved(processes: Processes, tmp_path: Path) -> None:
    said = processes.run(reason_steps.not_saved, path=tmp_path / "measured.cfp").get()
    assert "size() of the memory of a tensor was taken for a constant" in said


def test_many_variants_are_listed_in_a_few_lines(processes: Processes, tmp_path: Path) -> None:
    store = tmp_path / "store"
    processes.run(reason_steps.many_variants, store=store).get()
    last, *_ = json.loads(why(store, "--json", "--last", "1"))
    assert len(last["reasons"]) == 5 and all("(here: 6)" in reason for reason in last["reasons"])
    head, *lines, rest = why(store, "--last", "1").splitlines()
    assert head.endswith("reason_steps.Sized.forward") and rest == "  and 2 reasons more: see --json"
    assert len(lines) == 3 and all("(here: 6)" in line and "HINT" not in line for line in lines)


def test_a_call_of_which_torch_compiles_nothing_is_not_tried_again(processes: Processes, tmp_path: Path) -> None:
    first, later = (processes.run(reason_steps.has_nothing_at_times, store=tmp_path / "store").get() for _ in range(2))
    assert first > 2 and later == 0


def test_calls_of_which_torch_compiles_nothing_say_nothing_of_others(processes: Processes, tmp_path: Path) -> None:
    found = [processes.run(reason_steps.compiles, store=tmp_path / "store", nothing=each).get() for each in (True, False)]
    assert found == [2, 2]


def test_coroutines_are_compiled_in_each_process_and_say_why(processes: Processes, tmp_path: Path) -> None:
    for _ in range(2):
        assert "code that can be suspended" in processes.run(reason_steps.suspended, store=tmp_path / "store").get()
    assert all("code that can be suspended" in str(note["reasons"]) for note in notes(tmp_path / "store"))

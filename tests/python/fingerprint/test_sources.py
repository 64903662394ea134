"""A source that changed where it was compiled into a package is refused by name; an edit elsewhere is not noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import source_steps
import torch
from conftest import chosen
from harness import Processes

PROGRAM = '''"""A program."""

import torch
from torch import nn
import source_helper_@@ as helper


def inlined(x):
    return x * 2


def unused(x):
    return x * 3


class Net(nn.Module):
    def scale(self, x):
        return x * 5

    def unused(self, x):
        return x

    def forward(self, x):
        return helper.shift(self.scale(inlined(x)))


def entry(x):
    return helper.shift(inlined(x))
'''
HELPER = """def shift(x):
    return x + 7


def unused(x):
    return x
"""

# name -> (what is replaced in the program, by what); None: in the helper.
HARMLESS: dict[str, tuple[str, str]] = {
    "nothing": ("", ""),
    "comment": ("    return x * 2\n", "    # twice\n    return x * 2  # it is\n"),
    "moved lines": ("def inlined(x):", "\n\n\n\ndef added(x):\n    return x - 1\n\n\ndef inlined(x):"),
    "layout": ("    return x * 2\n", "    return (\n        x\n        * 2\n    )\n"),
    "other function": ("return x * 3", "return x * 4"),
    "other method": ("    def unused(self, x):\n        return x\n", "    def unused(self, x):\n        return x + 1\n"),
    "new method": ("    def forward(", "    def added(self, x):\n        return x\n\n    def forward("),
    "method taken away": ("    def unused(self, x):\n        return x\n\n", ""),
    "docstring of the file": ('"""A program."""', '"""The same program."""'),
    "new import": ("import torch\n", "import json\nimport torch\n"),
}
# name -> (replaced, by what, the function that the message names, its lines)
HARMFUL: dict[str, tuple[str, str, str, str]] = {
    "inlined function": ("return x * 2", "return x * 20", "source_program_@@.inlined", "lines 8 to 9 of source_program_@@.py"),
    "inlined method": (
        "return x * 5",
        "return x * 50",
        "source_program_@@.Net.scale",
        "lines 17 to 18 of source_program_@@.py",
    ),
    "function of another module": (
        "return x + 7",
        "return x + 70",
        "source_helper_@@.shift",
        "lines 1 to 2 of source_helper_@@.py",
    ),
    "function renamed": ("inlined", "renamed", "", ""),
    "function taken away": (
        "def inlined(x):\n    return x * 2\n",
        "inlined = torch.nn.functional.relu\n",
        "source_program_@@.inlined",
        "",
    ),
    "forward": ("self.scale(inlined(x)))", "self.scale(inlined(x))) * 1", "source_program_@@.Net.forward", ""),
}
CASES = {**HARMLESS, **{name: edit[:2] for name, edit in HARMFUL.items()}}
NUMBERS = {name: str(number) for number, name in enumerate(CASES)}


def write(folder: Path, name: str, edited: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    old, new = CASES[name]
    for prefix, text in (("source_program", PROGRAM), ("source_helper", HELPER)):
        assert not old or old in PROGRAM or old in HELPER
        text = text.replace(old, new) if edited and old else text
        (folder / f"{prefix}_{NUMBERS[name]}.py").write_text(text.replace("@@", NUMBERS[name]))


@pytest.fixture(scope="module")
def lives(processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Answers to loading, and to loading with sources ignored, by selected edit."""
    folder = tmp_path_factory.mktemp("sources")
    names = chosen(request, "name")
    for name in names:
        write(folder / "before", name, edited=False)
        write(folder / "after", name, edited=True)
    jobs = [{"folder": folder, "form": "before", "number": NUMBERS[name]} for name in names]
    for answer in processes.run_all([(source_steps.save, job) for job in jobs]):
        answer.get()
    jobs = [{**job, "form": "after"} for job in jobs]
    loaded = processes.run_all([(source_steps.serve, job) for job in jobs])
    ignoring = processes.run_all([(source_steps.serve, {**job, "ignore": True}) for job in jobs])
    return {name: answers for name, *answers in zip(names, loaded, ignoring, strict=True)}


@pytest.mark.parametrize("name", HARMLESS)
def test_edit_elsewhere_is_still_a_hit(lives: dict[str, Any], name: str) -> None:
    loaded, _ = lives[name]
    outputs = loaded.get()
    assert torch.equal(outputs["entry"], outputs["entry eager"])
    assert torch.equal(outputs["net"], outputs["net eager"])
    assert loaded.stats["hits"] == 2 and loaded.stats["compiles"] == 0 and loaded.stats["misses"] == {}


@pytest.mark.parametrize("name", HARMFUL)
def test_edit_of_what_was_compiled_is_refused_by_name(lives: dict[str, Any], name: str) -> None:
    loaded, _ = lives[name]
    _, _, function, lines = HARMFUL[name]
    refusals = [value for value in loaded.get().values() if isinstance(value, tuple)]
    assert refusals
    for kind, message in refusals:
        assert kind == "SourceChangedError"
        assert "has changed: compile again" in message
    if function:
        assert any(function.replace("@@", NUMBERS[name]) in message for _, message in refusals)
        assert any(lines.replace("@@", NUMBERS[name]) in message for _, message in refusals)


@pytest.mark.parametrize("name", ["inlined function", "inlined method", "function of another module"])
def test_changed_sources_are_served_when_they_are_to_be_ignored(lives: dict[str, Any], name: str) -> None:
    _, ignoring = lives[name]
    outputs = ignoring.get()
    x = torch.arange(6.0)
    assert torch.equal(outputs["entry"], x * 2 + 7) and torch.equal(outputs["net"], x * 2 * 5 + 7)
    assert ignoring.stats["hits"] == 2 and ignoring.stats["compiles"] == 0


@pytest.mark.parametrize("name", ["forward"])
def test_the_target_itself_must_be_the_same_all_the_same(lives: dict[str, Any], name: str) -> None:
    _, ignoring = lives[name]
    kind, message = ignoring.get()["net"]
    assert kind == "SourceChangedError" and "Net.forward" in message


def test_replaced_in_memory_counts_as_changed(processes: Processes, tmp_path: Path) -> None:
    for form in ("before", "after"):
        write(tmp_path / form, "nothing", edited=False)
    job = {"folder": tmp_path, "number": NUMBERS["nothing"]}
    processes.run(source_steps.save, form="before", **job).get()
    answer = processes.run(source_steps.serve, form="after", replace="inlined", **job).get()
    assert all(isinstance(value, tuple) and ".inlined" in value[1] for value in answer.values())
    answer = processes.run(source_steps.serve, form="after", replace="Net.scale", **job).get()
    assert isinstance(answer["net"], tuple) and "Net.scale" in answer["net"][1]
    assert torch.equal(answer["entry"], answer["entry eager"])

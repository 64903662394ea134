"""The native path: without importing Dynamo, honouring what torch.compile honours, and falling back by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import native_breaks
import native_methods
import native_steps
import native_words
import pytest
from harness import Processes


@pytest.fixture(scope="module")
def folder(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("native")
    processes.run(native_steps.make, folder=made).get()
    return made


@pytest.mark.parametrize(
    "step",
    [
        native_steps.surroundings,
        native_steps.redefined,
        native_steps.saved_after_a_change,
        native_steps.mirrors,
        native_steps.copies,
        native_steps.functions,
        native_steps.threads,
        native_steps.loads,
        native_words.words,
        native_words.trained,
        native_words.dynamic,
        native_words.captured,
        native_words.like_torch,
    ],
    ids=lambda step: step.__name__,
)
def test_native(processes: Processes, folder: Path, step: Callable[..., Any]) -> None:
    processes.run(step, folder=folder, compiler=False).get()


SERVED = {
    "nothing",
    "class attribute that the instance hides",
    "parameter of one shape",
    "value of a parameter",
    "data of a parameter",
}
# torch.compile runs hooks of the module itself outside of the compiled frame, and a forward of its own instead of it; it does
# not notice hooks that a submodule gets after compiling.
OUTSIDE = {"hook on the module", "hook on a submodule", "forward"}


def test_a_change_by_any_route_is_noticed(processes: Processes, folder: Path) -> None:
    found = processes.run(native_steps.changed, folder=folder, compiler=False).get()
    assert {name for name, text in found.items() if text == "served"} - OUTSIDE == SERVED
    assert "flag" in found["attribute"] and "flag" in found["dict"] and "scales" in found["list item"]


@pytest.fixture(scope="module")
def broken(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("broken")
    processes.run(native_breaks.make, folder=made).get()
    return made


@pytest.mark.parametrize("step", [native_breaks.loaded, native_breaks.missed], ids=lambda step: step.__name__)
def test_a_broken_graph(processes: Processes, broken: Path, step: Callable[..., Any]) -> None:
    processes.run(step, folder=broken, compiler=False).get()


def test_a_method(processes: Processes, tmp_path: Path) -> None:
    processes.run(native_methods.make, folder=tmp_path).get()
    processes.run(native_methods.serve, folder=tmp_path, compiler=False).get()


@pytest.mark.parametrize("hosted", [False, True])
def test_a_nested_function_whose_lines_moved(processes: Processes, tmp_path: Path, hosted: bool) -> None:
    processes.run(native_breaks.make_nested, folder=tmp_path).get()
    processes.run(native_breaks.loaded_nested, folder=tmp_path, hosted=hosted, compiler=False).get()

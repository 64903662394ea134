"""Real models: compiled and saved in one process, served in another that has no compiler and an empty cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import native_steps
import pytest
import steps
import zoo as models
from conftest import Zoo
from harness import Processes, assert_close, assert_same_bits, assert_served

MAX_ADDED_MEMORY = 30 << 10  # KiB


@pytest.mark.parametrize("name", models.MODELS)
def test_model_is_served_without_compiling(processes: Processes, zoo: Zoo, name: str) -> None:
    made = zoo[name]
    assert made.report["bypasses"] == () and made.report["variants"] >= 1
    served = processes.run(steps.serve, sealed=True, case=f"zoo:{name}", path=made.package)
    outputs = served.get()["outputs"]
    assert_same_bits(outputs, made.outputs)
    assert_close(outputs, served.get()["eager"])
    assert_served(served)
    assert served.stats["hits"] == served.stats["installed_variants"] == made.report["variants"]


@pytest.mark.parametrize("name", models.MODELS)
def test_moved_package_serves_as_before(processes: Processes, zoo: Zoo, tmp_path: Path, name: str) -> None:
    # Each in a process of its own: transformers keeps a register of the models that were made, whose length is guarded.
    shutil.copy(zoo[name].package, tmp_path / "moved and renamed.bin")
    served = processes.run(steps.serve, sealed=True, cwd=tmp_path, case=f"zoo:{name}", path=Path("moved and renamed.bin"))
    assert_same_bits(served.get()["outputs"], zoo[name].outputs)
    assert_served(served)


@pytest.mark.parametrize("name", models.MODELS)
def test_a_model_is_served_without_importing_a_compiler(processes: Processes, zoo: Zoo, name: str) -> None:
    own, own_memory = processes.run(native_steps.eager, name=name).get()
    imported, memory, outputs, why = processes.run(native_steps.native, sealed=True, name=name, path=zoo[name].package).get()
    assert why == ""
    assert imported <= own
    assert memory <= own_memory + MAX_ADDED_MEMORY
    assert_same_bits(outputs, zoo[name].outputs)

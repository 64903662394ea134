"""Real models: compiled and saved in one process, served in another that has no compiler and an empty cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import steps
import zoo as models
from child import Answer
from conftest import Zoo, chosen
from harness import Processes, assert_close, assert_same_bits, assert_served


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


@pytest.fixture(scope="module")
def elsewhere(
    processes: Processes, zoo: Zoo, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Answer]:
    """Every model, one after another in one process, from files that were moved and renamed, in another directory."""
    folder = tmp_path_factory.mktemp("elsewhere")
    names = chosen(request, "moved")
    for name in names:
        shutil.copy(zoo[name].package, folder / f"renamed {name}.bin")
    calls = [(steps.serve, {"case": f"zoo:{name}", "path": Path(f"renamed {name}.bin")}) for name in names]
    return dict(zip(names, processes.run_all(calls, sealed=True, cwd=folder), strict=True))


@pytest.mark.parametrize("moved", models.MODELS)
def test_moved_package_serves_as_before(zoo: Zoo, elsewhere: dict[str, Answer], moved: str) -> None:
    served = elsewhere[moved]
    assert_same_bits(served.get()["outputs"], zoo[moved].outputs)
    assert_served(served)

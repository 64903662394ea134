"""Each kind of compiled graph, restored in another process, does bit for bit what it did where it was compiled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import backend_cases
import backend_steps
import pytest
import torch
from child import Answer
from conftest import chosen
from harness import SUPPORT, Processes, assert_same_bits

from coldframe import _core

# Restoring these imports AOTAutograd (subclasses), or calling them does (operators written in Python, cond's own autograd).
IMPORTING = ("subclass_training", "eager_conditional_training", "operators")
BUNDLES = ("subclass_training",)
FORWARD_ONLY = ("forward_only",)
TOLERANCES = {"autocast_training": 1e-2, "bfloat16": 1e-2}  # of what is computed with 8 bits


@dataclass(frozen=True)
class Both:
    """Answers of the compiling process and of a sealed one, by case."""

    folder: Path  # of the packages and of the compiler's cache
    compiled: dict[str, Answer]
    served: dict[str, Answer]


@pytest.fixture(scope="module")
def both(request: pytest.FixtureRequest, processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("backends")
    names = chosen(request, "case")
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
    calls = [(backend_steps.compile_case, {"name": name, "folder": folder}) for name in names]
    compiled = dict(zip(names, processes.run_all(calls, env=cache), strict=True))
    served: dict[str, Answer] = {}
    for importing in (False, True):
        part = [name for name in names if (name in IMPORTING) is importing and compiled[name].error is None]
        calls = [(backend_steps.serve_case, {"name": name, "folder": folder}) for name in part]
        served |= dict(zip(part, processes.run_all(calls, sealed=True), strict=True))
    return Both(folder, compiled, served)


@pytest.mark.parametrize("case", backend_cases.CASES)
class TestEveryCase:
    def test_is_captured_and_right(self, both: Both, case: str) -> None:
        answer = both.compiled[case].get()
        assert answer["refused"] == []
        if answer["eager"] is not None:
            tolerance = TOLERANCES.get(case, 1e-5)
            for ours, eager in zip(_leaves(answer["compiled"]), _leaves(answer["eager"]), strict=True):
                if isinstance(ours, torch.Tensor):
                    torch.testing.assert_close(ours, eager, rtol=tolerance, atol=tolerance)

    def test_holds_no_folders(self, both: Both, case: str) -> None:
        for artifact in _core.Package.open(both.folder / f"{case}.cfp").artifacts:
            parts = [repr(artifact.recipe).encode(), *(blob.read() for blob in artifact.blobs)]
            for folder in (str(both.folder), str(SUPPORT.parent), os.path.dirname(torch.__file__)):
                assert not any(folder.encode() in part for part in parts)

    def test_does_the_same_in_a_process_without_a_compiler(self, both: Both, case: str) -> None:
        for graph in both.served[case].get():
            assert len(graph["served"]) == 2
            assert_same_bits(graph["served"], graph["expected"])

    def test_starts_no_process_and_writes_nothing(self, both: Both, case: str) -> None:
        assert both.served[case].processes == []
        assert both.served[case].cache_files == []

    def test_imports_no_compiler(self, both: Both, case: str) -> None:
        for graph in both.served[case].get():
            if case not in IMPORTING:
                assert graph["modules"] == [] and graph["imported"] == [] and graph["imports"] == []
            elif graph["kind"] == "aot_autograd_bundle":
                assert "torch._functorch._aot_autograd.runtime_wrappers" in graph["imports"]

    def test_is_described(self, both: Both, case: str) -> None:
        settings = backend_cases.CASES[case]()
        backend = settings.options.get("backend", "inductor")
        for graph in both.served[case].get():
            kind = "aot_autograd_bundle" if case in BUNDLES else "inductor_native"
            assert graph["kind"] == (kind if backend == "inductor" else "precompile_eager")
            assert bool(graph["opaque"]) is (case in BUNDLES)
            assert graph["device_type"] == ("cpu" if backend == "inductor" else "any") and graph["uses_openmp"] is False
            assert bool(graph["cpu_features"]) is bool(graph["kernels"])
            if backend != "eager" and settings.grad and case != "grad_mode_change":
                assert graph["backward"] == ("missing" if case in FORWARD_ONLY else "compiled")
            else:
                assert graph["backward"] == "none"

    def test_waits_for_its_backward_only(self, both: Both, case: str) -> None:
        for pending in both.compiled[case].get()["pending"]:
            assert bool(pending) is (case in FORWARD_ONLY)


def _leaves(tree: Any) -> list[Any]:
    leaves: list[Any] = torch.utils._pytree.tree_leaves(tree)
    return leaves


def test_equal_graphs_have_equal_artifacts(processes: Processes, tmp_path: Path) -> None:
    """Packages that compile the same thing merge without duplicates."""
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
    first = processes.run(backend_steps.fingerprints, names=["mutated_input", "aliases_training"], env=cache).get()
    second = processes.run(backend_steps.fingerprints, names=["aliases_training", "mutated_input"], env=cache).get()
    assert first == {name: second[name] for name in first}

"""Every replacement of something of torch's is listed, and undone exactly; a group of them is made all or none."""

from __future__ import annotations

import patch_steps
import pytest
from harness import Processes

# What is listed, and is no attribute of a module or class of torch that changes.
_ADDED = {
    "sys.meta_path",
    "torch._dynamo.trace_rules.SKIP_DIRS",
    "torch.compiler._cache.CacheArtifactFactory._artifact_types['precompile_dynamo']",
    "torch.compiler._cache.CacheInfo.precompile_dynamo_artifacts",
}


@pytest.fixture(scope="module")
def found(processes: Processes) -> list[dict[str, list[str]]]:
    answers = [processes.run(step) for step in (patch_steps.patched, patch_steps.half_installed)]
    return [answer.get() for answer in answers]


def test_every_replacement_is_listed(found: list[dict[str, list[str]]]) -> None:
    patched = found[0]
    replaced = set(patched["replaced"]) - set(patched["drift"]) - {"torch._dynamo.trace_rules.SKIP_DIRS_RE"}
    assert replaced == set(patched["listed"]) - _ADDED
    assert set(patched["listed"]) >= _ADDED


def test_undone_torch_is_as_it_was(found: list[dict[str, list[str]]]) -> None:
    patched = found[0]
    assert set(patched["left"]) - set(patched["drift"]) <= {"torch._dynamo.trace_rules.SKIP_DIRS_RE"}
    assert patched["still_listed"] == []


def test_what_this_torch_lacks_leaves_nothing_replaced(found: list[dict[str, list[str]]]) -> None:
    half = found[1]
    assert half["error"] == [
        "IncompatiblePackageError: this torch has no torch._dynamo.variables.builtin.BuiltinVariable.call_id: "
        "install a matching coldframe"
    ]
    assert set(half["left"]) <= {"torch._dynamo.trace_rules.SKIP_DIRS_RE"}
    assert "torch._dynamo.variables.builtin.BuiltinVariable.call_id" in half["replaced"]

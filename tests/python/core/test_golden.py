"""Packages of each kind that an older coldframe wrote open, say what they said, and serve.

They are checked in (golden/, written by tools/golden), and are never written anew: what changes the format must read them.
"""

from __future__ import annotations

import json
import platform
from typing import Any

import golden_programs
import pytest
import steps
import torch
from golden_packages import DIGESTS, FOLDER, digest_of_said, path_of
from harness import Processes, assert_close, assert_served

from coldframe import _core


def test_there_is_one_of_each_kind() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.cfp")) == sorted(golden_programs.NAMES + golden_programs.WITH_KERNELS)


@pytest.mark.parametrize("name", golden_programs.NAMES + golden_programs.WITH_KERNELS)
def test_says_what_it_said(name: str) -> None:
    package = _core.Package.open(path_of(name))
    package.verify()
    assert digest_of_said(path_of(name)) == json.loads(DIGESTS.read_text())[name]


@pytest.fixture(scope="module")
def served(processes: Processes) -> dict[str, Any]:
    calls = [(steps.serve, {"case": f"golden_programs:{name}", "path": path_of(name)}) for name in golden_programs.NAMES]
    return dict(zip(golden_programs.NAMES, processes.run_all(calls, sealed=True), strict=True))


@pytest.mark.parametrize("name", golden_programs.NAMES)
def test_serves_where_it_was_made_for(served: dict[str, Any], name: str) -> None:
    environment = _core.Package.open(path_of(name)).environment
    made_for = environment["python_version"], environment["torch_git"]
    if made_for != (platform.python_version(), torch.version.git_version):
        assert "IncompatiblePackageError" in str(served[name].error)
        return
    assert_served(served[name])
    answer = served[name].get()
    assert_close(answer["outputs"], answer["eager"])

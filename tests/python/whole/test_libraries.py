"""Libraries that compile models run under `coldframe run` as they do without it, and compile nothing in a later process.

Each program (library_programs.py) runs by plain torch.compile, then twice under `coldframe run`: the second time there is no
C++ compiler. The programs of one library share their processes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import chosen
from harness import PROGRAMS

PROGRAM = PROGRAMS / "library_programs.py"
COMMAND = Path(sys.executable).with_name("coldframe")

OF_LIBRARY = {
    "lightning": ["lightning_trainer", "lightning_fabric"],
    "accelerate": ["accelerate_prepare", "accelerate_regional", "accelerate_compile_regions"],
    "peft": ["peft_lora"],
    "diffusers": ["diffusers_compile", "diffusers_repeated_blocks"],
    "sentence_transformers": ["sentence_transformers_compile"],
}
LIBRARY = {name: library for library, names in OF_LIBRARY.items() for name in names}

Run = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Answers of a library's programs by plain torch.compile, and in a first and a later process under coldframe."""
    wanted = chosen(request, "name")

    @cache
    def made(library: str) -> list[Run]:
        names = [name for name in OF_LIBRARY[library] if name in wanted]
        folder = tmp_path_factory.mktemp(library)
        served = [str(COMMAND), "run", "--store", str(folder / "store"), "--python", sys.executable]
        return [
            run([sys.executable], names, folder),
            run(served, names, folder),
            run(served, names, folder, PATH=str(COMMAND.parent)),
        ]

    return made


def run(command: list[str], names: list[str], folder: Path, **variables: str) -> Run:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables}
    if "PATH" in variables:
        environment = {name: value for name, value in environment.items() if name not in ("CC", "CXX")}
    done = subprocess.run(
        [*command, str(PROGRAM), *names], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answers: Run = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.mark.parametrize("name", LIBRARY)
def test_library(runs: Any, name: str) -> None:
    library = LIBRARY[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install --no-deps -r tools/libraries.txt")
    plain, first, later = (each[name] for each in runs(library))
    assert "error" not in plain, plain["error"]
    for served in (first, later):
        assert "error" not in served, served["error"]
        assert served["outputs"] == pytest.approx(plain["outputs"], rel=1e-5, abs=1e-6)
        assert served["errors"] == {}
    assert later["compiles"] == 0
    assert any(each["compiles"] for each in runs(library)[1].values())

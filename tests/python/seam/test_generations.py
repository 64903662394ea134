"""A torch that coldframe does not know: programs run, as with plain torch.compile, and are told once."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import PROGRAMS

import coldframe
from coldframe.torch.graphs.stand_ins import STAND_INS
from coldframe.torch.seam import aot, generation

VERSION = "2.99.0"
# Of later releases some have other names.
RENAMED = ("install_resume_function_global", "_graph_device_type", "_AutogradBackwardCompiler")
LEFT_OUT = ("include", "share", "test", "__pycache__")


@pytest.fixture(scope="module")
def later_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the torch of this environment, under another version and without some of its private names."""
    folder, source = tmp_path_factory.mktemp("later"), Path(torch.__file__).parent
    shutil.copytree(source, folder / "torch", copy_function=os.symlink, ignore=shutil.ignore_patterns(*LEFT_OUT))
    version = source / "version.py"
    write(folder, version.relative_to(source), re.sub(r"__version__ = .*", f"__version__ = {VERSION!r}", version.read_text()))
    for path in (*source.joinpath("_dynamo").rglob("*.py"), *source.joinpath("_functorch").rglob("*.py")):
        text = renamed = path.read_text()
        for name in RENAMED:
            renamed = re.sub(rf"\b{name}\b", f"{name}_of_later", renamed)
        if renamed != text:
            write(folder, path.relative_to(source), renamed)
    return folder


def write(folder: Path, path: Path, text: str) -> None:
    (folder / "torch" / path).unlink()
    (folder / "torch" / path).write_text(text)


def run(later: Path, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    made = {**os.environ, "PYTHONPATH": str(later), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([*map(str, command)], env=made, capture_output=True, text=True, timeout=300)


def test_programs_run_as_with_plain_torch_compile(later_torch: Path, tmp_path: Path) -> None:
    package = tmp_path / "known" / "function.cfp"
    package.parent.mkdir()
    compiled = coldframe.compile(torch.nn.functional.silu, backend="eager")
    compiled(torch.ones(3))
    coldframe.save(compiled, package)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    done = run(later_torch, sys.executable, PROGRAMS / "unknown_program.py", package, folder, COLDFRAME_STRICT="1")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(found["right"].values()), found["right"]
    assert found["module"] == "OptimizedModule" and found["gradient"] and found["as it was"]
    assert len(found["said"]) == 1 and f"torch {generation.RELEASES}, not {VERSION}" in found["said"][0]
    assert len(found["refused"]) == 3 and all(VERSION in each for each in found["refused"])
    assert VERSION in found["explained"] and found["written"] == []
    assert found["stats"]["compiles"] == found["stats"]["saves"] == 0 and found["stats"]["errors"] == {}


# What functions of torch do that packages have stand-ins for, by digests of their sources: another one is to be read again.
SOURCES = {
    "2.13": {
        "AOTDispatchAutograd.process_runtime_tangent": "731f7ffe7433",
        "TensorAlias": "535b5e68e6cf",
        "_align": "d063f3317823",
        "_unwrap_tensoralias": "37df72dd15b6",
        "bias_addmm": "58a828a71341",
        "gen_alias_from_base": "8c7b4a5bd374",
        "mark_dynamo_propagated_dynamic_indices": "851ad1ee2c8c",
    },
    "2.14": {
        "AOTDispatchAutograd.process_runtime_tangent": "06f113e3238f",
        "TensorAlias": "535b5e68e6cf",
        "_align": "d063f3317823",
        "_unwrap_tensoralias": "37df72dd15b6",
        "assert_tensor_metadata": "ea9991b60615",
        "bias_addmm": "58a828a71341",
        "gen_alias_from_base": "e632759a3727",
        "mark_dynamo_propagated_dynamic_indices": "851ad1ee2c8c",
    },
    "2.15": {
        "AOTDispatchAutograd.process_runtime_tangent": "cbc390306b8a",
        "TensorAlias": "535b5e68e6cf",
        "_align": "d063f3317823",
        "_unwrap_tensoralias": "37df72dd15b6",
        "assert_tensor_metadata": "ea9991b60615",
        "bias_addmm": "58a828a71341",
        "gen_alias_from_base": "e632759a3727",
        "mark_dynamo_propagated_dynamic_indices": "851ad1ee2c8c",
    },
}


def test_what_packages_have_stand_ins_for_is_what_was_read() -> None:
    aot.runtime_wrappers()  # some of the modules can be imported after it alone
    known = SOURCES[generation.current().release]
    modules = {path: module for module, path in STAND_INS if "<locals>" not in path}
    assert modules.keys() == set().union(*SOURCES.values())
    sources = {path: inspect.getsource(aot.symbol(modules[path], path)) for path in known}
    assert {path: hashlib.sha256(source.encode()).hexdigest()[:12] for path, source in sources.items()} == known


def test_the_command_runs_it_too(later_torch: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import torch\nprint(torch.compile(torch.sin, backend='eager')(torch.zeros(3)).sum().item())\n")
    command = Path(sys.executable).with_name("coldframe")
    done = run(
        later_torch,
        command,
        "run",
        "--python",
        sys.executable,
        program,
        COLDFRAME_DIR=str(tmp_path / "store"),
        COLDFRAME_STRICT="1",
    )
    assert (done.returncode, done.stdout) == (0, "0.0\n"), done.stderr[-3000:]
    assert done.stderr.count("programs run as with plain torch.compile") == 1

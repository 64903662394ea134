"""Which Python `coldframe run` takes: the active environment's, if coldframe can be imported there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

_COMMAND = Path(sys.executable).with_name("coldframe")
_HERE = Path(sys.prefix)

pytestmark = pytest.mark.skipif(not _COMMAND.exists(), reason="the coldframe command is not beside this Python")


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment over this one."""
    folder = _environment(tmp_path_factory.mktemp("child"))
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n" + sysconfig.get_path("platlib") + "\n")
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without coldframe."""
    return _environment(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """The command as tools that install commands leave it in a folder of PATH."""
    made = tmp_path / "bin" / "coldframe"
    made.parent.mkdir()
    made.symlink_to(_COMMAND.resolve())
    return made


def _environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def _run(command: Path | str, folder: Path, *path: Path, **variables: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    environment |= {name: str(value) for name, value in variables.items()}
    environment |= {"COLDFRAME_DIR": str(folder / "store"), "PATH": os.pathsep.join(map(str, path))}
    program = "import sys, coldframe; print(sys.prefix)"
    found = shutil.which(command, path=environment["PATH"])
    words = [command, "run", "-c", program]
    return subprocess.run(words, executable=found, env=environment, capture_output=True, text=True, timeout=120, cwd=folder)


def _runs(*arguments: Path | str, **variables: Path) -> Path:
    done = _run(*arguments, **variables)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_the_active_environment(link: Path, child: Path, bare: Path, tmp_path: Path) -> None:
    assert _runs(link, tmp_path, VIRTUAL_ENV=_HERE) == _HERE
    for command in (link, _COMMAND):
        assert _runs(command, tmp_path, VIRTUAL_ENV=child) == child
        assert _runs(command, tmp_path, child / "bin", VIRTUAL_ENV=child) == child
        assert _runs(command, tmp_path, CONDA_PREFIX=child) == child
    assert _runs("coldframe", tmp_path, child / "bin", link.parent) == child
    assert _runs("coldframe", tmp_path, bare / "bin", child / "bin", link.parent) == child
    assert _runs("coldframe", tmp_path, child / "bin", _COMMAND.parent) == child


def test_without_one_the_command_runs_where_it_is_installed(link: Path, child: Path, bare: Path, tmp_path: Path) -> None:
    assert _runs(_COMMAND, tmp_path, child / "bin") == _HERE
    assert _runs(_COMMAND, tmp_path, VIRTUAL_ENV=bare) == _HERE
    assert _runs(link, tmp_path, bare / "bin") == _HERE


def test_an_environment_without_coldframe_is_said(link: Path, bare: Path, tmp_path: Path) -> None:
    done = _run(link, tmp_path, bare / "bin", VIRTUAL_ENV=bare)
    assert done.returncode == 1 and done.stdout == ""
    assert f"coldframe cannot be imported by {bare}/bin/python:" in done.stderr and "coldframe run --python FILE" in done.stderr
    assert not (tmp_path / "store").exists()

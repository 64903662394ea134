"""Entries know no folders: those of the program, of torch and of the compiler stand nowhere in them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import PROGRAMS, SUPPORT
from runner import Runner, compiled

from coldframe import _core
from coldframe.torch.guards.record import portable_text

COMMAND = Path(sysconfig.get_path("scripts")) / "coldframe"


def placed(folder: Path, place: str) -> Runner:
    """The program in a folder of its own, with a compiler cache of its own, and the store that all share."""
    (folder / place).mkdir()
    program = folder / place / "located_program.py"
    program.write_bytes((PROGRAMS / program.name).read_bytes())
    return Runner(folder, str(program))


def run(folder: Path, place: str) -> dict[str, Any]:
    folders = [str(Path(_core.__file__).parent / "site"), str(SUPPORT), str(PROGRAMS), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, folders))
    cache = str(folder / place / "inductor")
    return placed(folder, place).run("everything", PYTHONPATH=path, TORCHINDUCTOR_CACHE_DIR=cache, PYTHONWARNINGS="ignore")


def contents(store: Path, file: Path) -> list[bytes]:
    """All that the entries of a store hold, in the clear."""
    found = []
    for entry in _core.Store.open(store, read_only=True).ls():
        command = [COMMAND, "export", "--store", store, entry["id"].hex(), file]
        subprocess.run(command, check=True, capture_output=True)
        package = _core.Package.open(file)
        found += [blob.read() for artifact in package.artifacts for blob in artifact.blobs]
        shown = subprocess.run([COMMAND, "inspect", "--json", "--guards", "--code", file], check=True, capture_output=True)
        found.append(shown.stdout.replace(bytes(file), b""))
        file.unlink()
    return found


def test_entries_know_no_folders(tmp_path: Path) -> None:
    one, two = run(tmp_path, "one"), run(tmp_path, "two")
    file, places, made, *numbers = one["answer"]
    assert file.startswith(str(tmp_path / "one")) and compiled(one)
    entries = contents(tmp_path / "store", tmp_path / "exported.cfp")
    torch_folder = os.path.dirname(torch.__file__)
    for folder in (
        str(tmp_path),
        torch_folder,
        sys.prefix,
        sys.base_prefix,
        str(SUPPORT.parent),
        os.path.expanduser("~"),
        "/usr/include",
    ):
        assert not [entry for entry in entries if folder.encode().strip(b"/") + b"/" in entry], folder
    assert any(b"cpp_prefix" in entry for entry in entries), "there are kernels among them"
    assert any(b"  # located_program.py:" in entry for entry in entries), "and guards that say where they come from"

    # A program that lies elsewhere is served, and its frames are said to lie where they do.
    assert compiled(two) == 0 and two["stats"]["misses"] == {} and two["stats"]["saves"] == 0
    moved, other_places, other_made, *other_numbers = two["answer"]
    assert moved.startswith(str(tmp_path / "two")) and numbers == other_numbers
    assert {made, *itertools.chain(*places)} == {file}
    assert {other_made, *itertools.chain(*other_places)} == {moved}
    assert [len(each) for each in places] == [len(each) for each in other_places]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("L['x'] == 3  # y = x / 2  # tmp/a b/one/program.py:3 in f", "L['x'] == 3  # y = x / 2  # program.py:3 in f"),
        ("L['x'] == 3  # y = x / 2  # program.py:3 in f", "L['x'] == 3  # y = x / 2  # program.py:3 in f"),
        ("L['x'] == 3  # /one/program.py:3 in <lambda>", "L['x'] == 3  # program.py:3 in <lambda>"),
        ("a == 2  # f(x)  # one/p.py:3 in f (_dynamo/a/b.py:5 in g)", "a == 2  # f(x)  # p.py:3 in f (b.py:5 in g)"),
        ("L['x']['a/b:3 in c'] == 1", "L['x']['a/b:3 in c'] == 1"),
        ("check_tensor(L['x'], 140234567890)", "check_tensor(L['x'], ...)"),
    ],
)
def test_guards_say_no_folders(said: str, kept: str) -> None:
    assert portable_text(said) == kept

"""The installed `coldframe` command on a store."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import subprocess

import pytest
from command import COMMAND, refused, run
from sample_packages import package_named

from coldframe import _core


@pytest.fixture
def directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("COLDFRAME_DIR", str(tmp_path / "store"))
    store = _core.Store.open(min_free_bytes=0)
    for name in ("f", "g"):
        store.put(package_named(name))
        store.get(package_named(name).key)
    store.flush()
    return tmp_path / "store"


def key_of(name: str) -> str:
    return _core.Store.key_digest(package_named(name).key).hex()


def test_stats(directory: pathlib.Path) -> None:
    text = run("stats").stdout
    assert re.search(rf"^store {re.escape(str(directory))}$", text, re.MULTILINE)
    assert re.search(r"^  holds +2 variants, 2 objects$", text, re.MULTILINE)
    assert re.search(r"^  saved +3\.00 s of compiling$", text, re.MULTILINE)
    document = json.loads(run("stats", "--json").stdout)
    assert document["variants"] == 2
    assert document["counters"]["hits"] == 2


def test_ls_show_export_and_import(directory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    lines = run("ls").stdout.splitlines()
    assert lines[0].split() == ["KEY", "VARIANT", "SIZE", "SAVES", "LAST", "USED", "FUNCTION"]
    assert {line.split()[0] for line in lines[1:]} == {key_of("f")[:12], key_of("g")[:12]}
    assert {item["qualname"] for item in json.loads(run("ls", "--json").stdout)} == {"f", "g"}
    assert "qualname  f" in run("show", key_of("f")[:12]).stdout
    assert json.loads(run("show", key_of("f"), "--json").stdout)["key"]["qualname"] == "f"
    exported = tmp_path / "f.cfp"
    assert run("export", key_of("f")[:8], exported).returncode == 0
    assert exported.read_bytes() == package_named("f").to_bytes()
    other = tmp_path / "other"
    assert run("import", exported, "--store", other).stdout.startswith(f"key {key_of('f')}\n")
    assert "was there already" in run("import", exported, "--store", other).stdout
    assert json.loads(run("stats", "--json", "--store", other).stdout)["variants"] == 1


def test_gc(directory: pathlib.Path) -> None:
    assert "would evict 2 variants of 2" in run("gc", "--max-bytes", "0", "--dry-run").stdout
    assert json.loads(run("stats", "--json").stdout)["variants"] == 2
    assert "evicted 0 variants of 2" in run("gc").stdout
    done = run("gc", "--max-bytes", "1K")
    assert "evicted 2 variants of 2" in done.stdout
    assert "too young" in done.stdout
    assert json.loads(run("stats", "--json").stdout)["variants"] == 0


def test_fsck_finds_and_repairs(directory: pathlib.Path) -> None:
    assert run("fsck").returncode == 0
    path = next(path for path in (directory / "obj").rglob("*") if path.is_file())
    path.chmod(0o644)
    path.write_bytes(b"other bytes")
    done = run("fsck")
    assert done.returncode == 3
    assert f"corrupt: {path}" in done.stdout
    assert "2 problems, 0 moved away" in done.stdout
    assert run("fsck", "--repair").returncode == 0
    assert run("fsck").returncode == 0
    assert run("fsck").stdout == "intact: 1 variant, 1 object, 20.0 KiB\n"


def test_refusals_say_what_where_and_what_to_do(directory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert "give at least its first 4 digits" in refused(1, "show", "abc")
    assert "no key and no variant" in refused(6, "show", "00000000")
    refused(6, "import", tmp_path / "absent.cfp")
    directory.chmod(0o777)
    assert str(directory) in refused(4, "stats")


def test_progress_is_drawn_on_a_terminal_only(directory: pathlib.Path) -> None:
    assert run("fsck").stderr == ""
    master, terminal = pty.openpty()
    done = subprocess.run([COMMAND, "fsck"], stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=60, check=True)
    os.close(terminal)
    seen = os.read(master, 65536).decode()
    os.close(master)
    assert "###" in seen
    assert "\r" not in done.stdout

"""`coldframe push` and `coldframe pull`."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import remote_http
from command import COMMAND
from remote_http import HttpServer
from sample_packages import package_named

from coldframe import _core

PROGRAM = shutil.which("coldframe") or str(COMMAND)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(bazel=True) as started:
        yield started


@pytest.fixture
def url(server: HttpServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty remote; $COLDFRAME_DIR leads to a store of two packages."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("COLDFRAME_DIR", str(tmp_path / "store"))
    store = _core.Store.open(min_free_bytes=0)
    for name in ("f", "g"):
        store.put(package_named(name))
    return f"bazel+http://me:hidden@127.0.0.1:{server.port}/cache"


def run(*arguments: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)


def key_of(name: str) -> str:
    return _core.Store.key_digest(package_named(name).key).hex()


def in_store(directory: pathlib.Path) -> set[str]:
    return {item["name"][1] for item in _core.Store.open(directory).ls()}


def test_push_and_pull(url: str, server: HttpServer, tmp_path: pathlib.Path) -> None:
    pushed = run("push", "--remote", url, "--json")
    document = json.loads(pushed.stdout)
    assert (pushed.returncode, document["pushed"], document["failed"]) == (0, 2, 0)
    assert document["bytes"] > 20000
    assert "hidden" not in pushed.stdout + pushed.stderr
    again = json.loads(run("push", "--remote", url, "--json").stdout)
    assert again["bytes"] < document["bytes"] / 2  # the objects are there
    assert json.loads(run("push", "--remote", url, "--json", "--force").stdout)["bytes"] == document["bytes"]
    assert server.refused == []
    other = tmp_path / "other"
    assert json.loads(run("pull", key_of("f"), "--remote", url, "--json", "--store", other).stdout)["pulled"] == 1
    assert in_store(other) == {"f"}
    assert run("pull", "--remote", url, "--store", other).stdout.startswith("pulled 1 variant, ")
    assert "nothing there for 1 key" in run("pull", "0" * 64, "--remote", url, "--store", other).stdout
    assert run("pull", key_of("g"), "--remote", url, "--store", other).returncode == 0
    assert in_store(other) == {"f", "g"}
    assert not _core.Store.open(other).fsck()["problems"]


def test_some_keys(url: str, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLDFRAME_REMOTE", url)
    assert run("push", key_of("g")[:8]).stdout.startswith("pushed 1 variant, ")
    assert [name[-64:] for name in server.blobs if "ac/" in name] == [key_of("g")]
    assert run("push", "no key").returncode == 1
    assert run("push", "00000000").returncode == 6


def test_what_is_damaged_there(url: str, server: HttpServer, tmp_path: pathlib.Path) -> None:
    assert run("push", "--remote", url).returncode == 0
    name = max((name for name in server.blobs if "cas/" in name), key=lambda name: len(server.blobs[name]))
    data = server.blobs[name]
    server.blobs[name] = bytes([data[0] ^ 1]) + data[1:]
    other = tmp_path / "other"
    pulled = run("pull", key_of("f"), key_of("g"), "--remote", url, "--store", other, "--json")
    document = json.loads(pulled.stdout)
    assert (document["pulled"], document["failed"], pulled.returncode) == (1, 1, 3)
    assert pulled.stderr.startswith("corrupt: ")
    assert run("push", "--remote", url, "--force").returncode == 0
    assert server.blobs[name] == data
    assert run("pull", key_of("f"), key_of("g"), "--remote", url, "--store", other).returncode == 0


def test_a_remote_that_fails_and_wrong_arguments(url: str, server: HttpServer, tmp_path: pathlib.Path) -> None:
    assert run("push").returncode == 1
    unnamed = run("pull", "--remote", url, "--store", tmp_path / "empty")
    assert (unnamed.returncode, "name those to pull, in full" in unnamed.stderr) == (1, True)
    wrong = run("push", "--remote", "gs://me:hidden@bucket")
    assert (wrong.returncode, "hidden" in wrong.stderr) == (1, False)
    assert "http, https, bazel+http" in wrong.stderr
    server.misbehave = remote_http.answer_with(403)
    refused = run("push", "--remote", url)
    assert refused.returncode == 4
    assert refused.stderr.count("untrusted") == 1
    assert "hidden" not in refused.stdout + refused.stderr
    server.misbehave = remote_http.answer_with(500)
    failed = run("pull", key_of("f"), "--remote", url, "--store", tmp_path / "other")
    assert failed.returncode == 7
    assert "status 500" in failed.stderr


def test_progress_is_drawn_on_a_terminal(url: str) -> None:
    reader, writer = pty.openpty()
    subprocess.run([PROGRAM, "push", "--remote", url], stderr=writer, stdout=subprocess.DEVNULL, timeout=120, check=True)
    os.close(writer)
    drawn = os.read(reader, 100_000).decode()
    os.close(reader)
    assert "[####" in drawn
    assert drawn.rstrip(" ").endswith("\r")
    assert "\r[" not in run("push", "--remote", url).stderr

"""Automatic mode on hosts that share a remote: each a store of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import remote_http
from remote_http import HttpServer
from test_automatic import Runner, compiled


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(bazel=True) as started:
        yield started


def host(folder: Path, name: str) -> Runner:
    (folder / name).mkdir(mode=0o700)
    return Runner(folder / name)


def test_what_one_host_compiled_another_is_served(server: HttpServer, tmp_path: Path) -> None:
    remote = {"COLDFRAME_REMOTE": f"bazel+http://127.0.0.1:{server.port}"}
    first = host(tmp_path, "first").run("model", **remote)
    assert compiled(first) and server.refused == []
    assert [blob for blob in server.blobs if "ac/" in blob]
    second = host(tmp_path, "second").run("model", **remote)
    assert second["answer"] == first["answer"]
    assert compiled(second) == 0 and second["stats"]["hits"]


def test_a_remote_that_stalls_changes_no_answer(server: HttpServer, tmp_path: Path) -> None:
    plain = host(tmp_path, "plain").run("decorated")
    server.misbehave = remote_http.stall_after(0)
    begin = time.monotonic()
    found = host(tmp_path, "stalled").run("decorated", COLDFRAME_REMOTE=f"http://127.0.0.1:{server.port}")
    assert found["answer"] == plain["answer"]
    assert compiled(found) == compiled(plain)
    assert server.requests
    assert time.monotonic() - begin < 100  # it does not hang

"""Automatic mode on hosts that share a remote: each a store of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import remote_http
from remote_http import HttpServer
from remote_servers import SERVERS
from runner import HERD, Runner, compiled

from coldframe import _core

HOSTS = 4
LEASING = ["redis", "directory"]  # that answer at once, also on a machine that has much to do


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


@pytest.mark.parametrize("kind", LEASING)
def test_hosts_that_come_together_compile_once(tmp_path: Path, kind: str) -> None:
    hosts = [host(tmp_path, f"host{number}") for number in range(HOSTS)]
    (tmp_path / "server").mkdir()
    with SERVERS[kind](tmp_path / "server") as server:
        environment = {"TEST_COMPILE_SECONDS": "3", "TEST_STARTED": str(tmp_path / "started"), "COLDFRAME_REMOTE": server.url}
        started = [(each, each.start("herd", **environment)) for _ in range(max(HERD // HOSTS, 1)) for each in hosts]
        found = [each.result(process) for each, process in started]
    assert len({each["answer"] for each in found}) == 1
    assert sum(map(compiled, found)) == 1
    assert sum(each["stats"]["hits"] for each in found) == len(found) - 1
    assert len((tmp_path / "started").read_text().split()) == 1
    counted = [_core.Store.open(each.store).stats() for each in hosts]
    assert all(stats["variants"] for stats in counted), "each host has it now"


@pytest.mark.parametrize("kind", LEASING)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_host_that_dies_or_is_stopped_holds_no_other_up(tmp_path: Path, kind: str, number: signal.Signals) -> None:
    hosts = [host(tmp_path, f"host{number}") for number in range(3)]
    (tmp_path / "server").mkdir()
    started = tmp_path / "started"
    with SERVERS[kind](tmp_path / "server") as server:
        remote = {"COLDFRAME_REMOTE": server.url}
        leader = hosts[0].start("herd", TEST_COMPILE_SECONDS="600", TEST_STARTED=str(started), **remote)
        try:
            hosts[0].wait_for(started)
            others = [(each, each.start("herd", **remote)) for each in hosts[1:]]
            time.sleep(1)
            leader.send_signal(number)
            found = [each.result(process) for each, process in others]
        finally:
            leader.kill()
            leader.communicate()
    assert sum(map(compiled, found)) == 1, "one of those who waited takes its place"

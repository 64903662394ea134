"""Single flight among hosts, with the servers that keep leases: each host a store and a process of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import SUPPORT
from remote_servers import AWS, SERVERS, RedisBlobs, Server, redis
from sample_packages import package_named

from coldframe import _core

STALLED = 1.5
PATIENT = {"min_free_bytes": 0, "remote_patience": 5.0}

OpenStore = Callable[..., _core.Store]


@pytest.fixture(scope="module", params=["redis", "directory", "s3"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as started:
        for name, value in AWS.items():
            patch.setenv(name, value)
        yield started


@pytest.fixture
def own_redis(tmp_path: pathlib.Path) -> Iterator[Server]:
    with redis(tmp_path) as started:
        yield started


@contextlib.contextmanager
def leader(folder: pathlib.Path, server: Server, name: str) -> Iterator[subprocess.Popen[str]]:
    folder.chmod(0o700)
    command = [sys.executable, str(SUPPORT / "lease_steps.py"), str(folder / "leader"), server.url, name, str(STALLED)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "leader\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[str], *lines: str) -> None:
    assert process.stdin is not None
    for line in lines:
        process.stdin.write(line + "\n")
    process.stdin.flush()


class Waiting:
    """A host that joins, in a thread of this process."""

    def __init__(self, folder: pathlib.Path, server: Server, name: str, **options: Any) -> None:
        self.store = _core.Store.open(folder / "waiting", remote=server.url, **{**PATIENT, **options})
        self.package = package_named(name)
        self._thread = threading.Thread(target=self._join)
        self._thread.start()

    def _join(self) -> None:
        self.role, self.flight = self.store.join(self.package.key, stalled=STALLED)
        self.ended = time.monotonic()

    def waits(self) -> bool:
        self._thread.join(0.5)
        return self._thread.is_alive()

    def end(self) -> str:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.role


def call(server: Server, *command: str) -> Any:
    assert isinstance(server.blobs, RedisBlobs)
    return server.blobs.call(*command)


def process_of(server: Server) -> int:
    lines = call(server, "INFO", "server").decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("process_id:"))


def test_who_waits_is_served_by_the_other_host(server: Server, tmp_path: pathlib.Path) -> None:
    with leader(tmp_path, server, "served") as process:
        waiting = Waiting(tmp_path, server, "served")
        assert waiting.waits()
        tell(process, "put", "end")
        assert waiting.end() == "served"
    assert len(waiting.store.get(waiting.package.key)[0]) == 1
    stats = waiting.store.stats()
    assert (stats["hits"], stats["remote_arrivals"], stats["remote_leases"]) == (1, 1, 0)


def test_who_waits_for_nothing_leads(server: Server, tmp_path: pathlib.Path) -> None:
    with leader(tmp_path, server, "nothing") as process:
        waiting = Waiting(tmp_path, server, "nothing")
        assert waiting.waits()
        tell(process, "end")
        assert waiting.end() == "leader"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_host_that_dies_or_is_stopped_holds_no_other_up(
    server: Server, tmp_path: pathlib.Path, number: signal.Signals
) -> None:
    name = f"dies {number}"
    with leader(tmp_path, server, name) as process:
        waiting = Waiting(tmp_path, server, name)
        assert waiting.waits()
        stopped = time.monotonic()
        process.send_signal(number)
        assert waiting.end() == "leader"
        assert waiting.ended - stopped < 30
        assert waiting.store.stats()["remote_leases"] == 1, "it has taken the lease"
        assert waiting.flight is not None
        waiting.flight.end()
        waiting.store.put(waiting.package)
        assert waiting.store.flush(60)
        process.send_signal(signal.SIGCONT)


def test_a_remote_for_reading_keeps_no_lease(server: Server, tmp_path: pathlib.Path) -> None:
    with leader(tmp_path, server, "reading"):
        waiting = Waiting(tmp_path, server, "reading", remote_read_only=True)
        assert waiting.end() == "leader"
        assert waiting.store.stats()["remote_leases"] == 0


def test_a_forked_child_leaves_the_lease_alone(own_redis: Server, tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o700)
    store = _core.Store.open(tmp_path / "here", remote=own_redis.url, **PATIENT)
    role, flight = store.join(package_named("fork").key, stalled=STALLED)
    assert role == "leader" and flight is not None
    [lease] = call(own_redis, "KEYS", "coldframe:1:l:*")
    token = call(own_redis, "GET", lease)
    child = os.fork()
    if child == 0:
        flight.forget()
        del flight
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    time.sleep(2 * STALLED)
    assert call(own_redis, "GET", lease) == token, "the parent goes on renewing it"
    child = os.fork()
    if child == 0:
        flight.forget()
        time.sleep(60)
        os._exit(0)
    flight.end()
    assert store.flush(60)
    assert call(own_redis, "KEYS", "coldframe:1:l:*") == [], "given back, whatever the child does"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_stalls_ends_the_wait(own_redis: Server, tmp_path: pathlib.Path, number: signal.Signals) -> None:
    with leader(tmp_path, own_redis, "server"):
        waiting = Waiting(tmp_path, own_redis, "server", remote_patience=0.25)
        assert waiting.waits()
        process, begin = process_of(own_redis), time.monotonic()
        os.kill(process, number)
        try:
            assert waiting.end() == "leader"
            assert waiting.ended - begin < 10
            begin = time.monotonic()
            assert waiting.store.get(waiting.package.key)[0] == []
            assert waiting.store.stats()["remote_skipped"] == 1, "the breaker is open"
            assert waiting.flight is not None
            waiting.flight.end()
            assert time.monotonic() - begin < 10
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("how", ["forbidden", "forbidden within", "unknown"])
def test_a_server_without_scripts_keeps_no_lease(tmp_path: pathlib.Path, how: str) -> None:
    tmp_path.chmod(0o700)
    renamed = ["--rename-command", "EVAL", ""] if how == "unknown" else []
    with redis(tmp_path, *renamed) as server:
        url = server.url
        if how != "unknown":
            without = ["-eval"] if how == "forbidden" else ["-pttl"]
            call(server, "ACL", "SETUSER", "some", "on", ">secret", "~*", "+@all", *without)
            url = url.replace("redis://", "redis://some:secret@")
        stores = [_core.Store.open(tmp_path / name, remote=url, **PATIENT) for name in ("one", "other")]
        for number in range(4):
            package = package_named(f"f{number}")
            flights = [store.join(package.key) for store in stores]
            assert [role for role, _ in flights] == ["leader", "leader"]
        assert all(store.stats()["remote_leases"] == 0 for store in stores)
        stores[0].put(package)
        assert stores[0].flush(60)
        assert len(stores[1].get(package.key)[0]) == 1, "it serves as before"

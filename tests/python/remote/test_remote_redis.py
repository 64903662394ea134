"""Behaviour of a remote that only a Redis server has."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from remote_servers import RedisBlobs, Server, redis
from sample_packages import package_named

from coldframe import _core

TWO_WEEKS = 14 * 24 * 3600

OpenStore = Callable[..., _core.Store]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis(tmp_path_factory.mktemp("redis"), "--requirepass", "pass/word", "--maxmemory", "40mb") as started:
        assert isinstance(started.blobs, RedisBlobs)
        started.blobs.call("AUTH", "pass/word")
        yield started


@pytest.fixture
def open_store(tmp_path: pathlib.Path, server: Server) -> OpenStore:
    tmp_path.chmod(0o700)
    url = server.url.replace("redis://", "redis://:pass%2Fword@")

    def open_store(name: str, **options: Any) -> _core.Store:
        return _core.Store.open(tmp_path / name, **{"remote": url, "min_free_bytes": 0, "remote_patience": 20.0, **options})

    return open_store


def large_package(name: str, size: int) -> _core.Package:
    package = package_named(name)
    noise = b"".join(hashlib.sha256(f"{name}{i}".encode()).digest() for i in range(size // 32))
    package.artifacts = [*package.artifacts, _core.Artifact("graph_2", "inductor_native", None, [_core.Blob("l.so", noise)])]
    return package


def call(server: Server, *command: str) -> Any:
    assert isinstance(server.blobs, RedisBlobs)
    return server.blobs.call(*command)


def test_large_objects_lie_in_parts(server: Server, open_store: OpenStore) -> None:
    package = large_package("large", 9_000_000)
    store = open_store("here")
    store.put(package)
    assert store.flush(60)
    parts = [name for name in server.objects() if name.endswith((":0", ":1", ":2", ":3"))]
    sizes = sorted(len(server.blobs.read(name)) for name in parts)
    assert sizes[-2:] == [4 << 20, 4 << 20]
    assert len([name for name in parts if name.endswith(":2")]) == 1
    [(_, found)], refusals = open_store("there").get(package.key)
    assert refusals == []
    assert found.to_bytes() == package.to_bytes()
    middle = next(name for name in parts if name.endswith(":1"))
    server.blobs.remove(middle)
    host = open_store("without a part")
    variants, [(_, code, message)] = host.get(package.key)
    assert (variants, code) == ([], "not_found")
    assert "lacks a part" in message
    host.put(package)
    assert host.flush(60)
    assert len(open_store("healed").get(package.key)[0]) == 1


def test_all_expires_unless_it_is_used(server: Server, open_store: OpenStore) -> None:
    package = package_named("expires")
    store = open_store("here")
    store.put(package)
    assert store.flush(60)
    keys = [key.decode() for key in call(server, "KEYS", "coldframe:*")]
    assert all(TWO_WEEKS - 600 < call(server, "TTL", key) <= TWO_WEEKS for key in keys)
    for key in keys:
        call(server, "EXPIRE", key, "5000")
    there = open_store("there")
    assert len(there.get(package.key)[0]) == 1
    assert there.flush(60)
    kept = [key for key in keys if call(server, "TTL", key) > TWO_WEEKS - 600]
    assert len(kept) == 2  # the variant and its object, and nothing else's
    reading = open_store("reading", remote_read_only=True)
    for key in keys:
        call(server, "EXPIRE", key, "5000")
    assert len(reading.get(package.key)[0]) == 1
    assert reading.flush(60)
    assert all(call(server, "TTL", key) <= 5000 for key in keys)


def test_a_wrong_password_and_a_full_server(server: Server, open_store: OpenStore) -> None:
    for url in (server.url, server.url.replace("redis://", "redis://:hidden@")):
        variants, [(_, code, message)] = open_store("refused", remote=url).get(package_named("f").key)
        assert (variants, code) == ([], "untrusted")
        assert "hidden" not in message
    store = open_store("here")
    for number in range(5):
        store.put(large_package(f"full{number}", 12_000_000))
        assert store.flush(60)
    assert store.stats()["remote_upload_failures"] >= 1
    call(server, "FLUSHALL")
    store.put(package_named("after"))
    assert store.flush(60)
    assert len(open_store("there").get(package_named("after").key)[0]) == 1


def test_an_object_that_is_too_large_stays_here(server: Server, open_store: OpenStore) -> None:
    package = large_package("too large", 66 << 20)
    store = open_store("here")
    store.put(package)
    assert store.flush(60)
    assert store.stats()["remote_upload_failures"] == 1
    assert store.stats()["remote_bytes_written"] == 0
    assert len(store.get(package.key)[0]) == 1

"""A store with a remote: the real servers, each started on loopback."""

from __future__ import annotations

import os
import pathlib
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import SUPPORT
from remote_servers import AWS, SERVERS, Server
from sample_packages import package_named

from coldframe import _core

FLIPS = int(os.environ.get("COLDFRAME_REMOTE_FLIPS", "24"))  # of objects of a server; of manifests ten times as many, or all
ALL_BITS = "COLDFRAME_REMOTE_FLIPS" in os.environ

OpenStore = Callable[..., _core.Store]


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as started:
        for name, value in AWS.items():
            patch.setenv(name, value)
        yield started


@pytest.fixture
def open_store(tmp_path: pathlib.Path, server: Server) -> OpenStore:
    tmp_path.chmod(0o700)

    def open_store(name: str, **options: Any) -> _core.Store:
        defaults = {"remote": server.url, "min_free_bytes": 0, "remote_patience": 20.0, "remote_retry_after": 0.0}
        return _core.Store.open(tmp_path / name, **{**defaults, **options})

    return open_store


def uploaded(store: _core.Store, package: _core.Package) -> dict[str, Any]:
    report = store.put(package)
    assert store.flush(30)
    assert store.stats()["remote_upload_failures"] == 0
    return report


def variant_named(name: str, producer: str) -> _core.Package:
    package = package_named(name)
    package.producer = producer
    return package


def served(store: _core.Store, package: _core.Package) -> None:
    variants, refusals = store.get(package.key)
    assert refusals == []
    assert [found.to_bytes() for _, found in variants] == [package.to_bytes()]


def test_what_one_host_puts_another_gets(server: Server, open_store: OpenStore) -> None:
    package = package_named("f")
    here, there = open_store("here"), open_store("there")
    assert there.get(package.key) == ([], [])
    report = uploaded(here, package)
    [(identity, found)], refusals = there.get(package.key)
    assert (identity, refusals) == (report["id"], [])
    assert found.to_bytes() == package.to_bytes()
    stats = there.stats()
    assert (stats["hits"], stats["misses"], stats["remote_hits"], stats["remote_misses"]) == (0, 2, 1, 1)
    assert stats["remote_bytes_read"] > 10000
    assert stats["milliseconds_saved"] == 1500
    assert here.stats()["remote_uploads"] == 1
    served(there, package)
    assert there.stats()["hits"] == 1
    assert not there.fsck()["problems"]
    served(open_store("there", remote=None), package)


def test_nothing_is_sent_twice(server: Server, open_store: OpenStore) -> None:
    package = package_named("twice")
    store = open_store("here")
    uploaded(store, package)
    sent = store.stats()["remote_bytes_written"]
    assert sent > 10000
    before = {name: server.blobs.read(name) for name in server.blobs.names()}
    uploaded(store, package)
    uploaded(open_store("other"), package)
    assert store.stats()["remote_bytes_written"] - sent < 10000
    assert {name: server.blobs.read(name) for name in server.blobs.names()} == before


def test_variants_of_writers_side_by_side(server: Server, open_store: OpenStore) -> None:
    packages = [variant_named("many", f"writer {number}") for number in range(4)]
    for number, package in enumerate(packages):
        uploaded(open_store(f"writer{number}"), package)
    variants, refusals = open_store("reader").get(packages[0].key)
    assert refusals == []
    assert {found.to_bytes() for _, found in variants} == {package.to_bytes() for package in packages}


def test_no_more_than_sixteen_variants_stay(server: Server, open_store: OpenStore) -> None:
    if server.url.startswith("file:"):
        pytest.skip("a directory keeps what fits its limit in bytes; what is read of it is bounded")
    store = open_store("writer")
    for number in range(18):
        uploaded(store, variant_named("more", f"writer {number}"))
    variants, refusals = open_store("reader").get(package_named("more").key)
    assert (len(variants), refusals) == (16, [])
    assert "writer 17" in {found.producer for _, found in variants}


def test_a_remote_for_reading_only(server: Server, open_store: OpenStore) -> None:
    package = package_named("reading")
    store = open_store("here", remote_read_only=True)
    before = server.blobs.names()
    store.put(package)
    assert store.flush(30)
    assert server.blobs.names() == before
    assert store.stats()["remote_uploads"] == 0
    uploaded(open_store("other"), package)
    served(open_store("third", remote_read_only=True), package)


def test_a_local_store_for_reading_only_serves_from_memory(
    server: Server, open_store: OpenStore, tmp_path: pathlib.Path
) -> None:
    package = package_named("memory")
    uploaded(open_store("here"), package)
    store = open_store("nothing", read_only=True)
    served(store, package)
    served(store, package)
    assert not (tmp_path / "nothing").exists()


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def bits(data: bytes, count: int) -> list[int]:
    return sorted(random.Random(len(data)).sample(range(8 * len(data)), min(count, 8 * len(data))))


def test_flipped_bits_are_a_miss_with_a_reason(server: Server, open_store: OpenStore) -> None:
    package = package_named("flips")
    others = set(server.blobs.names())
    uploaded(open_store("here"), package)
    reader = open_store("nothing", read_only=True, remote_read_only=True)
    served(reader, package)
    tried = 0
    for name in sorted(set(server.blobs.names()) - others):
        data = server.blobs.read(name)
        is_manifest = name in server.manifests() or len(data) < 10000
        is_record = "ac/" in name
        count = 8 * len(data) if is_manifest and ALL_BITS else FLIPS * (10 if is_manifest else 1)
        for bit in bits(data, count):
            server.blobs.write(name, flipped(data, bit))
            variants, refusals = reader.get(package.key)
            # A record is no more than a list: some bits of it say nothing.
            if variants and is_record:
                assert [found.to_bytes() for _, found in variants] == [package.to_bytes()]
            else:
                assert (variants, len(refusals)) == ([], 1), (name, bit)
            tried += 1
        server.blobs.write(name, data)
    served(reader, package)
    print(f"{tried} bits flipped")


def test_what_is_damaged_or_gone_is_healed_by_the_next_put(server: Server, open_store: OpenStore) -> None:
    package = package_named("heal")
    others = set(server.blobs.names())
    uploaded(open_store("here"), package)
    names = sorted(set(server.blobs.names()) - others)
    assert len(names) >= 2
    for number, name in enumerate(names):
        data = server.blobs.read(name)
        for change in ("flip", "cut", "remove"):
            if change == "remove":
                server.blobs.remove(name)
            else:
                server.blobs.write(name, flipped(data, 8 * 100 + 3) if change == "flip" else data[:-1])
            host = open_store(f"{change}{number}")
            variants, refusals = host.get(package.key)
            assert variants == [], (name, change)
            assert refusals or change == "remove"
            uploaded(host, package)
            assert sorted(set(server.blobs.names()) - others) == names
            if "ac/" not in name:
                assert server.blobs.read(name) == data, (name, change)
            served(open_store(f"{change}{number} again"), package)


CHILD = """
import os, sys
from coldframe import _core
sys.path.insert(0, sys.argv[3])
from sample_packages import package_named
store = _core.Store.open(sys.argv[1], remote=sys.argv[2], min_free_bytes=0, remote_patience=20.0)
package = package_named(sys.argv[4])
store.put(package)
"""


def test_a_process_that_ends_has_uploaded(server: Server, open_store: OpenStore, tmp_path: pathlib.Path) -> None:
    if server.url.startswith("memory:"):
        pytest.skip("that memory is this process's")
    folder = str(SUPPORT)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "child"), server.url, folder, "ended"]
    subprocess.run(command, check=True, timeout=120)
    served(open_store("reader"), package_named("ended"))


def test_a_forked_child_has_connections_of_its_own(server: Server, open_store: OpenStore) -> None:
    if server.url.startswith("memory:"):
        pytest.skip("that memory is this process's")
    uploaded(open_store("here"), package_named("forked"))
    store = open_store("there")
    store.put(package_named("of the parent"))
    child = os.fork()
    if child == 0:
        try:
            served(store, package_named("forked"))
            uploaded(store, package_named("of the child"))
            os._exit(0)
        finally:
            os._exit(1)
    served(open_store("parent"), package_named("forked"))
    assert os.waitpid(child, 0)[1] == 0
    assert store.flush(30)
    for name in ("of the child", "of the parent"):
        served(open_store(name), package_named(name))

"""The store through coldframe._core: packages in, the same packages out, for this process and for others."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import pathlib
import subprocess
import sys
import threading

import pytest
from sample_packages import package_named

from coldframe import _core
from coldframe.errors import CorruptPackageError, InvalidArgumentError, PackageIOError, UntrustedPackageError

LIBRARY = bytes(range(256)) * 64 + hashlib.sha256(b"noise").digest() * 200

CHILD = """
import sys
from coldframe import _core
store = _core.Store.open(sys.argv[1])
package = _core.Package.open(sys.argv[2])
print(store.put(package)["id"].hex())
[(_, found)], refusals = store.get(package.key)
assert not refusals
assert found.to_bytes() == package.to_bytes()
"""


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    tmp_path.chmod(0o700)
    return tmp_path / "store"


def open_store(directory: pathlib.Path, **options: object) -> _core.Store:
    return _core.Store.open(directory, min_free_bytes=0, **options)  # type: ignore[arg-type]


def test_a_package_comes_back(directory: pathlib.Path) -> None:
    store = open_store(directory)
    package = package_named("f")
    assert store.get(package.key) == ([], [])
    report = store.put(package)
    assert report["added"]
    assert report["key"] == _core.Store.key_digest(package.key)
    [(identity, found)], refusals = store.get(package.key)
    assert (identity, refusals) == (report["id"], [])
    assert found.to_bytes() == package.to_bytes()
    [item] = open_store(directory).ls()
    assert item["name"] == package.key
    assert item["compile_seconds"] == package.compile_seconds
    stats = store.stats()
    assert (stats["hits"], stats["misses"], stats["puts"]) == (1, 1, 1)
    assert stats["milliseconds_saved"] == 1500
    assert store.remove(report["key"]) == 1
    assert store.get(package.key) == ([], [])


def test_in_memory(directory: pathlib.Path) -> None:
    store = _core.Store.in_memory()
    package = package_named("f")
    store.put(package)
    [(_, found)], _ = store.get(package.key)
    assert found.to_bytes() == package.to_bytes()
    assert store.path == ""
    assert store.gc(0)["evicted"] == 1
    assert store.get(package.key) == ([], [])
    assert not store.fsck()["problems"]


def test_a_damaged_object_is_an_error_where_it_is_read_and_heals(directory: pathlib.Path) -> None:
    store = open_store(directory)
    package = package_named("f")
    store.put(package)
    [path] = [path for path in (directory / "obj").rglob("*") if path.is_file()]
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    [(_, found)], _ = store.get(package.key)
    with pytest.raises(CorruptPackageError):
        found.verify()
    variants, [(_, code, message)] = store.get(package.key)
    assert (variants, code) == ([], "not_found")
    assert "obj" in message
    assert store.stats()["quarantined"] == 1
    store.put(package)
    [(_, found)], _ = store.get(package.key)
    found.verify()


def test_many_processes_and_threads_put_the_same_key(directory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    package = package_named("f")
    package.write(tmp_path / "f.cfp")
    command = [sys.executable, "-c", CHILD, str(directory), str(tmp_path / "f.cfp")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    identities = {child.communicate(timeout=120)[0] for child in children}
    assert all(child.returncode == 0 for child in children)
    assert len(identities) == 1
    store = open_store(directory)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda _: store.put(package), range(32)))
    assert {report["id"].hex() + "\n" for report in reports} == identities
    assert store.stats()["variants"] == 1
    assert not store.fsck()["problems"]


def test_others_run_while_the_store_is_at_work(directory: pathlib.Path) -> None:
    store = open_store(directory)
    for number in range(50):
        store.put(package_named(f"f{number}"))
    ticks = 0
    done = threading.Event()

    def work() -> None:
        for _ in range(5):
            store.fsck()
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        ticks += 1
        done.wait(0.001)
    thread.join()
    assert ticks > 5


def test_read_only_and_wrong_arguments(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(directory).put(package_named("f"))
    store = open_store(directory, read_only=True)
    assert len(store.get(package_named("f").key)[0]) == 1
    with pytest.raises(PackageIOError):
        store.put(package_named("g"))
    with pytest.raises(InvalidArgumentError):
        open_store(directory, durability="sometimes")
    with pytest.raises(InvalidArgumentError):
        store.remove(b"short")
    directory.chmod(0o777)
    with pytest.raises(UntrustedPackageError, match="chmod go-w"):
        open_store(directory)
    directory.chmod(0o700)
    monkeypatch.setenv("COLDFRAME_DIR", str(directory))
    assert _core.Store.open().path == str(directory)
    monkeypatch.delenv("COLDFRAME_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))
    assert _core.Store.open().path == str(directory / "coldframe")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(directory))
    assert _core.Store.open().path == str(directory / ".cache" / "coldframe")
    monkeypatch.setenv("COLDFRAME_DIR", "relative")
    with pytest.raises(InvalidArgumentError):
        _core.Store.open()


def test_a_forked_child_counts_for_itself(directory: pathlib.Path) -> None:
    store = open_store(directory)
    package = package_named("f")
    store.put(package)
    store.get(package.key)
    child = os.fork()
    if child == 0:
        store.get(package.key)
        store.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    store.flush()
    assert store.stats()["hits"] == 2

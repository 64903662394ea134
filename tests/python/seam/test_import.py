"""Importing coldframe is cheap: it touches no torch, and loads few libraries."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from remote_http import HttpServer
from sample_packages import package_named

MOST = 8  # libraries beyond the interpreter's own
OF_REMOTES = ("libcurl", "libhiredis", "libgssapi", "libldap", "libgnutls", "libssl")

LIBRARIES = """
import json, sys
def libraries():
    with open("/proc/self/maps") as maps:
        return {line.split()[-1].rpartition("/")[2] for line in maps if ".so" in line}
own = libraries()
"""
IMPORT = f"{LIBRARIES}import coldframe; print(json.dumps(sorted(libraries() - own)))"
STORE = f"""{LIBRARIES}
from coldframe import _core
package = _core.Package.open(sys.argv[1])
store = _core.Store.open(sys.argv[2], min_free_bytes=0, remote=sys.argv[3] or None, remote_patience=20.0)
store.put(package)
assert store.flush(30) and not store.stats()["remote_upload_failures"]
(variant, served), = store.get(package.key)[0]
served.verify()
print(json.dumps(sorted(libraries() - own)))
"""
BROKEN = """
import sys
from coldframe import _core, errors
_core.Store.open(sys.argv[1], remote="file://" + sys.argv[1] + "/remote")
for url in ("http://127.0.0.1:1/prefix", "s3://bucket", "redis://127.0.0.1:1"):
    try:
        _core.Store.open(sys.argv[1], remote=url)
    except errors.PackageIOError as error:
        assert isinstance(error.__cause__, ImportError)
        print(error)
"""


def run(script: str, *arguments: object, **environment: str) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    options = {"env": {**os.environ, **environment}, "timeout": 60}
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


@pytest.fixture
def package(tmp_path: pathlib.Path) -> pathlib.Path:
    tmp_path.chmod(0o700)
    package_named("f").write(tmp_path / "f.cfp")
    return tmp_path / "f.cfp"


def of_remotes(libraries: list[str]) -> list[str]:
    return [name for name in libraries if name.startswith(OF_REMOTES)]


def test_importing_coldframe_does_not_import_torch() -> None:
    script = "import sys, coldframe, coldframe._core, coldframe.errors; print('torch' in sys.modules)"
    assert run(script) == "False\n"


def test_importing_coldframe_loads_few_libraries_and_modules() -> None:
    libraries = json.loads(run(IMPORT))
    assert "libcrypto.so.3" in libraries, "what is counted are names of libraries"
    assert len(libraries) <= MOST
    assert of_remotes(libraries) == []
    assert run("import sys, coldframe; print({'re', 'typing', 'importlib.util'} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize("remote", ["", "directory"])
def test_a_store_without_a_network_loads_no_network(tmp_path: pathlib.Path, package: pathlib.Path, remote: str) -> None:
    libraries = json.loads(run(STORE, package, tmp_path / "store", f"file://{tmp_path}/{remote}" if remote else ""))
    assert len(libraries) <= MOST
    assert of_remotes(libraries) == []


def test_a_remote_over_a_network_loads_it(tmp_path: pathlib.Path, package: pathlib.Path) -> None:
    with HttpServer(bazel=True) as server:
        url = f"bazel+http://127.0.0.1:{server.port}/prefix"
        first = json.loads(run(STORE, package, tmp_path / "store", url))
        assert any(name.startswith("ac/") or "/ac/" in name for name in server.names())
        run(STORE, package, tmp_path / "another", url)
    assert any(name.startswith("libcurl") for name in first)
    assert any(name.startswith("_network") for name in first)


def test_a_remote_over_a_network_says_which_of_its_libraries_is_missing(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "libcurl.so.4").touch()  # what the loader finds first, and cannot use
    lines = run(BROKEN, tmp_path, LD_LIBRARY_PATH=str(tmp_path)).splitlines()
    assert len(lines) == 3
    for line in lines:
        assert "coldframe._network, which cannot be loaded: " in line
        assert "libcurl.so.4" in line
        assert "/coldframe/_network." in line


def test_the_libraries_of_a_network_are_loaded_once_by_many_threads(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o700)
    script = """
import concurrent.futures, sys, threading
from coldframe import _core
barrier = threading.Barrier(8)
def open_store(number):
    barrier.wait()
    return _core.Store.open(f"{sys.argv[1]}/{number}", remote=f"http://127.0.0.1:1/{number}").remote
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(*pool.map(open_store, range(8)))
"""
    assert run(script, tmp_path).split() == [f"http://127.0.0.1:1/{number}" for number in range(8)]

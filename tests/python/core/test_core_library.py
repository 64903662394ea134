"""Kernels loaded from bytes: four extensions with one init name stay four, and nothing unverified is loaded."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import textwrap
import threading
from collections.abc import Callable

import pytest

from coldframe import _core, errors
from coldframe._core import SharedLibrary

HEAD = """
#include <Python.h>
#include <cstdlib>
extern "C" int value_of() { return VALUE; }
// Says that the library was loaded at all.
__attribute__((constructor)) static void loaded() { setenv("COLDFRAME_TEST_LOADED_" NAME, "1", 1); }
static PyObject* kernel(PyObject*, PyObject*) { return PyLong_FromLong(VALUE); }
static PyMethodDef methods[] = {{"kernel", kernel, METH_NOARGS, ""}, {}};
"""
SINGLE_PHASE = """
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", nullptr, SIZE, methods};
PyMODINIT_FUNC PyInit_kernel() { return PyModule_Create(&module); }
"""
MULTI_PHASE = """
static int execute(PyObject* module) { return PyModule_AddIntConstant(module, "executed", VALUE); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, reinterpret_cast<void*>(execute)}, {}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", nullptr, 0, methods, slots};
PyMODINIT_FUNC PyInit_kernel() { return PyModuleDef_Init(&module); }
"""
# As Inductor's kernels do: no module without the address of a function of torch.
NEEDS_VARIABLE = """
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", nullptr, -1, methods};
PyMODINIT_FUNC PyInit_kernel() {
    if (getenv("COLDFRAME_TEST_VARIABLE") == nullptr) {
        PyErr_SetString(PyExc_RuntimeError, "COLDFRAME_TEST_VARIABLE must be set");
        return nullptr;
    }
    return PyModule_Create(&module);
}
"""
NO_MODULE = ""
UNDEFINED = 'extern "C" int coldframe_test_defined_nowhere(); extern "C" int use() { return coldframe_test_defined_nowhere(); }'
# In front of the C library: a kernel that refuses files in memory.
NO_MEMFD = '#include <errno.h>\nextern "C" int memfd_create(const char*, unsigned) { errno = ENOSYS; return -1; }\n'

KERNELS = {
    "one": ("SIZE=-1", SINGLE_PHASE),
    "two": ("SIZE=0", SINGLE_PHASE),
    "three": ("SIZE=16", SINGLE_PHASE),
    "four": ("SIZE=0", MULTI_PHASE),
    "variable": ("SIZE=0", NEEDS_VARIABLE),
    "no_module": ("SIZE=0", NO_MODULE),
    "undefined": ("SIZE=0", UNDEFINED),
    "corrupt": ("SIZE=0", SINGLE_PHASE),
    "noise": ("SIZE=-1", SINGLE_PHASE),
}
VALUES = {name: 100 + number for number, name in enumerate(KERNELS)}
FOUR = ["one", "two", "three", "four"]

Build = Callable[[str], bytes]


def compile_library(source: str, target: pathlib.Path, *flags: str) -> pathlib.Path:
    target.with_suffix(".cpp").write_text(source)
    include = f"-I{sysconfig.get_path('include')}"
    command = ["g++", "-shared", "-fPIC", "-O0", "-w", include, *flags, str(target.with_suffix(".cpp")), "-o", str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The bytes of a kernel by name; each is compiled once."""
    folder = tmp_path_factory.mktemp("kernels")

    def bytes_of(name: str) -> bytes:
        target = folder / f"{name}.so"
        if not target.exists():
            size, body = KERNELS[name]
            defines = [f"-DVALUE={VALUES[name]}", f'-DNAME="{name}"', f"-D{size}"]
            compile_library(HEAD + body, target, *defines)
        return target.read_bytes()

    return bytes_of


def load(data: bytes, name: str = "kernel") -> SharedLibrary:
    return SharedLibrary.load(data, hashlib.sha256(data).digest(), name)


def test_four_kernels_of_one_name_stay_four(build: Build) -> None:
    before = {name: module for name, module in sys.modules.items() if name == "kernel"}
    libraries = {name: load(build(name)) for name in FOUR}
    modules = {name: library.python_module("kernel") for name, library in libraries.items()}
    assert {name: module.kernel() for name, module in modules.items()} == {name: VALUES[name] for name in FOUR}
    assert len({library.path for library in libraries.values()}) == 4
    addresses = {library.symbol("value_of") for library in libraries.values()}
    assert len(addresses) == 4
    assert {ctypes.CFUNCTYPE(ctypes.c_int)(address)() for address in addresses} == {VALUES[name] for name in FOUR}
    assert modules["four"].executed == VALUES["four"]
    assert all(module.__name__ == "kernel" for module in modules.values())
    assert {name: module for name, module in sys.modules.items() if name == "kernel"} == before


def test_one_digest_is_loaded_once(build: Build) -> None:
    first, second = load(build("one"), "a"), load(build("one"), "b")
    assert first is second
    assert first.path == second.path
    assert first.python_module("kernel") is second.python_module("kernel")
    dotted = first.python_module("package.of.kernel")
    assert dotted.__name__ == "package.of.kernel"
    assert dotted.kernel() == VALUES["one"]
    assert "package.of.kernel" not in sys.modules


def test_no_descriptor_stays_open(build: Build) -> None:
    data = build("noise")
    before = os.listdir("/proc/self/fd")
    for number in range(20):
        assert load(data + bytes([number])).python_module("kernel").kernel() == VALUES["noise"]
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_bytes_are_verified_before_anything_is_loaded(build: Build) -> None:
    data = build("corrupt")
    digest = hashlib.sha256(data).digest()
    for position in (0, 16, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(errors.CorruptPackageError, match=r"library 'broken kernel'"):
            SharedLibrary.load(bytes(damaged), digest, "broken kernel")
    with pytest.raises(errors.CorruptPackageError):
        SharedLibrary.load(data[:-1], digest)
    with pytest.raises(errors.InvalidArgumentError, match="32 bytes"):
        SharedLibrary.load(data, b"short")
    assert getenv("COLDFRAME_TEST_LOADED_corrupt") is None
    SharedLibrary.load(data, digest)
    assert getenv("COLDFRAME_TEST_LOADED_corrupt") == b"1"


def getenv(name: str) -> bytes | None:
    """As C sees it: os.environ is a copy."""
    function = ctypes.CDLL(None).getenv
    function.restype = ctypes.c_char_p
    value = function(name.encode())
    return value if value is None else bytes(value)


def test_what_the_loader_says(build: Build) -> None:
    with pytest.raises(errors.IncompatiblePackageError, match="coldframe_test_defined_nowhere"):
        load(build("undefined"), "some kernel")
    with pytest.raises(errors.IncompatiblePackageError, match=r"loader refuses.*library 'some kernel'"):
        load(b"not a library at all", "some kernel")
    with pytest.raises(errors.IncompatiblePackageError, match="no symbol 'nothing'"):
        load(build("one")).symbol("nothing")
    assert leftovers(pathlib.Path("/tmp")) == leftovers(pathlib.Path("/var/tmp")) == []


def leftovers(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.glob(f"coldframe-{os.getpid()}-*"))


def test_what_init_says(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.IncompatiblePackageError, match="'kernel'") as caught:
        load(build("no_module")).python_module("kernel")
    assert isinstance(caught.value.__cause__, ImportError)
    library = load(build("variable"))
    with pytest.raises(errors.IncompatiblePackageError) as caught:
        library.python_module("kernel")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "kernel" not in sys.modules
    monkeypatch.setenv("COLDFRAME_TEST_VARIABLE", "1")
    assert library.python_module("kernel").kernel() == VALUES["variable"]


def test_blobs_load_without_another_copy(build: Build, tmp_path: pathlib.Path) -> None:
    package = _core.Package()
    package.artifacts = [_core.Artifact("b", "k", None, [_core.Blob(name, build(name)) for name in FOUR])]
    package.write(tmp_path / "a.cfp")
    blobs = _core.Package.open(tmp_path / "a.cfp").artifacts[0].blobs
    kernels = [SharedLibrary.load_blob(blob).python_module("kernel") for blob in blobs]
    assert [module.kernel() for module in kernels] == [VALUES[name] for name in FOUR]
    assert SharedLibrary.load_blob(blobs[0]) is load(build("one"))


def test_a_forked_child_still_calls_them(build: Build) -> None:
    modules = [load(build(name)).python_module("kernel") for name in FOUR]
    late = build("four") + b"late"
    child = os.fork()
    if child == 0:
        right = [module.kernel() for module in modules] == [VALUES[name] for name in FOUR]
        right = right and load(late).python_module("kernel").kernel() == VALUES["four"]
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_get_one_library(build: Build) -> None:
    data = build("one") + b"for threads"
    found: list[SharedLibrary] = []
    threads = [threading.Thread(target=lambda: found.append(load(data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(library) for library in found}) == 1
    assert len({library.python_module("kernel") for library in found}) == 1


SCRIPT = """
import hashlib, json, os, pathlib, sys
from coldframe._core import SharedLibrary

results = []
paths = []
for path in sys.argv[1:]:
    data = pathlib.Path(path).read_bytes()
    library = SharedLibrary.load(data, hashlib.sha256(data).digest(), "kernel")
    results.append(library.python_module("kernel").kernel())
    os.closerange(3, 100)  # as daemons do
    paths.append(library.path)
print(json.dumps([results, paths]))
"""


@pytest.fixture
def files(build: Build, tmp_path: pathlib.Path) -> list[str]:
    paths = []
    for name in FOUR:
        path = tmp_path / f"{name}.so"
        path.write_bytes(build(name))
        paths.append(str(path))
    return paths


def run(files: list[str], **environment: str) -> list[str]:
    """Loads the files in a fresh process; the paths under which they were loaded."""
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *files]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results, paths = json.loads(done.stdout)
    assert results == [VALUES[name] for name in FOUR]
    assert len(set(paths)) == len(FOUR)
    return list(paths)


def test_closing_all_descriptors_mixes_nothing_up(files: list[str]) -> None:
    assert all(path.startswith("/proc/self/") for path in run(files))


def test_without_files_in_memory(files: list[str], tmp_path: pathlib.Path) -> None:
    shim = compile_library(NO_MEMFD, tmp_path / "shim.so")
    private = tmp_path / "runtime"
    private.mkdir()
    preloaded = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(shim)]))
    paths = run(files, LD_PRELOAD=preloaded, XDG_RUNTIME_DIR=str(private))
    assert all(path.startswith(f"{private}/coldframe-") for path in paths)
    assert list(private.iterdir()) == []
    paths = run(files, LD_PRELOAD=preloaded, XDG_RUNTIME_DIR="/proc/nowhere", TMPDIR=str(private))
    assert all(path.startswith(f"{private}/coldframe-") for path in paths)
    assert list(private.iterdir()) == []

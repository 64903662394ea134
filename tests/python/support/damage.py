"""Steps that load or save where that must fail, and tell what happened."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs
import torch

import coldframe
from coldframe import _core

# CPython's audit events of code that runs, and of what loads code. (Making a code object is not running it.)
_EXECUTION = frozenset({"exec", "compile", "import", "ctypes.dlopen", "marshal.loads", "pickle.find_class"})
_NOBODY = 65534

executed: list[str] = []
_listening = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _listening and (event in _EXECUTION or event.startswith(("subprocess", "os.posix_spawn"))):
        executed.append(f"{event}{args!r}"[:200])


def refusal(path: Path) -> dict[str, Any]:
    """Tries to load `path`: the error's class and message, and what was executed or left behind meanwhile."""
    global _listening
    names = set(vars(programs))
    loads = coldframe.stats()["loads"]
    executed.clear()
    try:
        _listening = True
        coldframe.load(path, programs.breaks_twice, on_miss="error")
    except coldframe.PackageError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except BaseException as error:
        answer = {"error": f"not a PackageError but {type(error).__name__}", "message": str(error)}
    else:
        answer = {"error": "none", "message": ""}
    finally:
        _listening = False
    left = sorted(set(vars(programs)) - names)
    return {**answer, "executed": list(executed), "left": left, "loads": coldframe.stats()["loads"] - loads}


def prepare() -> None:
    """Makes the imports that any load needs, and listens from now on."""
    _compiled()
    refusal(Path("absent"))
    sys.addaudithook(_hook)


def refusals(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """`refusal` of each, by file name."""
    return {path.name: refusal(path) for path in paths}


def flips(package: Path, folder: Path, step: int) -> list[dict[str, Any]]:
    """`refusal` of copies of `package` with one byte changed, at every `step`-th place: those that were not as they must be."""
    data = package.read_bytes()
    path = folder / "flipped"
    wrong = []
    for place in range(0, len(data), step):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        found = refusal(path)
        if (
            found["error"] not in ("CorruptPackageError", "UnsupportedPackageError")
            or found["executed"]
            or found["left"]
            or str(path) not in found["message"]
        ):
            wrong.append({"place": place, **found})
    return wrong


def as_nobody(function: Callable[..., Any], **arguments: Any) -> Any:
    """Runs `function` without root's right to pass over permissions, when this is root."""
    if os.geteuid() != 0:
        return function(**arguments)
    os.seteuid(_NOBODY)
    try:
        return function(**arguments)
    finally:
        os.seteuid(0)


def unreadable(path: Path) -> dict[str, Any]:
    path.chmod(0)
    return as_nobody(refusal, path=path)


def _compiled(function: Any = programs.breaks_twice) -> Any:
    compiled = coldframe.compile(function, backend="eager")
    compiled(torch.ones(3))
    return compiled


def _save(compiled: Any, path: Path) -> dict[str, Any]:
    try:
        report = coldframe.save(compiled, path)
    except coldframe.PackageError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"error": "none", "message": "", "size": report.size}


def save_to(paths: list[Path]) -> list[dict[str, Any]]:
    compiled = _compiled()
    return [_save(compiled, path) for path in paths]


def save_read_only(folder: Path) -> dict[str, Any]:
    compiled = _compiled()
    folder.chmod(0o555)
    try:
        return as_nobody(_save, compiled=compiled, path=folder / "package")
    finally:
        folder.chmod(0o755)


def save_with_limits(path: Path, limits: list[int]) -> list[dict[str, Any]]:
    """Saves while no file may grow beyond a limit in bytes, then without it; for each limit."""
    return [_save_with_limit(_compiled(), path, limit) for limit in limits]


def _save_with_limit(compiled: Any, path: Path, limit: int) -> dict[str, Any]:
    before = path.read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        found = _save(compiled, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    intact = path.read_bytes() == before
    return {**found, "intact": intact, "names": sorted(os.listdir(path.parent)), "after": _save(compiled, path)}


def save_to_full_disk(folder: Path) -> dict[str, Any]:
    """On a file system of a few pages: saves, fills it, saves again, makes room, saves again."""
    path = folder / "package"
    compiled = _compiled()
    answer: dict[str, Any] = {"first": _save(compiled, path)}
    before = path.read_bytes()
    filler = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY)
    try:
        while os.write(filler, b"x" * 512):
            pass
    except OSError as error:
        assert error.errno == errno.ENOSPC
    answer["full"] = _save(compiled, path)
    answer["intact"] = path.read_bytes() == before
    answer["names"] = sorted(os.listdir(folder))
    os.close(filler)
    os.unlink(folder / "filler")
    answer["after"] = _save(compiled, path)
    return answer


def mounted_full_disk() -> dict[str, Any] | None:
    """`save_to_full_disk` on a small tmpfs in a mount namespace of this process; None where that may not be had."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, private, recursive = 0x00020000, 1 << 18, 1 << 14
    folder = Path(tempfile.mkdtemp())
    if libc.unshare(new_namespace) != 0 or libc.mount(b"none", b"/", None, private | recursive, None) != 0:
        return None
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=64k") != 0:
        return None
    try:
        return save_to_full_disk(folder)
    finally:
        libc.umount2(os.fsencode(folder), 2)
        folder.rmdir()


def killed_saves(folder: Path, kills: int) -> dict[str, Any]:
    """Lets a process save two packages by turns to one path and kills it at some time, again and again."""
    path = folder / "package"
    compiled = [_compiled(programs.breaks_twice), _compiled(programs.with_default)]
    for one in compiled:
        coldframe.save(one, path)
    keys = set()
    bad: list[str] = []
    for number in range(kills):
        pid = os.fork()
        if pid == 0:
            while True:
                for one in compiled:
                    coldframe.save(one, path)
        time.sleep(0.003 + 0.002 * (number * 7 % 11))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        try:
            package = _core.Package.open(path)
            package.verify()
            keys.add(package.key[1])
        except Exception as error:
            bad.append(repr(error))
    names = sorted(os.listdir(folder))
    return {"bad": bad, "keys": sorted(keys), "names": names, "after": _save(compiled[0], path)}


def appended_together(path: Path, workers: int, shapes: int) -> dict[str, Any]:
    """Processes that begin at once, each of which makes other variants of one function and adds them to one file."""
    _compiled(programs.with_default)
    reader, writer = os.pipe()
    pids = []
    for worker in range(workers):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.read(reader, 1)
                compiled = coldframe.compile(programs.automatic, package=path, backend="eager", dynamic=False)
                for shape in range(shapes):
                    compiled(torch.ones(2 + worker + workers * shape))
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
    os.write(writer, b"x" * workers)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    package = _core.Package.open(path)
    package.verify()
    variants = sum(len(entry.guarded_codes) for entry in package.codes)
    return {"statuses": statuses, "variants": variants, "names": os.listdir(path.parent)}

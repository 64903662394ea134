"""Automatic mode: every torch.compile of the process, and of its children, is served from a store.

Nothing here imports torch: where torch is not there yet, it is taken care of when the program imports it.
"""

from __future__ import annotations

import importlib
import os
import sys

from coldframe import _core, imports, spawned
from coldframe.errors import InvalidArgumentError, PackageError
from coldframe.warn import warn

# What a child process is told by.
_ENABLED = "COLDFRAME"
_STORE = "COLDFRAME_DIR"
_REMOTE = "COLDFRAME_REMOTE"
_READ_ONLY = "COLDFRAME_READ_ONLY"
_MAX_BYTES = "COLDFRAME_MAX_BYTES"
_SINGLE_FLIGHT = "COLDFRAME_SINGLE_FLIGHT"
_ON_MISS = "COLDFRAME_ON_MISS"

_SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
_ON_MISSES = ("compile", "eager", "error")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def enable(
    store: str | os.PathLike[str] | _core.Store | None = None,
    remote: str | None = None,
    read_only: bool = False,
    max_bytes: int | str = "10G",
    single_flight: bool = True,
    on_miss: str = "compile",
) -> None:
    """From now on every torch.compile of this process, and of processes that it starts, is served from a store.

    What torch.compile compiles is saved there at once, in the background; what is there already is not compiled again.
    Functions and modules that were compiled before keep what they have.

    store: a directory, or an open store; None for $COLDFRAME_DIR or `coldframe` in the user's cache directory.
    remote: the URL of a second tier that is asked for what the store lacks, and gets what this process compiles.
    read_only: nothing is written, neither to the store nor to the remote.
    max_bytes: how large the store may become (bytes, or "500M", "10G"); 0 for no limit.
    single_flight: of the processes that need the same at the same time one compiles, and the others wait for it
        (at most COLDFRAME_WAIT seconds, 600 by default); also among hosts, if the remote is Redis, S3 or a directory.
    on_miss: what to do with a call that nothing in the store serves: "compile" it now, run it "eager", or raise MissError
        ("error"). Where no C++ compiler works, "compile" runs what needs one as it is, counted in `stats()` and said once.

    InvalidArgumentError for arguments that make no sense. A store that cannot be used is a warning: the program then runs as
    with plain torch.compile. Calling it again changes the store.
    """
    size = _bytes(max_bytes)
    if on_miss not in _ON_MISSES:
        raise InvalidArgumentError(f"on_miss must be 'compile', 'eager' or 'error', not {on_miss!r}")
    try:
        if not isinstance(store, _core.Store):
            store = _core.Store.open(store, read_only=read_only, max_bytes=size, remote=remote, remote_read_only=read_only)
    except InvalidArgumentError:
        raise
    except (PackageError, OSError) as error:
        warn(f"coldframe is not enabled: {error}", stacklevel=2)
        return
    _tell_children(store.path, remote, read_only, size, single_flight, on_miss)

    def install() -> None:
        generation = importlib.import_module("coldframe.torch.seam.generation")
        if (why := generation.unknown()) is not None:
            generation.say(why)
            return
        automatic = importlib.import_module("coldframe.torch.automatic")
        automatic.install(store, read_only=read_only, single_flight=single_flight, on_miss=on_miss)

    def install_later() -> None:
        try:
            install()
        except Exception as error:
            warn(f"coldframe is not enabled: {error}", stacklevel=2)

    imports.forget("torch")
    imports.when_imported("torch", install if "torch" in sys.modules else install_later)


def disable() -> None:
    """torch.compile is torch's own again, also in processes that are started from now on."""
    imports.forget("torch")
    automatic = sys.modules.get("coldframe.torch.automatic")
    if automatic is not None:
        automatic.uninstall()
    for name in (_ENABLED, _READ_ONLY, _MAX_BYTES, _SINGLE_FLIGHT, _ON_MISS):
        os.environ.pop(name, None)
    _set_python_path([path for path in _python_path() if path != _SITE])


def flush(seconds: float = 60.0) -> bool:
    """Waits until everything that was compiled so far is in the store, and in its remote, at most so many seconds. Whether it
    is; it does not wait for a remote that turns out to be down."""
    automatic = sys.modules.get("coldframe.torch.automatic")
    return bool(automatic is None or automatic.flush(seconds))


def enable_as_told() -> None:
    """`enable`, as the variables beside COLDFRAME=1 say. Never raises."""
    try:
        spawned.install()
        enable(
            store=os.environ.get(_STORE) or None,
            remote=os.environ.get(_REMOTE) or None,
            read_only=os.environ.get(_READ_ONLY) == "1",
            max_bytes=os.environ.get(_MAX_BYTES) or "10G",
            single_flight=os.environ.get(_SINGLE_FLIGHT) != "0",
            on_miss=os.environ.get(_ON_MISS) or "compile",
        )
    except Exception as error:
        warn(f"coldframe is not enabled: {error}", stacklevel=2)


def environment(
    store: str,
    remote: str | None = None,
    read_only: bool = False,
    max_bytes: int = 10 << 30,
    single_flight: bool = True,
    on_miss: str = "compile",
) -> dict[str, str]:
    """The variables by which a process that imports coldframe enables itself."""
    told = {_ENABLED: "1", _MAX_BYTES: str(max_bytes), _ON_MISS: on_miss}
    told |= {_READ_ONLY: str(int(read_only)), _SINGLE_FLIGHT: str(int(single_flight))}
    if store:
        told[_STORE] = store
    if remote:
        told[_REMOTE] = remote
    return told


def _tell_children(store: str, remote: str | None, read_only: bool, max_bytes: int, single_flight: bool, on_miss: str) -> None:
    if not store:
        return  # in memory: no other process has it
    os.environ.update(environment(os.path.abspath(store), remote, read_only, max_bytes, single_flight, on_miss))
    _set_python_path([_SITE, *(path for path in _python_path() if path != _SITE)])


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _set_python_path(paths: list[str]) -> None:
    if paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    else:
        os.environ.pop("PYTHONPATH", None)


def _bytes(size: int | str) -> int:
    text = str(size).strip().upper().removesuffix("IB").removesuffix("B")
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS and not text[-1:].isdigit() else (text, "")
    try:
        value = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        value = -1
    if not 0 <= value < 1 << 63:
        raise InvalidArgumentError(
            f"max_bytes: a number of bytes is expected, such as 500000000, '500M' or '10G', not {size!r}"
        )
    return int(value)

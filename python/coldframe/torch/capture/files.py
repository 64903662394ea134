"""Files of packages: which one an error is about, and those that several processes write."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from ...errors import PackageError

_LOCK_SECONDS = 10.0


@contextlib.contextmanager
def said_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """A PackageError that leaves it says which file it is about."""
    try:
        yield
    except PackageError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


@contextlib.contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[None]:
    """Holds a lock so that concurrent savers of the package at `path` merge instead of overwriting each other.

    It is a lock on the directory; where there are no locks, or the other process takes too long, it goes on without.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            deadline = time.monotonic() + _LOCK_SECONDS
            while time.monotonic() < deadline:
                try:
                    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.005)
        yield

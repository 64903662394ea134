"""State that a fork must make anew: locks that threads of the parent may have held, and counts of such threads."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

_locks: weakref.WeakSet[Lock] = weakref.WeakSet()
_after_fork: list[Callable[[], None]] = []


class Lock:
    """A reentrant lock that the child of a fork finds open, unless it is the forking thread that holds it: no other thread of
    the parent is there to release it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def acquire(self, blocking: bool = True) -> bool:
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _forked(self) -> None:
        held: Any = self._lock
        if not held._is_owned():
            self._lock = threading.RLock()


def after_fork(function: Callable[[], None]) -> None:
    """Calls `function` in each child, when its locks are open."""
    _after_fork.append(function)


def _forked() -> None:
    for lock in list(_locks):
        lock._forked()
    for function in _after_fork:
        function()


os.register_at_fork(after_in_child=_forked)

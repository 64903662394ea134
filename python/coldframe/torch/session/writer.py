"""Saves in the background: a thread of its own, which is there while there is something to do."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ... import _core
from ..seam.process import after_fork
from ..seam.stats import stats

_EXIT_SECONDS = 10.0  # how long the end of the process waits for what is still to be written
_BEGIN_SECONDS = 120.0  # until a leader compiles: it may have to import the compiler first
_QUIET_SECONDS = 5.0  # from then on
_COLLECTIVE_SECONDS = 0.5  # while it waits for other processes, which may wait for it here
_TICK = 0.25
_COMPILER = (
    "/torch/_dynamo/convert_frame.py",
    "/torch/_inductor/compile_fx.py",
    "/torch/_functorch/_aot_autograd/graph_compile.py",
)
_DDP = "/torch/nn/parallel/distributed.py"
_COLLECTIVE_DEPTH = 4  # Python frames between a collective and where it waits


class Led:
    """A flight that this process leads, until what it compiles has been published, or nothing is being compiled any more.

    give_up: publishes what there is. A call that waits for the other processes (in a collective, say) must not keep them
    waiting for itself. Made on the thread that compiles.
    """

    def __init__(self, flight: _core.Flight, give_up: Callable[[], None]) -> None:
        self._flight = flight
        self._give_up = give_up
        self._quiet_since = time.monotonic()
        self._patience = _BEGIN_SECONDS
        self._thread = threading.get_ident()
        self.ended = False

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self._flight.end()

    def forget(self) -> None:
        self.ended = True
        self._flight.forget()

    def watch(self, compiling: bool) -> None:
        now = time.monotonic()
        if compiling:
            self._quiet_since, self._patience = now, _QUIET_SECONDS
        elif now - self._quiet_since > (_COLLECTIVE_SECONDS if is_in_collective(self._thread) else self._patience):
            try:
                self._give_up()
            finally:
                self.end()


class Writer:
    """Runs jobs one after the other. Thread-safe; a forked child starts with none."""

    def __init__(self) -> None:
        self._reset()
        atexit.register(self._at_exit)
        after_fork(self._forked)

    def _reset(self) -> None:
        self._wake = threading.Condition()
        self._jobs: list[Callable[[], None]] = []
        self._led: list[Led] = []
        self._thread: threading.Thread | None = None
        self._busy = False

    def _forked(self) -> None:
        led = self._led
        self._reset()
        for each in led:
            each.forget()

    def submit(self, job: Callable[[], None]) -> None:
        with self._wake:
            self._jobs.append(job)
            self._start()

    def lead(self, led: Led) -> None:
        with self._wake:
            self._led.append(led)
            self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="coldframe-writer", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def flush(self, seconds: float) -> bool:
        """Waits until everything is written, at most so long. Whether it is."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._jobs and not self._busy, seconds)

    def _at_exit(self) -> None:
        self.flush(_EXIT_SECONDS)
        for led in self._led:
            led.end()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._jobs and not self._led:
                    self._thread = None
                    return
                if not self._jobs:
                    self._wake.wait(_TICK)
                job = self._jobs.pop(0) if self._jobs else None
                self._busy = job is not None
            try:
                if job is not None:
                    job()
                else:
                    self._watch()
            except Exception as error:
                _contain(error)
            finally:
                with self._wake:
                    self._busy = False
                    self._led = [led for led in self._led if not led.ended]
                    self._wake.notify_all()

    def _watch(self) -> None:
        compiling = is_compiling()
        for led in list(self._led):
            led.watch(compiling)


def is_compiling() -> bool:
    """Returns whether some thread of this process is in torch's compiler just now."""
    for top in sys._current_frames().values():
        frame: Any = top
        while frame is not None:
            if frame.f_code.co_filename.endswith(_COMPILER):
                return True
            frame = frame.f_back
    return False


def is_in_collective(thread: int) -> bool:
    """Returns whether that thread is just now in what torch does with other processes."""
    frame: Any = sys._current_frames().get(thread)
    for _ in range(_COLLECTIVE_DEPTH):
        if frame is None:
            return False
        if "/torch/distributed/" in frame.f_code.co_filename or frame.f_code.co_filename.endswith(_DDP):
            return True
        frame = frame.f_back
    return False


def _contain(error: Exception) -> None:
    """On this thread there is nobody to raise to."""
    try:
        stats.contain("save", error)
    except Exception:
        sys.excepthook(*sys.exc_info())


writer = Writer()

"""A line on a terminal about what is being waited for: silent elsewhere, and for the first second."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from ..seam.process import Lock

_DELAY = 1.0


class Progress:
    """A line such as "coldframe: compiling Net.forward (2 frames, 14 s)" while a package is being built. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._status: Any = None
        self._stop: threading.Event | None = None

    def start(self, name: str) -> None:
        if self._stop is not None or not sys.stderr.isatty():
            return
        self._stop = stop = threading.Event()
        threading.Thread(target=self._run, args=(name, stop), name="coldframe-progress", daemon=True).start()

    def finish(self) -> None:
        if self._stop is not None:
            self._stop.set()
            with self._lock:  # the line is gone when this returns
                self._stop = None

    def _run(self, name: str, stop: threading.Event) -> None:
        started = time.monotonic()
        if stop.wait(_DELAY):
            return
        from rich.console import Console

        with self._lock, Console(stderr=True).status(f"coldframe: compiling {name}") as status:
            while not stop.wait(0.5):
                status.update(f"coldframe: compiling {name} ({time.monotonic() - started:.0f} s)")

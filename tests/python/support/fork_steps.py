"""Children that are forked while another thread of the parent loads, compiles or saves."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import torch

import coldframe

CHILDREN = 12
SECONDS = 30


def function(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def package(path: Path) -> None:
    compiled = coldframe.compile(function, backend="eager")
    compiled(torch.ones(3))
    coldframe.save(compiled, path)


def children_of_a_loading_thread(path: Path, hosted: bool) -> list[str]:
    """Returns what became of each child: "served", or how it ended. hosted: the thread compiles, too. What all that imports has
    been imported before: a child in which a module is being imported by a thread that is not there hangs in an import lock."""
    stop = threading.Event()

    def load() -> None:
        loaded = coldframe.load(path, function)
        loaded(torch.ones(3, dtype=torch.float64) if hosted else torch.ones(3))

    def load_on() -> None:
        while not stop.is_set():
            load()

    load()
    loader = threading.Thread(target=load_on, daemon=True)
    loader.start()
    ended = [_child(path, number) for number in range(CHILDREN)]
    stop.set()
    loader.join(SECONDS)
    return ended


def _child(path: Path, number: int) -> str:
    time.sleep(0.003 * number)  # each at another point of a load
    if (child := os.fork()) == 0:
        signal.alarm(SECONDS)
        status = 1
        try:
            result = coldframe.load(path, function)(torch.ones(3))
            status = 0 if torch.equal(result, function(torch.ones(3))) else 2
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        return f"signal {os.WTERMSIG(ended)}"
    return "served" if os.WEXITSTATUS(ended) == 0 else f"status {os.WEXITSTATUS(ended)}"

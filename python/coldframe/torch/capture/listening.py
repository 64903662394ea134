"""The listening state of this thread: the frames that are being compiled, and the callables of ours that are running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..guards import record
from ..guards.premises import Premises
from ..seam import symbols

GUARDS_TOKEN = b"coldframe"  # what stands for torch's pickled guards, which do not take part


class Frame(Protocol):
    """The frame being compiled, to which wrappers report (see frame.FrameCapture)."""

    recording: record.Recording | None
    premises: Premises

    def guards_built(self, recording: record.Recording) -> None: ...
    def global_installed(self, name: str, value: Any) -> Any: ...
    def resume_installed(self, name: str, code: Any, namespace: dict[str, Any]) -> None: ...
    def bypass(self, reason: str) -> None: ...


class Running(Protocol):
    """A callable of ours (see package.CapturePackage)."""

    backend_key: Any
    used: set[str]  # names of the graphs that it ran, and of what it ran that has none
    repeated: set[str]  # names of those that ran more than once within a call


class _Local(threading.local):
    frames: list[Frame]
    recording: record.Recording | None
    optimize_package: Any
    compiling: int  # how many compilations of ours Dynamo is in
    running: list[Running]  # the callables of ours that are running, innermost last
    ran: list[set[str]]  # names of the graphs that ran in each of these calls

    def __init__(self) -> None:
        self.running = []
        self.ran = []
        self.frames = []
        self.compiling = 0
        self.recording = None
        self.optimize_package = None


local = _Local()
_calls: list[None] = []  # of our callables, on all threads: its length alone counts
after_reset: list[Callable[[], None]] = []  # called after torch._dynamo.reset()
automatic: Callable[[], Any] | None = None  # makes the package of a plain torch.compile, under torch's caching_precompile


def enter(running: Running) -> None:
    """Marks a callable of ours as running on this thread."""
    local.running.append(running)
    local.ran.append(set())
    _calls.append(None)


def leave() -> set[str]:
    """Ends the call that `enter` began. Returns the names of the graphs that ran in it, and of what it ran that has none."""
    _calls.pop()
    local.running.pop()
    return local.ran.pop()


def calls_running() -> bool:
    return bool(_calls)


def current() -> Frame | None:
    return local.frames[-1] if local.frames else None


@contextmanager
def hidden() -> Iterator[None]:
    """Within it no frame of ours is being compiled: somebody else compiles inside one."""
    frames, recording = local.frames, local.recording
    local.frames, local.recording = [], None
    try:
        yield
    finally:
        local.frames, local.recording = frames, recording


def noting(name: str, function: Any) -> Any:
    """`function`, a compiled graph, telling the running callable of ours that it was run. Dynamo does not look into it."""

    def run_graph(*args: Any, **kwargs: Any) -> Any:
        if local.running:
            running, ran = local.running[-1], local.ran[-1]
            running.used.add(name)
            if name in ran:
                running.repeated.add(name)
            ran.add(name)
        return function(*args, **kwargs)

    symbols.module("torch._dynamo.eval_frame").skip_code(run_graph.__code__)
    run_graph.graph = getattr(function, "_torchdynamo_orig_callable", function)  # type: ignore[attr-defined]
    return run_graph


def note_hits(root: Any, name: str) -> None:
    """The same for a compilation without a graph: its guards tell when they hold."""

    def held(frame_locals: Any) -> bool:
        if local.running:
            local.running[-1].used.add(name)
            local.ran[-1].add(name)
        return True

    root.add_epilogue_lambda_guard(held, [], None)


@contextmanager
def injecting(package: Any) -> Iterator[None]:
    """Within it, torch.compile on this thread hands `package` to Dynamo."""
    previous, local.optimize_package = local.optimize_package, package
    try:
        yield
    finally:
        local.optimize_package = previous

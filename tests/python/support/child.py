"""Runs steps of a test in a fresh process: `python child.py JOB`, where JOB is a pickled `Job`.

A step is a function of an importable module. Each answers through a file of its own, so that a process that dies in the
middle has still told what it did before. A *sealed* process may start no other process: every attempt is recorded.
"""

from __future__ import annotations

import importlib
import os
import pickle
import resource
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROCESS_EVENTS = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec", "pty.spawn"}
)


@dataclass
class Step:
    function: str  # "module:function"
    arguments: dict[str, Any]
    answer: Path


@dataclass
class Job:
    steps: list[Step]
    sealed: bool


@dataclass
class Answer:
    """The outcome of a step. `error` is its traceback; `processes`, if it was sealed, what its process had started by then."""

    value: Any = None
    error: str | None = None
    stats: dict[str, Any] = field(default_factory=dict)  # what the step added to coldframe.stats()
    processes: list[str] = field(default_factory=list)
    cache_files: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def get(self) -> Any:
        """The value of a step that must have succeeded."""
        assert self.error is None, f"in the child process:\n{self.error}"
        return self.value


processes: list[str] = []
searches: list[str] = []  # for libraries: of builds of torch for CUDA, as they are imported


def seal() -> None:
    """Records every child process that is started from now on, through audit events and below them."""
    import _posixsubprocess

    def note(what: str, args: tuple[Any, ...]) -> None:
        (searches if "/sbin/ldconfig" in str(args) else processes).append(f"{what}{args!r}"[:300])

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _PROCESS_EVENTS:
            note(event, args)

    def recorded(name: str, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            note(name, args)
            return original(*args, **kwargs)

        return call

    sys.addaudithook(hook)
    for owner, name in ((os, "posix_spawn"), (os, "posix_spawnp"), (_posixsubprocess, "fork_exec")):
        setattr(owner, name, recorded(name, getattr(owner, name)))


def started_processes() -> list[str]:
    """Recorded attempts, and what the kernel knows of children that no hook saw."""
    found = list(processes)
    torch: Any = sys.modules.get("torch")
    of_torch = (
        bool(searches) and torch is not None and torch.version.cuda is not None
    )  # such builds search as they are imported
    if not of_torch:
        found += searches
    if not of_torch and resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss:
        found.append("a child process has ended")
    for task in Path("/proc/self/task").iterdir():
        children = (task / "children").read_text().split()
        found.extend(f"process {pid} is running" for pid in children)
    return found


def counters() -> dict[str, Any]:
    if "coldframe" not in sys.modules:
        return {}
    import coldframe

    found: dict[str, Any] = coldframe.stats()
    return found


def growth(after: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """By how much each counter grew; in a table of counters, those that did."""
    grown: dict[str, Any] = {}
    for name, value in after.items():
        if isinstance(value, dict):
            old = before.get(name, {})
            grown[name] = {key: count - old.get(key, 0) for key, count in value.items() if count != old.get(key, 0)}
        else:
            grown[name] = value - before.get(name, 0)
    return grown


def run(step: Step, sealed: bool) -> Answer:
    answer = Answer()
    before = counters()
    started = time.perf_counter()
    try:
        module, _, name = step.function.partition(":")
        answer.value = getattr(importlib.import_module(module), name)(**step.arguments)
    except BaseException:
        answer.error = traceback.format_exc()
    answer.seconds = time.perf_counter() - started
    answer.stats = growth(counters(), before)
    if sealed:
        answer.processes = started_processes()
    cache = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    answer.cache_files = sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())
    return answer


def main(path: str) -> None:
    job: Job = pickle.loads(Path(path).read_bytes())
    if job.sealed:
        seal()
    import torch

    torch.set_num_threads(1)
    for step in job.steps:
        answer = run(step, job.sealed)
        temporary = step.answer.with_suffix(".tmp")
        torch.save(answer, temporary)
        temporary.rename(step.answer)


if __name__ == "__main__":
    import child  # so that what is pickled here is found under its own name there

    child.main(sys.argv[1])

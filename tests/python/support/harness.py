"""Starts the fresh processes in which tests run their steps, and compares what those answered."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from child import Answer, Job, Step
from torch.utils._pytree import tree_flatten
from zygote import Request

SUPPORT = Path(__file__).resolve().parent
PROGRAMS = SUPPORT.parent / "programs"
ROOT = SUPPORT.parents[2]
TIMEOUT = 900

StepCall = tuple[Callable[..., Any], dict[str, Any]]


class Zygote:
    """A process that has imported modules, and forks those in which jobs run (zygote.py)."""

    def __init__(self, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SUPPORT / "zygote.py"), *modules],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._address = bytes.fromhex(self._process.stdout.readline().decode())
        assert self._address, "the zygote did not start"

    def run(self, request: Request) -> int:
        """Returns the exit status of the process that ran the job. After TIMEOUT seconds it is ended: TimeoutError."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(self._address)
            connection.sendall(pickle.dumps(request))
            with connection.makefile("r") as answers:
                number = int(answers.readline())
                try:
                    return int(answers.readline())
                except TimeoutError:
                    os.kill(number, signal.SIGKILL)
                    raise

    def close(self) -> None:
        self._process.communicate()


class Processes:
    """Starts fresh processes, each with an Inductor cache directory of its own unless `env` names one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.empty = root / "empty"
        self.empty.mkdir()
        self._numbers = itertools.count()
        self._turns = itertools.count()
        self._zygotes: dict[object, Zygote] = {}
        self._starting = threading.Lock()

    def close(self) -> None:
        """Ends the zygotes."""
        for zygote in self._zygotes.values():
            zygote.close()

    def run(
        self,
        function: Callable[..., Any],
        *,
        sealed: bool = False,
        compiler: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> Answer:
        """Calls `function`, of an importable module, with `arguments` in a fresh process.

        sealed: with nothing on PATH, no compiler and a cache directory that does not exist; what it starts is recorded.
        compiler: unless sealed, torch's compiler has been imported before coldframe is.
        """
        return self.run_all([(function, arguments)], sealed=sealed, compiler=compiler, cwd=cwd, env=env)[0]

    def run_all(
        self,
        calls: Sequence[StepCall],
        *,
        sealed: bool = False,
        compiler: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> list[Answer]:
        """The calls one after another in one fresh process; when one kills it, the rest go on in another."""
        answers: list[Answer] = []
        while len(answers) < len(calls):
            answers.extend(self._run(calls[len(answers) :], sealed, compiler and not sealed, cwd, env or {}))
        return answers

    def _run(
        self, calls: Sequence[StepCall], sealed: bool, compiler: bool, cwd: Path | None, env: Mapping[str, str]
    ) -> list[Answer]:
        folder = self.root / f"process-{next(self._numbers)}"
        folder.mkdir()
        steps = [
            Step(f"{function.__module__}:{function.__qualname__}", arguments, folder / f"answer-{number}")
            for number, (function, arguments) in enumerate(calls)
        ]
        (folder / "job").write_bytes(pickle.dumps(Job(steps, sealed)))
        request = Request(folder / "job", cwd or folder, folder / "output", {**self._environment(folder, sealed), **env})
        forked = env.keys() <= {
            "TORCHINDUCTOR_CACHE_DIR",
            "PYTHONHASHSEED",
        }  # imports may read others, or start threads by them
        status = self._zygote(request.environment, compiler).run(request) if forked else self._fresh(request)
        answers = [torch.load(step.answer, weights_only=False) for step in steps if step.answer.exists()]
        if len(answers) < len(steps):
            tail = (folder / "output").read_text(errors="replace")[-4000:]
            answers.append(Answer(error=f"the process ended with status {status}:\n{tail}"))
        return answers

    def _fresh(self, request: Request) -> int:
        with open(request.output, "wb") as output:
            return subprocess.run(
                [sys.executable, str(SUPPORT / "child.py"), str(request.job)],
                cwd=request.folder,
                env=request.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
            ).returncode

    def _zygote(self, environment: Mapping[str, str], compiler: bool) -> Zygote:
        """Returns one of two that take turns: who serves has other addresses and hashes than who saved."""
        fixed = frozenset((name, value) for name, value in environment.items() if name != "TORCHINDUCTOR_CACHE_DIR")
        with self._starting:
            key = fixed, compiler, next(self._turns) % 2
            if key not in self._zygotes:
                modules = ("torch._dynamo", "torch._inductor.compile_fx") if compiler else ("torch",)
                self._zygotes[key] = Zygote(environment, modules)
            return self._zygotes[key]

    def _environment(self, folder: Path, sealed: bool) -> dict[str, str]:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
            "COLDFRAME_STRICT": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(SUPPORT), str(PROGRAMS), os.environ.get("PYTHONPATH")])),
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        if sealed:
            environment["PATH"] = str(self.empty)
            for name in ("CC", "CXX"):
                environment.pop(name, None)
        return environment


def compare(a: Any, b: Any, same: Callable[[torch.Tensor, torch.Tensor], bool]) -> str | None:
    """Returns where two trees of tensors and plain values differ; None when they do not."""
    leaves, others = tree_flatten(a), tree_flatten(b)
    if leaves[1] != others[1]:
        return f"other structures: {leaves[1]} and {others[1]}"
    for index, (x, y) in enumerate(zip(leaves[0], others[0], strict=True)):
        if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor):
            if x.dtype != y.dtype or x.shape != y.shape or x.stride() != y.stride() or not same(x, y):
                return f"leaf {index}: {x} and {y}"
        elif x != y:
            return f"leaf {index}: {x!r} and {y!r}"
    return None


def _bits(x: torch.Tensor) -> bytes:
    return bytes(x.contiguous().view(-1).view(torch.uint8).numpy())


def _close(x: torch.Tensor, y: torch.Tensor) -> bool:
    # Relative to the largest element: single elements near zero are differences of larger ones.
    if not x.dtype.is_floating_point or not x.numel():
        return torch.equal(x, y)
    return bool((x - y).abs().max() <= 1e-5 * y.abs().max())


def assert_same_bits(a: Any, b: Any) -> None:
    difference = compare(a, b, lambda x, y: _bits(x) == _bits(y))
    assert difference is None, difference


def differ(a: Any, b: Any) -> str | None:
    """Returns where two trees differ by more than another order of additions leaves."""
    return compare(a, b, _close)


def assert_close(a: Any, b: Any) -> None:
    difference = differ(a, b)
    assert difference is None, difference


def assert_served(answer: Answer, hits: int = 1) -> None:
    """A step of a sealed process was served from packages alone: nothing compiled, no process started, nothing cached."""
    assert answer.stats["compiles"] == 0 and answer.stats["misses"] == {} and answer.stats["errors"] == {}
    assert answer.stats["hits"] >= hits
    assert answer.processes == []
    assert answer.cache_files == []

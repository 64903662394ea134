"""Fixtures that run steps of a test in fresh processes, and packages that several tests share."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from child import Answer, Job, Step

HERE = Path(__file__).resolve().parent
TIMEOUT = 600

StepCall = tuple[Callable[..., Any], dict[str, Any]]


class Processes:
    """Starts fresh processes, each with an Inductor cache directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.empty = root / "empty"
        self.empty.mkdir()
        self._numbers = itertools.count()

    def run(
        self,
        function: Callable[..., Any],
        *,
        sealed: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> Answer:
        """Calls `function`, of an importable module, with `arguments` in a fresh process.

        sealed: with nothing on PATH, no compiler and a cache directory that does not exist; what it starts is recorded.
        """
        return self.run_all([(function, arguments)], sealed=sealed, cwd=cwd, env=env)[0]

    def run_all(
        self,
        calls: Sequence[StepCall],
        *,
        sealed: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> list[Answer]:
        """The calls one after another in one fresh process; when one kills it, the rest go on in another."""
        answers: list[Answer] = []
        while len(answers) < len(calls):
            answers.extend(self._run(calls[len(answers) :], sealed, cwd, env))
        return answers

    def _run(
        self, calls: Sequence[StepCall], sealed: bool, cwd: Path | None, env: Mapping[str, str] | None
    ) -> list[Answer]:
        import torch

        folder = self.root / f"process-{next(self._numbers)}"
        folder.mkdir()
        steps = [
            Step(f"{function.__module__}:{function.__qualname__}", arguments, folder / f"answer-{number}")
            for number, (function, arguments) in enumerate(calls)
        ]
        (folder / "job").write_bytes(pickle.dumps(Job(steps, sealed)))
        with open(folder / "output", "wb") as output:
            done = subprocess.run(
                [sys.executable, str(HERE / "child.py"), str(folder / "job")],
                cwd=cwd or folder,
                env=self._environment(folder, sealed, env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
            )
        answers = [torch.load(step.answer, weights_only=False) for step in steps if step.answer.exists()]
        if len(answers) < len(steps):
            tail = (folder / "output").read_text(errors="replace")[-4000:]
            answers.append(Answer(error=f"the process ended with status {done.returncode}:\n{tail}"))
        return answers

    def _environment(self, folder: Path, sealed: bool, env: Mapping[str, str] | None) -> dict[str, str]:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        if sealed:
            environment["PATH"] = str(self.empty)
            for name in ("CC", "CXX"):
                environment.pop(name, None)
        return {**environment, **(env or {})}


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Processes:
    return Processes(tmp_path_factory.mktemp("processes"))

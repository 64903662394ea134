"""Runs programs that know nothing of coldframe, in processes that share a store."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import PROGRAMS

from coldframe import _core

HERD = int(os.environ.get("COLDFRAME_HERD", "8"))  # processes that need the same at the same time


@dataclasses.dataclass
class Runner:
    folder: Path
    program: str = "automatic_program.py"  # of tests/python/programs, or a path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "COLDFRAME": "1",
            "COLDFRAME_DIR": str(self.store),
            "COLDFRAME_STRICT": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(
                [str(Path(_core.__file__).parent / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
            **more,
        }

    def start(self, name: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAMS / self.program), name]
        made = self.environment(**environment)
        return subprocess.Popen(command, env=made, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-4000:]
        assert "Error" not in err and "Warning" not in err, err[-4000:]
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        assert found["stats"]["errors"] == {}
        return found

    def run(self, name: str, **environment: str) -> dict[str, Any]:
        return self.result(self.start(name, **environment))

    def wait_for(self, path: Path) -> str:
        deadline = time.monotonic() + 120
        while not path.exists() or not path.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return path.read_text()


def compiled(found: dict[str, Any]) -> int:
    return int(found["stats"]["compiles"])

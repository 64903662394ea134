"""Fresh processes: everything is measured in one of its own, which is told what it may reach.

    place = Place(directory)
    values = run({"do": "first_output", "way": "eager", "model": "mlp"}, place)     # {"seconds": ..., ...} or {"error": ...}

The clock is CLOCK_MONOTONIC, which all processes of a machine share: a child subtracts the moment at which it was started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS = 1200
Values = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """The surroundings of a child: its Inductor cache directory, and whether a compiler can be found."""

    cache: Path
    compiler: bool = True

    def environment(self) -> dict[str, str]:
        left_out = ("TORCH", "INDUCTOR", "PYTHONDONTWRITEBYTECODE")  # the last, or every start compiles Python sources anew
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        environment = {**inherited, "OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(self.cache), "HF_HUB_OFFLINE": "1"}
        if not self.compiler:
            environment["PATH"] = str(self.cache / "no-programs")
            for name in ("CC", "CXX"):
                environment.pop(name, None)
        return environment


def run(job: Values, place: Place, *, extra: dict[str, str] | None = None) -> Values:
    """Returns the findings of the child, or {"error": how it failed}."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        environment = {**place.environment(), **(extra or {})}
        job = {**job, "result": str(result), "started": time.monotonic()}
        try:
            child = subprocess.run(
                [sys.executable, "-m", "bench.worker", json.dumps(job)],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"no end after {TIMEOUT_SECONDS} s"}
        if result.exists():
            values: Values = json.loads(result.read_text())
            return values
        if child.returncode < 0:
            return {"error": f"killed by {signal.Signals(-child.returncode).name}"}
        lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        return {"error": lines[-1]}

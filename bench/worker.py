"""The child's side of process.run: does one job and writes what it found out."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

# What a job may ask for -> where it is. Imported when asked for: a child pays only for what it measures.
JOBS = {
    "first_output": "bench.first_output",
    "save_precompile": "bench.first_output",
    "save_coldframe": "bench.phases",
    "load_phases": "bench.phases",
    "calls": "bench.calls",
    "save_variants": "bench.sizes",
    "stored_variants": "bench.automatic",
    "stored_load": "bench.automatic",
    "steps": "bench.automatic",
}


def describe(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def main() -> None:
    job = json.loads(sys.argv[1])
    try:
        values = getattr(importlib.import_module(JOBS[job["do"]]), job["do"])(job)
    except Exception as error:
        values = {"error": describe(error)}
    Path(job["result"]).write_text(json.dumps(values))


if __name__ == "__main__":
    main()

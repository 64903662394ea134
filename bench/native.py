"""The C++ benchmarks of bench/cpp: built by the preset `bench`, run, and put into a table."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from .process import ROOT
from .tables import table


def native() -> str:
    build = [["cmake", "--preset", "bench"], ["cmake", "--build", "--preset", "bench", "--target", "coldframe_bench"]]
    for command in build:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    executable = ROOT / "build" / "bench" / "bench" / "cpp" / "coldframe_bench"
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [str(executable), f"--benchmark_out={report}", "--benchmark_out_format=json", "--benchmark_repetitions=5"]
        subprocess.run(command, cwd=scratch, capture_output=True, check=True)
        runs = json.loads(report.read_text())["benchmarks"]
    rows = [
        [run["run_name"], f"{run['cpu_time']:.2f} {run['time_unit']}", _throughput(run)]
        for run in runs
        if run.get("aggregate_name") == "median"
    ]
    return table(["C++ core", "CPU time", "throughput"], rows)


def _throughput(run: dict[str, float]) -> str:
    if "bytes_per_second" in run:
        return f"{run['bytes_per_second'] / 2**20:.0f} MiB/s"
    return f"{run['items_per_second'] / 1e6:.1f} M items/s" if "items_per_second" in run else ""

"""The benchmark runs and prints its tables. What it measures is not looked at here."""

from __future__ import annotations

import os
import subprocess
import sys

from harness import ROOT

TITLES = (
    "### Time to the first output",
    "### Where a load spends its time",
    "### What saving adds to a compilation",
    "### Size",
    "### What a call costs beyond the graph",
    "### Automatic mode",
    "### What an import costs",
)


def test_quick_benchmark_prints_every_table() -> None:
    command = [sys.executable, "-m", "bench.run", "--quick"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("### ")] == list(TITLES)
    rows = [line.strip("|").split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    found = {row[0].strip(): row[1].strip() for row in rows}
    for way in ("eager", "torch.compile, cold", "torch.compile, warm", "coldframe", "coldframe, new host"):
        assert found[way].endswith("x)"), found[way]
    for phase in ("open", "guards", "backends", "coldframe.load()"):
        assert float(found[phase]) > 0

"""Tables in Markdown, and the machine that they were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import coldframe


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> float:
    """Half the range over the median: 0.1 for a median that its repeats lie within 10 % of."""
    return (max(values) - min(values)) / 2 / statistics.median(values)


def machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    versions += f", coldframe {coldframe.__version__}"
    return f"{model}, {os.cpu_count()} cores, one thread a process; Python {platform.python_version()}, {versions}"


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def size(count: float) -> str:
    return f"{count / 1024:.0f} KiB"

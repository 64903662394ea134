"""The time that importing coldframe adds to the start of Python."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from .process import TIMEOUT_SECONDS, Place
from .sections import Plan
from .tables import table

BUDGET_MS = 6
BUDGET_LIBRARIES = 8
PROCESSES = 20  # a repeat

STATEMENTS = {
    "pass": "pass",
    "import coldframe": "import coldframe",
    "import coldframe; a store is opened": "from coldframe import _core; _core.Store.open('store')",
    "the same with a remote over HTTP": "from coldframe import _core; _core.Store.open('store', remote='http://localhost')",
}
LIBRARIES = """
def libraries():
    return {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
own = libraries()
"""


def importing(plan: Plan) -> str:
    """(h) Milliseconds from the start of a process to its end, and libraries beyond the interpreter's own."""
    plan.say("importing coldframe")
    place = plan.empty()
    seconds: dict[str, list[float]] = {label: [] for label in STATEMENTS}
    for _ in range(PROCESSES * plan.repeats):
        for label, statement in STATEMENTS.items():
            begin = time.perf_counter()
            _run(statement, place)
            seconds[label].append(time.perf_counter() - begin)
    start, quickest_start = statistics.median(seconds["pass"]), min(seconds["pass"])
    rows = []
    for label, times in seconds.items():
        median = statistics.median(times)
        figures = [_ms(median), _ms(median - start), f"{median / start:.2f} x", _ms(min(times) - quickest_start)]
        libraries = _run(f"{LIBRARIES}{STATEMENTS[label]}\nprint(len(libraries() - own))", place).strip()
        budget = f"{BUDGET_MS} ms, {BUDGET_LIBRARIES}" if label == "import coldframe" else ""
        rows.append([label, *figures, libraries, budget])
    return "\n\n".join(
        (
            table(["python -c", "ms", "over pass, ms", "ratio", "the quickest", "libraries", "budget"], rows),
            f"Median of {PROCESSES * plan.repeats} processes a row, interleaved. *The quickest*: over the quickest pass, ms; "
            "it feels least of what else the machine does. Libraries: beyond the interpreter's own.",
        )
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"


def _run(script: str, place: Place) -> str:
    command = [sys.executable, "-c", script]
    options = {"cwd": place.cache, "env": place.environment(), "timeout": TIMEOUT_SECONDS}
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout

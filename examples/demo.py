"""Compiles a BERT once, serves it in another process without a compiler, and compares the ways to a first output.

    python examples/demo.py                 everything, as make demo does
    python examples/demo.py save FILE       what process 1 runs
    python examples/demo.py serve FILE      what process 2 runs

Exits with 1 when the served model compiled something, started a process, or gave another output than eager.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import sections, tables  # noqa: E402
from bench.process import Place  # noqa: E402

MODEL = "bert of 4 layers"
TOLERANCE = 1e-5


def save(path: str) -> None:
    """Process 1: compiles, and saves what was compiled."""
    import torch

    import coldframe
    from bench import models

    model, (tokens,), _ = models.make(MODEL)  # with random weights, the same ones in every process
    with torch.no_grad():
        compiled = coldframe.compile(model)
        begin = time.perf_counter()
        compiled(tokens)
        seconds = time.perf_counter() - begin
        report = coldframe.save(compiled, path)
    print(f"process 1: compiled in {seconds:.1f} s, saved {report.variants} variant in {report.size / 1024:.0f} KiB: {path}")


def serve(path: str) -> None:
    """Process 2: loads the package and runs it. A call that it does not serve would raise, not compile."""
    import torch

    import coldframe
    from bench import models

    model, (tokens,), _ = models.make(MODEL)  # with random weights, the same ones in every process
    with torch.no_grad():
        compiled = coldframe.load(path, model, on_miss="error")
        output = compiled(tokens).last_hidden_state
        reference = model(tokens).last_hidden_state
    difference = float((output - reference).abs().max() / reference.abs().max())
    compiles = coldframe.stats()["compiles"]
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
    print(
        f"process 2: {compiles} frames compiled, {'some' if started else 'no'} processes started, "
        f"largest relative difference from eager {difference:.1e}"
    )
    if compiles or started or not difference <= TOLERANCE:
        sys.exit("process 2: WRONG")


def run(step: str, package: Path, place: Place) -> None:
    command = [sys.executable, __file__, step, str(package)]
    subprocess.run(command, env=place.environment(), check=True)


@contextmanager
def progress() -> Iterator[Any]:
    """A status line on a terminal, a line a step elsewhere."""
    if not sys.stdout.isatty():
        yield lambda text: print(f"... {text}", flush=True)
        return
    from rich.console import Console

    with Console().status("") as status:
        yield status.update


def show(table: str) -> None:
    """Markdown, or on a terminal the same table drawn."""
    if not sys.stdout.isatty():
        print(table)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(table))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="coldframe-demo-") as name:
        folder = Path(name)
        package = folder / "bert.cfp"
        print(f"{tables.machine()}\n")
        print("A BERT of four layers is compiled by one process and served by another, which has an empty Inductor cache")
        print("directory and no compiler on its PATH:\n", flush=True)
        run("save", package, Place(folder / "cache"))
        run("serve", package, Place(folder / "empty", compiler=False))

        print("\nThe ways to a first output, each in a process of its own:\n", flush=True)
        with progress() as say:
            plan = sections.Plan([MODEL], repeats=1, folder=folder, say=say)
            plan.compiled[MODEL] = {}  # process 1 has done it
            os.rename(package, plan.package(MODEL))
            table, notes = sections.ways(plan, MODEL)
        print()
        show(table)
        print("\n" + "\n".join(notes))
        for error in plan.errors:
            print(f"WRONG: {error}", file=sys.stderr)
        return 1 if plan.errors else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["save"]:
        save(sys.argv[2])
    elif sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        try:
            sys.exit(main())
        except subprocess.CalledProcessError:
            sys.exit(1)

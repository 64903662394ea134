"""Prints the tables: python -m bench.run [--quick] [--repeats N] [--models mlp,bert] [--only a,c] [--against-eager] [--write].

Everything that is compared is measured in this run, on this machine, in fresh processes. Exits with 1 when coldframe failed
somewhere or gave a wrong output; no time or size makes it fail.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import native, sections, tables
from .automatic import automatic
from .importing import importing
from .process import ROOT
from .sections import Plan

README = ROOT / "bench" / "README.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

SECTIONS: dict[str, tuple[str, Callable[[Plan], str]]] = {
    "a": ("Time to the first output", sections.first_output),
    "b": ("Where a load spends its time", sections.load_phases),
    "c": ("What saving adds to a compilation", sections.save_overhead),
    "d": ("Size", sections.package_size),
    "e": ("What a call costs beyond the graph", sections.call_cost),
    "f": ("The C++ core", lambda plan: native.native()),
    "g": ("Automatic mode", automatic),
    "h": ("What an import costs", importing),
}


def report(plan: Plan, wanted: str) -> Iterator[str]:
    yield f"{tables.machine()}.\n"
    before, begin = tables.load(), time.monotonic()
    for key in wanted:
        title, section = SECTIONS[key]
        plan.say(title)
        yield f"### {title}\n\n{section(plan)}\n"
    minutes = (time.monotonic() - begin) / 60
    yield f"Load average {before} before, {tables.load()} after; {minutes:.0f} minutes in all."


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A status line on a terminal, a line a step elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        yield lambda text: print(f"bench: {text}", file=sys.stderr, flush=True)
        return
    from rich.console import Console

    with Console(stderr=True).status("bench") as status:
        yield lambda text: status.update(f"bench: {text}")


def write(text: str) -> None:
    """Replaces the measured part of bench/README.md."""
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one model and one repeat: whether it works, not how fast it is")
    parser.add_argument("--repeats", type=int, default=7, help="fresh processes a cell")
    parser.add_argument("--models", default="mlp,resnet,encoder,bert,gpt2,llama,hf_resnet")
    parser.add_argument("--only", default="", help="sections to run, by letter: " + "".join(SECTIONS))
    parser.add_argument("--against-eager", action="store_true", help="section a without torch's own ways")
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md too")
    options = parser.parse_args()
    models = ["mlp"] if options.quick else options.models.split(",")
    wanted = options.only.replace(",", "") or ("abcdegh" if options.quick else "".join(SECTIONS))
    folder = Path(tempfile.mkdtemp(prefix="coldframe-bench-"))
    try:
        with progress() as say:
            ways = sections.AGAINST_EAGER if options.against_eager else sections.WAYS
            plan = Plan(models, 1 if options.quick else options.repeats, folder, options.quick, ways, say)
            parts = []
            for part in report(plan, wanted):
                parts.append(part)
                print(part, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.write:
        write("\n".join(parts))
    for error in dict.fromkeys(plan.errors):
        print(f"bench: WRONG: {error}", file=sys.stderr)
    return 1 if plan.errors else 0


if __name__ == "__main__":
    sys.exit(main())

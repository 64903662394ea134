"""Runs coverage programs in processes of their own, and says what became of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage_oracle
import coverage_steps
import coverage_table
from child import Answer
from harness import Processes, assert_close, assert_same_bits, assert_served, differ


@dataclass(frozen=True)
class Life:
    made: Answer
    served: Answer
    plain: Answer
    package: Path  # where it was saved, if it was


Key = tuple[str, str]
_NAME_OF_A_RUN = re.compile(r"__compiled_fn_\d+_[0-9a-f_]+")


def live(processes: Processes, folder: Path, keys: Sequence[Key]) -> dict[Key, Life]:
    """The lives of these programs, all first processes of them in one process, and so on."""
    folder.mkdir(parents=True)
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
    jobs = [{"case": case, "backend": backend} for case, backend in keys]
    saved = [{**job, "path": folder / f"{number}.cfp"} for number, job in enumerate(jobs)]
    late = [
        {
            "case": job["case"],
            "path": job["path"],
            "on_miss": "compile" if coverage_table.ENTRIES[job["case"]].bypass else "error",
        }
        for job in saved
    ]
    made = processes.run_all([(coverage_steps.make, job) for job in saved], env=cache)
    served = processes.run_all([(coverage_steps.serve, job) for job in late], sealed=True)
    plain = processes.run_all([(coverage_steps.plain, job) for job in jobs], env=cache)  # finds its kernels in the cache
    packages = [job["path"] for job in saved]
    return {key: Life(*found) for key, *found in zip(keys, made, served, plain, packages, strict=True)}


def run(processes: Processes, folder: Path, keys: Sequence[Key]) -> dict[Key, Life]:
    """A process sees one backend, so that what programs leave behind in their modules is the same. Programs that leave more
    behind, or are not saved, have processes apart."""
    parted: dict[Any, list[Key]] = {}
    for key in keys:
        entry = coverage_table.ENTRIES[key[0]]
        parted.setdefault((key[1], bool(entry.apart or entry.failing or entry.bypass)), []).append(key)
    groups = [group[start : start + 50] for group in parted.values() for start in range(0, len(group), 50)]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda item: live(processes, folder / str(item[0]), item[1]), enumerate(groups))
        return {key: life for group in found for key, life in group.items()}


def has_raised(run: dict[str, Any]) -> bool:
    """See coverage_kit.attempt."""
    return isinstance(run["outputs"], list) and run["outputs"][:1] == ["raised"]


def check(key: Key, life: Life) -> None:
    """Asserts what the table expects."""
    entry = coverage_table.ENTRIES[key[0]]
    made, plain = life.made.get(), life.plain.get()
    by_inductor = key[1] == "inductor"
    # What a process has seen before may change how Inductor fuses.
    if not (by_inductor and entry.not_as_torch):
        (assert_close if by_inductor else assert_same_bits)(made["run"], plain["compiled"])
    as_eager = not by_inductor or entry.not_as_torch or differ(plain["compiled"], plain["eager"]) is None
    if as_eager and not entry.not_as_eager and not entry.refused:
        assert_close(made["run"], plain["eager"])
    if entry.refused:
        assert entry.refused in str(plain["compiled"]), plain["compiled"]
    if made["report"] is None and has_raised(plain["compiled"]):
        return  # by the backend that this is about
    if entry.refused or (entry.nothing and made["report"] is None):
        assert made["report"] is None and made["refusal"].startswith("InvalidArgumentError"), made
        return
    if entry.bypass:
        reasons = [made["refusal"]] if made["report"] is None else [str(reason) for reason in made["report"]["bypasses"]]
        assert reasons and all(entry.bypass in reason for reason in reasons), reasons
        assert life.made.stats["bypasses"], life.made.stats
        if made["report"] is None or by_inductor:  # what is not there would be compiled, where there is no compiler
            return
    else:
        assert made["report"] is not None, made["refusal"]
        assert made["report"]["bypasses"] == () and life.made.stats["bypasses"] == {}, made["report"]
    served = life.served.get()
    (assert_close if entry.any_variant else assert_same_bits)(served["run"], made["run"])
    if not entry.bypass:
        assert_served(life.served, hits=0 if entry.nothing else 1)


def verdict(key: Key, life: Life) -> str:
    """Returns what became of a program with a backend, for people."""
    entry = coverage_table.ENTRIES[key[0]]
    if entry.failing:
        return f"known defect: {entry.failing}"
    made = life.made.get()
    if entry.refused:
        return f"refused by torch: {entry.refused}"
    if entry.nothing:
        return f"torch compiles nothing: {entry.nothing}"
    if made["report"] is None and has_raised(made["run"]):
        return f"refused by torch: {made['run']['outputs'][1]}"
    if entry.bypass:
        reasons = [made["refusal"]] if made["report"] is None else made["report"]["bypasses"]
        return f"bypass: {reasons[0]}"
    served = life.served.get()
    return f"served, hosted: {served['hosted']}" if served["hosted"] else "served, native"


def oracle(key: Key, life: Life) -> dict[str, str]:
    """Returns the part of a life that is known beforehand."""
    said = {"verdict": _NAME_OF_A_RUN.sub("__compiled_fn", verdict(key, life))}
    digest = coverage_oracle.content_digest(life.package) if life.package.exists() else None
    return {**said, "package": digest} if digest is not None else said

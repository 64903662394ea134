"""Never another answer than torch.compile alone gives: programs, and the state they run in, that changed between processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import edits
import edits_absent
import edits_classes
import edits_compiler
import edits_executed
import edits_looked_up
import edits_members
import edits_met
import edits_methods
import edits_reached
import edits_registered
import edits_state
import edits_syntax
import edits_unread
import edits_values
import pytest
import torch
from child import Answer
from conftest import chosen
from harness import Processes, assert_same_bits

EDITS = {
    name: edit
    for module in (
        *(edits_classes, edits_methods, edits_values, edits_state, edits_executed, edits_absent, edits_looked_up),
        *(edits_registered, edits_unread, edits_compiler, edits_met, edits_members, edits_reached, edits_syntax),
    )
    for name, edit in module.EDITS.items()
}
ELSEWHERE = ", in another module"
EDITS |= {name + ELSEWHERE: other for name, edit in EDITS.items() if (other := edits.elsewhere(edit)) is not None}
NUMBERS = {name: number for number, name in enumerate(EDITS)}
# Their order comes from the hash seed, which is another one in each process; with the same seed they are served.
# What is an input of the compiled code, or runs as it is, may change.
NOT_COMPILED = {
    "disabled function",
    "value of a buffer",
    "value of a global tensor",
    "value of a tensor in a closure",
    "value of an array",
    *edits_members.WITHOUT_ORDER,
    *edits_met.WITHOUT_ORDER,
    *edits_syntax.SERVED,
}
BY_HASH_SEED = {
    "item popped from a set",
    "order of a frozenset",
    "order of a literal set",
    "order of a set",
    "order of a set in a union",
}


# What torch itself cannot compile, and why, by its release.
UNCOMPILED = {"2.14": {"partial method": "a partialmethod's function has no descriptor: AttributeError within Dynamo"}}


def parameters() -> list[Any]:
    found = [reasons for release, reasons in UNCOMPILED.items() if torch.__version__.startswith(f"{release}.")]
    reasons = found[0] if found else {}

    def marks(name: str) -> list[Any]:
        reason = reasons.get(name.removesuffix(ELSEWHERE))
        return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []

    return [pytest.param(name, marks=marks(name)) for name in EDITS]


@pytest.fixture(scope="module")
def lives(processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Answers of serving it unchanged and edited, and of torch.compile alone, edited, by selected program."""
    folder = tmp_path_factory.mktemp("edits")
    names = chosen(request, "name")
    for name in names:
        EDITS[name].write(folder, NUMBERS[name])
    jobs = [{"folder": folder, "number": NUMBERS[name]} for name in names]
    saved = processes.run_all([(edits.save, job) for job in jobs], env={"PYTHONHASHSEED": "1"})
    answers: dict[str, list[Answer]] = {name: [answer] for name, answer in zip(names, saved, strict=True)}
    later = (
        ([(edits.serve, {**job, "form": edits.BEFORE}) for job in jobs], "1"),
        ([(edits.serve, {**job, "form": edits.AFTER}) for job in jobs], "2"),
        ([(edits.plain, job) for job in jobs], "2"),
    )
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda life: processes.run_all(life[0], env={"PYTHONHASHSEED": life[1]}), later):
            for name, answer in zip(names, done, strict=True):
                answers[name].append(answer)
    return answers


@pytest.mark.parametrize("name", parameters())
def test_unchanged_program_is_served_without_compiling(lives: dict[str, Any], name: str) -> None:
    saved, unchanged, _, _ = lives[name]
    saved.get()
    assert unchanged.get().get("misses") == []
    assert unchanged.stats["compiles"] == 0 and unchanged.stats["misses"] == {}


@pytest.mark.parametrize("name", parameters())
def test_edited_program_gives_what_torch_gives(
    lives: dict[str, Any], name: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("mutations", 1)
    _, _, edited, plain = lives[name]
    served = edited.get()
    if "refused" in served:
        return
    assert_same_bits(served["output"], plain.get())
    assert bool(served["misses"]) is (name.removesuffix(ELSEWHERE) not in NOT_COMPILED), served["misses"]
    assert all(": " in miss for miss in served["misses"])


@pytest.mark.parametrize("name", sorted(BY_HASH_SEED))
def test_order_of_a_set_is_explained_by_the_hash_seed(lives: dict[str, Any], name: str) -> None:
    assert "PYTHONHASHSEED" in lives[name][2].get()["misses"][0]


def test_what_cannot_be_compared_is_not_saved(processes: Processes, tmp_path: Path) -> None:
    unknowable = edits_executed.UNKNOWABLE | edits_reached.UNKNOWABLE | edits_syntax.UNKNOWABLE
    jobs = [{"text": text, "folder": tmp_path, "number": n} for n, text in enumerate(unknowable.values())]
    refusals = [answer.get() for answer in processes.run_all([(edits.refuse, job) for job in jobs])]
    expected = zip(unknowable, refusals, strict=True)
    assert [(reason, refusal) for reason, refusal in expected if reason not in refusal] == []


def test_edits_beside_what_was_compiled_change_nothing(processes: Processes, tmp_path: Path) -> None:
    programs = [*edits_executed.UNCHANGED.values(), *edits_unread.UNCHANGED.values()]
    for number, program in enumerate(programs):
        program.write(tmp_path, number)
    jobs = [{"folder": tmp_path, "number": number} for number in range(len(programs))]
    assert all(answer.get() is None for answer in processes.run_all([(edits.save, job) for job in jobs]))
    served = processes.run_all([(edits.serve, {**job, "form": edits.AFTER}) for job in jobs])
    assert [answer.get().get("misses") for answer in served] == [[]] * len(programs)
    assert [answer.stats["compiles"] for answer in served] == [0] * len(programs)


def test_same_line_of_two_modules(processes: Processes, tmp_path: Path) -> None:
    """Two functions `f` of equal text on one line of two modules: each is served from its own package, with its own answer."""
    for name, scale in (("first", 1.0), ("second", 100.0)):
        (tmp_path / f"{name}.py").write_text(f"SCALE = {scale}\ndef f(x): return x * SCALE\n")
    processes.run(edits.save_modules, folder=tmp_path, names=["first", "second"]).get()
    served = processes.run(edits.serve_modules, folder=tmp_path, names=["second", "first"])
    assert served.get() == {"first": 1.0, "second": 100.0}
    assert served.stats["hits"] == 2 and served.stats["compiles"] == 0
    refused = processes.run(edits.serve_modules, folder=tmp_path, names=["first"], package="second")
    assert "the package was made for second.f, not for first.f" in (refused.error or "")

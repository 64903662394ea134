"""Programs made at random give and do the same eagerly, under torch.compile, and from a package in another process."""

from __future__ import annotations

import os

import generated
import pytest
from harness import Processes, compare
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

FULL = os.environ.get("COLDFRAME_FULL") == "1"
BATCH = 100 if FULL else 40
BATCHES = 20 if FULL else 1


@settings(
    max_examples=BATCHES,
    deadline=None,
    database=None,
    derandomize=not FULL,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(generated.programs(), min_size=BATCH, max_size=BATCH))
def test_generated_programs(
    processes: Processes, tmp_path_factory: pytest.TempPathFactory, programs: list[generated.Generated]
) -> None:
    folder = tmp_path_factory.mktemp("generated")
    for number, program in enumerate(programs):
        (folder / f"generated_{number}.py").write_text(program.text)

    def answers(how: str) -> list[object]:
        jobs = [{"folder": folder, "number": n, "calls": p.calls, "how": how} for n, p in enumerate(programs)]
        return [answer.error or answer.value for answer in processes.run_all([(generated.run, job) for job in jobs])]

    eager, plain, made = answers("eager"), answers("torch"), answers("make")
    served = answers("serve")
    compared = sum(isinstance(answer, tuple) for answer in made)
    assert compared > len(programs) / 2, f"only {compared} of {len(programs)} programs were compiled"
    wrong = []
    for number, program in enumerate(programs):
        if reason := difference(eager[number], plain[number], made[number], served[number]):
            wrong.append(f"{reason}\n{program.text.removeprefix(generated.HEAD)}\n{program.calls}")
    assert not wrong, f"{len(wrong)} of {len(programs)}:\n" + "\n\n".join(wrong[:3])


def difference(eager: object, plain: object, made: object, served: object) -> str | None:
    """Returns what is wrong with a program's outcomes; None when nothing is."""
    if isinstance(plain, str):  # torch.compile itself fails
        return None
    if made is None:
        return None  # nothing of it was compiled
    if isinstance(made, str):
        return f"not made: {made}"
    outcomes, bypasses = made
    if bypasses:
        return f"not saved: {bypasses}"
    if isinstance(served, str):
        return f"not served: {served}"
    if found := compare(outcomes, plain, same):
        return f"the process that compiled differs from torch.compile: {found}"
    if found := compare(served, plain, same):
        return f"served differs from torch.compile: {found}"
    if not isinstance(eager, str) and compare(plain, eager, same) is None and (found := compare(served, eager, same)):
        return f"served differs from eager: {found}"
    return None


def same(x: object, y: object) -> bool:
    return x.equal(y) or ((x.isnan() == y.isnan()).all() and x.nan_to_num().equal(y.nan_to_num()))

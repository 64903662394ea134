"""Training: forward and backward compiled in one process, served in another without a compiler."""

from __future__ import annotations

import pytest
import steps
import training
from child import Answer
from conftest import chosen
from harness import Processes, assert_close, assert_same_bits, assert_served

NOT_AS_EAGER = {"dropout"}  # compiled, it drops other elements than eager does


@pytest.fixture(scope="module")
def lives(
    processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Answer, Answer]]:
    """Answers of the process that compiled it and of the one that served it, by selected program."""
    folder = tmp_path_factory.mktemp("training")
    names = chosen(request, "case")
    jobs = [{"case": f"training:{name}", "path": folder / f"{name}.cfp"} for name in names]
    made = processes.run_all([(steps.make, job) for job in jobs])
    served = processes.run_all([(steps.serve, job) for job in jobs], sealed=True)
    return {name: (first, second) for name, first, second in zip(names, made, served, strict=True)}


@pytest.mark.parametrize("case", training.CASES)
def test_training_is_served(lives: dict[str, tuple[Answer, Answer]], case: str) -> None:
    made, served = lives[case]
    report = made.get()["report"]
    assert report["bypasses"] == () and report["pending"] == ()
    outputs = served.get()["outputs"]
    assert_same_bits(outputs, made.get()["outputs"])
    if case not in NOT_AS_EAGER:
        assert_close(outputs, served.get()["eager"])
    assert_served(served)

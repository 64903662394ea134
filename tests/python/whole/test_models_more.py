"""Models of every family of transformers: compiled and saved in one process, served in another without a compiler.

With COLDFRAME_FULL=1 each is compiled by Inductor. Without, by backends that generate no code, which is much faster and has
the same guards and bytecode; what Inductor adds is tried on two models.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import steps
import torch
import zoo_more
from child import Answer
from conftest import chosen
from harness import Processes, assert_same_bits, assert_served, compare

FULL = os.environ.get("COLDFRAME_FULL", "") not in ("", "0")
WITH_INDUCTOR = {"vit", "t5"}
MODES = {"inference": "eager", "training": "aot_eager"}  # with the backend that is enough in most cases


def case_of(name: str, mode: str) -> str:
    return f"{name} {mode} {'inductor' if FULL or name in WITH_INDUCTOR else MODES[mode]}"


CASES = [case_of(name, mode) for name in zoo_more.MODELS for mode in MODES]


@pytest.fixture(scope="module")
def lives(
    processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Answer, Answer]]:
    """Answers of the process that compiled it and of the one that served it, by selected case."""
    folder = tmp_path_factory.mktemp("models")
    names = chosen(request, "case")

    def live(names: list[str]) -> dict[str, tuple[Answer, Answer]]:
        jobs = [{"case": f"zoo_more:{name}", "path": folder / name.replace(" ", "-")} for name in names]
        made = processes.run_all([(steps.make, job) for job in jobs])
        served = processes.run_all([(steps.serve, job) for job in jobs], sealed=True)
        return {name: (first, second) for name, first, second in zip(names, made, served, strict=True)}

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(live, (names[::4] + names[3::4], names[1::4] + names[2::4]))
    return one | other


@pytest.mark.parametrize("case", CASES)
def test_model_is_served(lives: dict[str, tuple[Answer, Answer]], case: str) -> None:
    made, served = lives[case]
    report = made.get()["report"]
    assert report["bypasses"] == () and report["pending"] == () and made.stats["bypasses"] == {}
    outputs = served.get()["outputs"]
    assert_same_bits(outputs, made.get()["outputs"])
    difference = compare(outputs, served.get()["eager"], nearly)
    assert difference is None, difference
    assert_served(served)


def nearly(x: torch.Tensor, y: torch.Tensor) -> bool:
    """As near as another order of additions leaves it, of what may be a gradient that is zero but for rounding errors."""
    if not x.dtype.is_floating_point or not x.numel():
        return torch.equal(x, y)
    return bool((x - y).abs().max() <= 1e-4 * y.abs().max() + 1e-6)

"""Values that torch does not guard, in each way that a program can come to see it: a name of torch's that is still there proves
nothing, these programs do. Each is saved under one seed of hashes, and served under others."""

from __future__ import annotations

from typing import Any

import canaries
import pytest
import torch
from harness import Processes

SEEDS = ("2", "3", "4", "5")
# What their answers are made of is another one in each process.
OF_ADDRESSES = {
    "an object with its address",
    "hash_of_a_class",
    "hash_of_an_object",
    "id_of_an_object",
    "repr() with its address",
}


@pytest.fixture(scope="module")
def answers(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By seed, of each program that was saved: see canaries.serve."""
    folder = tmp_path_factory.mktemp("canaries")
    processes.run(canaries.save, folder=folder, env={"PYTHONHASHSEED": "1"}).get()
    return {seed: processes.run(canaries.serve, folder=folder, env={"PYTHONHASHSEED": seed}).get() for seed in ("1", *SEEDS)}


@pytest.mark.parametrize("name", sorted(OF_ADDRESSES))
def test_what_is_made_of_addresses_is_not_served(answers: dict[str, Any], name: str) -> None:
    assert not any(name in served and served[name][2] for served in answers.values())


@pytest.mark.parametrize("name", sorted(canaries.PROGRAMS.keys() - OF_ADDRESSES))
def test_each_seed_gets_its_own_answer(answers: dict[str, Any], name: str) -> None:
    for seed in SEEDS:
        served, right, _ = answers[seed][name]
        assert any(torch.equal(served, each) for each in right), f"under seed {seed}"


@pytest.mark.parametrize("name", sorted(canaries.PROGRAMS.keys() - OF_ADDRESSES))
def test_with_the_same_seed_it_is_served(answers: dict[str, Any], name: str) -> None:
    assert answers["1"][name][2]

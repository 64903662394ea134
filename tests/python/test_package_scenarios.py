"""The compile-package API and its automatic mode, each story saved in one process and loaded in another."""

from __future__ import annotations

import pytest
import scenario_support
import scenarios_default
import scenarios_package
from child import Answer
from conftest import chosen
from harness import Processes


@pytest.fixture(scope="module")
def acts(
    processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Answer]]:
    """Of each selected scenario, the answers of its stages: all first ones in one process, all second ones in another."""
    folder = tmp_path_factory.mktemp("scenarios")
    names = chosen(request, "scenario")
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    for stage in scenario_support.STAGES:
        calls = [(scenario_support.act, {"stage": stage, "scenario": name, "folder": folder / name}) for name in names]
        for name, answer in zip(names, processes.run_all(calls, sealed=stage != "first"), strict=True):
            answers[name].append(answer)
    return answers


@pytest.mark.parametrize("scenario", scenario_support.names(scenarios_package) + scenario_support.names(scenarios_default))
def test_scenario(acts: dict[str, list[Answer]], scenario: str) -> None:
    first, *later = acts[scenario]
    first.get()
    for answer in later:
        answer.get()
        assert answer.processes == []

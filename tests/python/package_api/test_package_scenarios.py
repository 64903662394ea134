"""The compile-package API and its automatic mode, each story saved in one process and loaded in another."""

from __future__ import annotations

import pytest
import scenario_support
import scenarios_default
import scenarios_package
from child import Answer


@pytest.mark.parametrize("scenario", scenario_support.names(scenarios_package) + scenario_support.names(scenarios_default))
def test_scenario(acts: dict[str, list[Answer]], scenario: str) -> None:
    first, *later = acts[scenario]
    first.get()
    for answer in later:
        answer.get()
        assert answer.processes == []

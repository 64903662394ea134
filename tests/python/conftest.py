"""Fixtures: fresh processes, and packages that tests share. What is expensive is shared within one file only: tools/test gives
each file to one of its workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import scenario_support
import steps
import zoo as models
from child import Answer
from harness import Processes

# The files that take longest, so that no worker begins one of them when the other has nothing left to do.
LONGEST = (
    *("test_coverage", "test_automatic", "test_libraries", "test_distributed", "test_backends", "test_models"),
    *("test_backend_rules", "test_bench", "test_models_more", "test_programs", "test_native", "test_soundness"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@dataclass(frozen=True)
class Made:
    """Results of the process that compiled a model: a package, the compiled outputs, and its `SaveReport` as a dict."""

    package: Path
    outputs: Any
    report: dict[str, Any]


class Zoo:
    """The models of zoo.py, each compiled with Inductor under no_grad once a session, two at a time.

    Asking for one starts those that the session will need later, too. Their processes share one Inductor cache directory,
    which holds the compiler's precompiled headers.
    """

    def __init__(self, processes: Processes, folder: Path, wanted: Sequence[str]) -> None:
        self._processes = processes
        self._folder = folder
        self._wanted = wanted
        self._pool = ThreadPoolExecutor(2)
        self._made: dict[str, Future[Made]] = {}

    def __getitem__(self, name: str) -> Made:
        for other in (name, *self._wanted):
            if other not in self._made:
                self._made[other] = self._pool.submit(self._make, other)
        return self._made[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _make(self, name: str) -> Made:
        package = self._folder / f"{name}.cfp"
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(self._folder / "inductor")}
        made = self._processes.run(steps.make, case=f"zoo:{name}", path=package, env=cache).get()
        return Made(package, made["outputs"], made["report"])


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    made = Processes(tmp_path_factory.mktemp("processes"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def zoo(processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    used = (item for item in request.session.items if "zoo" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec"))
    named = (value for item in used for value in item.callspec.params.values() if value in models.MODELS)
    made = Zoo(processes, tmp_path_factory.mktemp("zoo"), list(dict.fromkeys(named)))
    yield made
    made.close()


def chosen(request: pytest.FixtureRequest, argument: str) -> list[Any]:
    """The values of a parametrized argument in the tests of this module that were selected, in order."""
    items = (item for item in request.session.items if item.path == request.path and hasattr(item, "callspec"))
    return list(dict.fromkeys(item.callspec.params[argument] for item in items if argument in item.callspec.params))


@pytest.fixture(scope="module")
def acts(
    processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Answer]]:
    """Answers of the stages, by selected scenario: all first ones in one process, all second ones in another."""
    folder = tmp_path_factory.mktemp("scenarios")
    names = chosen(request, "scenario")
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    for stage in scenario_support.STAGES:
        calls = [(scenario_support.act, {"stage": stage, "scenario": name, "folder": folder / name}) for name in names]
        for name, answer in zip(names, processes.run_all(calls, sealed=stage != "first"), strict=True):
            answers[name].append(answer)
    return answers


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the number of different changes, of what is guarded, of sources and of models, that were followed."""
    passed = terminalreporter.stats.get("passed", ())
    count = sum(value for report in passed for name, value in report.user_properties if name == "mutations")
    if count:
        terminalreporter.write_line(f"mutations: {count}")

"""Changing one guarded thing after loading is a miss, explained, and then the answer that torch.compile alone gives."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import changes
import pytest
from child import Answer
from conftest import chosen
from harness import Processes, assert_same_bits

# What the refusing guard says, by its source text.
EXPLAINED = {
    "input dtype": "L['x']",
    "input shape": "L['x']",
    "input rank": "L['x']",
    "input strides": "L['x']",
    "config value": "L['self'].settings.scale == 2.0",
    "config name": "L['self'].settings.name == 'relu'",
    "module attribute": "L['self'].shift == 1.0",
    "list item": "L['self'].factors[1] == 2.0",
    "evaluation": "L['self']._modules['dropout'].training",
    "replaced parameter": "L['self']._modules['linear']._parameters['",
    "replaced submodule": "L['self']._modules['linear']",
    "frozen parameter": "L['self']._modules['linear']._parameters['",
    "grad mode": "GLOBAL_STATE changed: grad_mode",
    "autocast": "GLOBAL_STATE changed: autocast",
    "default dtype": "GLOBAL_STATE changed: default_dtype",
    "enum argument": "L['kind']",
    "closure cell": "L['factor'] == 2.0",
    "default": "L['factor'] == 2.0",
    "inner default": "L['inner'].__defaults__[0] == 2.0",
    "function of a table": "G['TABLE']['function'].__code__",
}


@pytest.fixture(scope="module")
def lives(
    processes: Processes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Answer]]:
    folder = tmp_path_factory.mktemp("changes")
    names = chosen(request, "name")
    answers: dict[str, dict[str, Answer]] = {name: {} for name in names}

    def live(step: Any, **paths: str) -> None:
        calls = [(step, {"name": name, **{key: folder / f"{name}{ending}" for key, ending in paths.items()}}) for name in names]
        for name, answer in zip(names, processes.run_all(calls), strict=True):
            answers[name][step.__name__] = answer

    live(changes.make, path=".cfp")
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(live, changes.follow, path=".cfp", second=".second.cfp"),
            pool.submit(live, changes.follow_plain),
            pool.submit(live, changes.refuse, path=".cfp"),
            pool.submit(live, changes.run_eagerly, path=".cfp"),
        ]
        for job in jobs:
            job.result()
    live(changes.serve_both, path=".second.cfp")
    return answers


@pytest.mark.parametrize("name", changes.STORIES)
def test_outputs_are_those_of_torch_compile(
    lives: dict[str, dict[str, Answer]], name: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("mutations", 1)
    lives[name]["make"].get()
    assert_same_bits(lives[name]["follow"].get()["outputs"], lives[name]["follow_plain"].get())


@pytest.mark.parametrize("name", changes.STORIES)
def test_change_is_one_explained_miss_and_one_compilation(lives: dict[str, dict[str, Answer]], name: str) -> None:
    followed = lives[name]["follow"].get()
    start, served, missed, again = followed["counts"]
    assert served["hits"] == start["hits"] + 1 and served["compiles"] == start["compiles"]
    assert missed["misses"]["guard"] == served["misses"].get("guard", 0) + 1
    assert missed["compiles"] == served["compiles"] + 1
    assert again["compiles"] == missed["compiles"] and again["misses"] == missed["misses"]
    (miss,) = followed["misses"]
    assert EXPLAINED[name] in miss


@pytest.mark.parametrize("name", changes.STORIES)
def test_saved_again_both_variants_serve(lives: dict[str, dict[str, Answer]], name: str) -> None:
    followed, served = lives[name]["follow"].get(), lives[name]["serve_both"]
    assert followed["variants"] == (2, 2)
    assert_same_bits(served.get(), followed["outputs"][:2])
    assert served.stats["compiles"] == 0 and served.stats["misses"] == {} and served.stats["hits"] == 2


@pytest.mark.parametrize("name", changes.STORIES)
def test_change_raises_where_a_miss_is_an_error(lives: dict[str, dict[str, Answer]], name: str) -> None:
    answer = lives[name]["refuse"]
    assert EXPLAINED[name] in answer.get()
    assert answer.stats["compiles"] == 0


@pytest.mark.parametrize("name", changes.STORIES)
def test_change_runs_as_it_is_where_a_miss_is_run_eagerly(lives: dict[str, dict[str, Answer]], name: str) -> None:
    answer = lives[name]["run_eagerly"]
    first, second, eager = answer.get()
    assert_same_bits(first, eager)
    assert_same_bits(second, eager)
    assert answer.stats["compiles"] == 0 and answer.stats["misses"]["guard"] >= 1

"""Texts of misses about the present: texts of guards as torch gives them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from coldframe.torch.guards.explain import with_present


@dataclasses.dataclass
class Some:
    rate: float = 0.2
    names: tuple[str, ...] = ("a", "b")

    @property
    def broken(self) -> int:
        raise RuntimeError


LOCALS: dict[str, Any] = {"o": Some(), "d": {"k": [1, 2, 3]}, "t": "x" * 1000}
GLOBALS = {"FLAG": 3}


@pytest.mark.parametrize(
    ("guard", "present"),
    [
        ("L['o'].rate == 0.5", "0.2"),
        ("len(L['d']['k']) == 2", "3"),
        ("L['o'].names[1] is None", "'b'"),
        ("not L['d']", "{'k': [1, 2, 3]}"),
        ("___check_obj_id(L['o'], 12)", "a test_present.Some"),
        ("___check_type_id(L['o'], 12), type=<class 'int'>", "test_present.Some"),
        ("___dict_contains('q', L['d'])", "['k']"),
        ("type(L['o'].rate) == int", "float"),
    ],
)
def test_the_text_of_a_guard_has_what_is_there(guard: str, present: str) -> None:
    assert with_present(guard, LOCALS, GLOBALS) == f"{guard} (here: {present})"


def test_where_a_guard_comes_from_is_kept() -> None:
    guard = "G['FLAG'] == 0           # x * FLAG  # a.py:3 in f"
    assert with_present(guard, LOCALS, GLOBALS) == "G['FLAG'] == 0 (here: 3)  # x * FLAG  # a.py:3 in f"


@pytest.mark.parametrize(
    "guard",
    [
        "tensor 'L['t']' dtype mismatch. expected Float, actual Double",
        "L['gone'].rate == 0.5",
        "L['o'].broken == 1",
        "print(L['o']) == 1",
    ],
)
def test_where_there_is_nothing_to_add_the_text_stays(guard: str) -> None:
    assert with_present(guard, LOCALS, GLOBALS) == guard


def test_what_is_long_is_cut() -> None:
    assert len(with_present("L['t'] == 'y'", LOCALS, GLOBALS)) < 100

"""The lines of compiled code after edits that move those of its function."""

from __future__ import annotations

import itertools
import types

import pytest

from coldframe import _core
from coldframe.torch.serve.lines import Lines

BODY = """def function(x, y):
    total = 0
@@    for each in x:
        total += sum(i
@@            for i in range(each) if i != y)
    return (total,
@@        y)
"""
FILLINGS = {"comments": "    # one\n", "a long gap": "\n" * 500, "nothing": ""}


def function(text: str) -> types.CodeType:
    return next(const for const in compile(text, "<text>", "exec").co_consts if isinstance(const, types.CodeType))


def lines(code: types.CodeType) -> list[list[int | None]]:
    inner = [lines(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return [[line for line, *_ in code.co_positions()], *itertools.chain.from_iterable(inner)]


@pytest.mark.parametrize("above", [0, 1, 300])
@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("back", [False, True], ids=["down", "up"])
def test_lines_are_those_of_the_edited_function(above: int, filling: str, back: bool) -> None:
    old = function(BODY.replace("@@", ""))
    new = function("\n" * above + BODY.replace("@@", FILLINGS[filling]))
    if back:
        old, new = new, old
    moved = Lines(_core.CodeObject.from_code(old), new).moved(old)
    assert moved.co_firstlineno == new.co_firstlineno
    assert lines(moved)[0] == lines(new)[0]
    if filling == "nothing":
        assert list(moved.co_positions()) == list(new.co_positions())  # columns, too


def test_lines_that_have_not_moved_leave_the_code_as_it_is() -> None:
    code = function(BODY.replace("@@", ""))
    assert Lines(_core.CodeObject.from_code(code), code).moved(code) is code

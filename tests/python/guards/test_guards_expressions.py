"""Guard expressions: what is parsed and rendered again means the same, and nothing else gets through."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import math
import re
from collections import OrderedDict
from contextlib import suppress
from typing import Any, NamedTuple

import numpy
import pytest
import sympy
import torch
import torch._dynamo.guards as dynamo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._sympy import functions
from torch.utils._sympy.printers import PythonPrinter

from coldframe.errors import CorruptPackageError, NotPortableError
from coldframe.torch.guards.expressions import NAMES, names, parse, render
from coldframe.torch.guards.rare import FUNCTIONS

SIZES = ("L['x'].size()[0]", "L['x'].size()[1]", "L['x'].stride()[0]", "L['n']", "G['limit']", "len(L['items'])")
small = st.integers(-9, 9)


@dataclasses.dataclass
class Point:
    x: int


class Pair(NamedTuple):
    first: int
    second: int


def _binary(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "//", "%", "/", "&", "|", "^"])
    return st.builds("{} {} {}".format, inner, operators, inner)


def _wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("~({})".format, inner),
        st.builds("max({}, {})".format, inner, inner),
        st.builds("min({}, {})".format, inner, inner),
        st.builds("math.trunc({})".format, inner),
        st.builds("({})**2".format, inner),
    )


numbers = st.recursive(
    st.one_of(st.sampled_from(SIZES), small.map(str)), lambda inner: st.one_of(_binary(inner), _wrapped(inner)), max_leaves=8
)
comparisons = st.one_of(
    st.builds("{} {} {}".format, numbers, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), numbers),
    st.builds("{} <= {} < {}".format, numbers, numbers, numbers),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("({})".format, inner),
    ),
    max_leaves=5,
)


def outcome(text: str, scope: dict[str, Any]) -> Any:
    try:
        value = eval(text, dict(scope))
    except Exception as error:
        return type(error)
    return type(value), value


@settings(max_examples=300, deadline=None)
@given(conditions, small, st.integers(1, 9), st.integers(1, 9), small)
def test_parsed_and_rendered_means_the_same(text: str, n: int, rows: int, columns: int, limit: int) -> None:
    scope = {"L": {"x": torch.zeros(rows, columns), "n": n, "items": [1] * rows}, "G": {"limit": limit}, "math": math}
    again = render(parse(text))
    assert outcome(again, scope) == outcome(text, scope)
    assert parse(again) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "L['x'] is L['y']",
        "L['x'] is not None",
        "2 <= L['x'].size()[0] <= 1024",
        "-2**2 == -4",
        "(-2)**2 == 4",
        "1 - (2 - 3) == 2",
        "not L['a'] == L['b']",
        "L['x'] == inf",
        "L['x'] == -0.0",
        "L['key'] == b'\\x00\\xff'",
        "L['name'] == 'it\\'s \"quoted\"\\n'",
        "__import__('math').pi > 3",
        "type(L['x']) is tuple and len(L['x']) == 2",
        "L['self']._modules['0']._parameters['weight'].size()[0] == 2*L['x'].size()[1]",
        "___dict_contains('a', L['x'])",
        "(1 if L['a'] == 1 else 2) == 1",
    ],
)
def test_texts_as_torch_writes_them(text: str) -> None:
    again = render(parse(text))
    assert parse(again) == parse(text)
    values = {"x": 1, "y": 2, "a": 1, "b": 2, "key": b"\0\xff", "name": 'it\'s "quoted"\n'}
    scope = {**dynamo._get_closure_vars(), "L": values}
    assert outcome(again, scope) == outcome(text, scope)


def test_an_infinite_number_is_rendered_by_its_name() -> None:
    assert render(parse("L['x'] == 1e999")) == "(L['x'] == inf)"


def test_negative_zero_keeps_its_sign() -> None:
    assert math.copysign(1, eval(render(parse("-0.0")))) == -1


@pytest.mark.parametrize(
    "text",
    [
        "__import__(L['x'])",
        "__import__('os', G)",
        "eval('1')",
        "(lambda: 1)()",
        "[a for a in L['x']]",
        "{1: 2}",
        "(y := 1) == 1",
        "f(x)",
        "max(L['x'], key=len)",
        "max(*L['x'])",
        "f'{L}'",
        "L['x'][1:2]",
        "x = 1",
        "1; 2",
        "1 @ 2",
        "",
        "(",
    ],
)
def test_what_the_grammar_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(NotPortableError, match=r"guard expression"):
        parse(text)


@pytest.mark.parametrize(
    "expression",
    [
        (),
        ("name", "eval"),
        ("name", "L['x'], exit()"),
        ("attr", ("name", "L"), "x.y"),
        ("attr", ("name", "L"), "x; import os"),
        ("const", ("name", "L")),
        ("const", [1]),
        ("unary", "lambda:", ("const", 1)),
        ("binary", "); exit(", ("const", 1), ("const", 2)),
        ("bool", "and"),
        ("bool", "xor", ("const", True)),
        ("compare", ("const", 1)),
        ("compare", ("const", 1), ("=", ("const", 2))),
        ("call", "exit"),
        ("import", "os; exit()"),
        ("import", ("const", "os")),
        ("item", ("name", "L")),
        "exit()",
        None,
        ["const", 1, 2],
    ],
    ids=str,
)
def test_what_parse_cannot_have_made_is_not_rendered(expression: Any) -> None:
    with pytest.raises(CorruptPackageError, match="not a guard expression"):
        render(expression)


def test_the_names_that_torch_puts_into_the_scope_of_shape_guards_are_known() -> None:
    assert set(dynamo.SYMPY_INTERP) - NAMES == set()


def test_what_torch_prints_of_symbols_has_no_other_names() -> None:
    x, y = sympy.Symbol("x", integer=True), sympy.Symbol("y")
    made = []
    for cls in [value for value in vars(functions).values() if isinstance(value, type) and issubclass(value, sympy.Function)]:
        for args in ((y,), (x, x), (y, sympy.Integer(2)), (x, x + 1, x + 2)):
            with suppress(Exception):
                made.append(cls(*args))
    made += [sympy.Abs(y), sympy.ceiling(y), sympy.floor(y), sympy.oo * 1, sympy.nan, sympy.Piecewise((x, x > 2), (y, True))]
    scope = {**dynamo._get_closure_vars(), **dynamo.SYMPY_INTERP, **vars(builtins)}
    printed = set()
    for expression in made:
        with suppress(Exception):
            printed.add(PythonPrinter().doprint(expression))
    assert len(printed) > 40
    for text in printed:
        used = {
            node.func.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if used <= scope.keys():  # torch itself cannot evaluate others
            parse(re.sub(r"\b([xy])\b", r"L['\1']", text))


def test_every_name_has_a_meaning_on_the_native_path() -> None:
    assert NAMES - FUNCTIONS.keys() - vars(builtins).keys() == {"L", "G"}
    assert names(parse("max(L['x'], 2) < inf and not math.isnan(G['y'])")) == {"L", "G", "max", "inf", "math"}
    scope = {**dynamo._get_closure_vars(), **dynamo.SYMPY_INTERP}
    iterator = iter((1, 2, 3))
    next(iterator)
    calls = {
        "IsNonOverlappingAndDenseIndicator": (2, 3, 3, 1),
        "___as_tensor": (1.5,),
        "___dataclass_fields": (Point,),
        "___dict_contains": ("a", {"a": 1}),
        "___from_numpy": (numpy.ones(1),),
        "___namedtuple_fields": (Pair(1, 2),),
        "___odict_getitem": (OrderedDict(a=1), "a"),
        "___tuple_iterator_getitem": (iterator, 1),
        "___tuple_iterator_len": (iterator,),
        "__math_isnan": (math.nan,),
        "cast_symbool_to_symint_guardless": (True,),
    }
    for name, args in calls.items():
        assert FUNCTIONS[name](*args) == scope[name](*args), name

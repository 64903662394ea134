"""Small programs made at random: what they hold, and what they do in a process."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from steps import detached

import coldframe
from coldframe.errors import InvalidArgumentError

HEAD = """
import dataclasses
import torch

LOG = []
STATE = {"factor": 2, "mode": "sum"}
COUNT = 0


class Box:
    def __init__(self, value):
        self.value = value

    def scaled(self, t):
        return t * self.value


BOX = Box(3)


@dataclasses.dataclass
class Pair:
    first: object
    second: object


def helper(t, k=2, *, shift=1.0):
    return t * k + shift


def talking(t):
    y = t + 1
    print("talking")
    return y.cos()


def make_adder(k):
    def add(t):
        return t + k
    return add


ADD = make_adder(4)
TABLE = {"a": helper, "b": talking, "c": ADD}


def factorial_like(t, n):
    return t if n <= 0 else factorial_like(t * 1.5, n - 1)
"""

TENSORS = ("x", "y", "t")
_EXPRESSIONS = (
    "{a}.sin()",
    "{a} + {b}",
    "{a} * {k}",
    "{a} - {b} * 0.5",
    "torch.relu({a})",
    "torch.where({a} > 0, {a}, {b})",
    "{a} / ({b}.abs() + 1)",
    "{a} + {b}.sum()",
    "{a}.flip(0)",
    "helper({a}, {k})",
    "helper({a}, shift={k}.5)",
    "ADD({a})",
    "make_adder({k})({a})",
    "BOX.scaled({a})",
    "{a} * STATE['factor']",
    "TABLE['a']({a})",
    "factorial_like({a}, {k})",
    "sum([{a} * i for i in range({k})], {b})",
    "(lambda q: q + {k})({a})",
    "{a}.clone().add_({b})",
    "torch.stack([{a}, {b}]).mean(0)",
    "{a}.view(-1)[:: 1].contiguous()",
    "{a} * {a}.shape[0]",
    "{a} * n",
    "{{'k': {a}, 'l': {b}}}['k']",
    "max(({a}, 1), ({b}, 0), key=lambda pair: pair[1])[0]",
)
_STATEMENTS = (
    "LOG.append({k})",
    "LOG.append(n + {k})",
    "STATE['mode'] = 'mode {k}'",
    "BOX.value = BOX.value + 1 if BOX.value < 4 else 3",
    "torch._dynamo.graph_break()",
    "print('said', {k})",
    "t = talking({a})",
    "x.mul_(0.5)",
    "t = t.clone(); t[0] = {k}",
    "a, (b, *c) = {a}, [{b}, {a}, {b}]; t = a + b + len(c)",
    "t = t * float({a}.max().item() > 0)",
    "pair = Pair({a}, {k}); t = t + pair.first * pair.second",
    "name = f'{{n}}-{k}'; LOG.append(name)",
    "items = [{a}]; items.append({b}); items.insert(0, t); t = items[-1] + items.pop(0)",
    "s = sorted([n, {k}, 1], reverse=True); t = t + s[0]",
)
_CONDITIONS = (
    "n > {k}",
    "n == {k}",
    "x.shape[0] > {k}",
    "flag",
    "STATE['mode'] == 'sum'",
    "BOX.value == {k}",
    "isinstance(y, torch.Tensor) and n",
    "x.dtype == torch.float64",
    "{a}.sum() > {k}",  # the data decide: a graph break
)
_RETURNS = (
    "t",
    "(t, n)",
    "{{'t': t, 'n': [x, {k}]}}",
    "[t, {a}.sum(), None]",
    "Pair(t, {k}).first",
    "(t, t)",
    "x",
)


@dataclass(frozen=True)
class Generated:
    """The text of a module with a function `f`, and the calls of it: (n, size, dtype, flag)."""

    text: str
    calls: tuple[tuple[int, int, str, bool], ...]


@st.composite
def _filled(draw: st.DrawFn, forms: tuple[str, ...]) -> str:
    form = draw(st.sampled_from(forms))
    name = st.sampled_from(TENSORS)
    return form.format(a=draw(name), b=draw(name), k=draw(st.integers(0, 4)))


@st.composite
def _block(draw: st.DrawFn, depth: int) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("assign", "assign", "assign", "statement", "statement", "compound")))
        if kind == "assign" or depth == 0:
            lines.append(f"t = {draw(_filled(_EXPRESSIONS))}")
        elif kind == "statement":
            lines.extend(draw(_filled(_STATEMENTS)).split("; "))
        else:
            lines.extend(draw(_compound(depth - 1)))
    return lines


@st.composite
def _compound(draw: st.DrawFn, depth: int) -> list[str]:
    kind = draw(st.sampled_from(("if", "if", "for", "try", "with", "raise", "function", "while")))
    body = textwrap.indent("\n".join(draw(_block(depth))), "    ").split("\n")
    k = draw(st.integers(0, 4))
    if kind == "if":
        lines = [f"if {draw(_filled(_CONDITIONS))}:", *body]
        if draw(st.booleans()):
            lines += ["else:", *textwrap.indent("\n".join(draw(_block(depth))), "    ").split("\n")]
        return lines
    if kind == "for":
        return [f"for i in range({k % 3}):", *body, "    t = t + i"]
    if kind == "while":
        return ["i = 0", f"while i < {k % 3}:", *body, "    i += 1"]
    if kind == "try":
        return [
            "try:",
            *body,
            f"    if n == {k}:",
            f"        raise ValueError('caught {k}')",
            "except ValueError as error:",
            "    t = t - 1",
            "    LOG.append(str(error))",
            "finally:",
            "    LOG.append('finally')",
        ]
    if kind == "with":
        return [draw(st.sampled_from(("with torch.no_grad():", "with torch.enable_grad():"))), *body]
    if kind == "raise":
        return [f"if n == {k} and not flag:", f"    raise KeyError('n is {k}')"]
    return [
        f"def inner(q, w={k}):",
        "    nonlocal t",
        "    t = t + q * w",
        "    return q.tanh() + n",
        f"t = inner({draw(st.sampled_from(TENSORS))}) + t",
    ]


@st.composite
def programs(draw: st.DrawFn) -> Generated:
    block = [line for _ in range(draw(st.integers(1, 3))) for line in draw(_block(2))]
    body = ["global COUNT", "COUNT += 1", "t = x", *block, f"return {draw(_filled(_RETURNS))}"]
    text = HEAD + "\n\ndef f(x, y, n, flag=False):\n" + textwrap.indent("\n".join(body), "    ") + "\n"
    call = st.tuples(st.integers(0, 4), st.integers(2, 6), st.sampled_from(("float32", "float32", "float64")), st.booleans())
    return Generated(text, tuple(draw(st.lists(call, min_size=2, max_size=4))))


# In a process.


def module_of(folder: Path, number: int) -> Any:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(f"generated_{number}")


def outcome(module: Any, function: Callable[..., Any], call: tuple[int, int, str, bool]) -> dict[str, Any]:
    """Returns the outcome of a call: its output or exception, the changed input, what it printed, the state of its module."""
    n, size, dtype, flag = call
    x = torch.linspace(-1, 2, size, dtype=getattr(torch, dtype))
    y = torch.linspace(2, -3, size, dtype=getattr(torch, dtype))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            output, error = detached(function(x, y, n, flag=flag)), None
        except (ValueError, KeyError, TypeError, RuntimeError, IndexError) as raised:
            output, error = None, f"{type(raised).__name__}: {raised}"
    state = (list(module.LOG), dict(module.STATE), module.COUNT, module.BOX.value)
    return {"output": output, "error": error, "x": x.clone(), "y": y.clone(), "printed": printed.getvalue(), "state": state}


def run(folder: Path, number: int, calls: tuple[tuple[int, int, str, bool], ...], how: str) -> Any:
    """The outcomes of one program in this process. how: eager, torch (plain torch.compile), make, or serve. None when torch
    compiled nothing of it; what could not be saved as its text."""
    module = module_of(folder, number)
    torch._dynamo.reset()
    path = folder / f"{number}.cfp"
    function = module.f
    if how == "torch":
        function = torch.compile(function, backend="eager")
    elif how == "make":
        function = coldframe.compile(function, backend="eager")
    elif how == "serve":
        function = coldframe.load(path, function, on_miss="error")
    outcomes = [outcome(module, function, call) for call in calls]
    if how == "make":
        try:
            report = coldframe.save(function, path)
        except InvalidArgumentError:
            return None
        return outcomes, report.bypasses
    return outcomes

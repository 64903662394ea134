"""Scenarios of frames: what compiles to nothing, and what several callables reach."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from scenario_support import EAGER, counted, same, vector
from torch.utils import _pytree as pytree

import coldframe

# A helper that breaks before it has a graph: compiled for the first callable, found by the second.

said: list[str] = []


def say(word: str) -> None:
    torch._dynamo.graph_break()
    said.append(word)


def talking_first(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    say("first")
    return y + 1


def inner(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    say("inner")
    return y.cos()


def talking_second(x: torch.Tensor) -> torch.Tensor:
    return inner(x.sin()) + 1


def first_helper_of_two_callables(folder: Path) -> None:
    for function in (talking_first, talking_second):
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector())
        coldframe.save(compiled, folder / function.__name__)


def second_helper_of_two_callables(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "talking_second", talking_second, on_miss="error")
    with counted() as counts:
        assert same(loaded(vector()), talking_second(vector()))
    assert said == ["inner", "inner"]
    assert counts["compiles"] == 0 and counts["misses"] == {}


# Properties that are compiled as frames of their own.


class Measured(torch.nn.Module):
    value = 3

    @property
    def factor(self) -> torch.Tensor:
        made = torch.ones(self.value) * 2
        say("factor")
        return made.exp()

    @functools.cached_property
    def offset(self) -> torch.Tensor:
        made = torch.ones(self.value)
        say("offset")
        return made + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin() * self.factor + self.offset


def first_properties(folder: Path) -> None:
    compiled = coldframe.compile(Measured(), **EAGER)
    compiled(vector(3))
    assert coldframe.save(compiled, folder / "package").bypasses == ()


def second_properties(folder: Path, made: Any) -> None:
    with counted() as counts:
        loaded = coldframe.load(folder / "package", Measured(), on_miss="error")
        assert same(loaded(vector(3)), Measured()(vector(3)))
    assert counts["compiles"] == 0 and counts["misses"] == {}


# A call that has nothing to compile, of a function that otherwise has.


def numbered(*xs: torch.Tensor) -> list[torch.Tensor]:
    return [x + i for i, x in enumerate(xs)]


def first_call_without_tensors(folder: Path) -> None:
    compiled = coldframe.compile(numbered, **EAGER)
    for count in (1, 2, 0):
        compiled(*[vector()] * count)
    coldframe.save(compiled, folder / "package")


def second_call_without_tensors(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "package", numbered, on_miss="error")
    assert [len(loaded(*[vector()] * count)) for count in (2, 0, 1)] == [2, 0, 1]
    with pytest.raises(coldframe.MissError):
        loaded(vector(), vector(), vector())


# The same of a module, which may compute with its parameters alone.


class Optional(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(6))
        self.computes = False

    def forward(self, x: torch.Tensor | None = None) -> torch.Tensor | None:
        if x is None and not self.computes:
            return None
        return self.weight * 2 + (0 if x is None else x)


def first_module_without_tensors(folder: Path) -> None:
    compiled = coldframe.compile(Optional(), **EAGER)
    compiled(vector())
    assert compiled() is None
    coldframe.save(compiled, folder / "package")


def second_module_without_tensors(folder: Path, made: Any) -> None:
    for on_miss in ("compile", "error"):
        torch._dynamo.reset()
        model = Optional()
        loaded = coldframe.load(folder / "package", model, on_miss=on_miss)
        with counted() as counts:
            assert same(loaded(vector()), model(vector())) and (on_miss == "compile" or loaded() is None)
            model.computes = True
            assert same(loaded(), model.weight * 2)
        # Whether it computes is not known before it is compiled; as it is it may run in any case.
        assert (counts["compiles"], counts["misses"]["guard"]) == ((1, 1) if on_miss == "compile" else (0, 2)), counts


# A size that differs from what was seen before the save: compiled for any size, as in the process that saved.


def sized(x: torch.Tensor, y: torch.Tensor, n: int) -> torch.Tensor:
    return (x.sin() * y.sum()) + n


def first_sizes_seen_before(folder: Path) -> None:
    compiled = coldframe.compile(sized, **EAGER)
    compiled(vector(6), vector(4), 2)
    coldframe.save(compiled, folder / "package")


def second_sizes_seen_before(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "package", sized)
    with counted() as counts:
        for size, n in ((6, 2), (7, 3), (8, 4), (9, 5)):
            assert same(loaded(vector(size), vector(4), n), sized(vector(size), vector(4), n))
    assert counts["compiles"] == 1, counts


# Libraries that register tree nodes of their own, or do not: what the program met decides.


class Node:
    def __init__(self, inner: Any) -> None:
        self.inner = inner


class Other(Node):
    pass


def conditional(x: torch.Tensor) -> Any:
    return torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (x,))


def mapped(x: torch.Tensor) -> Any:
    return pytree.tree_map(lambda leaf: (leaf.inner if isinstance(leaf, Node) else leaf) * 2, [x, Node(x)])


def counts_nodes(x: torch.Tensor) -> Any:
    return x + len(pytree.SUPPORTED_NODES)


def register(cls: type) -> None:
    pytree.register_pytree_node(cls, lambda node: ([node.inner], None), lambda children, _: cls(*children))


def first_tree_nodes(folder: Path) -> None:
    register(Other)
    for function in (conditional, mapped, counts_nodes):
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector())
        coldframe.save(compiled, folder / function.__name__)


def second_tree_nodes(folder: Path, made: Any) -> None:
    def served(function: Any) -> Any:
        return coldframe.load(folder / function.__name__, function, on_miss="error")(vector())

    assert same(served(conditional), conditional(vector()))
    assert len(served(mapped)) == 2
    with pytest.raises(coldframe.MissError, match="SUPPORTED_NODES"):
        served(counts_nodes)
    register(Node)
    assert same(served(conditional), conditional(vector()))
    with pytest.raises(coldframe.MissError, match="Node"):
        served(mapped)


# A decorator runs while its module is being imported.


def use_decorated(folder: Path) -> Any:
    with mock.patch.dict(os.environ, DECORATED_LATER=str(folder)):
        return importlib.import_module("decorated_later").use(vector())


def first_decorated_before_its_helpers(folder: Path) -> Any:
    return use_decorated(folder)


def second_decorated_before_its_helpers(folder: Path, made: Any) -> None:
    with counted() as counts:
        assert all(map(same, use_decorated(folder), made))
    assert counts["compiles"] == 0 and counts["misses"] == {} and counts["hits"] == 2, counts


# What refers to its own compiled form dies with it.


class Small(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin()


def first_modules_that_hold_what_was_compiled_of_them(folder: Path) -> None:
    def made(how: str) -> weakref.ref[Small]:
        module = Small()
        if how == "method":
            module.forward = coldframe.compile(module.forward, **EAGER)  # type: ignore[method-assign]
        else:
            module.held = [coldframe.compile(module, **EAGER)]
        for _ in range(3):
            module(vector()) if how == "method" else module.held[0](vector())
        return weakref.ref(module)

    for how in ("method", "module"):
        gone = made(how)
        gc.collect()
        assert gone() is None, how

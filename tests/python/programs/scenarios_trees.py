"""Scenarios of trees: who asks pytree's registry of nodes, hears when it says something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from scenario_support import EAGER, same, vector
from torch.utils import _pytree as pytree

import coldframe


class Pair:
    def __init__(self, left: Any, right: Any) -> None:
        self.left = left
        self.right = right


class Triple(Pair):
    pass


NODES = pytree.SUPPORTED_NODES


def leaves(x: torch.Tensor, pair: Any) -> Any:
    return x + len(pytree.tree_leaves([pair, x]))


def flattens(x: torch.Tensor, pair: Any) -> Any:
    return x + pytree.tree_flatten({"a": (pair, 1), "b": pair})[1].num_leaves


def is_leaf(x: torch.Tensor, pair: Any) -> Any:
    return x + (1 if pytree.tree_is_leaf(pair) else 2)


def with_path(x: torch.Tensor, pair: Any) -> Any:
    return x + len(pytree.tree_leaves_with_path([pair, x]))


def by_another_name(x: torch.Tensor, pair: Any) -> Any:
    return x + (1 if NODES.get(type(pair)) is None else 2)


def among_all(x: torch.Tensor, pair: Any) -> Any:
    return x + sum(1 for cls in NODES if cls in (list, Pair))


SURE = (leaves, flattens, is_leaf, with_path, by_another_name)
FUNCTIONS = (*SURE, among_all)  # of all there may be others in each process


def register(cls: type, flatten: Any = lambda pair: ([pair.left, pair.right], None)) -> None:
    keys = (pytree.GetAttrKey("left"), pytree.GetAttrKey("right"))
    pytree.register_pytree_node(
        cls,
        flatten,
        lambda children, _: cls(*children),
        flatten_with_keys_fn=lambda pair: (list(zip(keys, flatten(pair)[0], strict=False)), None),
    )


def save(folder: Path, pair: Any) -> None:
    for function in FUNCTIONS:
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector(), pair)
        coldframe.save(compiled, folder / f"{function.__name__}_{type(pair).__name__}")


def load(folder: Path, pair: Any) -> dict[Any, Any]:
    return {
        function: coldframe.load(folder / f"{function.__name__}_{type(pair).__name__}", function, on_miss="error")
        for function in FUNCTIONS
    }


def first_types_registered_later(folder: Path) -> None:
    save(folder, Pair(1, 2))
    register(Triple)
    save(folder, Triple(1, 2))


def second_types_registered_later(folder: Path, made: Any) -> None:
    loaded, pair = load(folder, Pair(1, 2)), Pair(1, 2)
    for function in SURE:
        for _ in range(3):
            assert same(loaded[function](vector(), pair), function(vector(), pair)), function
    register(Pair)
    for _, served in [*loaded.items(), *load(folder, pair).items()]:
        with pytest.raises(coldframe.MissError, match="NODES"):
            served(vector(), pair)


def third_types_registered_later(folder: Path, made: Any) -> None:
    triple = Triple(1, 2)
    for served in load(folder, triple).values():
        with pytest.raises(coldframe.MissError):
            served(vector(), triple)
    register(Triple)
    loaded = load(folder, triple)
    for function in SURE:
        assert same(loaded[function](vector(), triple), function(vector(), triple)), function
    pytree._deregister_pytree_node(Triple)
    register(Triple, lambda triple: ([triple.left], None))
    for function in (leaves, flattens):
        with pytest.raises(coldframe.MissError):
            loaded[function](vector(), triple)

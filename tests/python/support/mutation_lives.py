"""Random changes of a model, before its package is loaded or after: the answer is the one that torch gives then."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from harness import compare
from mutation_steps import Changes, Executors, Undo
from scenario_support import counted

import coldframe

BEFORE, AFTER = "before loading", "after loading"
Change = Callable[[], Undo | None]


class Picks(random.Random):
    """Random, and knows what it has chosen."""

    made: tuple[int, ...] = ()

    def choice(self, items: Any) -> Any:
        index = self.randrange(len(items))
        self.made = (*self.made, index)
        return items[index]


class Lives:
    """A model with its package, which changes and is served again and again."""

    def __init__(self, name: str, path: Path) -> None:
        self.path = path
        self.on = Executors(name, path)
        self.changes = Changes(self.on, seed=0)
        self.changes.random = self.picks = Picks(len(name))
        self.buffers = [(buffer, buffer.detach().clone()) for buffer in self.on.module.buffers()]

    def outcome(self, function: Any) -> Any:
        """Returns the result of a call, or that it raises. Changes of buffers are taken back."""
        torch.manual_seed(0)
        try:
            output = function(*self.on.args, **self.on.kwargs)
            return torch.utils._pytree.tree_map_only(torch.Tensor, lambda x: x.detach().clone(), output)
        except Exception:
            return "raised"
        finally:
            for buffer, before in self.buffers:
                buffer.data.copy_(before)

    @contextmanager
    def changed(self, change: Change) -> Iterator[bool]:
        undo = change()
        try:
            yield undo is not None
        finally:
            if undo is not None:
                undo()

    def compiled(self) -> Any:
        torch._dynamo.reset()
        return torch.compile(self.on.module, backend="eager")

    def live(self, change: Change, when: str) -> str:
        """One change: "served", "missed" or "refused"; "" when there was nothing to change."""
        torch._dynamo.reset()
        loaded = None
        if when == AFTER:
            loaded = coldframe.load(self.path, self.on.module)
            assert self.outcome(loaded) != "raised"
        state = self.picks.getstate()
        self.picks.made = ()
        with self.changed(change) as is_changed, counted() as counts:
            if not is_changed:
                return ""
            try:
                loaded = coldframe.load(self.path, self.on.module) if loaded is None else loaded
            except coldframe.IncompatiblePackageError:
                return "refused"
            except Exception:  # what makes modules is broken
                assert self.outcome(lambda *args, **kwargs: self.compiled()(*args, **kwargs)) == "raised"
                return "refused"
            served = self.outcome(loaded)
            if alike(served, self.outcome(self.on.module)):
                right = "eager"
            elif alike(served, self.outcome(self.compiled())):
                right = "torch.compile"
            else:
                right = ""
        if not right and when == AFTER:  # what torch.compile itself does not notice
            compiled = self.compiled()
            self.outcome(compiled)
            self.picks.setstate(state)
            with self.changed(change):
                right = "torch.compile" if alike(served, self.outcome(compiled)) else ""
        assert right, f"{change.__name__} {when}: {served!r:.300}"
        return "missed" if counts["misses"] else "served"


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return type(one) is type(other)
    return compare(one, other, lambda x, y: x.device == y.device and (x.is_meta or _same_bits(x, y))) is None


def _same_bits(x: torch.Tensor, y: torch.Tensor) -> bool:
    return bool(torch.equal(torch.nan_to_num(x), torch.nan_to_num(y)) and torch.equal(x.isnan(), y.isnan()))


def live(name: str, path: Path, count: int) -> dict[str, tuple[int, dict[str, int]]]:
    """By kind of change and when it was made: how many different ones there were, and how often what became of them."""
    picked: dict[str, set[tuple[int, ...]]] = {}
    seen: dict[str, dict[str, int]] = {}
    with torch.no_grad():
        lives = Lives(name, path)
        kinds = lives.changes.kinds()
        for number in range(count):
            change = kinds[number // 2 % len(kinds)]
            when = (BEFORE, AFTER)[number % 2]
            if became := lives.live(change, when):
                key = f"{change.__name__} {when}"
                counts = seen.setdefault(key, {})
                counts[became] = counts.get(became, 0) + 1
                picked.setdefault(key, set()).add(lives.picks.made)
    return {key: (len(picked[key]), counts) for key, counts in seen.items()}

"""Tiny programs whose answer hangs on something that no guard of torch's says: on the seed of hashes, or on an address.

Each is a function of a tensor. What it gives is a number that says which order, text, hash or id it saw.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

import coldframe

Tensor = torch.Tensor
PROGRAMS: dict[str, Callable[[Tensor], Tensor]] = {}
WORDS = {"alpha", "beta", "gamma", "delta", "epsilon"}
FROZEN = frozenset(WORDS)
OTHERS = {"gamma", "zeta", "eta", "theta", "alpha"}
KEYS = dict.fromkeys(["alpha", "zeta", "eta", "beta"])


class Plain:
    pass


class Shown:
    def __init__(self) -> None:
        self.words = {"one", "two", "three", "four"}

    def __repr__(self) -> str:
        return f"Shown({self.words})"


class Name(str):
    pass


class Kind(enum.Flag):
    A = 1
    B = 2


PLAIN, SHOWN = Plain(), Shown()


def program(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    PROGRAMS[function.__name__] = function
    return function


def number(words: Iterable[str]) -> float:
    """Another one for each order of the words, and for each text."""
    made = 0.0
    for word in words:
        for letter in word:
            made = (made * 31 + ord(letter)) % 65521
    return made


def of_order(name: str, make: Callable[[], Iterable[str]]) -> None:
    def f(x: Tensor) -> Tensor:
        return x + number(make())

    PROGRAMS[name] = f


def of_text(name: str, make: Callable[[], str]) -> None:
    def f(x: Tensor) -> Tensor:
        return x + number(make())

    PROGRAMS[name] = f


def copied() -> set[str]:
    return set(WORDS)


def changed(method: str, *others: Any) -> set[str]:
    made = set(WORDS)
    getattr(made, method)(*others)
    return made


def in_place(operation: str) -> set[str]:
    made = set(WORDS)
    if operation == "|=":
        made |= OTHERS
    elif operation == "&=":
        made &= OTHERS
    elif operation == "-=":
        made -= OTHERS
    else:
        made ^= OTHERS
    return made


def extended() -> list[str]:
    made: list[str] = []
    made.extend(WORDS)
    return made


def added() -> list[str]:
    made: list[str] = []
    made += WORDS
    return made


def unpacked() -> list[str]:
    first, *rest = WORDS
    return [*rest, first]


def popped() -> list[str]:
    made = set(WORDS)
    return [made.pop()]


def display() -> set[str]:
    return {"uno", "dos", "tres", "cuatro", "cinco"}


_IN_ORDER: dict[str, Callable[[], Iterable[str]]] = {
    "a set": lambda: WORDS,
    "a frozenset": lambda: FROZEN,
    "a copy": copied,
    "its copy": lambda: WORDS.copy(),
    "a display": display,
    "a comprehension": lambda: {word + "!" for word in KEYS},
    "as a list": lambda: list(WORDS),
    "as a tuple": lambda: tuple(FROZEN),
    "in brackets": lambda: [*WORDS],
    "unpacked": unpacked,
    "numbered": lambda: [word * count for count, word in enumerate(WORDS)],
    "zipped": lambda: [a + b for a, b in zip(WORDS, OTHERS, strict=True)],
    "mapped": lambda: map(str.upper, WORDS),
    "filtered": lambda: filter(None, WORDS),
    "its iterator": lambda: [next(iter(WORDS))],
    "extended": extended,
    "added": added,
    "popped": popped,
    "joined": lambda: ["-".join(WORDS)],
    "keys made of it": lambda: dict.fromkeys(WORDS),
    "ordered keys": lambda: OrderedDict.fromkeys(WORDS),
    "counted": lambda: Counter(WORDS),
    "reduced": lambda: [functools.reduce(lambda a, b: a + b, WORDS)],
    "the longest": lambda: [max(WORDS, key=len)],
    "the shortest": lambda: [min(WORDS | OTHERS, key=len)],
    "by length": lambda: sorted(WORDS, key=len),
    "a union": lambda: WORDS | OTHERS,
    "an intersection": lambda: WORDS & OTHERS,
    "a difference": lambda: WORDS - OTHERS,
    "a symmetric difference": lambda: WORDS ^ OTHERS,
    "union()": lambda: WORDS.union(OTHERS, KEYS),
    "intersection()": lambda: WORDS.intersection(OTHERS, FROZEN),
    "difference()": lambda: WORDS.difference(OTHERS),
    "symmetric_difference()": lambda: FROZEN.symmetric_difference(OTHERS),
    "update()": lambda: changed("update", OTHERS, KEYS),
    "intersection_update()": lambda: changed("intersection_update", OTHERS),
    "difference_update()": lambda: changed("difference_update", OTHERS),
    "symmetric_difference_update()": lambda: changed("symmetric_difference_update", OTHERS),
    "|=": lambda: in_place("|="),
    "&=": lambda: in_place("&="),
    "-=": lambda: in_place("-="),
    "^=": lambda: in_place("^="),
    "of keys": lambda: KEYS.keys() | OTHERS,
    "common keys": lambda: KEYS.keys() & WORDS,
}
_TEXTS: dict[str, Callable[[], str]] = {
    "repr()": lambda: repr(WORDS),
    "str()": lambda: str(FROZEN),
    "an f-string": lambda: f"{WORDS}",
    "an f-string by repr": lambda: f"{FROZEN!r}",
    "an f-string with more": lambda: f"<{WORDS} {len(WORDS)}>",
    "percent": lambda: "%s" % (WORDS,),  # noqa: UP031
    "format()": lambda: "{}".format(WORDS),  # noqa: UP032
    "ascii()": lambda: ascii(WORDS),
    "within a list": lambda: f"{[1, WORDS]}",
    "within a dict": lambda: str({"words": FROZEN}),
    "an object of the program": lambda: f"{SHOWN}",
    "an object's repr": lambda: repr(SHOWN),
    "an object with its address": lambda: f"{PLAIN}",
    "repr() with its address": lambda: repr(PLAIN),
}

for _name, _make in _IN_ORDER.items():
    of_order(_name, _make)
for _name, _text in _TEXTS.items():
    of_text(_name, _text)


@program
def hash_of_a_text(x: Tensor) -> Tensor:
    return x + hash("alpha") % 1009


@program
def hash_by_method(x: Tensor) -> Tensor:
    return x + "alpha".__hash__() % 1009


@program
def hash_of_a_tuple(x: Tensor) -> Tensor:
    return x + hash(("alpha", 1)) % 1009


@program
def hash_of_a_frozenset(x: Tensor) -> Tensor:
    return x + hash(FROZEN) % 1009


@program
def hash_of_an_object(x: Tensor) -> Tensor:
    return x + hash(PLAIN) % 1009


@program
def hash_of_a_class(x: Tensor) -> Tensor:
    return x + hash(Plain) % 1009


@program
def id_of_an_object(x: Tensor) -> Tensor:
    return x + id(PLAIN) // 16 % 1009


@program
def leaves_of_a_tree(x: Tensor) -> Tensor:
    return x + len(pytree.tree_leaves({"a": PLAIN, "b": [SHOWN, 1]}))


def save(folder: Path) -> None:
    """Saves each program that can be saved."""
    for name, function in PROGRAMS.items():
        torch._dynamo.reset()
        compiled = coldframe.compile(function, backend="eager")
        compiled(torch.zeros(2))
        with contextlib.suppress(coldframe.NotPortableError):
            coldframe.save(compiled, folder / f"{name}.cfp")


def serve(folder: Path) -> dict[str, tuple[Tensor, list[Tensor], bool]]:
    """Returns, by saved program, its answer and those of eager and of a fresh torch.compile, which has an order of its own
    for sets that are made while it traces, and whether the package served it."""
    answers, x = {}, torch.zeros(2)
    for path in sorted(folder.glob("*.cfp")):
        function = PROGRAMS[path.stem]
        before = coldframe.stats()["misses"]
        served = coldframe.load(path, function, on_miss="eager")(x)
        hit = coldframe.stats()["misses"] == before
        torch._dynamo.reset()
        answers[path.stem] = served, [function(x), torch.compile(function, backend="eager")(x)], hit
    return answers

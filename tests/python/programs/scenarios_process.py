"""Scenarios of what is a constant while Dynamo traces, and another one in each process (whose hash seeds differ)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from scenario_support import EAGER, same, vector

import coldframe

NAMES = {"a", "bb", "ccc", "dddd"}


class Node:
    pass


NODE = Node()


def by_list(x: torch.Tensor) -> torch.Tensor:
    return x + list(NAMES).index("bb")


def by_union(x: torch.Tensor) -> torch.Tensor:
    return x + len(list(NAMES | {"eeeee"})[-1])


def by_pop(x: torch.Tensor) -> torch.Tensor:
    return x + len(set(NAMES).pop())


def by_text(x: torch.Tensor) -> torch.Tensor:
    return x * len(str(NAMES)) + ord(str(NAMES)[2])


def by_hash(x: torch.Tensor) -> torch.Tensor:
    return x + hash("text") % 1000


def by_id(x: torch.Tensor) -> torch.Tensor:
    return x + id(Node) % 1000


def by_format(x: torch.Tensor) -> torch.Tensor:
    return x + ord(f"{NAMES}"[2])


def by_method_of_text(x: torch.Tensor) -> torch.Tensor:
    return x + ord("{}".format(NAMES)[2]) + 3 * ord("{[1]}".format((1, NAMES))[2])  # noqa: UP032


def by_text_within(x: torch.Tensor) -> torch.Tensor:
    return x + ord(str((1, {"a", "bb", "ccc", "dddd"}))[6]) + ord(f"{[NAMES]}"[3])


def by_percent(x: torch.Tensor) -> torch.Tensor:
    return x + ord(("%s %r" % (1, [NAMES]))[5])  # noqa: UP031


def by_ascii(x: torch.Tensor) -> torch.Tensor:
    return x + ord(ascii({1: NAMES})[6])


def by_key(x: torch.Tensor) -> torch.Tensor:
    return x + len(min(NAMES, key=lambda name: 0))


def by_hash_method(x: torch.Tensor) -> torch.Tensor:
    return x + "text".__hash__() % 1000


def by_object(x: torch.Tensor) -> torch.Tensor:
    return x + int(str(NODE)[-3:-1], 16) + int(repr(NODE)[-4:-2], 16)


def by_state(x: torch.Tensor) -> torch.Tensor:
    return x + STATE_OF.count(str(SHOWN))


def by_depth(x: torch.Tensor) -> torch.Tensor:
    return x * sys.getrecursionlimit() + sys.get_int_max_str_digits()


def by_environment(x: torch.Tensor) -> torch.Tensor:
    return x * len(os.environ.get("COLDFRAME_TEST_ABSENT", "")) + ("COLDFRAME_TEST_ABSENT" in os.environ)


def by_flash(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if torch._C._get_flash_sdp_enabled() else x


class Shown:
    """Its text is a constant to Dynamo, which does not look at how it is made."""

    factor = 1

    def __repr__(self) -> str:
        return f"shown {self.factor}"


def by_new_object(x: torch.Tensor) -> torch.Tensor:
    return x + len(str(Shown()))


SHOWN = Shown()
STATE_OF = ["shown 1", "shown 2", "shown 2"]

OF_HASHES = (by_list, by_union, by_pop, by_text, by_format, by_method_of_text, by_text_within, by_percent, by_ascii, by_key)
OF_SETTINGS = (by_state, by_depth, by_environment, by_flash)
NEVER = (by_id, by_object, by_new_object)  # are saved
PER_PROCESS = (*OF_HASHES, by_hash, by_hash_method, *OF_SETTINGS, *NEVER)


def first_per_process(folder: Path) -> None:
    with settings(1000, flash=True, state=1):
        for function in PER_PROCESS:
            compiled = coldframe.compile(function, **EAGER)
            compiled(vector())
            with contextlib.suppress(coldframe.NotPortableError):
                coldframe.save(compiled, folder / function.__name__)
    assert [f.__name__ for f in PER_PROCESS if not (folder / f.__name__).exists()] == [f.__name__ for f in NEVER]


def second_per_process(folder: Path, made: Any) -> None:
    with settings(1100, flash=False, state=2), mock.patch.dict(os.environ, COLDFRAME_TEST_ABSENT="three"):
        for function in PER_PROCESS:
            if function not in NEVER:
                loaded = coldframe.load(folder / function.__name__, function)
                # To Dynamo the order of a union or of what pop() takes is not always Python's.
                assert same(loaded(vector()), torch.compile(function, **EAGER)(vector())), function
                assert function not in OF_SETTINGS or coldframe.explain(loaded).misses, function


def third_per_process(folder: Path, made: Any) -> None:
    with settings(1000, flash=True, state=1):
        for function in OF_SETTINGS:
            loaded = coldframe.load(folder / function.__name__, function, on_miss="error")
            assert same(loaded(vector()), function(vector())), function


@contextlib.contextmanager
def settings(depth: int, *, flash: bool, state: int) -> Iterator[None]:
    """Settings of a process: the recursion limit and the longest text of a number, which attention, an object's state."""
    before = sys.getrecursionlimit(), sys.get_int_max_str_digits()
    sys.setrecursionlimit(depth)
    sys.set_int_max_str_digits(depth)
    torch.backends.cuda.enable_flash_sdp(flash)
    SHOWN.factor = state
    yield
    sys.setrecursionlimit(before[0])
    sys.set_int_max_str_digits(before[1])
    torch.backends.cuda.enable_flash_sdp(True)

"""Parts of the coverage table: small programs by topic, and what is expected of each."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from steps import Program

BOTH = ("inductor", "eager")
# Why a break in a comprehension is a bypass: since Python 3.12 the frame itself breaks, and Dynamo puts a function of its own
# among the constants.
COMPREHENSION = "PyCodegen.pop_null" if sys.version_info >= (3, 12) else ""
TRAINING = ("inductor", "aot_eager")  # eager has no compiled backward


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the table. What is said nowhere here is expected: served, with the outputs of eager and of torch.compile."""

    name: str
    topic: str
    description: str
    backends: tuple[str, ...]  # () when the program is about its own backend
    bypass: str = ""  # what it runs as is plain torch.compile: in the reason of the bypass, or of the refusal to save
    refused: str = ""  # torch.compile refuses it: in its message
    nothing: str = ""  # why torch compiles nothing of it, so that there is nothing to save
    not_as_torch: str = ""  # why torch.compile alone answers otherwise with Inductor than eager, and than coldframe
    any_variant: str = ""  # why several variants serve a call, so that another process may answer by another one
    not_as_eager: str = ""  # why torch.compile itself answers otherwise than eager
    apart: str = ""  # why it does not run in the processes of the others: what it leaves in a process
    failing: str = ""  # a defect that is known: the test is expected to fail


class Table:
    """The programs of one module, by name."""

    def __init__(self, backends: tuple[str, ...] = BOTH) -> None:
        self.entries: dict[str, Entry] = {}
        self._backends = backends

    def covers(self, topic: str, description: str, **expected: Any) -> Callable[[Callable[[], Program]], Callable[[], Program]]:
        """Decorates the function that makes a program."""

        def add(make: Callable[[], Program]) -> Callable[[], Program]:
            assert make.__name__ not in self.entries, make.__name__
            expected.setdefault("backends", self._backends)
            self.entries[make.__name__] = Entry(make.__name__, topic, description, **expected)
            return make

        return add


def vector(n: int = 6) -> torch.Tensor:
    return torch.linspace(-1, 1, n)


def matrix(n: int = 3, m: int = 4) -> torch.Tensor:
    return torch.linspace(-1, 1, n * m).reshape(n, m)


def attempt(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Returns the result of a call, or the exception that it raises."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return ["raised", f"{type(error).__module__}.{type(error).__qualname__}", str(error)]


@contextlib.contextmanager
def printed() -> Iterator[Callable[[], str]]:
    """Yields a function that returns what has been printed within it."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        yield out.getvalue

"""Calls of callables that are served from a store, and what is known of calls of one structure."""

from __future__ import annotations

import functools
import os
import sys
import threading
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch

from ... import _core
from ..fingerprint import locate
from ..serve.callable import runs_hooks
from .reasons import Unstored
from .structure import Structure, structure_of
from .writer import Led

_LIBRARIES = tuple(os.path.join(os.path.dirname(module.__file__ or ""), "") for module in (torch, _core))


class NotLookedUp(BaseException):
    """Dynamo is about to compile for a call of a structure that has not been looked for in the store yet, by these steps."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps


@dataclass
class Slot:
    """The calls of one structure: what is known of them, and where their packages lie."""

    structure: Structure
    sought: int = 0  # how many of the steps of `StoredSession` are done
    known: dict[bytes, bool] = field(default_factory=dict)  # by the id of a variant: whether it is part of `packages`
    packages: list[_core.Package] = field(default_factory=list)  # that were found under the exact structure
    general: bytes | None = None  # what was put under the general structure last
    names: set[str] = field(default_factory=set)  # of the graphs that the calls ran
    settings: dict[str, Any] = field(default_factory=dict)  # of torch, under which they were compiled
    refusals: list[str] = field(default_factory=list)  # why packages that were found do not serve
    unstored: Unstored = field(default_factory=Unstored)
    led: Led | None = None
    publishing = False  # what the flight is for is about to be put


Step = Callable[[Slot], bool]


class Session(Protocol):
    """The session of a call (see from_store.StoredSession)."""

    target: Any
    adopted: int

    def slot_of(self, structure: Structure) -> Slot: ...
    def contained(self, what: str, error: Exception) -> None: ...


class Call:
    """A call of a callable that is served from a store."""

    begins_in: ClassVar[types.CodeType]  # the code of the frame that makes it

    def __init__(self, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.session, self._args, self._kwargs = session, args, kwargs
        self.adopted = session.adopted  # what there was when it was last tried

    @functools.cached_property
    def slot(self) -> Slot:
        try:
            structure = structure_of(self.session.target, self._args, self._kwargs)
        except Exception as error:  # of an argument of the program's own classes, say
            self.session.contained("load", error)
            structure = Structure(*[_core.digest("unknown")] * 2)
        return self.session.slot_of(structure)

    def has_begun(self) -> bool:
        """Returns whether code of the program has run in it: hooks of the module, or more than the frame that is about to."""
        if runs_hooks(locate.called(self.session.target)):
            return True
        frame: Any = sys._getframe(1)
        running = 0
        while frame is not None and frame.f_code is not Call.begins_in:
            running += not frame.f_code.co_filename.startswith(_LIBRARIES)
            frame = frame.f_back
        return running > 1


class _Calls(threading.local):
    def __init__(self) -> None:
        self.running: list[Call] = []


calls = _Calls()

"""Replacements in torch: in groups, all of a group or none, listed, and undone exactly."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ...errors import IncompatiblePackageError
from .process import Lock

Wrap = Callable[[Any, str, Callable[[Any], Any]], None]
_ABSENT = object()
_groups: list[Patches] = []


@dataclass(frozen=True)
class Patch:
    """One replacement: of an attribute of a module or class, or something added to one of torch's tables."""

    group: str
    name: str  # such as "torch._dynamo.output_graph.OutputGraph.install_global_unsafe"
    undo: Callable[[], None]


class Patches:
    """A group of replacements. Thread-safe.

    What others have put in the place of one of ours since stays when it is undone: it goes on to call ours.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self.made: list[Patch] = []
        self._lock = Lock()
        _groups.append(self)

    @contextmanager
    def once(self) -> Iterator[bool]:
        """Yields whether the group is to be made now. What its body has made is undone when it raises."""
        with self._lock:
            try:
                yield not self.made
            except BaseException:
                self.undo()
                raise

    def undo(self) -> None:
        """Leaves torch as it was. What is not made needs nothing."""
        with self._lock:
            while self.made:
                self.made.pop().undo()

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Puts `make(original)` in the place of an attribute, under the original's name and signature. A method that a class
        inherits is replaced for that class alone; a function of a module also where modules beside it have imported its name.

        IncompatiblePackageError where there is no such attribute.
        """
        original = inspect.getattr_static(owner, name, _ABSENT) if isinstance(owner, type) else vars(owner).get(name, _ABSENT)
        if original is _ABSENT:
            raise IncompatiblePackageError(f"this torch has no {_name_of(owner, name)}: install a matching coldframe")
        replacement = make(original)
        with suppress(AttributeError, TypeError):
            functools.update_wrapper(replacement, original)
        self.replace(owner, name, replacement)
        if isinstance(original, types.FunctionType) and isinstance(owner, types.ModuleType):
            for module in _beside(owner):
                for alias in [alias for alias, value in vars(module).items() if value is original]:
                    self.replace(module, alias, replacement)

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Puts `value` in the place of an attribute of a module or class, if it has it."""
        original = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)

        def undo() -> None:
            if vars(owner).get(name) is not value:
                return
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

        self.add(_name_of(owner, name), undo)

    def add(self, name: str, undo: Callable[[], None]) -> None:
        """Notes a change that has been made in another way, and what takes it back."""
        self.made.append(Patch(self.group, name, undo))


def installed() -> list[Patch]:
    """Returns all replacements that are in place, in the order in which they were made within each group."""
    return [patch for group in _groups for patch in list(group.made)]


def undo_all() -> None:
    """Leaves torch as it was before any of them. Not while a callable of ours is in use."""
    for group in reversed(_groups):
        group.undo()


def _beside(module: types.ModuleType) -> list[types.ModuleType]:
    """Returns the imported modules of the package that `module` belongs to: of torch._dynamo, say."""
    package = ".".join(module.__name__.split(".")[:2])
    found = [module for name, module in list(sys.modules.items()) if name.startswith(f"{package}.")]
    return [module for module in found if isinstance(module, types.ModuleType)]


def _name_of(owner: Any, name: str) -> str:
    module = f"{owner.__module__}." if isinstance(owner, type) else ""
    return f"{module}{getattr(owner, '__qualname__', getattr(owner, '__name__', owner))}.{name}"

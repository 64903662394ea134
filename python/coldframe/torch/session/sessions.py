"""The sessions of this process, and whose a compiled callable is."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import InvalidArgumentError
from .plain import plain_because

if TYPE_CHECKING:
    from .session import Session

# What coldframe makes keeps its session itself, so that both can go together when the target refers to what was made of it.
sessions: weakref.WeakSet[Session] = weakref.WeakSet()
of_others: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def session_of(compiled: Any) -> Session:
    """The session of what `compile` or `load` returned. InvalidArgumentError for anything else."""
    found: Any = getattr(compiled, "__dict__", {}).get("_session")
    with suppress(TypeError):  # of a type that has no weak references: not one of ours
        if found not in sessions:
            found = of_others.get(compiled)
        if found in sessions:
            ours: Session = found
            return ours
    why = plain_because(compiled) and f"; served by torch.compile alone: {plain_because(compiled)}"
    raise InvalidArgumentError(f"{type(compiled).__name__} object was not made by coldframe.compile or coldframe.load{why}")

"""Callables that torch.compile alone serves although there is a store, with the reasons."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

_reasons: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def runs_plainly(compiled: Any, because: str) -> Any:
    """Notes why `compiled` is torch.compile's own, and returns it."""
    with suppress(TypeError):  # of a type that has no weak references
        _reasons[compiled] = because
    return compiled


def plain_because(compiled: Any) -> str:
    """Returns the reason why `compiled` is torch.compile's own; empty when nothing is known of it."""
    with suppress(TypeError):
        return _reasons.get(compiled, "")
    return ""

"""Processes in which torch.compile itself is served from a store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage_steps
import torch

import coldframe


@contextlib.contextmanager
def enabled(store: Path | Any, **how: Any) -> Iterator[None]:
    """Within it torch.compile is served from the store. At the end all that was compiled is there."""
    coldframe.enable(store, **how)
    try:
        yield
        assert coldframe.flush(60), "not everything was written"
    finally:
        coldframe.disable()


def program(case: str, backend: str, store: Path) -> Any:
    """Runs a coverage program by torch.compile. {"outputs", "printed"}."""
    with enabled(store):
        made = coverage_steps.prepared(case, backend)
        return coverage_steps.run(made, coverage_steps.wrapped(torch.compile, made))

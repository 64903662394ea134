"""Reports of the public functions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SaveReport:
    """The report of `save`: size in bytes, numbers of frames, variants and artifacts, seconds that a hit saves.

    `pending` names frames saved forward-only, because their backward has not been compiled yet; `bypasses` says what could
    not be saved, and why.
    """

    path: str
    size: int
    frames: int
    variants: int
    artifacts: int
    compile_seconds: float
    pending: tuple[str, ...] = ()
    bypasses: tuple[str, ...] = ()

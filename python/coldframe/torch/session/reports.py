"""Reports of the public functions."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..capture.build import Built


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


def report(path: str | os.PathLike[str], size: int, built: Built) -> SaveReport:
    """Returns the report of what was saved to `path`, in `size` bytes."""
    return SaveReport(
        os.fspath(path),
        size,
        frames=len(built.package.codes),
        variants=sum(len(entry.guarded_codes) for entry in built.package.codes),
        artifacts=len(built.package.artifacts),
        compile_seconds=built.package.compile_seconds,
        pending=tuple(built.pending),
        bypasses=tuple(dict.fromkeys(built.bypasses)),
    )

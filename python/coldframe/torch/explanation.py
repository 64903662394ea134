"""Explanations: what serves a compiled callable, and why calls missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .capture.misses import Miss


@dataclass(frozen=True)
class Frame:
    """One code object of a compiled callable."""

    name: str
    role: str
    loaded: int
    compiled: int
    bypasses: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """An account of what serves a compiled callable, and of why calls missed. str() of it is for people."""

    frames: tuple[Frame, ...]
    refused: tuple[str, ...]  # variants of the package that could not be installed, and why
    misses: tuple[Miss, ...]
    hosted_because: str  # why it is served through Dynamo and not natively; empty when it is not
    imports: tuple[str, ...]  # what of torch's compiler a frame that is served natively had to import, and what for
    plain_because: str = ""  # why torch.compile alone serves it, and nothing else can be said; empty when that is not so

    def __str__(self) -> str:
        lines = [f"served by torch.compile alone: {self.plain_because}"] if self.plain_because else []
        for frame in self.frames:
            lines.append(f"{frame.name} ({frame.role}): {frame.loaded} variants loaded, {frame.compiled} compiled")
            lines.extend(f"  not saved: {reason}" for reason in frame.bypasses)
        if self.hosted_because:
            lines.append(f"served through Dynamo: {self.hosted_because}")
        lines.extend(f"imported: {text}" for text in self.imports)
        lines.extend(f"not installed: {reason}" for reason in self.refused)
        lines.extend(f"miss: {miss}" for miss in self.misses)
        return "\n".join(lines) or "nothing compiled or loaded yet"

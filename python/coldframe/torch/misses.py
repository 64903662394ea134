"""A frame that no loaded variant served."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Miss:
    """A frame that no loaded variant served: per variant, the text of the guard that refused it."""

    frame: str
    reasons: list[str]

    def __str__(self) -> str:
        return f"{self.frame}: " + ("; ".join(self.reasons) or "there is no variant of this frame")

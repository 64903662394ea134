"""A frame that no loaded variant served."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Miss:
    """A frame that no loaded variant served: per variant, the text of the guard that refused it."""

    frame: str
    reasons: list[str]
    bypass: str = ""  # why the package has no variant of it: none could be saved

    def lines(self) -> list[str]:
        """As str() of it, a line for each variant."""
        return [f"{self.frame}: {reason}" for reason in self.reasons or [self._absent()]]

    def __str__(self) -> str:
        return f"{self.frame}: " + ("; ".join(self.reasons) or self._absent())

    def _absent(self) -> str:
        return "there is no variant of this frame" + (f": {self.bypass}" if self.bypass else "")

"""Counters of this process: what was served, what was missed and why, what was compiled."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .process import Lock


@dataclass
class Stats:
    """Thread-safe counters. A *hit* is a frame's variant served from a package; a *miss* a frame that none served."""

    loads: int = 0
    installed_variants: int = 0
    compiles: int = 0
    saves: int = 0
    seconds_saved: float = 0.0
    misses: Counter[str] = field(default_factory=Counter)
    bypasses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)

    def count_miss(self, reason: str) -> None:
        with self._lock:
            self.misses[reason] += 1

    def count_bypass(self, reason: str) -> None:
        with self._lock:
            self.bypasses[reason] += 1

    def contain(self, what: str, error: Exception) -> None:
        """Counts an error that must not reach the program. COLDFRAME_STRICT=1 raises it instead."""
        with self._lock:
            self.errors[f"{what}: {type(error).__name__}"] += 1
        if os.environ.get("COLDFRAME_STRICT") == "1":
            raise error

    def snapshot(self) -> dict[str, Any]:
        """Plain values: hits, misses (by reason), compiles, bypasses (by reason), loads, saves, seconds_saved, errors."""
        with self._lock:
            return {
                "hits": self.hits,
                "misses": dict(self.misses),
                "compiles": self.compiles,
                "bypasses": dict(self.bypasses),
                "loads": self.loads,
                "installed_variants": self.installed_variants,
                "saves": self.saves,
                "seconds_saved": round(self.seconds_saved, 3),
                "errors": dict(self.errors),
            }


stats = Stats()

"""Reasons for `coldframe why`: why a call had to be compiled, and why what it compiled is not stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..capture.misses import Miss
from ..capture.package import CapturePackage
from ..capture.registry import registry
from ..fingerprint import locate

_COUNTED_AS = {"incompatible": "environment", "source_changed": "source"}  # what is compiled although there are packages
ABSENT = "absent: no package was stored for a call like this"


@dataclass
class Reasons:
    """The reasons of one compiled callable, each given once."""

    _misses: set[int] = field(default_factory=set)  # their ids
    _bypasses: dict[int, int] = field(default_factory=dict)  # how many of a record, by the id of its code

    def of_call(self, capture: CapturePackage, refusals: list[str]) -> tuple[list[str], str]:
        """Returns the reasons why the last call had to compile, and how that is counted. refusals: of packages in the store."""
        missed = self._new_misses(capture)
        reasons = list(dict.fromkeys([*refusals, *(line for miss in missed for line in miss.lines())]))
        if any(miss.reasons for miss in missed):
            return reasons, "guard"
        if refusals:
            return reasons, _COUNTED_AS.get(refusals[0].partition(":")[0], "damaged")
        return reasons, "absent"

    def _new_misses(self, capture: CapturePackage) -> list[Miss]:
        new = [miss for miss in capture.misses if id(miss) not in self._misses]
        self._misses = {id(miss) for miss in capture.misses}
        return new

    def bypasses(self, capture: CapturePackage) -> list[str]:
        """Returns the reasons why frames that were compiled since are in no package."""
        new: list[str] = []
        for record, _ in registry.view(capture.caller, set(), capture.backend_key):
            reasons = record.bypassed(capture.caller, set(), capture.backend_key)
            name = locate.frame_name(record.code, record.module, capture.target)
            new.extend(f"{name}: {reason}" for reason in reasons[self._bypasses.get(id(record.code), 0) :])
            self._bypasses[id(record.code)] = len(reasons)
        return new


@dataclass
class Unstored:
    """The reasons why what the calls of one structure compiled is not stored, each given once."""

    _new: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)

    def add(self, reasons: list[str]) -> None:
        self._new.extend(reason for reason in dict.fromkeys(reasons) if reason not in self._told)
        self._told.update(reasons)

    def take(self) -> list[str]:
        new, self._new = self._new, []
        return [f"not stored: {reason}" for reason in new]

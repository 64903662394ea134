"""Every coverage program there is, and the order of the topics."""

from __future__ import annotations

import coverage_breaks
import coverage_data
import coverage_frames
import coverage_functions
import coverage_modules
import coverage_options
import coverage_shapes
import coverage_training
import coverage_transforms
from coverage_kit import Entry

MODULES = (
    *(coverage_breaks, coverage_frames, coverage_functions, coverage_modules, coverage_shapes),
    *(coverage_data, coverage_training, coverage_transforms, coverage_options),
)
ENTRIES: dict[str, Entry] = {
    f"{module.__name__}:{name}": entry for module in MODULES for name, entry in module.TABLE.entries.items()
}


def lives() -> list[tuple[str, str]]:
    """Each program with each of its backends; "own" is the one that the program names."""
    return [(case, backend) for case, entry in ENTRIES.items() for backend in entry.backends or ("own",)]

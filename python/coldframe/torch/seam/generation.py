"""The torch and the Python that this coldframe knows. On others programs run, as with plain torch.compile."""

from __future__ import annotations

import functools
import re
import sys

import torch

from ...warn import warn

TORCH = "2.13"
PYTHON = (3, 11)
_RELEASE = re.compile(re.escape(TORCH) + r"\.\d+(\+.*)?")  # no nightly, no candidate


@functools.cache
def unknown() -> str | None:
    """Returns what coldframe does not know of this process, in words; None where it knows torch and Python."""
    if sys.version_info[:2] != PYTHON or sys.implementation.name != "cpython":
        version = f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"
        return f"this coldframe knows CPython {PYTHON[0]}.{PYTHON[1]}, not {version}"
    known = _RELEASE.fullmatch(str(torch.__version__)) is not None
    return None if known else f"this coldframe knows the releases of torch {TORCH}, not {torch.__version__}"


@functools.cache
def say(what: str) -> None:
    """Warns, once in a process, that programs run as with plain torch.compile."""
    warn(f"coldframe: {what}: programs run as with plain torch.compile", stacklevel=3)

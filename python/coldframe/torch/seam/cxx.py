"""Hosts on which no C++ compiler works: what would have to be compiled there runs as it is."""

from __future__ import annotations

import os
import subprocess
import tempfile

from ...warn import warn
from . import symbols
from .stats import stats

REASON = "no C++ compiler works on this host"
_said = False


def is_missing(error: BaseException) -> bool:
    """Returns whether Inductor has failed with `error`, and no C++ compiler works here."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__module__ == "torch._inductor.exc":
            return not _works()
        cause = getattr(cause, "inner_exception", None) or cause.__cause__
    return False


def note_missing() -> None:
    """Counts what is not compiled for want of a compiler, and says so once."""
    global _said
    stats.count_bypass(f"not compiled: {REASON}")
    if not _said:
        _said = True
        warn(f"coldframe: {REASON}: what the store lacks runs without being compiled", stacklevel=3)


def _works() -> bool:
    """Returns whether Inductor's compiler makes a library of an empty file."""
    try:
        compiler = symbols.module("torch._inductor.cpp_builder").get_cpp_compiler()
        with tempfile.TemporaryDirectory() as folder:
            command = [compiler, "-x", "c++", "-shared", "-fPIC", os.devnull, "-o", os.path.join(folder, "empty.so")]
            return not subprocess.run(command, capture_output=True, check=False).returncode
    except (OSError, RuntimeError):
        return False

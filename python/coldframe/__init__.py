"""torch.compile pays once: verified compile packages, served in other processes and on other hosts.

Importing this package does not import torch; its functions do, when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from coldframe._core import __version__
from coldframe.automatic import disable, enable, enable_as_told, flush
from coldframe.errors import (
    CorruptPackageError,
    IncompatiblePackageError,
    InternalError,
    InvalidArgumentError,
    MissError,
    NoSpaceError,
    NotPortableError,
    PackageError,
    PackageIOError,
    PackageNotFoundError,
    PackageStateError,
    PackageTimeoutError,
    SourceChangedError,
    UnsupportedPackageError,
    UntrustedPackageError,
)

if TYPE_CHECKING:
    from coldframe.torch.api import compile, explain, load, save, stats  # noqa: A004

__all__ = [
    "CorruptPackageError",
    "IncompatiblePackageError",
    "InternalError",
    "InvalidArgumentError",
    "MissError",
    "NoSpaceError",
    "NotPortableError",
    "PackageError",
    "PackageIOError",
    "PackageNotFoundError",
    "PackageStateError",
    "PackageTimeoutError",
    "SourceChangedError",
    "UnsupportedPackageError",
    "UntrustedPackageError",
    "__version__",
    "compile",
    "disable",
    "enable",
    "explain",
    "flush",
    "load",
    "save",
    "stats",
]

_LAZY = frozenset({"compile", "explain", "load", "save", "stats"})


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module("coldframe.torch.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


enable_as_told()

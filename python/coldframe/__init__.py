"""torch.compile pays once: verified compile packages, served in other processes and on other hosts.

Importing this package imports neither torch nor `typing`, which takes longer than the rest together; its functions do, when
they are first used.
"""

from __future__ import annotations

import os

from coldframe._core import __version__
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

TYPE_CHECKING = False  # as typing has it: true for type checkers
if TYPE_CHECKING:
    from typing import Any

    from coldframe.automatic import disable, enable, flush
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

_API = "coldframe.torch.api"
_LAZY = {
    **dict.fromkeys(("disable", "enable", "flush"), "coldframe.automatic"),
    **dict.fromkeys(("compile", "explain", "load", "save", "stats"), _API),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    where = _LAZY[name]
    if where == _API and importlib.import_module("coldframe.torch.seam.generation").unknown() is not None:
        where = "coldframe.torch.unknown"
    return getattr(importlib.import_module(where), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if os.environ.get("COLDFRAME") == "1":
    from coldframe.automatic import enable_as_told

    enable_as_told()

"""The public functions where coldframe does not know this torch or this Python: as plain torch.compile.

It imports nothing else of the adapter, which may not be importable there.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn

import torch

from .. import _core
from ..errors import IncompatiblePackageError
from .explanation import Explanation
from .seam import generation
from .seam.stats import stats as _stats


def compile(  # noqa: A001
    target: Any = None,
    *,
    package: str | os.PathLike[str] | None = None,
    on_miss: str = "compile",
    ignore_inlined_sources: bool = False,
    **options: Any,
) -> Any:
    """As torch.compile, after a warning: `package` is neither read nor written. IncompatiblePackageError with on_miss="error"
    and a package."""
    if target is None:
        return lambda target: compile(target, package=package, on_miss=on_miss, **options)
    if package is not None and on_miss == "error":
        _refuse()
    return _plainly(target, on_miss if package is not None else "compile", options)


def load(path: str | os.PathLike[str], target: Any, *, on_miss: str = "compile", ignore_inlined_sources: bool = False) -> Any:
    """As torch.compile with the options that the package was made with, as far as they are plain values, after a warning;
    `target` itself with on_miss="eager"; IncompatiblePackageError with "error". PackageError for no file, or a damaged one."""
    recorded = _core.Package.open(path).environment["settings"].get("options")
    if on_miss == "error":
        _refuse()
    options = recorded if isinstance(recorded, dict) else {}
    plain = {name: value for name, value in options.items() if isinstance(value, (str, bool, int, type(None)))}
    return _plainly(target, on_miss, plain)


def save(compiled: Any, path: str | os.PathLike[str]) -> NoReturn:
    """Raises IncompatiblePackageError: nothing was captured."""
    _refuse()


def explain(compiled: Any) -> Explanation:
    """Says that torch.compile alone serves it, and why."""
    return Explanation((), (), (), "", (), str(generation.unknown()))


def stats() -> dict[str, Any]:
    """Counters of this process, as everywhere: what ran as plain torch.compile is among the bypasses."""
    return _stats.snapshot()


def _plainly(target: Any, on_miss: str, options: dict[str, Any]) -> Any:
    why = str(generation.unknown())
    generation.say(why)
    _stats.count_bypass(why)
    return target if on_miss == "eager" else torch.compile(target, **options)


def _refuse() -> NoReturn:
    raise IncompatiblePackageError(f"{generation.unknown()}: install a matching pair")

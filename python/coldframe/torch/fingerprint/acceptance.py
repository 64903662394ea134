"""The check that a package may be used: it is of this function, for these options, this place and these sources.

Until that is known nothing that the package names is looked up, made or called: all is compared as the package holds it.
"""

from __future__ import annotations

from typing import Any

from ... import _core
from ...errors import CorruptPackageError, IncompatiblePackageError, SourceChangedError
from . import environment, sources
from .keys import Key, check_name


def check(
    package: _core.Package, mine: Key, options: dict[str, Any], *, settings_matter: bool = True, sources_matter: bool = True
) -> None:
    """Raises when `package` is of another function than `mine`, whose portable options are given, environment or source."""
    module, qualname, code, recorded = package.key
    check_name(mine, package.key)
    if recorded != mine[3]:
        raise IncompatiblePackageError(f"options: the package was made with {options_of(package)}, here they are {options}")
    environment.check(package.environment, with_settings=settings_matter)
    if code != mine[2]:
        raise SourceChangedError(f"source code of {module}.{qualname} has changed: compile again, or restore the source")
    if sources_matter:
        sources.validate(package.sources)


def options_of(package: _core.Package) -> dict[str, Any]:
    """The options that it was made with, by name: references in them are not resolved."""
    options = package.environment["settings"].get("options", {})
    if not isinstance(options, dict):
        raise CorruptPackageError(f"not compile options but {options!r:.80}")
    return options

"""Modules that belong to the very builds of torch and Python, which a package names by version."""

from __future__ import annotations

import os
import sys
import sysconfig

_STANDARD = tuple(os.path.join(path, "") for path in (os.path.dirname(os.__file__), sysconfig.get_path("platstdlib")))
_INSTALLED = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib"))


def is_of_exact_build(cls: type) -> bool:
    """Returns whether a class belongs to torch or the standard library, which a package names by version."""
    return is_of_build(str(cls.__module__))


def is_of_build(module: str) -> bool:
    """Returns whether a module belongs to torch or to the standard library, and is no other one of the same name."""
    top = module.partition(".")[0]
    return top == "torch" or (top in sys.stdlib_module_names and not _is_elsewhere(top))


def _is_elsewhere(top: str) -> bool:
    file = getattr(sys.modules.get(top), "__file__", None)
    return isinstance(file, str) and (not file.startswith(_STANDARD) or file.startswith(_INSTALLED))

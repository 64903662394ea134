"""The imports of compiled code: globals that stand for modules, and must be what an import would yield now."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any

from . import symbols

_CONVERT = "torch._dynamo.symbolic_convert"


def check(aliases: Mapping[str, str], namespace: Mapping[str, Any]) -> Callable[[Any], bool]:
    """A guard that these globals, each with the name of its module, are the modules that the program imports by these names."""
    imported, bound = operator.itemgetter(*aliases.values()), operator.itemgetter(*aliases)

    def are_current(_: Any) -> bool:
        try:
            return bool(imported(sys.modules) == bound(namespace))
        except KeyError:
            return False

    return are_current


def renew(aliases: Mapping[str, str], namespace: dict[str, Any]) -> None:
    """Compiles, and guards from now on, the module that the program has put in the place of another."""
    for alias, name in aliases.items():
        if (module := sys.modules.get(name)) is None:
            continue
        for each in (alias, dynamo_alias(name)):
            if namespace.get(each, module) is not module:
                namespace[each] = module
        if _CONVERT in sys.modules and (find := symbols.module(_CONVERT)._import_module)(name) is not module:
            find.cache_clear()  # Dynamo looks each module up once


def dynamo_alias(name: str) -> str:
    return f"__import_{name.replace('.', '_dot_')}"

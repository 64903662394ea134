"""The key of a package: the function by module, qualified name and code, and the options that it was compiled with."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch

from ... import _core
from ...errors import IncompatiblePackageError, InvalidArgumentError, NotPortableError
from . import locate

Key = tuple[str, str, bytes, bytes]
_UNNAMED = "unnamed"


def package_key(target: Any, options: dict[str, Any]) -> Key:
    """(module, qualified name, semantic digest of the code, digest of the options)."""
    function = locate.function_of(target)
    if function is None:
        raise InvalidArgumentError(f"{target!r} has no Python code that could be compiled")
    module, qualname = function.__module__ or "", function.__qualname__  # what exec made may have no module
    if isinstance(owner := locate.called(target), torch.nn.Module):  # by its own class, wherever that has its forward from
        method = "forward" if owner is target else "__call__"
        module, qualname = type(owner).__module__, f"{type(owner).__qualname__}.{method}"
    return module, qualname, _core.CodeObject.from_code(function.__code__).semantic_digest, _core.digest(options)


def check_name(mine: Key, recorded: Key) -> None:
    """Raises IncompatiblePackageError when a package with the key `recorded` is of another function than `mine`."""
    if mine[:2] != recorded[:2]:
        raise IncompatiblePackageError(
            f"the package was made for {recorded[0]}.{recorded[1]}, not for {mine[0]}.{mine[1]}: "
            "load it with the function it was made for"
        )


def portable(options: dict[str, Any]) -> dict[str, Any]:
    """Compile options as a package can hold them: what has no name is given by its type."""
    return {name: _portable(value) for name, value in options.items()}


def _portable(value: Any) -> Any:
    try:
        return _core.portable(value, resolve=True)
    except NotPortableError:
        if type(value) is dict:
            return {key: _portable(item) for key, item in value.items()}
        return {_UNNAMED: f"{type(value).__module__}.{type(value).__qualname__}", **_content(value)}


def _content(value: Any) -> dict[str, Any]:
    """Module and code of a function that is no more than these: whoever has the same has the same function."""
    if not isinstance(value, types.FunctionType) or any(
        (value.__closure__, value.__dict__, value.__defaults__, value.__kwdefaults__)
    ):
        return {}
    return {"module": value.__module__, "code": _core.CodeObject.from_code(value.__code__).semantic_digest}


def unnamed(options: Any) -> str | None:
    """The type of something in portable options that has no name, and so cannot be had from them."""
    return _find(options, lambda found: True)


def unknown(options: Any) -> str | None:
    """The type of something in portable options that another process cannot tell from another one."""
    return _find(options, lambda found: "code" not in found)


def _find(options: Any, wanted: Callable[[dict[str, Any]], bool]) -> str | None:
    if not isinstance(options, dict):
        return None
    if isinstance(kind := options.get(_UNNAMED), str) and wanted(options):
        return kind
    return next((kind for value in options.values() if (kind := _find(value, wanted)) is not None), None)

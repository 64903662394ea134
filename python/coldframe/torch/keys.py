"""What a package is of: the function by module, qualified name and code, and the options that it was compiled with."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch

from .. import _core
from ..errors import InvalidArgumentError, NotPortableError

Key = tuple[str, str, bytes, bytes]


def package_key(target: Any, options: dict[str, Any]) -> Key:
    """(module, qualified name, semantic digest of the code, digest of the options)."""
    if isinstance(target, torch.nn.Module):
        module, qualname = type(target).__module__, f"{type(target).__qualname__}.forward"
        function: Any = type(target).forward
    else:
        function = target
        while isinstance(function, functools.partial):
            function = function.func
        function = getattr(function, "__func__", function)
        if not isinstance(function, types.FunctionType):
            function = type(function).__call__
        if not isinstance(function, types.FunctionType):
            raise InvalidArgumentError(f"{target!r} has no Python code that could be compiled")
        module, qualname = function.__module__, function.__qualname__
    code = getattr(function, "__code__", None)
    if code is None:
        raise InvalidArgumentError(f"{qualname!r} has no Python code that could be compiled")
    return module, qualname, _core.CodeObject.from_code(code).semantic_digest, _core.digest(options)


def portable(options: dict[str, Any]) -> dict[str, Any]:
    """Compile options as a package can hold them: what has no name is given by its type."""
    found = {}
    for name, value in options.items():
        try:
            found[name] = _core.decode(_core.encode(value))
        except NotPortableError:
            found[name] = {"unnamed": f"{type(value).__module__}.{type(value).__qualname__}"}
    return found

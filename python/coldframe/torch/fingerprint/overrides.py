"""Parts of torch that the program has replaced: kernels of its operators, and functions in whatever compiles (decompositions,
lowerings, patterns, substitutes for what Dynamo traces, methods of classes).

They hold for the process, as settings do, and are told among them. A part that is not imported is as torch made it.
"""

from __future__ import annotations

import collections
import contextlib
import os
import types
from collections.abc import Iterator
from typing import Any

import torch

from ... import _core
from ...errors import NotPortableError
from ..seam import symbols
from . import places, state

_TORCH = os.path.join(os.path.dirname(torch.__file__), "")
# Parts of torch that compile, and what they keep: torch's private modules but that of the program's own operators.
_PARTS = {"torch._": True, "torch._library": False, "torch.export": True, "torch.fx": True}


def found() -> dict[str, str]:
    """By what they stand for: the code of Python functions, "replaced" for kernels of operators of torch."""
    replaced = dict.fromkeys(_kernels(), "replaced")
    held = collections.defaultdict[str, list[str]](list)
    for key, value in _core.held_functions(places.of_files(), _PARTS):
        held[_said(key)].append(" ".join(_content(value)))
    replaced.update((key, ", ".join(sorted(contents))) for key, contents in held.items())
    return dict(sorted(replaced.items()))


def _said(key: Any) -> str:
    """An operator, an attribute or whatever else is a key, as it is named in another process."""
    if isinstance(key, (types.FunctionType, types.BuiltinFunctionType, type)):
        return f"{key.__module__}.{key.__qualname__}"
    return key if isinstance(key, str) else str(key) if isinstance(key, state.OPERATORS) else type(key).__qualname__


def _kernels() -> Iterator[str]:
    """Names of the kernels ("aten::sin/CPU") that were registered by Python code that is not torch's."""
    for key in symbols.module("torch.library")._impls:
        if key.startswith("aten/") and not key.endswith("/Meta"):  # shapes: torch has some thousand of these
            _, name, dispatch_key = key.split("/")
            dump = symbols.module("torch._C")._dispatch_dump(f"aten::{name}")
            places = (line.partition(": registered at ")[2] for line in dump.splitlines())
            if any(".py:" in place and not place.startswith(_TORCH) for place in places):
                yield f"aten::{name}/{dispatch_key}"


def _content(value: Any) -> Iterator[str]:
    """The content of what is held: the code of functions, and all else that they or other objects hold."""
    held = [] if isinstance(value, types.FunctionType) else [value]
    for function in state.functions_of(value):
        yield state.semantic_digest(function.__code__).hex()
        cells = map(state.content_of, function.__closure__ or ())
        held += [each for each in cells if not isinstance(each, types.FunctionType)]
    for each in held:
        with contextlib.suppress(NotPortableError):
            yield _core.digest(state.describe(each)).hex()

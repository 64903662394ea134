"""What the program has put in the place of torch's own operators: kernels, decompositions, lowerings of Inductor.

They hold for the process, as settings do, and are told among them. A table that is not imported is as torch made it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..seam import symbols
from . import state

_TORCH = os.path.join(os.path.dirname(torch.__file__), "")
_TABLES = (
    ("torch._decomp", "global_decomposition_table"),
    ("torch._inductor.decomposition", "decompositions"),
    ("torch._inductor.lowering", "lowerings"),
)


def found() -> dict[str, str]:
    """By operator and kind: the code of Python functions, "replaced" for kernels of operators of torch."""
    replaced = dict.fromkeys(_kernels(), "replaced")
    for module, table in _TABLES:
        if (imported := symbols.imported(module)) is not None:
            replaced.update(_entries(table, getattr(imported, table)))
    return dict(sorted(replaced.items()))


def _kernels() -> Iterator[str]:
    """Names of the kernels ("aten::sin/CPU") that were registered by Python code that is not torch's."""
    for key in symbols.module("torch.library")._impls:
        if key.startswith("aten/") and not key.endswith("/Meta"):  # shapes: torch has some thousand of these
            _, name, dispatch_key = key.split("/")
            dump = symbols.module("torch._C")._dispatch_dump(f"aten::{name}")
            places = (line.partition(": registered at ")[2] for line in dump.splitlines())
            if any(".py:" in place and not place.startswith(_TORCH) for place in places):
                yield f"aten::{name}/{dispatch_key}"


def _entries(kind: str, table: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _entries(kind, value)
            continue
        module = getattr(value, "__module__", None) or ""
        if not module.startswith(("torch.", "functools")) and not state.is_of_build(module):
            codes = [state.semantic_digest(function.__code__).hex() for function in state.functions_of(value)]
            yield f"{key}: {kind}", " ".join(codes)

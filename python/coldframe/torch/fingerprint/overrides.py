"""Replacements of torch's own operators by the program's: kernels, decompositions, lowerings and patterns of Inductor.

They hold for the process, as settings do, and are told among them. A table that is not imported is as torch made it.
"""

from __future__ import annotations

import contextlib
import os
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from ... import _core
from ...errors import NotPortableError
from ..seam import symbols
from . import builds, state

_TORCH = os.path.join(os.path.dirname(torch.__file__), "")
_TABLES = (
    ("torch._decomp", "global_decomposition_table"),
    ("torch._inductor.decomposition", "decompositions"),
    ("torch._inductor.lowering", "lowerings"),
)
_PATTERNS = (
    ("torch._inductor.fx_passes.pre_grad", "PRE_GRAD_PATTERNS"),
    ("torch._inductor.fx_passes.joint_graph", "patterns"),
    ("torch._inductor.fx_passes.joint_graph", "pass_patterns"),
    ("torch._inductor.fx_passes.freezing_patterns", "pass_patterns"),
    ("torch._inductor.fx_passes.post_grad", "POST_GRAD_PATTERNS"),
    ("torch._inductor.fx_passes.post_grad", "pass_patterns"),
)


def found() -> dict[str, str]:
    """By operator and kind: the code of Python functions, "replaced" for kernels of operators of torch."""
    replaced = dict.fromkeys(_kernels(), "replaced")
    for module, table in _TABLES:
        if (imported := symbols.imported(module)) is not None:
            replaced.update(_entries(table, getattr(imported, table)))
    for module, table in _PATTERNS:
        if (imported := symbols.imported(module)) is not None:
            replaced.update(_patterns(f"{module}.{table}", getattr(imported, table)))
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
        functions = list(state.functions_of(value))
        modules = {str(each.__module__) for each in functions} | {str(getattr(value, "__module__", None) or "torch")}
        if not all(map(builds.is_of_build, modules)):
            yield f"{key}: {kind}", " ".join(_content(value, functions))


def _content(value: Any, functions: Iterable[types.FunctionType]) -> Iterator[str]:
    """The content of an entry: the code of functions, and all else that they or other objects hold."""
    held = [] if isinstance(value, types.FunctionType) else [value]
    for function in functions:
        yield state.semantic_digest(function.__code__).hex()
        held += [
            cell.cell_contents for cell in function.__closure__ or () if not isinstance(cell.cell_contents, types.FunctionType)
        ]
    for each in held:
        with contextlib.suppress(NotPortableError):
            yield _core.digest(state.describe(each)).hex()


def _patterns(kind: str, table: Any) -> Iterator[tuple[str, str]]:
    """Of a pass, or of several: the patterns whose handlers, or checks, are not torch's."""
    passes = table.values() if isinstance(table, Mapping) else table if isinstance(table, list) else [table]
    for number, each in enumerate(passes):
        for target, entries in each.patterns.items():
            parts = [part for entry in entries for part in vars(entry).values()]
            functions = [function for part in parts for function in state.functions_of(part)]
            if any(not builds.is_of_build(str(function.__module__)) for function in functions):
                codes = [state.semantic_digest(function.__code__).hex() for function in functions]
                yield f"{target}: {kind} {number}", " ".join(codes)

"""The straight-line wrappers that AOTAutograd generates: their code, and the globals that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..seam import aot
from .record_code import portable_code, read_globals
from .record_values import Encoder


def is_generated(function: Any) -> bool:
    return bool(function.__code__.co_filename.startswith(aot.generated_prefix()))


def encode_generated(encoder: Encoder, function: Any, where: str, encoded: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The node of a generated wrapper; `encoded` has globals that are Values of the recipe already."""
    encoded = encoded or {}
    label = function.__code__.co_filename.removeprefix(aot.generated_prefix()).rstrip(")")
    values = [
        (name, encoded[name] if name in encoded else encoder.value(value, f"{where}.{label}.{name}"))
        for name, value in read_globals(function).items()
    ]
    return {"node": "generated", "code": portable_code(function.__code__, f"<coldframe {label}>"), "globals": values}

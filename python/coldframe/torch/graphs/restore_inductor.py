"""Runs an Inductor wrapper in a namespace of our own: native kernels from verified bytes, no compiler, no cache directory."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from typing import Any

from ..._core import Blob, SharedLibrary
from ..seam import aot
from ..seam.process import Lock
from .restore_values import Decoder

_DATA_POINTER = "_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR"  # where kernels look for it when they are initialised

_lock = Lock()
_kernels: dict[tuple[bytes, str], Callable[..., Any]] = {}


def inductor(decoder: Decoder, node: dict[str, Any]) -> Callable[..., Any]:
    """The boxed callable of a compiled graph: takes a list of inputs, which it clears, and gives a tuple of outputs."""
    namespace: dict[str, Any] = {"__name__": "coldframe_graph"}
    for name, blob, entry in node["kernels"]:
        namespace[name] = _kernel(decoder, decoder.blob(blob), entry)
    for name, value in node["bindings"]:
        namespace[name] = decoder.value(value)
    if node["extern"]:
        table = types.SimpleNamespace()
        for name, value in node["extern"]:
            setattr(table, name, decoder.value(value))
        namespace["extern_kernels"] = table
    for operator in node["operators"]:
        decoder.value(operator)
    decoder.context.imported.update(node["imports"])
    code = node["code"]
    exec(code if isinstance(code, types.CodeType) else code.to_code(), namespace)
    for name, value in node["constants"]:
        namespace[name] = decoder.value(value)
    call: Callable[..., Any] = namespace["call"]
    return call


def _kernel(decoder: Decoder, blob: Blob, entry: str) -> Callable[..., Any]:
    key = (blob.digest, entry)
    with _lock:
        found = _kernels.get(key)
        if found is None:
            os.environ[_DATA_POINTER] = str(aot.tensor_data_pointer())
            module = SharedLibrary.load_blob(blob).python_module(entry)
            found = _kernels[key] = getattr(module, entry)
            decoder.context.kernels += 1
    return found

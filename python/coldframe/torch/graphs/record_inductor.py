"""A graph compiled by Inductor for the CPU: its wrapper reduced to code, its kernels, what the code calls, its constants."""

from __future__ import annotations

import types
from typing import Any

from ..._core import ImportRef
from ...errors import NotPortableError
from ..seam import aot
from . import stand_ins
from .kernels import kernel_bytes
from .record_values import Encoder
from .restore_values import TAG
from .wrapper_source import reduce_wrapper


def encode_graph(encoder: Encoder, graph: Any, where: str) -> dict[str, Any]:
    """The node of a CompiledFxGraph. NotPortableError for other devices and for what wraps the graph's own callable."""
    devices = set(graph.device_types) - {"cpu", "meta"}
    if devices:
        raise NotPortableError(f"{where}: compiled for {', '.join(sorted(devices))}; only CPU graphs can be saved")
    if graph.frozen_param_names:
        raise NotPortableError(f"{where}: the values of parameters are part of the compiled code (freezing)")
    call = graph.current_callable
    function = call.__func__ if isinstance(call, types.MethodType) else call
    if not isinstance(function, types.FunctionType) or function.__globals__.get("call") != call:
        raise NotPortableError(f"{where}: the compiled graph is wrapped by {call!r}")
    live = function.__globals__
    reduced = reduce_wrapper(graph.source_code, "<coldframe graph>", stand_ins.STAND_INS)
    encoder.uses_inductor = True
    encoder.imports |= reduced.imports
    kernels = []
    for name, source in reduced.kernels.items():
        data, entry, target = kernel_bytes(live.get(name), f"{where}.{name}")
        kernels.append((name, encoder.add_blob("kernel", data), entry))
        encoder.kernels.add(source or graph.source_code, target)
    attached = {**(graph.constants or {}), **graph.torchbind_constants, **graph.opaque_value_type_classes}
    missing = reduced.free - attached.keys()
    if missing:
        raise NotPortableError(f"{where}: the compiled graph reads {', '.join(sorted(missing))}, which nothing defines")
    constants = sorted(attached.keys() & reduced.reads)
    table = aot.extern_kernels() if reduced.extern else None
    return {
        "node": "inductor",
        "code": reduced.code,
        "kernels": kernels,
        "bindings": [
            (name, {TAG: "stand_in", "module": module, "name": qualname})
            for name, (module, qualname) in sorted(reduced.bindings.items())
        ],
        "extern": [(name, encoder.value(getattr(table, name), f"{where}.{name}")) for name in sorted(reduced.extern)],
        "operators": [ImportRef("torch", path) for path in sorted(reduced.operators)],
        "imports": sorted(reduced.imports),
        "constants": [(name, encoder.value(live[name], f"{where}.{name}")) for name in constants],
        "source": encoder.add_blob("source", _shown(graph.source_code).encode()),
    }


def _shown(source: str) -> str:
    """The wrapper as a reader wants it; without the line that counts graphs, equal graphs have equal blobs."""
    return "".join(line for line in source.splitlines(keepends=True) if not line.startswith("# AOT ID: "))

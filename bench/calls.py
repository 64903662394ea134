"""Costs of a call beyond the compiled graph: the graph is compiled by a backend that returns prepared outputs."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from . import models

Values = dict[str, Any]
FUNCTION = "x.sin() + 1"
BATCHES = 15
BATCH_SECONDS = 0.1
COLD_CALLS = 200
EVICTING = 1 << 24  # elements of four bytes: more than any cache holds


def _stub(shapes: list[Any]) -> Any:
    outputs = tuple(torch.zeros(shape) if shape is not None else None for shape in shapes)

    def graph(*args: Any) -> Any:
        return outputs

    return graph


def nothing(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
    (output,) = next(node for node in graph.graph.nodes if node.op == "output").args
    examples = [getattr(node, "meta", {}).get("example_value") for node in output]
    shapes = [tuple(example.shape) if isinstance(example, torch.Tensor) else None for example in examples]
    stub = _stub(shapes)
    stub.shapes = shapes
    return stub


def _register() -> None:
    from coldframe.torch import graphs

    graphs.register_artifact_kind(
        "bench_nothing",
        serialize=lambda backend_id, compiled: ({"format": 1, "shapes": _find(compiled).shapes}, []),
        restore=lambda artifact, context: _stub(artifact.recipe["shapes"]),
        backends=[nothing],
    )


def _find(compiled: Any) -> Any:
    while not hasattr(compiled, "shapes"):
        compiled = compiled._torchdynamo_orig_callable
    return compiled


def function(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def _make(name: str) -> Any:
    if name != FUNCTION:
        return models.make(name)
    torch.set_num_threads(1)
    return function, (torch.ones(8),), {}


def calls(job: Values) -> Values:
    """Microseconds a call: the median of batches, of torch.compile or of a package saved and loaded by an earlier process.
    And of single calls, when other data has gone through the CPU's caches before each."""
    model, args, kwargs = _make(job["model"])
    with torch.no_grad():
        if job["way"] == "torch":
            compiled = torch.compile(model, backend=nothing)
        else:
            import coldframe

            _register()
            if job["way"] == "save":
                compiled = coldframe.compile(model, backend=nothing)
                compiled(*args, **kwargs)
                coldframe.save(compiled, job["package"])
                return {}
            compiled = coldframe.compile(model, package=job["package"], on_miss="error", backend=nothing)
        compiled(*args, **kwargs)
        seconds = statistics.median(_measure(compiled, args, kwargs))
        cold = statistics.median(_measure_cold(compiled, args, kwargs))
    return {"microseconds": 1e6 * seconds, "cold": 1e6 * cold}


def _measure(compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[float]:
    count, elapsed = 8, 0.0
    while elapsed < BATCH_SECONDS:
        count *= 2
        elapsed = _batch(compiled, args, kwargs, count)
    return [_batch(compiled, args, kwargs, count) / count for _ in range(BATCHES)]


def _measure_cold(compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[float]:
    evicting, seconds = torch.zeros(EVICTING), []
    for _ in range(COLD_CALLS):
        evicting.add_(1)
        seconds.append(_batch(compiled, args, kwargs, 1))
    return seconds


def _batch(compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any], count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        compiled(*args, **kwargs)
    return time.perf_counter() - begin

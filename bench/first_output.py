"""Time from process start to the first output, in the ways there are to get one; and what the output is worth.

Ways: eager; compile (torch.compile, cold or warm as its cache directory is); precompile (torch's caching_precompile, with
TORCH_CACHING_PRECOMPILE=1); coldframe (a package, on_miss="error").
"""

from __future__ import annotations

import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from . import models

Values = dict[str, Any]


class Failures(logging.Handler):
    """torch logs what goes wrong with its caches and goes on: the first exception that it logged."""

    def __init__(self) -> None:
        super().__init__()
        self.first: BaseException | None = None
        logging.getLogger("torch").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if self.first is None and record.exc_info is not None:
            self.first = record.exc_info[1]


def _callable(job: Values, model: torch.nn.Module) -> Any:
    if job["way"] == "eager":
        return model
    if job["way"] == "coldframe":
        import coldframe

        return coldframe.load(job["package"], model, on_miss="error")
    return torch.compile(model)


def first_output(job: Values) -> Values:
    failures = Failures() if job["way"] == "precompile" else None
    model, args, kwargs = models.make(job["model"])
    with torch.no_grad():
        output = _callable(job, model)(*args, **kwargs)
        seconds = time.monotonic() - job["started"]
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
        values: Values = {"seconds": seconds, "started_processes": children, "dynamo": "torch._dynamo" in sys.modules}
        values |= _counters(job)
        values["difference"] = models.relative_difference(output, model(*args, **kwargs))
    if failures is not None and failures.first is not None:
        from .worker import describe

        values["logged"] = describe(failures.first)
    return values


def _counters(job: Values) -> Values:
    """Returns the number of compilations, by the counters of whoever would have made them."""
    if job["way"] == "eager":
        return {"compiled": 0, "served": True}
    if job["way"] == "coldframe":
        import coldframe

        stats = coldframe.stats()
        return {"compiled": stats["compiles"], "served": stats["hits"] > 0 and not stats["misses"]}
    counters = sys.modules["torch._dynamo.utils"].counters
    graphs = counters["aot_autograd"]["autograd_cache_hit"] + counters["inductor"]["fxgraph_cache_hit"]
    return {"compiled": counters["frames"]["total"], "served": graphs > 0}


def save_precompile(job: Values) -> Values:
    """Compiles under caching_precompile and saves as torch 2.13 wants it."""
    failures = Failures()
    model, args, kwargs = models.make(job["model"])
    with torch.no_grad():
        torch.compile(model)(*args, **kwargs)
        torch.compiler.save_cache_artifacts()
    entries = list(Path(job["cache"]).glob("dynamo/**/entry"))
    if entries:
        return {"entry_bytes": sum(entry.stat().st_size for entry in entries)}
    if failures.first is not None:
        raise failures.first
    return {"error": "no entry was written, and nothing was said"}

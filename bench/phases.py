"""Times of a load by phase, and of a compilation how much coldframe's listening and saving add to it.

Both run in fresh processes with a Clock around coldframe's own functions, so each phase is what is really executed.
"""

from __future__ import annotations

import importlib
import os
import time
import types
from pathlib import Path
from typing import Any

import torch

from . import models
from .clock import Clock

Values = dict[str, Any]

# Label -> functions of coldframe that are timed under it, as "module:path".
LOAD_PHASES = {
    "open": ("coldframe._core:Package.open",),
    "environment and sources": (
        "coldframe.torch.fingerprint.environment:check",
        "coldframe.torch.fingerprint.sources:validate",
    ),
    "guards": ("coldframe.torch.serve.native:steps_of", "coldframe.torch.serve.hosted:replay"),
    "backends": ("coldframe.torch.graphs:restore",),
    "code and globals": ("coldframe.torch.serve.native:Native._plan", "coldframe.torch.serve.hosted:_install"),
    "the rest of coldframe.load()": ("coldframe.torch.api:load",),
}

# Everything that runs during a compilation because coldframe listens.
LISTENERS = (
    "coldframe.torch.guards.record:Recording",
    "coldframe.torch.capture.package:FrameCapture",
    "coldframe.torch.capture.package:CapturePackage",
    "coldframe.torch.capture.listeners:install",
    "coldframe.torch.graphs.kernels:note_loaded",
    "coldframe.torch.session.serving:Serving.catch_up",
)
_NOT_TIMED = {"code_context"}  # a context around torch's own work; what it calls is timed
_INNER = {"_frame"}  # called by it


def _wrap(clock: Clock, path: str, label: str) -> None:
    module, _, steps = path.partition(":")
    owner: Any = importlib.import_module(module)
    *holders, name = steps.split(".")
    for step in holders:
        owner = getattr(owner, step)
    found = getattr(owner, name)
    if not isinstance(found, type):
        return clock.wrap(owner, name, label)
    for attribute, value in list(vars(found).items()):
        timed = attribute in _INNER or not attribute.startswith("_")
        if isinstance(value, types.FunctionType) and timed and attribute not in _NOT_TIMED:
            clock.wrap(found, attribute, label)
    return None


def load_phases(job: Values) -> Values:
    """Milliseconds by phase, in the order in which they happen."""
    model, args, kwargs = models.make(job["model"])
    clock = Clock()
    with clock.time("import coldframe"):
        api = importlib.import_module("coldframe.torch.api")
        importlib.import_module("coldframe.torch.graphs.restore_callables")
    for label, paths in LOAD_PHASES.items():
        for path in paths:
            _wrap(clock, path, label)
    with torch.no_grad():
        begin = time.perf_counter()
        loaded = api.load(job["package"], model, on_miss="error")
        total = time.perf_counter() - begin
        with clock.time("first call"):
            loaded(*args, **kwargs)
        with clock.time("second call"):
            loaded(*args, **kwargs)
    core = importlib.import_module("coldframe._core")
    with clock.time("verify every blob"):
        core.Package.open(job["package"]).verify()
    clock.seconds["coldframe.load()"] = total
    return {label: 1000 * seconds for label, seconds in clock.seconds.items()}


def save_coldframe(job: Values) -> Values:
    """Compiles and saves a package; seconds of compiling, of listening while torch compiled, and of saving."""
    model, args, kwargs = models.make(job["model"])
    for module in ("torch._dynamo", "torch._inductor.compile_fx", "coldframe.torch.api"):
        importlib.import_module(module)
    clock = Clock()
    if job.get("timed", True):
        importlib.import_module("coldframe.torch.fingerprint.places").leave_out(os.path.dirname(__file__))
        for path in LISTENERS:
            _wrap(clock, path, "listen")
    import coldframe

    with torch.no_grad():
        begin = time.perf_counter()
        compiled = coldframe.compile(model)
        output = compiled(*args, **kwargs)
        compile_seconds = time.perf_counter() - begin
        begin = time.perf_counter()
        report = coldframe.save(compiled, job["package"])
        save_seconds = time.perf_counter() - begin
        difference = models.relative_difference(output, model(*args, **kwargs))
    if report.bypasses:
        return {"error": f"not saved: {report.bypasses[0]}"}
    return {
        "compile": compile_seconds - clock.seconds["listen"],
        "listen": clock.seconds["listen"],
        "calls": clock.calls["listen"],
        "save": save_seconds,
        "variants": report.variants,
        "bytes": os.path.getsize(Path(job["package"])),
        "difference": difference,
    }

"""The torch half of `coldframe.enable`: `torch.compile` is served from a store."""

from __future__ import annotations

import functools
import sys
import time
from typing import Any

import torch

from .. import _core
from .capture import listeners
from .fingerprint import locate
from .fingerprint.keys import portable, unknown
from .seam import plain_compile, symbols
from .seam.patches import Patches
from .seam.stats import stats
from .serve.callable import can_be_served
from .session.from_store import StoredSession
from .session.plain import runs_plainly
from .session.session import OnMiss
from .session.writer import writer

_MODES = (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
_BACKENDS = ("inductor", "eager", "aot_eager")
_OURS = ("fullgraph", "dynamic", "backend", "mode", "options")

_store: _core.Store | None = None
_read_only = False
_single_flight = True
_noted: set[tuple[str, str]] = set()  # what runs as plain torch.compile, and why
_on_miss: OnMiss = "compile"
_patches = Patches("torch.compile")


def install(store: _core.Store | None, *, read_only: bool, single_flight: bool, on_miss: OnMiss) -> None:
    """torch.compile is served from `store` from now on; again, with another one."""
    global _store, _read_only, _single_flight, _on_miss
    _store, _read_only, _single_flight, _on_miss = store, read_only, single_flight, on_miss
    if plain_compile.replaced is None or torch.compile is plain_compile.replaced:
        _patches.undo()
        plain_compile.replaced = torch.compile
        _patches.wrap(torch, "compile", _replacement)


def uninstall() -> None:
    """torch.compile is torch's own again, or what others have wrapped around ours, which then falls through to torch's own.

    What was compiled meanwhile stays as it is.
    """
    _patches.undo()
    plain_compile.replaced = None


def flush(seconds: float) -> bool:
    """Waits until what was compiled is in the store, at most so long. Whether it is."""
    begun = time.monotonic()
    written = writer.flush(seconds)
    if _store is None:
        return written
    return _store.flush(max(0.0, seconds - (time.monotonic() - begun))) and written


def _replacement(original: Any) -> Any:
    def compiled(model: Any, options: dict[str, Any], caller: str) -> Any:
        if (
            options.get("disable")
            or torch.compiler.is_compiling()
            or plain_compile.replaced is None
            or plain_compile.plain.get()
        ):
            return original(model, **options)
        return plain_compile.torch_compile(model, **options) if _is_torch(caller) else _served(model, options)

    def compile(model: Any = None, **options: Any) -> Any:  # noqa: A001
        caller = sys._getframe(1).f_globals.get("__name__", "")
        return compiled(model, options, caller) if model is not None else lambda model: compiled(model, options, caller)

    return compile


def _is_torch(caller: str) -> bool:
    # What torch compiles for itself, within operators say, it compiles at each call; module.compile() is the user's.
    return caller.startswith("torch.") and caller != "torch.nn.modules.module"


def _served(model: Any, options: dict[str, Any]) -> Any:
    settings = {"fullgraph": False, "dynamic": None, "mode": None, "options": None, **options}
    settings["backend"] = options.get("backend") or _default_backend()
    settings = {name: value for name, value in settings.items() if name in _OURS or value}
    model = locate.uncompiled(model)
    kind = unknown(portable(settings))
    if kind is not None or not can_be_served(model):
        why = f"a {kind} among the options has no name" if kind else f"a {type(model).__name__} is not called as functions are"
        _note_bypass(model, f"not stored: {why}")
        listeners.install()  # which let it run where there is no compiler, too
        return runs_plainly(plain_compile.torch_compile(model, **options), why)
    if settings["mode"] not in _MODES or settings["options"] or settings["backend"] not in _BACKENDS:
        plain_compile.torch_compile(model, **options)  # refuses what it refuses now, and not at the first call
    return _session(model, settings).serve()


def _note_bypass(model: Any, reason: str) -> None:
    stats.count_bypass(reason)
    try:
        name = locate.name_of(model)
    except Exception:  # of an object whose attributes raise
        name = type(model).__name__
    if _store is not None and not _read_only and (name, reason) not in _noted:
        _noted.add((name, reason))
        writer.submit(functools.partial(_store.note_miss, name, [reason]))


def _session(target: Any, settings: dict[str, Any], on_miss: OnMiss = "compile") -> StoredSession:
    on_miss = _on_miss if on_miss == "compile" else on_miss
    return StoredSession(target, settings, on_miss, store=_store, read_only=_read_only, single_flight=_single_flight)


def session_for(target: Any, settings: dict[str, Any], on_miss: OnMiss) -> StoredSession | None:
    """For what coldframe.compile is given while torch.compile is served from a store; None where it is not, or cannot be."""
    enabled = plain_compile.replaced is not None and unknown(portable(settings)) is None and can_be_served(target)
    return _session(target, settings, on_miss) if enabled else None


def _default_backend() -> Any:
    registry = symbols.imported("torch._dynamo.backends.registry")
    return registry.get_default_backend() if registry is not None else "inductor"

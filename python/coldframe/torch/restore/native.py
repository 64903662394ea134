"""The native path: a loaded package served without importing Dynamo.

A package is for it when one frame of the target has been compiled and no other is entered: then that frame's guards run in the
core's engine and its dynamo code is called directly. Everything else, and every call that no variant serves, goes to the
*hosted* callable, which is made when it is first needed: torch.compile with the same package installed.
"""

from __future__ import annotations

import builtins
import importlib
import logging
import os
import sys
import threading
import types
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.modules.module as module_hooks

from ... import _core
from ...errors import CorruptPackageError
from .. import backends, collector
from ..stats import stats
from .install import Install, make_global, put_global
from .native_guards import UnsupportedError, is_lazy, steps_of
from .rebinding import Bindings

log = logging.getLogger(__name__)

_INLINE = "torch._dynamo.external_utils:wrap_inline.__code__.co_consts"
_EVAL_FRAME = "torch._dynamo.eval_frame"
_DISABLED = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE")


class Native:
    """One package on the native path, for one target. `hosted` makes the callable that serves the rest; `fits` raises when the
    package would not be loaded now."""

    def __init__(
        self, package: _core.Package, target: Any, hosted: Callable[[], Any], fits: Callable[[], None], *, same_sources: bool
    ) -> None:
        self.package = package
        self.target = target
        self.done = Install(package)
        self.served: set[int] = set()
        self._hosted = hosted
        self._fits = fits
        self._same_sources = same_sources
        self._lock = threading.RLock()
        config = sys.modules.get("torch._dynamo.config")
        if any(os.environ.get(name, "0") not in ("", "0") for name in _DISABLED) or (config is not None and config.disable):
            raise UnsupportedError("torch.compile is disabled")
        self.entry = _only_entry(package)
        self.bindings = [Bindings() for _ in self.entry.guarded_codes]
        self.inline = self.entry.code_source.startswith(_INLINE)
        self._module = sys.modules.get(self.entry.module) or _namesake(self.entry.module)
        self.function = _inline(target, self._module) if self.inline else _own_function(target, self.entry, self._module)
        self.dispatcher = _core.Dispatcher(self.function, self._missed)
        try:
            with collector.paused():
                self._plan()
        except BaseException:
            self.done.close()
            raise
        stats.add(loads=1, installed_variants=len(self.entry.guarded_codes))

    def _plan(self) -> None:
        module = self._module
        lazy = {alias: name for alias, name in self.entry.import_sources.items() if is_lazy(name)}
        for alias, name in self.entry.import_sources.items():
            if alias not in lazy:
                put_global(self.done, module, alias, partial(importlib.import_module, name))
        for name, recipe in self.entry.installed_globals.items():
            if not recipe.keys() & {"builtins", "object", "value"}:
                raise UnsupportedError(f"a global made by {sorted(recipe)}")
            put_global(self.done, module, name, partial(make_global, recipe, module))
        artifacts = {artifact.backend_id: artifact for artifact in self.package.artifacts}
        self._lazy = set(lazy.values())
        self._planned_for = _process(self._lazy)
        variants = [self._variant(n, guarded, lazy, artifacts) for n, guarded in enumerate(self.entry.guarded_codes)]
        self.dispatcher.set_plan(self._conditions(), variants)

    def _plan_again(self) -> None:
        """Names what a fresh load would name, and so refuses what a fresh load would: then nothing is served natively."""
        try:
            self._fits()
            self._plan()
        except Exception as error:
            log.debug("not planned again: %s", error, exc_info=True)
            self._planned_for = _process(self._lazy)
            self.dispatcher.set_plan([], [])

    def _variant(
        self, number: int, guarded: _core.GuardedCode, lazy: dict[str, str], artifacts: dict[str, _core.Artifact]
    ) -> Any:
        module = self._module
        threads = bool(guarded.details.get("threads_matter", True))
        steps = steps_of(
            guarded.guards,
            self.dispatcher.names,
            vars(module),
            set(lazy),
            threads_matter=threads,
            same_sources=self._same_sources,
            bindings=self.bindings[number],
        )
        names = {alias: f"__coldframe_lazy_{name.replace('.', '_dot_')}" for alias, name in lazy.items()}
        for alias, name in lazy.items():
            put_global(self.done, module, names[alias], partial(_Lazy, name))
        for backend_id in guarded.backend_ids:
            if backend_id not in artifacts:
                raise CorruptPackageError(f"backend {backend_id!r} is not in the package")
            names[backend_id] = f"__native{backend_id}"
            complete = not backends.lacks_backward(artifacts[backend_id])
            put_global(self.done, module, names[backend_id], partial(backends.restore, artifacts[backend_id]), complete)
        code = _renamed(guarded.dynamo_code, names).to_code()
        original = self.function
        if code.co_freevars != original.__code__.co_freevars:
            raise UnsupportedError("compiled code with other free variables")
        called = types.FunctionType(code, vars(module), original.__name__, original.__defaults__, original.__closure__)
        called.__kwdefaults__ = original.__kwdefaults__
        return [*_process_steps(), *steps], called, partial(self._first_hit, number, guarded.compile_seconds)

    def _first_hit(self, number: int, seconds: float) -> None:
        if number not in self.served:
            self.served.add(number)
            stats.add(hits=1, seconds_saved=seconds)

    def _conditions(self) -> list[tuple[dict[Any, Any], Any, Any]]:
        """What must hold in the process before any variant may be used, beside guards: nobody traces or exports, and what the
        plan takes for granted of Dynamo is so."""
        conditions: list[tuple[dict[Any, Any], Any, Any]] = [(vars(torch.compiler), "_is_exporting_flag", False)]
        if (symbolic := sys.modules.get("torch.fx._symbolic_trace")) is not None:
            conditions.append((vars(symbolic), "_is_fx_tracing_flag", False))
        conditions.extend((sys.modules, name, None) for name in sorted(self._lazy))
        eval_frame = sys.modules.get(_EVAL_FRAME)
        if eval_frame is None:
            conditions.append((sys.modules, _EVAL_FRAME, None))
        else:
            conditions.append((vars(eval_frame), "_stance", _stance() or object()))  # under no other stance
        return conditions

    def _missed(self, *args: Any, **kwargs: Any) -> Any:
        """Serves what no variant did, once it is sure that the plan is one for this process as it is now."""
        with self._lock:
            stale = self._planned_for != _process(self._lazy)
            if stale:
                self._plan_again()
        if stale:
            return self.dispatcher(*args, **kwargs)
        if self.inline:
            return self._hosted_forward()(*args, **kwargs)
        if isinstance(self.target, torch.nn.Module):
            return self._hosted_forward()(*args[1:], **kwargs)
        return self._hosted()(*args, **kwargs)

    def _hosted_forward(self) -> Callable[..., Any]:
        forward: Callable[..., Any] = self._hosted().forward
        return forward

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """A call of the target."""
        if self.inline or not isinstance(self.target, torch.nn.Module):
            return self.dispatcher(*args, **kwargs)
        target = self.target
        state = target.__dict__
        if (
            type(target).forward is not self.function
            or type(target).__call__ is not torch.nn.Module._wrapped_call_impl
            or "forward" in state
            or state["_forward_hooks"]
            or state["_forward_pre_hooks"]
            or state["_backward_hooks"]
            or state["_backward_pre_hooks"]
            or target._compiled_call_impl is not None
            or module_hooks._has_any_global_hook()
        ):
            return self._hosted_forward()(*args, **kwargs)
        return self.dispatcher(target, *args, **kwargs)


def _process_steps() -> list[_core.Step]:
    """Not while torch.jit traces, and not inside a call that Dynamo sees: it has its own way."""
    wanted = [torch._C._get_tracing_state]
    if _EVAL_FRAME in sys.modules:
        wanted.append(torch._C._dynamo.eval_frame.get_eval_frame_callback)
    steps: list[_core.Step] = []
    for function in wanted:  # each gives None; the value that holds it is free for the guards after it
        steps += [("call", (), 1, function, 0), ("none_match", (1,), 0, None, 0)]
    return steps


def _only_entry(package: _core.Package) -> _core.CodeEntry:
    compiled = [entry for entry in package.codes if not entry.skipped]
    if any(entry.role == "resume" for entry in package.codes):
        raise UnsupportedError("the graph breaks")
    if len(compiled) != 1 or not compiled[0].guarded_codes or compiled[0].bypassed:
        raise UnsupportedError(f"{len(compiled)} frames are compiled, not one")
    return compiled[0]


def _namesake(name: str) -> types.ModuleType:
    """A stand-in for a module of torch's compiler that is not imported: all that compiled code reads of it is put there."""
    if not is_lazy(name):
        return importlib.import_module(name)
    made = types.ModuleType(name)
    vars(made)["__builtins__"] = builtins
    return made


def _own_function(target: Any, entry: _core.CodeEntry, module: types.ModuleType) -> types.FunctionType:
    """The function whose frame the entry is: the target itself, or the forward of its class."""
    function = type(target).forward if isinstance(target, torch.nn.Module) else target
    if not isinstance(function, types.FunctionType) or hasattr(target, "_initialize_hook"):
        raise UnsupportedError(f"a target of type {type(target).__name__}")
    if _core.CodeObject.from_code(function.__code__).semantic_digest != entry.python_code.semantic_digest:
        raise UnsupportedError("the compiled frame is not the target's own")
    if vars(module) is not function.__globals__:
        raise UnsupportedError("the target's globals are not those of the package")
    return function


def _inline(target: Any, module: types.ModuleType) -> types.FunctionType:
    """What torch makes of a module of its own classes: a frame in which the module is called."""
    if not isinstance(target, torch.nn.Module) or hasattr(target, "_initialize_hook"):
        raise UnsupportedError("a function that is called through one of Dynamo's")

    def around(fn: Any) -> Any:
        def inner(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return inner

    made = around(target)
    return types.FunctionType(made.__code__, vars(module), "inner", None, made.__closure__)


def _stance() -> Any:
    """Dynamo's stance, when it is the default one."""
    stance = sys.modules[_EVAL_FRAME]._stance
    plain = stance.stance == "default" and stance.backend is None and not stance.skip_guard_eval_unsafe
    return stance if plain else None


def _process(lazy: set[str]) -> tuple[Any, ...]:
    """What a plan depends on: which modules of torch's compiler are imported, and Dynamo's stance."""
    imported = _EVAL_FRAME in sys.modules
    return imported, _stance() if imported else None, lazy & sys.modules.keys()


class _Lazy:
    """A module of torch's compiler for compiled code: the two bookkeeping helpers that all of it calls are here, the rest is
    imported when it is asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    @staticmethod
    def record_pregraph_bytecode_enter() -> None:
        return None

    @staticmethod
    def record_pregraph_bytecode_exit(_: Any) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._module), name)


def _renamed(code: _core.CodeObject, names: dict[str, str]) -> _core.CodeObject:
    fields = code.fields
    consts = tuple(_renamed(c, names) if isinstance(c, _core.CodeObject) else c for c in fields["consts"])
    return code.replace(names=tuple(names.get(n, n) for n in fields["names"]), consts=consts)

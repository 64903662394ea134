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
from ..native_module import GLOBAL_HOOKS, HOOKS
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
        self._is_module = isinstance(target, torch.nn.Module) and not self.inline
        first = (target,) if self._is_module else ()
        self.dispatcher = _core.Dispatcher(self.function, self._missed, *first)
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
        conditions = self._conditions()
        variants = [self._variant(n, g, lazy, artifacts, conditions) for n, g in enumerate(self.entry.guarded_codes)]
        self.dispatcher.set_plan(variants)

    def _plan_again(self) -> None:
        """Names what a fresh load would name, and so refuses what a fresh load would: then nothing is served natively."""
        try:
            self._fits()
            self._plan()
        except Exception as error:
            log.debug("not planned again: %s", error, exc_info=True)
            self._planned_for = _process(self._lazy)
            self.dispatcher.set_plan([])

    def _variant(
        self,
        number: int,
        guarded: _core.GuardedCode,
        lazy: dict[str, str],
        artifacts: dict[str, _core.Artifact],
        conditions: list[_core.Step],
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
        return [*conditions, *steps], called, partial(self._first_hit, number, guarded.compile_seconds)

    def _first_hit(self, number: int, seconds: float) -> None:
        if number not in self.served:
            self.served.add(number)
            stats.add(hits=1, seconds_saved=seconds)

    def _conditions(self) -> list[_core.Step]:
        """What must hold before any variant may be used, beside its guards: nobody traces or exports, what the plan takes for
        granted of Dynamo is so, and a call of the module is a call of its class's forward."""
        made = Conditions()
        made.item(vars(torch.compiler), "_is_exporting_flag", False)
        if (symbolic := sys.modules.get("torch.fx._symbolic_trace")) is not None:
            made.item(vars(symbolic), "_is_fx_tracing_flag", False)
        for name in sorted(self._lazy):
            made.lacks(sys.modules, name)
        made.gives_none(torch._C._get_tracing_state)
        if (eval_frame := sys.modules.get(_EVAL_FRAME)) is None:
            made.lacks(sys.modules, _EVAL_FRAME)
        else:
            made.item(vars(eval_frame), "_stance", _stance() or object())  # under no other stance
            made.gives_none(torch._C._dynamo.eval_frame.get_eval_frame_callback)  # Dynamo has its own way with what it traces
        if self._is_module:
            made.called_plainly(self.target, self.function)
        return made.steps

    def _missed(self, *args: Any, **kwargs: Any) -> Any:
        """Serves what no variant did, once it is sure that the plan is one for this process as it is now."""
        with self._lock:
            stale = self._planned_for != _process(self._lazy)
            if stale:
                self._plan_again()
        if stale:
            return self.dispatcher(*args[self._is_module :], **kwargs)
        if isinstance(self.target, torch.nn.Module):
            args = args[self._is_module :]
            called = self.target if torch.compiler.is_compiling() else self._hosted_forward()
            return called(*args, **kwargs)
        return self._hosted()(*args, **kwargs)

    def _hosted_forward(self) -> Callable[..., Any]:
        forward: Callable[..., Any] = self._hosted().forward
        return forward


class Conditions:
    """Steps for the guard engine beside a guard program's. They use the first value numbers, which a program uses anew."""

    def __init__(self) -> None:
        self.steps: list[_core.Step] = []

    def item(self, namespace: dict[str, Any], key: str, expected: Any) -> None:
        self._add("constant", (), namespace, 1)
        self._add("dict_getitem", (1,), key, 1)
        self._add("id_match", (1,), expected)

    def lacks(self, namespace: dict[str, Any], key: str) -> None:
        self._add("constant", (), namespace, 1)
        self._add("dict_lacks", (1,), key)

    def gives_none(self, function: Callable[[], Any]) -> None:
        self._add("call", (), function, 1)
        self._add("none_match", (1,))

    def called_plainly(self, module: torch.nn.Module, forward: Any) -> None:
        """No hooks and no other forward: a call of the module is a call of this function."""
        self._add("constant", (), vars(module_hooks), 1)
        for name in GLOBAL_HOOKS:
            self._empty(1, name)
        self._add("constant", (), module, 1)
        self._add("type", (1,), result=2)
        for name, expected in (("forward", forward), ("__call__", torch.nn.Module.__call__)):
            self._add("getattr", (2,), name, 3)
            self._add("id_match", (3,), expected)
        self._add("generic_dict", (1,), result=2)
        self._add("dict_lacks", (2,), "forward")
        for name in HOOKS:
            self._empty(2, name)
        self._add("getattr", (1,), "_compiled_call_impl", 3)
        self._add("none_match", (3,))

    def _empty(self, namespace: int, name: str) -> None:
        self._add("dict_getitem", (namespace,), name, 3)
        self._add("dict_length", (3,))

    def _add(self, operation: str, inputs: tuple[int, ...], operand: Any = None, result: int = 0) -> None:
        self.steps.append((operation, inputs, result, operand, 0))


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

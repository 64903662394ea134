"""The frames of a package on the native path: the function whose calls begin it, and those in which it goes on."""

from __future__ import annotations

import builtins
import importlib
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from ... import _core
from ..guards.bindings import Bindings
from ..guards.native import UnsupportedError, is_lazy
from .code_map import Program
from .lazy_modules import asked

_INLINE = "torch._dynamo.external_utils:wrap_inline.__code__.co_consts"


@dataclass
class Live:
    """A variant that was compiled in this process: the code that Dynamo made, and what runs its graphs."""

    guarded: _core.GuardedCode
    dynamo_code: types.CodeType
    graphs: dict[str, Any]


@dataclass
class Known:
    """A variant that is planned."""

    guarded: _core.GuardedCode
    live: Live | None = None
    bindings: Bindings = field(default_factory=Bindings)
    served: bool = False  # and accounted for


@dataclass(eq=False)
class Frame:
    """One code object with compiled variants, and what serves its calls."""

    entry: _core.CodeEntry
    module: types.ModuleType
    function: types.FunctionType
    dispatcher: _core.Dispatcher
    known: list[Known] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)  # modules of torch's compiler that its graphs could not do without

    def lazy_imports(self) -> list[str]:
        """Returns what of torch's compiler had to be imported on its behalf, and why."""
        graphs = [f"{name}, which a graph needs to be made again" for name in sorted(self.imported)]
        modules = sorted(set(self.entry.import_sources.values()) & asked.keys())
        return graphs + [f"{name}, for {', '.join(sorted(asked[name]))} in compiled code" for name in modules]

    @property
    def inline(self) -> bool:
        """Returns whether the target is called from a frame of torch's: as a module of torch's own classes is."""
        return self.entry.code_source.startswith(_INLINE)

    @property
    def loaded(self) -> int:
        """Returns the number of variants that were not compiled in this process."""
        return sum(known.live is None for known in self.known)

    def find(self, guarded: _core.GuardedCode) -> Known | None:
        """The planned variant that is the same as this one."""
        return next((each for each in self.known if _same(each.guarded, guarded)), None)

    def take(self, entry: _core.CodeEntry, live: Sequence[Live]) -> None:
        """Has the variants of `entry`, which may be known already."""
        known = []
        for guarded in entry.guarded_codes:
            made = next((each for each in reversed(live) if _same(each.guarded, guarded)), None)
            before = self.find(guarded)
            each = Known(guarded, made, before.bindings, before.served) if before else Known(guarded, made, served=bool(made))
            known.append(each)
        self.entry, self.known = entry, known


def split(package: _core.Package) -> tuple[_core.CodeEntry, list[_core.CodeEntry]]:
    """The entry of the target's own frame, and those of the functions in which it goes on after its graph breaks.

    UnsupportedError when other compiled frames may be entered: only Dynamo sees that happen.
    """
    resumes = [entry for entry in package.codes if entry.role == "resume"]
    begins = [entry for entry in package.codes if entry.role != "resume" and (entry.guarded_codes or not entry.skipped)]
    if len(begins) != 1 or not begins[0].guarded_codes or begins[0].bypassed:
        raise UnsupportedError(f"{len(begins)} frames are compiled, not one")
    if any(entry.bypassed for entry in resumes):
        raise UnsupportedError("a part after a graph break could not be saved")
    if resumes or any("function" in recipe for recipe in begins[0].installed_globals.values()):
        for guarded in begins[0].guarded_codes:
            if not guarded.backend_ids:
                raise UnsupportedError("the graph breaks before there is one")  # so nobody saw whether it calls itself
            if guarded.details.get("reentered"):
                raise UnsupportedError("the compiled frame is entered again from within")
    return begins[0], resumes


def module_of(name: str) -> types.ModuleType:
    """The module, or a stand-in for one of torch's compiler that is not imported: all that compiled code reads is put there."""
    if not is_lazy(name):
        return sys.modules.get(name) or importlib.import_module(name)
    made = types.ModuleType(name)
    vars(made)["__builtins__"] = builtins
    return made


def own_function(target: Any, entry: _core.CodeEntry, module: types.ModuleType) -> types.FunctionType:
    """The function whose frame the entry is: the target itself, that of a method, or the forward of its class."""
    if entry.code_source.startswith(_INLINE):
        return _inline(target, module)
    function = type(target).forward if isinstance(target, torch.nn.Module) else target
    if isinstance(function, types.MethodType):
        function = function.__func__
    if not isinstance(function, types.FunctionType) or hasattr(target, "_initialize_hook"):
        raise UnsupportedError(f"a target of type {type(target).__name__}")
    if _core.CodeObject.from_code(function.__code__).semantic_digest != entry.python_code.semantic_digest:
        raise UnsupportedError("the compiled frame is not the target's own")
    if vars(module) is not function.__globals__:
        raise UnsupportedError("the target's globals are not those of the package")
    return function


def _inline(target: Any, module: types.ModuleType) -> types.FunctionType:
    """Returns what torch makes of a module of its own classes: a frame in which the module is called."""
    if not isinstance(target, torch.nn.Module) or hasattr(target, "_initialize_hook"):
        raise UnsupportedError("a function that is called through one of Dynamo's")

    def around(fn: Any) -> Any:
        def inner(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return inner

    made = around(target)
    return types.FunctionType(made.__code__, vars(module), "inner", None, made.__closure__)


class Resume(Frame):
    """A function in which a frame goes on. `missed` is called with it, the closure and the arguments."""

    def __init__(self, entry: _core.CodeEntry, program: Program, missed: Callable[..., Any]) -> None:
        module, code = module_of(entry.module), program.resume(entry)
        cells = tuple(types.CellType() for _ in code.co_freevars)
        function = types.FunctionType(code, vars(module), entry.function_names[0], None, cells)
        self._missed = missed
        super().__init__(entry, module, function, _core.Dispatcher(function, partial(missed, self, ())))

    def called(self) -> Any:
        """Returns what compiled code calls: the function, or what makes it of a closure."""
        return self._over if self.function.__closure__ else self.dispatcher

    def uncompiled(self, closure: tuple[types.CellType, ...]) -> types.FunctionType:
        function = self.function
        return types.FunctionType(function.__code__, function.__globals__, function.__name__, None, closure)

    def _over(self, closure: tuple[types.CellType, ...]) -> _core.Dispatcher:
        return self.dispatcher.over_closure(closure, partial(self._missed, self, closure))


def _same(one: _core.GuardedCode, other: _core.GuardedCode) -> bool:
    return one.dynamo_code == other.dynamo_code and one.guards == other.guards and one.backend_ids == other.backend_ids

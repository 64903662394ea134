"""Hosted install: a package's variants under torch's eval-frame hook, and exactly out again.

Per module: the globals that the compiled code reads. Per code object: guard managers and dynamo code, given to torch as
precompiled entries. Both are counted process-wide, because several packages may share a global or a code object, and torch
can only drop all entries of a code object at once.
"""

from __future__ import annotations

import importlib
import itertools
import random
import sys
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ... import _core
from ...errors import CorruptPackageError, IncompatiblePackageError, SourceChangedError
from .. import graphs
from ..capture import listening
from ..fingerprint import locate
from ..guards.bindings import Bindings
from ..guards.hosted import replay
from ..seam import gc_pause, imports, symbols
from ..seam.stats import stats
from .code_map import Program
from .globals_table import LoadedVariant, table

_numbers = itertools.count()
_live: weakref.WeakSet[Install] = weakref.WeakSet()


def packages_of(graphs: set[str]) -> list[_core.Package]:
    """The loaded packages that hold any of these graphs."""
    return [done.package for done in list(_live) if any(not graphs.isdisjoint(v.graphs) for v in done.variants)]


@dataclass(eq=False)
class Install:
    """One package in this process. `close` is the exact inverse of `install`; both also after a failure half-way. Globals
    that a running frame may read stay until it has ended, on whatever thread."""

    package: _core.Package
    serves: Callable[[Any], bool] | None = None
    same_sources: bool = True
    variants: list[LoadedVariant] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)  # (frame, why none of its calls could be served)
    entries: list[tuple[types.CodeType, _core.CodeEntry]] = field(default_factory=list)
    dispatchers: weakref.WeakSet[_core.Dispatcher] = field(default_factory=weakref.WeakSet)  # that serve nothing once closed
    closed: bool = False
    _globals: list[tuple[types.ModuleType, str]] = field(default_factory=list)
    _skipped: list[types.CodeType] = field(default_factory=list)
    _codes: list[None] = field(default_factory=list)  # that read the globals and are alive: its length alone counts

    def close(self, *, at_once: bool = False) -> None:
        """Takes everything out: what running frames may read when they have ended, or at once, where none can be running."""
        with table.lock:
            self.closed = True
            self.unload()
            for dispatcher in list(self.dispatchers):
                dispatcher.set_plan([])
            self.dispatchers.clear()
            while self._globals and (at_once or not self._codes):
                table.drop(*self._globals.pop())

    def unload(self) -> None:
        """Serves nothing any more. What a call that is running still reads stays, until `close`."""
        with table.lock:
            while self.variants:
                table.unload(self.variants.pop())
            while self._skipped:
                table.unskip(self._skipped.pop())

    def read_by(self, code: types.CodeType) -> None:
        """Keeps the globals for as long as `code` lives: when everybody else has let go of it, a frame may still run it."""
        self._codes.append(None)
        weakref.finalize(code, self._code_gone).atexit = False

    def _code_gone(self) -> None:
        self._codes.pop()
        if self.closed and not self._codes:
            abandon([self])

    def variants_of(self, code: types.CodeType) -> list[LoadedVariant]:
        return [variant for variant in self.variants if variant.code is code]


_orphans: list[Install] = []


def abandon(installs: list[Install]) -> None:
    """Takes out installs whose callable or package is gone: at once, or, while a guard of
    theirs may be under evaluation, at the next occasion."""
    _orphans.extend(installs)
    _take_out_orphans()


def _take_out_orphans() -> None:
    if listening.calls_running() or not table.lock.acquire(blocking=False):
        return
    try:
        while _orphans and not table.busy:
            _orphans.pop().close()
    finally:
        table.lock.release()


def install(
    package: _core.Package,
    target: Any,
    serves: Callable[[Any], bool] | None = None,
    wanted: Callable[[_core.GuardedCode], bool] = lambda guarded: True,
    *,
    same_sources: bool = True,
    graphs: Graphs | None = None,
    bindings: Mapping[bytes, Sequence[Bindings]] | None = None,
) -> Install:
    """Installs the variants of `package` for `target`. PackageError, with nothing left behind, when it cannot.

    serves: one more guard of every variant, called with the locals of a frame. wanted: which variants to take.
    same_sources: whether functions that guards refer to must have the code that was compiled.
    graphs: the compiled graphs by backend id; of the package's own artifacts when None.
    bindings: of variants whose guards run already, in order, by the digest of the entry's code.
    """
    _take_out_orphans()
    done = Install(package, serves, same_sources)
    with table.lock, gc_pause.paused():
        table.busy += 1
        try:
            _install(done, target, wanted, _Restored(package) if graphs is None else graphs, bindings or {})
        except BaseException:
            done.close()
            raise
        finally:
            table.busy -= 1
    _live.add(done)
    stats.add(loads=1, installed_variants=len(done.variants))
    return done


class Graphs(Protocol):
    """Compiled graphs by backend id."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """Raises a PackageError when there is none of this name."""

    def is_complete(self, name: str) -> bool:
        """Returns whether nothing better can come, as for a training graph without its backward."""

    def identity(self, name: str) -> Any:
        """Returns a value that two graphs of this name share only if they are the same; None when the name says it all."""


class _Restored:
    """The graphs of a package's own artifacts."""

    def __init__(self, package: _core.Package) -> None:
        self._artifacts = {artifact.backend_id: artifact for artifact in package.artifacts}

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._artifacts:
            raise CorruptPackageError(f"backend {name!r} is not in the package")
        return graphs.restore(self._artifacts[name])

    def is_complete(self, name: str) -> bool:
        return name in self._artifacts and not graphs.lacks_backward(self._artifacts[name])

    def identity(self, name: str) -> Any:
        return None if graphs.is_named_by_content(name) else graphs.identity(self._artifacts[name])


def _install(
    done: Install,
    target: Any,
    wanted: Callable[[_core.GuardedCode], bool],
    graphs: Graphs,
    bindings: Mapping[bytes, Sequence[Bindings]],
) -> None:
    entries = []
    own = [entry for entry in done.package.codes if entry.role != "resume"]
    program = Program((entry, _code_of(entry, target)) for entry in own)
    for entry in done.package.codes:
        module = _module(entry.module)
        code = program[entry.python_code] if entry.role != "resume" else _resume_code(entry, program)
        done.entries.append((code, entry))
        entries.append((entry, module, code))
    for entry, module, code in entries:
        if entry.role == "resume":
            for name in entry.function_names:
                put_global(done, module, name, partial(_resume, name, code, module))
        for alias, imported in entry.import_sources.items():
            put_global(done, module, alias, partial(importlib.import_module, imported))
        for name, recipe in entry.installed_globals.items():
            put_global(done, module, name, partial(make_global, recipe, module, program))
    for entry, _, code in entries:
        if entry.bypassed:
            continue
        if entry.skipped and not entry.guarded_codes:
            table.skip(code)
            done._skipped.append(code)
        known = bindings.get(entry.python_code.digest) or [Bindings() for _ in entry.guarded_codes]
        for guarded, bound in zip(entry.guarded_codes, known, strict=True):
            if not wanted(guarded):
                continue
            try:
                _install_variant(done, guarded, entry, code, graphs, program, bound)
            except IncompatiblePackageError as error:  # no frame could pass its guards: the other variants may serve
                done.refused.append((f"{entry.module}.{code.co_qualname}", str(error)))
    if done.refused and not done.variants:
        raise IncompatiblePackageError("; ".join(f"{name}: {reason}" for name, reason in done.refused))


def _install_variant(
    done: Install,
    guarded: _core.GuardedCode,
    entry: _core.CodeEntry,
    code: types.CodeType,
    graphs: Graphs,
    program: Program,
    bindings: Bindings,
) -> None:
    module = _module(entry.module)
    threads_matter = bool(guarded.details.get("threads_matter", True))
    same = done.same_sources
    root = replay(guarded.guards, vars(module), threads_matter=threads_matter, same_sources=same, bindings=bindings)
    if done.serves is not None:
        root.add_lambda_guard(done.serves, ["the callable was compiled with the backend and options of the package"], None)
    if modules := entry.import_sources:
        text = f"an import of {', '.join(sorted(modules.values()))} yields what it did"
        root.add_lambda_guard(imports.check(modules, vars(module)), [text], None)
    ran = guarded.backend_ids
    if not ran:
        ran = [f"variant {next(_numbers)} without a graph"]
        listening.note_hits(root, *ran)
    wrapper = symbols.module("torch._dynamo.guards").GuardManagerWrapper(root)
    dynamo_code = program.restored(guarded.dynamo_code, entry.module)
    variant = LoadedVariant(code, root, wrapper, dynamo_code, ran, guarded.compile_seconds)
    for name in guarded.backend_ids:
        put_global(done, module, name, partial(_graph, name, graphs), graphs.is_complete(name), graphs.identity(name))
    # torch tries them in order: a package before those that were loaded earlier, which it may be meant to replace.
    table.load(variant, len(done.variants_of(code)))
    done.variants.append(variant)
    done.read_by(dynamo_code)


def put_global(
    done: Install,
    module: types.ModuleType,
    name: str,
    make: Callable[[], Any],
    complete: bool = True,
    identity: Any = None,
) -> None:
    table.put(module, name, make, complete, identity)
    done._globals.append((module, name))


def _module(name: str) -> types.ModuleType:
    found = sys.modules.get(name)
    if found is not None:
        return found
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise IncompatiblePackageError(f"module {name!r}, compiled into the package, cannot be imported") from error


def _code_of(entry: _core.CodeEntry, target: Any) -> types.CodeType:
    code = locate.resolve(entry.code_source, target, entry.module)
    if _core.CodeObject.from_code(code).semantic_digest != entry.python_code.semantic_digest:
        line = f"{code.co_filename}:{code.co_firstlineno}"
        raise SourceChangedError(f"source code of {entry.module}.{code.co_qualname} ({line}) has changed: compile again")
    return code


_resume_codes: dict[tuple[str, bytes], types.CodeType] = {}


def _resume_code(entry: _core.CodeEntry, program: Program) -> types.CodeType:
    # The functions of equal resume code share a global: so must their code object, which the variants hang on.
    code = program.resume(entry)
    return _resume_codes.setdefault((entry.module, entry.python_code.digest), code)


def _resume(name: str, code: types.CodeType, module: types.ModuleType) -> Any:
    if not code.co_freevars:
        return types.FunctionType(code, vars(module), name)

    def make(closure: tuple[types.CellType, ...]) -> types.FunctionType:
        return types.FunctionType(code, vars(module), name, None, closure)

    return make


def _graph(name: str, graphs: Graphs) -> Any:
    function = symbols.module("torch._dynamo").disable(graphs[name], reason="do not trace a compiled graph")
    return listening.noting(name, function)


def make_global(recipe: dict[str, Any], module: types.ModuleType, program: Program) -> Any:
    if recipe.get("builtins"):
        found = vars(module)["__builtins__"]
        return found if isinstance(found, dict) else vars(found)
    if "object" in recipe:
        return _core.resolve(recipe["object"])
    if "value" in recipe:
        return _core.resolve(recipe["value"])
    if "function" in recipe:
        code = program.restored(_core.CodeObject.from_code(recipe["function"]), recipe["module"])
        made = _resume("", code, _module(recipe["module"]))
        symbols.module("torch._dynamo.eval_frame").skip_code(code)
        return made
    if "random_calls" in recipe:
        return _random_values(_core.resolve(recipe["random_calls"]))
    raise CorruptPackageError(f"unknown recipe of a global: {sorted(recipe)}")


def _random_values(calls: Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> Any:
    def draw() -> list[Any]:
        return [getattr(random, name)(*args, **kwargs) for name, args, kwargs in calls]

    return symbols.module("torch._dynamo").disable(draw, reason="random numbers of the program")

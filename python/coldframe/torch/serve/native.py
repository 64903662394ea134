"""The native path: a package served without importing Dynamo.

A package is for it when, of the program, only the target's own frame has been compiled: then its guards run in the core's
engine and its dynamo code is called directly, which goes on in resume functions after a graph break. Everything else, and every
call that no variant serves, goes to the *hosted* callable: torch.compile with the same package installed. What that compiles is
served natively from then on.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch

from ... import _core
from ...errors import CorruptPackageError
from .. import graphs
from ..fingerprint import locate
from ..guards.native import UnsupportedError, is_lazy, steps_of
from ..seam import gc_pause, imports, symbols
from ..seam.process import Lock
from ..seam.stats import stats
from . import conditions
from .code_map import Program
from .frames import Frame, Known, Live, Resume, module_of, own_function, split
from .hosted import Install, make_global, put_global
from .lazy_modules import LazyModule, has_own, leave_operators_alone

log = logging.getLogger(__name__)

_DISABLED = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE")
_COMPILER = ("torch._dynamo", "torch._inductor.compile_fx", "torch._functorch.aot_autograd")
_numbers = itertools.count()


class Native:
    """One package on the native path, for one target.

    hosted: serves the calls that no variant does. resumed: goes on where no variant of a resume function does; called with
    the entry, the closure and the arguments. fits: raises when a package would not be served now. live: the variants that
    were compiled in this process. UnsupportedError, or a PackageError, when the package is not for it.
    """

    def __init__(
        self,
        package: _core.Package,
        target: Any,
        hosted: Callable[..., Any],
        resumed: Callable[..., Any],
        fits: Callable[[_core.Package], None],
        *,
        same_sources: bool,
        live: Sequence[Live] = (),
    ) -> None:
        self.target = locate.called(target)
        self.done = Install(package)
        self._hosted = hosted
        self._resumed = resumed
        self._fits = fits
        self._same_sources = same_sources
        self._lock = Lock()
        self._number = next(_numbers)
        config = symbols.imported("torch._dynamo.config")
        if any(os.environ.get(name, "0") not in ("", "0") for name in _DISABLED) or (config is not None and config.disable):
            raise UnsupportedError("torch.compile is disabled")
        entry, _ = split(package)
        module = module_of(entry.module)
        function = own_function(self.target, entry, module)
        self._program = Program([(entry, function.__code__)])
        self._is_module = isinstance(self.target, torch.nn.Module) and function is type(self.target).forward
        self._is_called_directly = target is not self.target and target.__func__ is torch.nn.Module._call_impl
        owner = target.__self__ if isinstance(target, MethodType) else target
        first = (owner,) if self._is_module or owner is not target else ()
        self._first = len(first)
        self.frames = [Frame(entry, module, function, _core.Dispatcher(function, self._missed, *first))]
        try:
            with gc_pause.paused():
                self._take(package, live)
                self._plan()
        except BaseException:
            self.done.close()
            raise

    @property
    def dispatcher(self) -> _core.Dispatcher:
        """Returns what is called in place of the target."""
        return self.frames[0].dispatcher

    def _take(self, package: _core.Package, live: Sequence[Live]) -> None:
        entry, resumes = split(package)
        frames = {frame.entry.python_code.digest: frame for frame in self.frames}
        self.frames[0].take(entry, live)
        for each in resumes:
            frame = frames.get(each.python_code.digest) or Resume(each, self._program, self._missed_in)
            frame.take(each, live)
            if frame not in self.frames:
                self.frames.append(frame)
        self.package = package

    def update(self, package: _core.Package, live: Sequence[Live]) -> None:
        """Serves this package, which has all that the one before had. After an exception nothing is served natively."""
        with self._lock, gc_pause.paused():
            old, self.done = self.done, Install(package)
            try:
                self._take(package, live)
                self._plan()
            except BaseException:
                self._serve_nothing()
                raise
            finally:
                old.dispatchers.clear()
                old.close()

    def known_of(self, package: _core.Package) -> dict[bytes, list[Known]]:
        """Returns what is planned of the variants of each entry, by the digest of its code."""
        frames = {frame.entry.python_code.digest: frame for frame in self.frames}
        found = {}
        for entry in package.codes:
            if (frame := frames.get(entry.python_code.digest)) is not None:
                found[entry.python_code.digest] = [frame.find(each) or Known(each) for each in entry.guarded_codes]
        return found

    def _serve_nothing(self) -> None:
        for frame in self.frames:
            frame.dispatcher.set_plan([])

    def _plan(self) -> None:
        imports = {name for frame in self.frames for name in frame.entry.import_sources.values()}
        self._lazy = {name for name in imports if is_lazy(name)}
        self._planned_for = conditions.state_of_the_process(self._lazy)
        artifacts = {artifact.backend_id: artifact for artifact in self.package.artifacts}
        resumes = {name: frame for frame in self.frames if isinstance(frame, Resume) for name in frame.entry.function_names}
        plans = [self._plan_of(frame, artifacts, resumes) for frame in self.frames]
        self.done.dispatchers = weakref.WeakSet(frame.dispatcher for frame in self.frames)
        for frame, plan in zip(self.frames, plans, strict=True):
            for _, called, _ in plan:
                self.done.read_by(called.__code__)
            frame.dispatcher.set_plan(plan)

    def _plan_of(self, frame: Frame, artifacts: dict[str, _core.Artifact], resumes: dict[str, Resume]) -> list[Any]:
        entry, module = frame.entry, frame.module
        names = {}
        for alias, name in entry.import_sources.items():
            if name in self._lazy or has_own(name):
                names[alias] = f"__coldframe_lazy_{name.replace('.', '_dot_')}"
                put_global(self.done, module, names[alias], partial(LazyModule, name))
            if name not in self._lazy:
                put_global(self.done, module, alias, partial(importlib.import_module, name))
        for name, resume in resumes.items():  # one of each Native: who goes on depends on who began
            names[name] = f"__native{name}_{self._number}"
            put_global(self.done, module, names[name], resume.called)
        for name, recipe in entry.installed_globals.items():
            if not recipe.keys() & {"builtins", "object", "value"}:
                raise UnsupportedError(f"a global made by {sorted(recipe)}")
            put_global(self.done, module, name, partial(make_global, recipe, module, self._program))
        around = conditions.of_the_process(self._lazy)
        around.imported({a: n for a, n in entry.import_sources.items() if n not in self._lazy}, vars(module))
        if frame is self.frames[0] and self._is_module:
            around.called_plainly(self.target, frame.function, directly=self._is_called_directly)
        return [self._variant(frame, known, artifacts, names, around.steps) for known in frame.known]

    def _plan_again(self) -> None:
        """Plans again for the process as it is now; if the package no longer fits, serves nothing natively."""
        try:
            self._fits(self.package)
            self._plan()
        except Exception as error:
            log.debug("not planned again: %s", error, exc_info=True)
            self._planned_for = conditions.state_of_the_process(self._lazy)
            self._serve_nothing()

    def _variant(
        self,
        frame: Frame,
        known: Known,
        artifacts: dict[str, _core.Artifact],
        names: dict[str, str],
        around: list[_core.Step],
    ) -> Any:
        module, guarded = frame.module, known.guarded
        if known.live is not None:
            around = around + conditions.not_reset(known.live.dynamo_code)
        steps = steps_of(
            guarded.guards,
            frame.dispatcher.names,
            vars(module),
            {alias for alias, name in frame.entry.import_sources.items() if name in self._lazy},
            threads_matter=bool(guarded.details.get("threads_matter", True)),
            same_sources=self._same_sources,
            bindings=known.bindings,
            before=around,
        )
        names = dict(names)
        for backend_id in guarded.backend_ids:
            names[backend_id] = f"__native{backend_id}"
            if known.live is not None and backend_id in known.live.graphs:
                put_global(self.done, module, names[backend_id], partial(known.live.graphs.__getitem__, backend_id))
                continue
            if backend_id not in artifacts:
                raise CorruptPackageError(f"backend {backend_id!r} is not in the package")
            complete = not graphs.lacks_backward(artifacts[backend_id])
            put_global(self.done, module, names[backend_id], partial(self._restored, frame, artifacts[backend_id]), complete)
        code = self._program.restored(guarded.dynamo_code.renamed(names), frame.entry.module)
        original = frame.function
        if code.co_freevars != original.__code__.co_freevars:
            raise UnsupportedError("compiled code with other free variables")
        called = FunctionType(code, vars(module), original.__name__, original.__defaults__, original.__closure__)
        called.__kwdefaults__ = original.__kwdefaults__
        return steps, called, None if known.served else partial(self._first_hit, known)

    def _restored(self, frame: Frame, artifact: _core.Artifact) -> Any:
        before = {name for name in _COMPILER if name in sys.modules}
        graph = graphs.restore(artifact)
        leave_operators_alone()
        frame.imported.update(name for name in _COMPILER if name in sys.modules and name not in before)
        return graph

    def _first_hit(self, known: Known) -> None:
        if not known.served:
            known.served = True
            stats.add(hits=1, seconds_saved=known.guarded.compile_seconds)

    def _made_current(self) -> bool:
        """Returns whether the plan was not one for this process as it is now, and is."""
        with self._lock:
            stale = not self.done.closed and self._planned_for != conditions.state_of_the_process(self._lazy)
            if stale:
                self._plan_again()
            else:
                for frame in self.frames:
                    imports.renew(frame.entry.import_sources, vars(frame.module))
            return stale

    def _missed(self, *args: Any, **kwargs: Any) -> Any:
        args = args[self._first :]
        return self.dispatcher(*args, **kwargs) if self._made_current() else self._hosted(*args, **kwargs)

    def _missed_in(self, frame: Resume, closure: tuple[Any, ...], *args: Any) -> Any:
        if not self._made_current():
            if frame.entry.skipped:  # torch found nothing to compile for what no variant serves
                return frame.uncompiled(closure)(*args)
            return self._resumed(frame.entry, closure, *args)
        called = frame.called()
        return (called(closure) if closure else called)(*args)

"""One frame that is being compiled: what arrives of it, and what becomes of that."""

from __future__ import annotations

import inspect
import itertools
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ... import _core
from ...errors import NotPortableError, PackageError
from .. import graphs
from ..fingerprint import environment, places
from ..fingerprint.sources import SourceSet
from ..guards import registrations
from ..guards.premises import Premises
from ..guards.record import Recording
from ..seam.modes import is_transforming
from ..seam.stats import stats
from . import executed, listening, reached, sets
from .names import global_recipe, referenced_names
from .registry import Bypass, CodeRecord, Graph, ResumeFunction, Variant, registry

if TYPE_CHECKING:
    from .package import CapturePackage

_numbers = itertools.count()
_SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR


def contain(error: Exception) -> None:
    """Counts unexpected errors (anything but a PackageError) as defects; COLDFRAME_STRICT raises them."""
    if not isinstance(error, PackageError):
        stats.contain("capture", error)


class FrameCapture:
    """One compilation of one code object, as its parts arrive."""

    def __init__(self, record: CodeRecord | None, package: CapturePackage, reason: str | None = None) -> None:
        self.record = record
        self.package = package
        self.backend = package.backend_key
        self.caller = package.caller
        self.reason = reason
        self.recording: Recording | None = None
        self.program: _core.GuardProgram | None = None
        self.dynamo_code: types.CodeType | None = None
        self.backends: dict[str, Graph] = {}
        self.resumes: dict[str, ResumeFunction] = {}
        self.imports: dict[str, str] = {}
        self.recipes: dict[str, Any] = {}
        self.unportable: dict[str, str] = {}
        self.sources = SourceSet()
        self.premises = Premises()
        self.traced: list[types.CodeType] = []
        self.functions: list[types.FunctionType] | None = None  # of the program, that ran; None when nobody listened
        self.device_type = "cpu"
        self.settings = environment.settings()  # a program may change them between two frames
        self.name = f"compilation {next(_numbers)}"
        self.started = time.perf_counter()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it, functions of the program that run on this thread are heard, unless the package is made by hand."""
        if not listening.local.compiling:
            yield
            return
        listener = _core.FrameListener(places.of_files())
        listener.start()
        try:
            yield
        finally:
            try:
                self.functions = listener.stop()
                self.premises.given(listener.classes)
                if listener.asked:
                    self.bypass(
                        f"what ran while the frame was compiled did what another process need not see: {listener.asked}"
                    )
            except RuntimeError as error:
                self.bypass(str(error))

    def bypass(self, reason: str) -> None:
        self.reason = self.reason or reason

    def guards_built(self, recording: Recording) -> None:
        try:
            if not self.backends:
                self.package.own.add(self.name)
                listening.note_hits(recording.root, self.name)
            self.program = recording.finish()
        except Exception as error:
            self.bypass(str(error))
            contain(error)

    def global_installed(self, name: str, value: Any) -> Any:
        """Notes a global that torch installs; returns what is to be installed."""
        try:
            if name in self.backends:
                if type(value).__name__ == "function" and "specialized_dispatch" in _original_name(value):
                    self.unportable[name] = "a graph compiled for several specialisations of mark_dynamic"
                elif "_tf_disabled_wrapper" in _original_name(value):
                    self._disables_torch_function(name)
                return listening.noting(name, value)
            if name not in self.resumes:
                self.recipes[name] = global_recipe(name, value)
        except NotPortableError as error:
            self.unportable[name] = str(error)
        except Exception as error:
            self.unportable[name] = f"global {name!r}: {error}"
            contain(error)
        return value

    def _disables_torch_function(self, name: str) -> None:
        artifact = graphs.without_torch_function(self.backends[name].artifact)
        by_content = graphs.is_named_by_content(self.backends[name].name)
        self.backends[name] = Graph(graphs.name_by_content(artifact) if by_content else name, artifact)

    def resume_installed(self, name: str, code: types.CodeType, namespace: dict[str, Any]) -> None:
        module = namespace.get("__name__")
        found = sys.modules.get(module) if isinstance(module, str) else None
        if found is None or vars(found) is not namespace:
            self.unportable[name] = f"resume function over globals that belong to no imported module ({module!r})"
            return
        self.resumes[name] = ResumeFunction(code, str(module), skipped=not code.co_name.startswith("torch_dynamo_resume_in"))

    def finish(self) -> None:
        """Adds what was captured to the registry, or counts the bypass."""
        if self.record is None or self.reason is not None:
            return self.bypassed(self.reason or "unknown code")
        if self.dynamo_code is None and is_transforming():
            return self.bypassed("torch compiled nothing of it within a transform of torch.func, or a dispatch mode")
        if self.dynamo_code is None:
            self.record.trivial = True
            return registry.changed()
        if self.dynamo_code.co_flags & _SUSPENDED:
            return self.bypassed("code that can be suspended (a coroutine's): Dynamo's leaves its stack out of step")
        if self.program is None:
            return self.bypassed("no guards were recorded")
        try:
            if self.functions is not None:
                executed.add_to(self.premises, self.sources, self.functions, [self.record.code, *self.traced])
            registrations.add_to(self.premises, self.sources, known := set(self.premises.operators))
            reached.add_to(self.premises)
            if more := self.premises.operators.keys() - known:
                registrations.add_to(self.premises, self.sources, more)
            sets.add_to(self.premises, self.premises.places())
            self.premises.add_to(self.program, self.traced)
        except NotPortableError as error:
            return self.bypassed(str(error))
        names = referenced_names(self.dynamo_code, self.program)
        for name in names & self.unportable.keys():
            return self.bypassed(self.unportable[name])
        self.record.variants.append(
            Variant(
                self.name,
                self.dynamo_code,
                self.program,
                self.backend,
                self.caller,
                {name: value for name, value in self.backends.items() if name in names},
                {name: value for name, value in self.resumes.items() if name in names},
                {name: value for name, value in self.imports.items() if name in names},
                {name: value for name, value in self.recipes.items() if name in names},
                self.sources,
                self.device_type,
                time.perf_counter() - self.started,
                self.settings,
            )
        )
        return registry.changed()

    def bypassed(self, reason: str) -> None:
        if self.record is None:
            self.package.cannot_save(reason)
        else:
            stats.count_bypass(reason)
            self.record.bypasses.append(Bypass(reason, self.backend, self.caller, frozenset((self.name, *self.backends))))
            registry.changed()


def _original_name(value: Any) -> str:
    inner = getattr(value, "_torchdynamo_orig_callable", value)
    return str(getattr(inner, "__qualname__", ""))

"""CompilePackage: what Dynamo compiles for one function, as the seed of this field defined it."""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from ... import _core
from ...errors import InvalidArgumentError, PackageStateError, SourceChangedError
from .. import graphs
from ..capture import listeners, listening
from ..capture.build import build, merge
from ..capture.misses import Miss
from ..capture.package import CapturePackage
from ..fingerprint import locate, sources
from ..fingerprint.keys import Key, check_name, package_key, portable
from ..seam import symbols
from ..serve.hosted import Install, abandon, install
from .artifacts import CompiledArtifact
from .context import PrecompileContext
from .entries import DynamoCacheEntry, copied

_ID_PREFIX = "__compiled_fn_"


def source_id_from_fn(fn: Any) -> str:
    """The id of a function's packages: a digest of its module, qualified name and code (but not its lines or comments)."""
    return _core.digest(package_key(_target(fn), {})[:3]).hex()


def check_function(fn: Any, package: _core.Package) -> None:
    """Raises IncompatiblePackageError, or SourceChangedError, when the package is not of this function."""
    _check_function(package_key(_target(fn), {}), package.key)


def _target(fn: Any) -> Any:
    """Returns what was compiled: torch hands over the bound forward of a module."""
    target = locate.uncompiled(fn)
    owner = getattr(target, "__self__", None)
    if isinstance(owner, torch.nn.Module) and getattr(target, "__func__", None) is type(owner).forward:
        return owner
    if not callable(target):
        raise TypeError(f"a function, method or module is expected, not {type(fn).__name__}")
    return target


class CompilePackage(CapturePackage):
    """The compilations of one function: Dynamo's, or those that a package holds.

        package = CompilePackage(fn)
        torch._dynamo.optimize("inductor", package=package)(fn)(x)
        entry = package.cache_entry()                    # the backends are in PrecompileContext
        package = CompilePackage(fn, entry)              # in another process
        package.install(backends)

    dynamo: a DynamoCacheEntry to load. Raises IncompatiblePackageError when it is of another function, Python or torch, and
    SourceChangedError when a function that was compiled into it has changed, unless `ignore_inlined_sources`.

    What Dynamo calls on it while it compiles are capture hooks: see CapturePackage.
    """

    keeps_unknown_backends = True
    saves_itself = False

    def __init__(self, fn: Any, dynamo: DynamoCacheEntry | None = None, ignore_inlined_sources: bool = False) -> None:
        super().__init__()
        listeners.install()
        self._initialized = False
        self._same_sources = True
        self._loaded: DynamoCacheEntry | None = None
        self._cached_backends: dict[str, Any] = {}
        self._options: dict[str, Any] = {}
        self._unloaded: list[Install] = []  # whose globals are still there
        if fn is not None:
            self.initialize(fn, dynamo, ignore_inlined_sources)
            self.validate()

    def initialize(self, fn: Any, dynamo: DynamoCacheEntry | None = None, ignore_inlined_sources: bool = False) -> None:
        """Gives a package that was made with fn=None its function; once. See the class for the rest."""
        if self._initialized:
            raise PackageStateError("CompilePackage is already initialized")
        target = _target(fn)
        key = package_key(target, {})
        if dynamo is not None:
            if not isinstance(dynamo, DynamoCacheEntry):
                raise TypeError(f"dynamo: a DynamoCacheEntry is expected, not {type(dynamo).__name__}")
            dynamo.check_versions()
            _check_function(key, dynamo.package.key)
            if not ignore_inlined_sources:
                try:
                    sources.validate(dynamo.package.sources)
                except SourceChangedError as error:
                    raise SourceChangedError(f"Source code changes detected for {error}") from error
        self.of(target)
        self._key = key
        self._same_sources = not ignore_inlined_sources
        self._loaded = dynamo
        self._initialized = True

    def is_initialized(self) -> bool:
        return self._initialized

    def validate(self) -> None:
        """Raises PackageStateError unless the package has a function and compiles nothing just now."""
        self._require("validate")
        if any(getattr(frame, "package", None) is self for frame in listening.local.frames):
            raise PackageStateError("_current_entry is set: validate() belongs after code_context()")

    def _require(self, what: str) -> None:
        if not self._initialized:
            raise PackageStateError(f"CompilePackage is not initialized: {what} needs its function. Call initialize(fn) first")

    @property
    def cached_backends(self) -> dict[str, Any]:
        """The compiled callables of this process by backend id."""
        return self._cached_backends

    @functools.cached_property
    def source_id(self) -> str:
        self._require("source_id")
        return _core.digest(self._key[:3]).hex()

    source_id_from_fn = staticmethod(source_id_from_fn)

    # What Dynamo, or a test in its place, calls.

    def use_backend(self, backend: Any) -> Any:
        named, config = _named(backend)
        self._options = portable({"backend": named, **config})
        self.compiled_by(named, self._options)
        return super().use_backend(_wrapped(backend))

    @contextmanager
    def code_context(self, code: types.CodeType) -> Iterator[None]:
        """Around the compilation of `code`."""
        self._require("code_context")
        if not isinstance(code, types.CodeType):
            raise TypeError(f"a code object is expected, not {type(code).__name__}")
        frame = listening.current()
        if getattr(frame, "package", None) is self:
            raise PackageStateError("_current_entry is already set: code contexts of one package do not nest")
        if not self.namespace:
            self.namespace = self._globals_of(code)
        try:
            with super().code_context(code):
                yield
        finally:
            self.namespace = {}

    def _globals_of(self, code: types.CodeType) -> dict[str, Any]:
        function = locate.function_of(self.target)
        if function is not None and function.__code__ is code:
            return function.__globals__
        module = inspect.getmodule(code)
        return vars(module) if module is not None else {}

    def add_guarded_code(self, guards_state: bytes, dynamo_code: types.CodeType) -> None:
        """guards_state: a guard program in its canonical bytes; while Dynamo compiles, the recorded one is taken instead."""
        frame = self._frame_for("add_guarded_code")
        if not isinstance(dynamo_code, types.CodeType):
            raise TypeError(f"dynamo_code: a code object is expected, not {type(dynamo_code).__name__}")
        if guards_state != listening.GUARDS_TOKEN:
            frame.program = _core.GuardProgram.from_bytes(guards_state)
        super().add_guarded_code(guards_state, dynamo_code)

    def add_inlined_source(self, sources: list[types.CodeType]) -> None:
        self._frame_for("add_inlined_source")
        super().add_inlined_source(sources)

    def add_import_source(self, alias: str, module_name: str) -> None:
        self._frame_for("add_import_source")
        super().add_import_source(alias, module_name)

    def add_resume_function(self, python_code: types.CodeType, python_module: str, function_name: str) -> None:
        self._require("add_resume_function")
        super().add_resume_function(python_code, python_module, function_name)

    def update_device_type(self, graph: Any) -> None:
        self._frame_for("update_device_type")
        super().update_device_type(graph)

    def bypass_current_entry(self) -> None:
        """Leaves what is being compiled out of the package."""
        self._frame_for("bypass_current_entry")
        super().bypass_current_entry()

    def bypass_current_compile(self) -> None:
        """The same, by its name since torch 2.15."""
        self._frame_for("bypass_current_compile")
        super().bypass_current_compile()

    def add_backend_id(self, backend_id: str, backend: Any | None = None) -> None:
        """Notes a compiled graph. Dynamo's ids are of one process: the package has a name made from the graph's content."""
        frame = self._frame_for("add_backend_id")
        if not backend_id.startswith(_ID_PREFIX):
            raise InvalidArgumentError(f"backend_id must start with '{_ID_PREFIX}', got '{backend_id}'")
        super().add_backend_id(backend_id, backend)
        graph = frame.backends[backend_id]
        if backend is not None:
            self._cached_backends[graph.name] = backend
        if graph.artifact is not None:
            PrecompileContext.record_artifact(CompiledArtifact(graph.name, graph.artifact))

    def _frame_for(self, method: str) -> Any:
        self._require(method)
        frame = listening.current()
        if frame is None:
            raise PackageStateError(f"{method} belongs into code_context(code): _current_entry is not set")
        return frame

    # Into this process and out again.

    def install(self, backends: Mapping[str, Any]) -> None:
        """Makes the package serve calls of its function, whatever backend they were compiled for; what it had installed before
        is taken out first. torch._dynamo.reset() ends it.

        backends: a BackendCacheArtifact, or the callable itself, for each backend id. Raises InvalidArgumentError when one is
        missing; then nothing is installed.
        """
        self._require("install")
        self.uninstall()
        package = self.cache_entry().package
        done = install(
            package, self.target, self._serves(), self._wanted, same_sources=self._same_sources, graphs=_Graphs(backends)
        )
        self.adopt(done)
        _installed.add(self)
        self._dropped = weakref.finalize(self, abandon, [done])
        self._dropped.atexit = False

    def _serves(self) -> Callable[[Any], bool] | None:
        return None

    def _wanted(self, guarded: _core.GuardedCode) -> bool:
        return True

    def uninstall(self) -> None:
        """The exact inverse of install, also after torch._dynamo.reset(); of what is not installed, nothing. Not while a call
        that it serves is running."""
        self._require("uninstall")
        self._unload()
        while self._unloaded:
            self._unloaded.pop().close(at_once=True)

    def forget(self) -> None:
        """Notes torch._dynamo.reset(): nothing is served until it is installed again. That may be in a call that it serves,
        so what such a call reads stays until `uninstall`."""
        self._unload()

    def _unload(self) -> None:
        self.loaded = False
        for done in self.installs:
            done.unload()
        self._unloaded += self.installs
        self.installs.clear()

    def keep_with(self, fn: Any) -> None:
        """Stays installed as long as `fn` lives."""
        target = _target(fn)
        self._dropped.detach()
        weakref.finalize(getattr(target, "__func__", target), abandon, self.installs + self._unloaded).atexit = False

    def cache_entry(self) -> DynamoCacheEntry:
        """Returns what was loaded and compiled so far, without the backends."""
        self._require("cache_entry")
        self.validate()
        package = build(self, (*self._key[:3], _core.digest({})), {}, {"options": _core.digest(self._options)}).package
        if self._loaded is not None:
            package = _merged(package, self._loaded.package)
        function = locate.function_of(self.target)
        assert function is not None  # or it had no key
        code = function.__code__
        main = _core.CodeObject.portable(code)
        first = [entry for entry in package.codes if entry.python_code == main]
        if not first:
            entry = _core.CodeEntry(main, self._key[0], "entry")
            entry.code_source = locate.find(code, self._key[0], self.target)
            first = [entry]
        package.codes = first + [entry for entry in package.codes if entry.python_code != main]
        package.artifacts = []
        return DynamoCacheEntry(package)

    # What the capture tells its owner.

    def missed(self, miss: Miss) -> Any:
        return None

    keeps_limits = False

    def entering(self, begins: bool, compiles: bool) -> bool:
        return False

    def compiling(self, frame: str) -> None: ...
    def compiled(self) -> None: ...
    def call_finished(self) -> None: ...


_installed: weakref.WeakSet[CompilePackage] = weakref.WeakSet()


def _forget_all() -> None:
    for package in list(_installed):
        package.forget()


listening.after_reset.append(_forget_all)


class _Graphs(Mapping[str, Callable[..., Any]]):
    """The callables of the given backends, made when they are installed."""

    def __init__(self, backends: Mapping[str, Any]) -> None:
        self._backends = backends

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._backends:
            raise InvalidArgumentError(f"Backend {name} is not found in the given backends")
        backend = self._backends[name]
        made: Callable[..., Any] = backend.after_deserialization() if hasattr(backend, "after_deserialization") else backend
        return made

    def is_complete(self, name: str) -> bool:
        return not getattr(self._backends.get(name), "lacks_backward", False)

    def identity(self, name: str) -> Any:
        if graphs.is_named_by_content(name):
            return None
        backend = self._backends.get(name)
        if isinstance(backend, CompiledArtifact):
            return graphs.identity(backend.to_artifact())
        return id(getattr(backend, "content", backend))

    def __iter__(self) -> Iterator[str]:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)


def _merged(compiled: _core.Package, loaded: _core.Package) -> _core.Package:
    if compiled.codes:
        merge(compiled, copied(loaded))
        return compiled
    return copied(loaded)


def _check_function(mine: Key, theirs: Key) -> None:
    check_name(mine, theirs)
    if mine[2] != theirs[2]:
        raise SourceChangedError(f"Source code changes detected for {mine[0]}.{mine[1]}: compile again, or restore the source")


_torch = symbols.module("torch")


def _named(backend: Any) -> tuple[Any, dict[str, Any]]:
    """A backend as the user named it, and the options in which torch.compile wrapped it."""
    if isinstance(backend, _torch._TorchCompileInductorWrapper):
        return backend.compiler_name, {"options": dict(backend.config), "dynamic": backend.dynamic}
    if isinstance(backend, _torch._TorchCompileWrapper):
        registry = symbols.module("torch._dynamo.backends.registry")
        known = backend.compiler_name in registry.list_backends(exclude_tags=())
        named = backend.compiler_name if known else backend.compiler_fn
        return named, {"options": backend.kwargs, "dynamic": backend.dynamic}
    return backend, {"options": {}, "dynamic": None}


def _wrapped(backend: Any) -> Any:
    """As torch.compile hands a backend to Dynamo."""
    if isinstance(backend, (_torch._TorchCompileInductorWrapper, _torch._TorchCompileWrapper)):
        return backend
    if backend == "inductor":
        return _torch._TorchCompileInductorWrapper(None, None, None)
    return _torch._TorchCompileWrapper(backend, None, None, None)

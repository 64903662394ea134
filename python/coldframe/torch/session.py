"""One compiled callable: its capture, what it was loaded from, and what to do on a miss."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
import threading
import time
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from .. import _core
from ..errors import (
    CorruptPackageError,
    IncompatiblePackageError,
    InvalidArgumentError,
    MissError,
    NotPortableError,
    PackageError,
    SourceChangedError,
)
from . import _private, environment, locate, sources
from .capture import hooks
from .capture.build import Built, build, merge
from .capture.package import CapturePackage
from .capture.registry import registry
from .progress import Progress
from .restore.install import Install, install, packages_of
from .stats import stats

_LOCK_SECONDS = 10.0

OnMiss = Literal["compile", "eager", "error"]


_backend_types: dict[type, type] = {}


def own_backend(backend: Any) -> Any:
    """Gives the backend object that torch.compile just made a subclass of its type, equal only to others of that subclass.

    Dynamo reuses an entry of its cache for every callable whose backend is equal. So it never takes an entry that was
    compiled before coldframe listened, and still shares entries between our callables of equal options.
    """
    cls: Any = type(backend)
    own = _backend_types.get(cls)
    if own is None:

        def equal(self: Any, other: object) -> bool:
            return type(other) is type(self) and cls.__eq__(self, other) is True

        members = {"__eq__": equal, "__hash__": cls.__hash__, "is_coldframe": True}
        own = _backend_types[cls] = type(f"Coldframe{cls.__name__}", (cls,), members)
    backend.__class__ = own
    return backend


@dataclass(frozen=True)
class SaveReport:
    """What `save` wrote: size in bytes, numbers of frames, variants and artifacts, seconds that a hit saves.

    `pending` names frames saved forward-only, because their backward has not been compiled yet; `bypasses` says what could
    not be saved, and why.
    """

    path: str
    size: int
    frames: int
    variants: int
    artifacts: int
    compile_seconds: float
    pending: tuple[str, ...] = ()
    bypasses: tuple[str, ...] = ()


@dataclass
class Miss:
    """A frame that no loaded variant served: per variant, the text of the guard that refused it."""

    frame: str
    reasons: list[str]

    def __str__(self) -> str:
        return f"{self.frame}: " + ("; ".join(self.reasons) or "the package has no variant of this frame")


@dataclass(eq=False)
class Session:
    """Not for concurrent first calls of one callable beyond what Dynamo's own lock gives."""

    target: Any
    options: dict[str, Any]
    on_miss: OnMiss = "compile"
    path: str | None = None
    ignore_inlined_sources: bool = False
    installs: list[Install] = field(default_factory=list)
    misses: deque[Miss] = field(default_factory=lambda: deque(maxlen=100))  # the last ones
    capture: Any = field(init=False)
    portable_options: dict[str, Any] = field(init=False)
    _saved_version: tuple[int, int] = field(init=False)
    _runs: int = 0  # graphs that are accounted for in the statistics
    _depth: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pending: list[Any] = field(default_factory=list)  # artifacts saved before their backward was compiled
    _progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        if self.on_miss not in ("compile", "eager", "error"):
            raise InvalidArgumentError(f"on_miss must be 'compile', 'eager' or 'error', not {self.on_miss!r}")
        hooks.install(_gate, _compiled)
        self.target = _uncompiled(self.target)
        backend = self.options["backend"]
        self.portable_options = _portable_options(self.options)
        self.capture = CapturePackage(self.target, backend, (_core.digest(self.portable_options), backend))
        self.capture.wrap_backend = own_backend
        self.capture.session = self
        self.capture.on_context = self._attach
        self._saved_version = self._version()

    # The compiled callable calls these around each outermost call, through the context that torch.compile made.

    def _attach(self, context: Any) -> None:
        context.enter_exit_hooks.append(self._enter)

    def _enter(self) -> Callable[[], None]:
        with self._lock:
            self._depth += 1
        hooks.local.running.append(self.capture)
        return self._leave

    def _leave(self) -> None:
        hooks.local.running.pop()
        self._count_hits()
        with self._lock:
            self._depth -= 1
            outermost = self._depth == 0
        if outermost:
            self._progress.finish()
            if self.stale():
                self.autosave()

    def _version(self) -> tuple[int, int]:
        loaded = {name for done in self.installs for variant in done.variants for name in variant.graphs}
        return registry.version, len(self.capture.used - loaded)

    def _count_hits(self) -> None:
        used = self.capture.used
        if len(used) == self._runs:
            return
        self._runs = len(used)
        for done in self.installs:
            for variant in done.variants:
                if not variant.served and not used.isdisjoint(variant.graphs):
                    variant.served = True
                    stats.add(hits=1, seconds_saved=variant.compile_seconds)

    def stale(self) -> bool:
        """Whether the file at `path` lacks something that has been compiled since."""
        if self.path is None:
            return False
        return self._saved_version != self._version() or any(not artifact.pending for artifact in self._pending)

    def before_compile(self, code: types.CodeType, frame_locals: Any) -> Any:
        """Decides over a frame that nothing serves: None to compile it, or what Dynamo is to do. May raise MissError."""
        name = locate.frame_name(code, self.capture.namespace.get("__name__", "?"), self.target)
        if self.installs:
            reasons = [v.explain(frame_locals) for done in self.installs for v in done.variants_of(code)]
            miss = Miss(name, reasons)
            self.misses.append(miss)
            stats.count_miss("guard" if reasons else "absent")
            if self.on_miss == "error":
                raise MissError(f"no variant in the package serves {miss}; with on_miss='compile' it would be compiled now")
            if self.on_miss == "eager":
                return _run_eagerly()
        stats.add(compiles=1)
        self._progress.start(name)
        return None

    def load(self, path: str | os.PathLike[str]) -> None:
        """Installs the package at `path`. PackageError, with nothing installed, when it is damaged or does not fit."""
        try:
            package = _core.Package.open(path)
            self.check(package)
            package.verify()  # every byte, before any of it runs
            same = not self.ignore_inlined_sources
            done = install(package, self.target, _runs_with(self.capture.backend_key), same_sources=same)
            self.installs.append(done)
            for code, entry in done.entries:
                self.capture.adopt(code, entry)
        except PackageError as error:
            raise type(error)(f"{os.fspath(path)}: {error}") from error

    def check(self, package: _core.Package) -> None:
        """Raises when `package` is of another function, environment or source."""
        module, qualname, code, options = package.key
        mine = self.key()
        if (module, qualname) != mine[:2]:
            raise IncompatiblePackageError(
                f"the package was made for {module}.{qualname}, not for {mine[0]}.{mine[1]}: "
                "load it with the function it was made for"
            )
        if options != mine[3]:
            recorded = package.environment["settings"].get("options", {})
            raise IncompatiblePackageError(
                f"options: the package was made with {recorded}, here they are {self.portable_options}"
            )
        environment.check(package.environment)
        if code != mine[2]:
            raise SourceChangedError(f"source code of {module}.{qualname} has changed: compile again, or restore the source")
        if not self.ignore_inlined_sources:
            sources.validate(package.sources)

    def key(self) -> tuple[str, str, bytes, bytes]:
        """(module, qualified name, semantic digest of the code, digest of the options): what the package is of."""
        target = self.target
        if isinstance(target, torch.nn.Module):
            module, qualname = type(target).__module__, f"{type(target).__qualname__}.forward"
            function: Any = type(target).forward
        else:
            function = target
            while isinstance(function, functools.partial):
                function = function.func
            function = getattr(function, "__func__", function)
            if not isinstance(function, types.FunctionType):
                function = type(function).__call__
            module, qualname = function.__module__, function.__qualname__
        code = getattr(function, "__code__", None)
        if code is None:
            raise InvalidArgumentError(f"{qualname!r} has no Python code that could be compiled")
        return module, qualname, _core.CodeObject.from_code(code).semantic_digest, _core.digest(self.portable_options)

    def build(self) -> Built:
        """The package of everything that this callable loaded or compiled. InvalidArgumentError when there is nothing."""
        built = build(self.capture, self.key(), self.portable_options)
        for loaded in [done.package for done in self.installs] + packages_of(self.capture.used):
            if loaded.key == built.package.key:
                merge(built.package, loaded)
        if not any(entry.guarded_codes or entry.skipped for entry in built.package.codes):
            if built.bypasses:
                raise NotPortableError("nothing could be saved: " + "; ".join(dict.fromkeys(built.bypasses)))
            raise InvalidArgumentError("nothing has been compiled yet: call the compiled object once before saving it")
        self._pending = built.pending_artifacts
        return built

    def save(self, path: str | os.PathLike[str]) -> SaveReport:
        version = self._version()
        built = self.build()
        size = built.package.write(path)
        self._saved_version = version
        stats.add(saves=1)
        return SaveReport(
            os.fspath(path),
            size,
            frames=len(built.package.codes),
            variants=sum(len(entry.guarded_codes) for entry in built.package.codes),
            artifacts=len(built.package.artifacts),
            compile_seconds=built.package.compile_seconds,
            pending=tuple(built.pending),
            bypasses=tuple(dict.fromkeys(built.bypasses)),
        )

    def autosave(self) -> None:
        """Saves to the session's path; a failure is counted and said once, and never reaches the program."""
        assert self.path is not None
        version = self._version()
        try:
            built = self.build()
            with _alone(self.path):
                if Path(self.path).exists():
                    try:
                        present = _core.Package.open(self.path)
                        self.check(present)
                        merge(built.package, present)
                    except (CorruptPackageError, SourceChangedError):
                        pass  # of no use to anybody any more: replaced
                built.package.write(self.path)
            stats.add(saves=1)
        except InvalidArgumentError:
            pass  # nothing compiled yet
        except Exception as error:
            stats.count_error(f"save: {type(error).__name__}")
            warnings.warn(f"coldframe could not save {self.path}: {error}", RuntimeWarning, stacklevel=3)
        self._saved_version = version


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Within it no other process adds to the package at `path`, or it would write over what this one adds.

    It is a lock on the directory; where there are no locks, or the other process takes too long, it goes on without.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            deadline = time.monotonic() + _LOCK_SECONDS
            while time.monotonic() < deadline:
                try:
                    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.005)
        yield


def _uncompiled(target: Any) -> Any:
    """What torch.compile, ours or plain, was given to make `target`; `target` itself when it is not compiled."""
    eval_frame = _private.module("torch._dynamo.eval_frame")
    if isinstance(target, eval_frame.OptimizedModule):
        return target._orig_mod
    return eval_frame.innermost_fn(target)


def _runs_with(backend_key: Any) -> Callable[[Any], bool]:
    """A guard: whether a callable of equal backend and options runs. torch shares a code's loaded entries with everybody."""

    def serves(frame_locals: Any) -> bool:
        running = hooks.local.running
        return bool(running) and running[-1].backend_key == backend_key

    return serves


def _run_eagerly() -> Any:
    dynamo = _private.module("torch._dynamo.types")
    strategy = dynamo.FrameExecStrategy(dynamo.FrameAction.SKIP, dynamo.FrameAction.DEFAULT)
    result = _private.module("torch._dynamo.convert_frame").ConvertFrameReturn
    return result(frame_exec_strategy=strategy, apply_to_code=False, skip_reason="not in the package; on_miss='eager'")


def _gate(package: Any, code: types.CodeType, namespace: dict[str, Any], frame_locals: Any) -> Any:
    package.begin(namespace)
    return package.session.before_compile(code, frame_locals)


def _compiled(package: Any) -> None:
    if package.session._depth == 0:
        package.session._progress.finish()


def _portable_options(options: dict[str, Any]) -> dict[str, Any]:
    """Compile options as a package can hold them: what has no name is given by its type."""
    portable = {}
    for name, value in options.items():
        try:
            portable[name] = _core.decode(_core.encode(value))
        except NotPortableError:
            portable[name] = {"unnamed": f"{type(value).__module__}.{type(value).__qualname__}"}
    return portable


sessions: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


@atexit.register
def _save_at_exit() -> None:
    # A backward that was compiled after the last call is only seen now.
    for session in list(sessions.values()):
        if session.stale():
            session.autosave()


def session_of(compiled: Any) -> Session:
    """The session of what `compile` or `load` returned. InvalidArgumentError for anything else."""
    try:
        found = sessions.get(compiled)
    except TypeError:  # of a type that has no weak references: not one of ours
        found = None
    if found is None:
        raise InvalidArgumentError(f"{type(compiled).__name__} object was not made by coldframe.compile or coldframe.load")
    return found

"""One compiled callable: its capture, what it was loaded from, and what to do on a miss."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import weakref
from dataclasses import dataclass, field
from types import CellType, FunctionType
from typing import Any, ClassVar, Literal

import torch

import coldframe

from ... import _core
from ...errors import IncompatiblePackageError, InvalidArgumentError, MissError, NotPortableError, PackageError
from ...warn import warn
from ..capture import listeners
from ..capture.build import Built, add_to_file, build, merge
from ..capture.files import said_of
from ..capture.misses import Miss
from ..capture.package import CapturePackage, runs_with
from ..fingerprint import acceptance, environment, locate
from ..fingerprint.keys import Key, package_key, portable, unknown
from ..graphs.kinds import BackwardNotCompiledError, wants_backward
from ..seam import compiled_autograd
from ..seam.eager import run_eagerly
from ..seam.stats import stats
from ..serve.code_map import Program
from ..serve.hosted import abandon, install, packages_of
from .packages import without
from .progress import Progress
from .reports import SaveReport, report
from .serving import Serving
from .sessions import of_others, sessions

log = logging.getLogger("coldframe")

OnMiss = Literal["compile", "eager", "error"]


@dataclass(eq=False)
class Session:
    """Not for concurrent first calls of one callable beyond what Dynamo's own lock gives."""

    compiles_when_called: ClassVar[bool] = False  # and not when it is made

    target: Any
    options: dict[str, Any]
    on_miss: OnMiss = "compile"
    path: str | None = None
    ignore_inlined_sources: bool = False
    capture: CapturePackage = field(init=False)
    portable_options: dict[str, Any] = field(init=False)
    _saved_version: tuple[int, int] = field(init=False)
    _pending: list[Any] = field(default_factory=list)  # artifacts saved before their backward was compiled
    serving: Serving = field(init=False)
    _package: _core.Package | None = None  # the one that was loaded
    _later: str | None = None  # the path to load from at the first call
    _progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        if self.on_miss not in ("compile", "eager", "error"):
            raise InvalidArgumentError(f"on_miss must be 'compile', 'eager' or 'error', not {self.on_miss!r}")
        self.target = locate.uncompiled(self.target)
        self.portable_options = portable(self.options)
        self.serving = Serving(self)
        self.capture = CapturePackage(self)
        self.capture.of(self.target)
        self.capture.compiled_by(self.options["backend"], self.portable_options)
        self.capture.made_under = environment.settings()
        self._saved_version = self.capture.version()

    @classmethod
    def opened(cls, target: Any, options: dict[str, Any], on_miss: OnMiss, path: str | None, ignore: bool) -> Session:
        """A session with the package at `path`, if there is one. One that does not fit is a counted miss with a warning."""
        session = cls(target, options, on_miss, path, ignore)
        if path is not None and (on_miss == "error" or os.path.exists(path)):
            try:
                session.load_if_ready(path)
            except Exception as error:
                session.not_loaded(error, stacklevel=4)
        return session

    # What the capture tells its owner.

    def missed(self, miss: Miss) -> Any:
        if self.on_miss == "error":
            raise MissError(f"no variant in the package serves {miss}; with on_miss='compile' it would be compiled now")
        return run_eagerly("not in the package; on_miss='eager'") if self.on_miss == "eager" else None

    @property
    def keeps_limits(self) -> bool:
        return self.on_miss == "compile"

    def entering(self, begins: bool, compiles: bool) -> bool:
        return False

    def compiling(self, frame: str) -> None:
        self._progress.start(frame)

    def compiled(self) -> None:
        if self.capture.depth == 0:
            self._progress.finish()

    def call_finished(self) -> None:
        self._progress.finish()
        if self.stale():
            self.autosave()

    def stale(self) -> bool:
        """Returns whether the file at `path` lacks something that has been compiled since."""
        if self.path is None:
            return False
        return self._saved_version != self.capture.version() or any(not artifact.pending for artifact in self._pending)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Takes the package at `path`. PackageError, with nothing left behind, when it is damaged or does not fit."""
        with said_of(path):
            package = _core.Package.open(path)
            self.check(package)
            package.verify()  # every byte, before any of it runs
            self.take(package)

    def load_if_ready(self, path: str) -> None:
        """`load`, or at the first call where names are missing: a decorator runs before those that follow it are there."""
        try:
            self.load(path)
            ready = self.serving.native is not None or not any(done.refused for done in self.capture.installs)
        except IncompatiblePackageError:
            if not locate.is_being_imported(self.target):
                raise
            ready = False
        if not ready and locate.is_being_imported(self.target):
            abandon(self.capture.installs)
            self.capture.installs.clear()
            self.capture.loaded, self._package, self._later = False, None, path

    def _load_now(self) -> bool:
        """Returns whether what was to be loaded at the first call serves natively."""
        with self.serving.lock:
            path, self._later = self._later, None
            if path is None:
                return False
            try:
                self.load(path)
            except Exception as error:
                self.not_loaded(error)
            return self.serving.switch()

    def not_loaded(self, error: Exception, stacklevel: int = 3) -> None:
        """On the automatic path a package that cannot be loaded is a counted miss, said once."""
        if self.on_miss == "error":
            raise error
        if isinstance(error, PackageError):
            stats.count_miss(error.code)
        else:
            stats.contain("load", error)
        warn(f"coldframe compiles again: {error}", stacklevel=stacklevel)

    def take(self, package: _core.Package) -> None:
        """Serves a package that fits: natively, or with Dynamo."""
        self.capture.loaded, self._package = True, package
        if self.serving.make_native(package):
            stats.add(loads=1, installed_variants=sum(len(entry.guarded_codes) for entry in package.codes))
            return
        try:
            self._install(package)
        except BaseException:
            self.capture.loaded, self._package = False, None
            raise

    def again(self, target: Any) -> Any:
        """The same for another target: a copy of the module."""
        session = Session(target, self.options, self.on_miss, self.path, self.ignore_inlined_sources)
        if self._package is not None:
            session.take(self._package)
        return session.serve()

    def reduce(self) -> Any:
        """Returns the call that makes the same of the pickled target: torch.compile's modules can be pickled, too."""
        if self._package is not None and self.path is None:
            raise TypeError("a module that is served from a package cannot be pickled: pickle its _orig_mod, and load it again")
        how: dict[str, Any] = {
            "package": self.path,
            "on_miss": self.on_miss,
            "ignore_inlined_sources": self.ignore_inlined_sources,
        }
        return functools.partial(coldframe.compile, **how, **self.options), (self.target,)

    def _install(self, package: _core.Package) -> None:
        listeners.install()
        serves, same = runs_with(self.capture.backend_key), not self.ignore_inlined_sources
        native = self.serving.native
        known = native.known_of(package) if native is not None else {}
        bound = {digest: [each.bindings for each in found] for digest, found in known.items()}
        done = install(package, self.target, serves, same_sources=same, bindings=bound)
        planned = [each for entry in package.codes for each in known.get(entry.python_code.digest, ())]
        if len(done.variants) == len(planned):
            for variant, each in zip(done.variants, planned, strict=True):
                variant.served = each.served  # and counted
        self.capture.adopt(done)

    def serve(self) -> Any:
        """Returns what the user gets, known to `session_of`: served natively where that is possible, else by torch.compile."""
        compiled, is_ours = self.serving.served(compile_now=not self.compiles_when_called)
        sessions.add(self)
        if not is_ours:
            of_others[compiled] = self
        if compiled is not self.target:
            weakref.finalize(compiled, abandon, self.capture.installs).atexit = False
        return compiled

    def call_hosted(self, *args: Any, **kwargs: Any) -> Any:
        """A call of the target through torch.compile. What that compiles is served natively from the next call on."""
        if self._later is not None and self._load_now() and (native := self.serving.native) is not None:
            return native.dispatcher(*args, **kwargs)
        compiled_autograd.prepare()
        target = self.target
        if not isinstance(target, torch.nn.Module):
            result = self.hosted()(*args, **kwargs)
        elif torch.compiler.is_compiling():
            return target(*args, **kwargs)
        else:
            result = self.hosted().forward(*args, **kwargs)
        self.serving.catch_up()
        return result

    def resume_hosted(self, entry: _core.CodeEntry, closure: tuple[CellType, ...], *args: Any) -> Any:
        """Goes on after a graph break of a call that was served natively so far."""
        self.hosted()
        module, (name, *_) = sys.modules[entry.module], entry.function_names
        function = vars(module).get(name)
        if function is None:
            function = FunctionType(Program(()).resume(entry), vars(module), name, None, closure)
        elif closure:
            function = function(closure)
        result = self.capture.context(function)(*args)
        self.serving.catch_up()
        return result

    def hosted(self) -> Any:
        """torch.compile's callable, with what was loaded installed; made once."""
        with self.serving.lock:
            if self.serving.hosted is None:
                if self._package is not None and not self.capture.installs:
                    self._install_after_all(self._package)
                self.serving.hosted = self.serving.compile()
            return self.serving.hosted

    def _install_after_all(self, package: _core.Package) -> None:
        try:
            self.check(package)
            self._install(package)
        except Exception as error:  # what was there when it was loaded has changed since
            self.capture.outdated = str(error)
            if not isinstance(error, PackageError):
                stats.contain("load", error)
            if self.on_miss == "error":
                raise MissError(f"the package serves no call any more: {error}") from error

    def backward_wanted(self, graph: str) -> None:
        """A backward is about to run as it was traced, for it had not been compiled when its forward was saved."""
        if self._package is None or graph not in {artifact.backend_id for artifact in self._package.artifacts}:
            return
        if self.on_miss == "error":
            raise BackwardNotCompiledError(graph)
        if self.on_miss == "compile":
            try:
                self.drop(graph)
            except Exception as error:
                self.contained("load", error)

    def drop(self, graph: str) -> None:
        """Serves no variant with this graph any more: the next call compiles it, with its backward."""
        with self.serving.lock:
            assert self._package is not None
            self._package = without(self._package, graph)
            self.serving.stop_native()
            abandon(self.capture.installs)
            self.capture.installs.clear()
            self._install(self._package)

    def as_torch(self) -> Any:
        """Returns plain torch.compile's callable, for those who read what it has beside the target's attributes."""
        return self.serving.as_torch()

    def check(self, package: _core.Package, *, settings_matter: bool = True) -> None:
        """Raises when `package` is of another function, environment or source."""
        # torch serves what it has compiled whatever becomes of its settings: so does what has been loaded.
        acceptance.check(
            package,
            self.key(),
            self.portable_options,
            settings_matter=settings_matter and self._package is None,
            sources_matter=not self.ignore_inlined_sources,
        )

    def key(self) -> Key:
        return package_key(self.target, self.portable_options)

    def build(self) -> Built:
        """The package of everything that this callable loaded or compiled. InvalidArgumentError when there is nothing."""
        if (kind := unknown(self.portable_options.get("options"))) is not None:
            raise NotPortableError(
                f"options: {kind} has no name or content by which another process could tell that it is the same"
            )
        built = build(self.capture, self.key(), self.portable_options)
        mine = [done.package for done in self.capture.installs]
        if not mine and self._package is not None and not self.capture.outdated:
            mine = [self._package]
        for loaded in mine + packages_of(self.capture.used):
            if loaded.key == built.package.key:
                merge(built.package, loaded)
        if not any(entry.guarded_codes or entry.skipped for entry in built.package.codes):
            if built.bypasses:
                raise NotPortableError("nothing could be saved: " + "; ".join(dict.fromkeys(built.bypasses)))
            raise InvalidArgumentError("nothing has been compiled yet: call the compiled object once before saving it")
        self._pending = built.pending_artifacts
        return built

    def save(self, path: str | os.PathLike[str]) -> SaveReport:
        version = self.capture.version()
        built = self.build()
        size = built.package.write(path)
        self._saved_version = version
        stats.add(saves=1)
        return report(path, size, built)

    def autosave(self) -> None:
        """Saves to the session's path; a failure is counted and said once, and never reaches the program."""
        assert self.path is not None
        version = self.capture.version()
        try:
            built = self.build()
            add_to_file(self.path, built.package, functools.partial(self.check, settings_matter=False))
            stats.add(saves=1)
        except InvalidArgumentError:
            pass  # nothing compiled yet
        except Exception as error:
            stats.contain("save", error)
            warn(f"coldframe could not save {self.path}: {error}", stacklevel=3)
        self._saved_version = version

    def contained(self, what: str, error: Exception) -> None:
        log.debug("%s failed", what, exc_info=True)
        stats.contain(what, error)
        warn(f"coldframe could not {what} {self.target!r}: {error}", stacklevel=4)


@wants_backward.append
def _backward_wanted(graph: str) -> None:
    stats.count_miss("backward")
    for session in list(sessions):
        session.backward_wanted(graph)


@atexit.register
def _save_at_exit() -> None:
    # A backward that was compiled after the last call is only seen now.
    for session in list(sessions):
        if session.stale():
            session.autosave()

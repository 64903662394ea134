"""Plain torch.compile through coldframe: `torch._dynamo.config.caching_precompile = True` loads and saves our packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ... import _core
from ...errors import IncompatiblePackageError, PackageError
from ...warn import warn
from .. import graphs
from ..capture import listeners, listening
from ..capture.package import runs_with
from ..fingerprint import locate
from ..fingerprint.keys import unknown
from ..seam import symbols
from ..seam.patches import Patches
from ..seam.stats import stats
from . import stores
from .artifacts import log
from .compile_package import CompilePackage
from .context import PrecompileContext
from .entries import DynamoCacheEntry

_patches = Patches("torch_default")


class AutomaticPackage(CompilePackage):
    """The package of one plain torch.compile: loaded from DynamoCache when it wraps, saved there after each compilation.

    It is saved when the call ends: within it Dynamo's settings are those of the callable, not those of the process.
    Nothing that fails in here reaches the program: it is counted, said once, and the program runs on as without.
    """

    keeps_unknown_backends = False
    saves_itself = True

    def __init__(self) -> None:
        super().__init__(None)
        self._saved: tuple[int, int] | None = None
        self._backends: Mapping[str, Any] | None = None  # of what was loaded
        self._later: Mapping[str, Any] | None = None  # to be installed at the next call
        self._unsaveable = False  # its target or its backend could not be found again

    def initialize(self, fn: Any, dynamo: DynamoCacheEntry | None = None, ignore_inlined_sources: bool = False) -> None:
        if self._initialized:
            return  # torch tries again without the entry; see below
        if unknown(self._options) is not None:  # of a backend or pass that no other process could tell from another one
            dynamo, self._unsaveable = None, True
        try:
            super().initialize(fn, dynamo, ignore_inlined_sources)
        except (PackageError, TypeError) as error:
            if dynamo is not None:
                self._failed("load", error)
                super().initialize(fn, None, ignore_inlined_sources)
            else:
                log.debug("%r runs as plain torch.compile", fn, exc_info=True)
                self.of(locate.uncompiled(fn))
                self._initialized, self._unsaveable = True, True
        self._saved = self.version()

    def install(self, backends: Mapping[str, Any]) -> None:
        self._backends, self._later = backends, None
        try:
            if self._loaded is not None:
                super().install(backends)
                if any(done.refused for done in self.installs):
                    self.uninstall()
                    self._later = backends  # a decorator runs before the names that follow it in its module are there
        except IncompatiblePackageError:
            self._later = backends
        except Exception as error:
            self._failed("load", error)

    def forget(self) -> None:
        # In a fresh process, torch.compile would load it again.
        installed = bool(self.installs)
        super().forget()
        if installed:
            self._later = self._backends

    def _enter(self) -> Callable[[], None]:
        backends, self._later = self._later, None
        if backends is not None:
            try:
                super().install(backends)
            except Exception as error:
                self._failed("load", error)
        return super()._enter()

    def _serves(self) -> Callable[[Any], bool] | None:
        return runs_with(self.backend_key)

    def _wanted(self, guarded: _core.GuardedCode) -> bool:
        return bool(guarded.details.get("options") == _core.digest(self._options))

    def add_backend_id(self, backend_id: str, backend: Any | None = None) -> None:
        super().add_backend_id(backend_id, backend)
        graph = self._frame_for("add_backend_id").backends[backend_id]
        if isinstance(graph.artifact, graphs.Pending):
            graph.artifact.on_backward = self._backward_compiled

    def call_finished(self) -> None:
        if not self._unsaveable and self._saved != self.version():
            self._save()

    def _backward_compiled(self) -> None:
        if self._unsaveable:
            return
        if self.depth:
            self._saved = None  # saved when the call ends
        else:
            self._save()

    def _save(self) -> None:
        self._saved = self.version()
        try:
            stores.DynamoCache.save(self)
        except Exception as error:
            self._failed("save", error)

    def _failed(self, what: str, error: Exception) -> None:
        symbols.module("torch._dynamo.utils").counters["dynamo_cache"]["dynamo_cache_error"] += 1
        log.debug("%s failed", what, exc_info=True)
        stats.contain(what, error)
        warn(f"coldframe could not {what} the package of {self.target!r}: {error}", stacklevel=3)


def install_as_torch_default() -> Callable[[], None]:
    """From now on plain torch.compile under `torch._dynamo.config.caching_precompile = True` is served by coldframe.

    Each torch.compile gets a package, which is loaded from DynamoCache when it wraps, and saved there at the end of each call
    that compiled something, and once more when a backward has been compiled. Calling it again changes nothing. The setting
    itself is left alone. `uninstall_as_torch_default`, which it returns, undoes it.
    """
    with _patches.once() as needed:
        if needed:
            listeners.install()
            package = symbols.module("torch._dynamo.package")
            context = symbols.module("torch._dynamo.precompile_context")
            _patches.replace(package, "CompilePackage", CompilePackage)
            _patches.replace(package, "DynamoCache", stores.DynamoCache)
            _patches.replace(context, "DynamoCache", stores.DynamoCache)
            _patches.replace(context, "PrecompileContext", PrecompileContext)
            listening.automatic = AutomaticPackage
    return uninstall_as_torch_default


def uninstall_as_torch_default() -> None:
    """Plain torch.compile is torch's own again. What was compiled meanwhile keeps its package. Without an install, nothing."""
    listening.automatic = None
    _patches.undo()

"""The loaded package and the dispatcher that serve the calls of one callable at the moment.

    serving = Serving(session)
    compiled = serving.served()          # what the user gets
    serving.make_native(package)         # from now on its calls are served natively, where that can be
    serving.stop_native()                # and from now on by torch.compile's callable, which looks into installed packages

Natively served calls that miss go to torch.compile's callable, too, which is made when it is first needed: it imports Dynamo.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from types import CellType
from typing import Any, Protocol

import torch

from ... import _core
from ...errors import PackageError
from ..capture import listeners, listening
from ..capture.build import Built
from ..capture.package import CapturePackage
from ..guards.native import UnsupportedError
from ..seam import plain_compile
from ..seam.modes import is_transforming
from ..seam.process import Lock
from ..seam.stats import stats
from ..serve import callable as served_callable
from ..serve.frames import Live
from ..serve.hosted import Install, abandon
from ..serve.native import Native

# What torch.compile sets on what it returns.
_ATTRIBUTES = {"get_compiler_config", "aot_compile", "_is_torch_compile", "_isolate_recompiles_id"}


class Owner(served_callable.Session, Protocol):
    target: Any
    options: dict[str, Any]
    path: str | None
    ignore_inlined_sources: bool
    capture: CapturePackage

    def check(self, package: _core.Package) -> None: ...
    def build(self) -> Built: ...
    def call_hosted(self, *args: Any, **kwargs: Any) -> Any: ...
    def resume_hosted(self, entry: _core.CodeEntry, closure: tuple[CellType, ...], *args: Any) -> Any: ...


class Serving:
    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.lock = Lock()
        self.native: Native | None = None
        self.hosted_because = ""  # why it is not served natively
        self.hosted: Any = None  # torch.compile's callable, with what was loaded installed
        self._plain: Any = None
        self._change: Callable[[Any], None] | None = None  # of what the object calls that the user has
        self._version: tuple[int, int] | None = None  # of the capture when it was last made native
        self._installs: list[Install] = []

    def served(self, *, compile_now: bool) -> tuple[Any, bool]:
        """Returns what the user gets, and whether it is an object of ours, whose calls can be served by other means later."""
        owner = self._owner
        call: Any = self.native.dispatcher if self.native is not None else owner.call_hosted
        try:
            if self.native is None and compile_now:
                self.hosted = self.compile()
        except BaseException:
            abandon(owner.capture.installs)
            raise
        if not served_callable.can_be_served(owner.target) or self.hosted is owner.target:
            return self.hosted, False
        compiled, self._change = served_callable.serving(owner.target, call, owner)
        for name in _ATTRIBUTES & vars(self.hosted).keys() if self.hosted is not None else ():
            object.__setattr__(compiled, name, vars(self.hosted)[name])
        weakref.finalize(compiled, abandon, self._installs).atexit = False
        return compiled, True

    def switch(self) -> bool:
        """Lets calls be served as they can be now. Returns whether natively."""
        if self._change is not None:
            self._change(self.native.dispatcher if self.native is not None else self._owner.call_hosted)
        return self.native is not None and self._change is not None

    def make_native(self, package: _core.Package, live: Sequence[Live] = ()) -> bool:
        """Serves the package natively, if that can be; else as before."""
        owner, made = self._owner, False
        if isinstance(owner.target, torch.nn.Module) and not served_callable.can_be_served(owner.target):
            self.hosted_because = f"a {type(owner.target).__name__} has a way of its own of being called"
            return False
        try:
            if self.native is not None:
                self.native.update(package, live)
            else:
                same = not owner.ignore_inlined_sources
                self.native = Native(
                    package, owner.target, owner.call_hosted, owner.resume_hosted, owner.check, same_sources=same, live=live
                )
        except (UnsupportedError, PackageError) as error:
            self.hosted_because = str(error)
        except Exception as error:  # a defect of ours must not cost more than the faster path
            self.hosted_because = f"{type(error).__name__}: {error}"
            stats.contain("native", error)
        else:
            self.hosted_because, made = "", True
        if self.native is not None:
            self._installs[:] = [self.native.done]
        return made

    def stop_native(self) -> None:
        self._version, self.native = None, None
        abandon(self._installs)
        self.switch()

    def outdate(self) -> None:
        """There is more to serve than was compiled: the next `catch_up` looks at all of it."""
        self._version = None

    def catch_up(self) -> None:
        """Serves natively, too, what has been compiled since."""
        if self._change is None or self._is_current():
            return
        with self.lock:
            if is_transforming() or self._is_current():
                return  # now; it will be
            owner, self._version = self._owner, self._owner.capture.version()
            try:
                built = owner.build()
                live = [Live(guarded, variant.dynamo_code, variant.graphs(of)) for guarded, of, variant in built.compiled]
            except PackageError as error:
                self.hosted_because = str(error)
                return
            except Exception as error:  # a defect of ours must not cost more than the faster path
                self.hosted_because = f"{type(error).__name__}: {error}"
                stats.contain("native", error)
                return
            made = {name for each in live for name in each.graphs}
            built.package.artifacts = [each for each in built.package.artifacts if each.backend_id not in made]
            if owner.path is not None:
                save_again = weakref.WeakMethod(self._save_again)
                for artifact in built.pending_artifacts:
                    artifact.on_backward = artifact.on_backward or (lambda: (save := save_again()) and save())
            if self.make_native(built.package, live):
                self.switch()

    def _is_current(self) -> bool:
        return self._version == self._owner.capture.version()

    def _save_again(self) -> None:
        """A backward was compiled: the next call goes through Dynamo once more, and what it leaves is saved."""
        self.outdate()
        if self._change is not None:
            self._change(self._owner.call_hosted)

    def as_torch(self) -> Any:
        """Returns plain torch.compile's callable, for those who read what it has beside the target's attributes."""
        with self.lock:
            if self._plain is None:
                self._plain = self._torch_compile()
            return self._plain

    def compile(self) -> Any:
        capture = self._owner.capture
        listeners.install()
        with listening.injecting(capture):
            compiled = self._torch_compile()
        if capture.compiler_config is not None and not self._owner.options["fullgraph"]:
            # Dynamo would ask for it at once, and so import Inductor.
            compiled.get_compiler_config = capture.compiler_config
        return compiled

    def _torch_compile(self) -> Any:
        options = dict(self._owner.options)
        if options["options"] is not None:
            options["options"] = dict(options["options"])  # torch.compile takes some of them out
        return plain_compile.torch_compile(self._owner.target, **options)

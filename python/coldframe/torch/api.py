"""compile, save, load, explain, stats: the public functions, re-exported by `coldframe`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from .. import _core
from ..errors import IncompatiblePackageError
from .capture.files import said_of
from .capture.registry import registry
from .explanation import Explanation, Frame
from .fingerprint import acceptance, locate
from .fingerprint.keys import package_key, unnamed
from .seam.stats import stats as _stats
from .session.plain import plain_because
from .session.reports import SaveReport
from .session.session import OnMiss, Session
from .session.sessions import session_of


def compile(
    target: Any = None,
    *,
    package: str | os.PathLike[str] | None = None,
    on_miss: OnMiss = "compile",
    backend: str | Callable[..., Any] = "inductor",
    fullgraph: bool = False,
    dynamic: bool | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    ignore_inlined_sources: bool = False,
    **torch_options: Any,
) -> Any:
    """As torch.compile, and what it compiles can be saved.

    target: a function, method or nn.Module (a module comes back as a module); None to use it as a decorator.
    package: a file to serve from. Absent, it is created after compiling; new variants are appended atomically. A file that
        does not fit is a counted miss with a warning, never an error, unless on_miss is "error". Without one the target is
        served from the store if there is one (`coldframe.enable`), and otherwise compiled here.
    on_miss: what to do with a call that the package does not serve: "compile" it now, run it "eager", or raise MissError.
        Of the store, "compile" means what the store says.
    ignore_inlined_sources: serve although source that was compiled into the package has changed.
    The other keywords are torch.compile's.
    """
    settings = {
        "backend": backend,
        "fullgraph": fullgraph,
        "dynamic": dynamic,
        "mode": mode,
        "options": dict(options) if options is not None else None,
        **torch_options,
    }
    if target is None:
        return lambda target: compile(
            target, package=package, on_miss=on_miss, ignore_inlined_sources=ignore_inlined_sources, **settings
        )
    path = os.fspath(package) if package is not None else None
    if path is None and not ignore_inlined_sources:
        automatic = sys.modules.get("coldframe.torch.automatic")
        if automatic is not None and (stored := automatic.session_for(target, settings, on_miss)) is not None:
            return stored.serve()
    return Session.opened(target, settings, on_miss, path, ignore_inlined_sources).serve()


def load(
    path: str | os.PathLike[str],
    target: Any,
    *,
    on_miss: OnMiss = "compile",
    ignore_inlined_sources: bool = False,
) -> Any:
    """The compiled form of `target` from the package at `path`, without compiling.

    Returns what torch.compile would, with the options that the package was made with. Raises a PackageError when the file is
    absent, damaged, unsafe, newer, or made for another function, source, python, torch, CPU or setting: the message says
    which. on_miss: see `compile`.
    """
    package = _core.Package.open(path)
    settings = {"backend": "inductor", "fullgraph": False, "dynamic": None, "mode": None, "options": None}
    recorded = acceptance.options_of(package)
    for name, value in recorded.items():
        if (kind := unnamed(value)) is not None:
            raise IncompatiblePackageError(
                f"{name}: the package was made with a {kind} that has no name: pass it to coldframe.compile(package=...)"
            )
    options = {**settings, **recorded}
    with said_of(path):
        mine = package_key(locate.uncompiled(target), options)
        acceptance.check(package, mine, options, sources_matter=not ignore_inlined_sources)
        settings.update(_core.resolve(recorded))
    session = Session(target, settings, on_miss, None, ignore_inlined_sources)
    session.load(path)
    return session.serve()


def save(compiled: Any, path: str | os.PathLike[str]) -> SaveReport:
    """Writes everything that `compiled` has compiled or loaded to `path`, atomically.

    Raises InvalidArgumentError when it has compiled nothing, NotPortableError when nothing of it can be saved, PackageIOError
    or NoSpaceError when the file cannot be written (what was there before is intact).
    """
    return session_of(compiled).save(path)


def explain(compiled: Any) -> Explanation:
    """Per frame: how many variants were loaded and compiled, and what could not be saved; every miss, with the guard that
    refused it; and why it is not served natively, or what it imported all the same."""
    if why := plain_because(compiled):
        return Explanation((), (), (), "", (), why)
    session = session_of(compiled)
    frames: dict[int, Frame] = {}
    imports: list[str] = []
    for native in session.serving.native.frames if session.serving.native is not None else ():
        name = locate.frame_name(native.function.__code__, native.entry.module, session.target)
        imports.extend(f"{name}: {text}" for text in native.lazy_imports())
    if session.serving.native is not None and not session.capture.installs:
        for native in session.serving.native.frames:
            code = native.function.__code__
            name = locate.frame_name(code, native.entry.module, session.target)
            if native.inline:
                owner = type(locate.called(session.target))
                name = f"{owner.__module__}.{owner.__qualname__}.forward"
            frames[id(code)] = Frame(name, native.entry.role, native.loaded, 0, ())
    for done in session.capture.installs:
        for code, entry in done.entries:
            name = locate.frame_name(code, entry.module, session.target)
            frames[id(code)] = Frame(name, entry.role, len(done.variants_of(code)), 0, ())
    capture = session.capture
    for record, variants in registry.view(capture.caller, capture.used, capture.backend_key):
        name = locate.frame_name(record.code, record.module, session.target)
        known = frames.get(id(record.code))
        bypasses = tuple(record.bypassed(capture.caller, capture.used, capture.backend_key))
        frames[id(record.code)] = Frame(name, record.role, known.loaded if known else 0, len(variants), bypasses)
    refused = tuple(f"{name}: {reason}" for done in session.capture.installs for name, reason in done.refused)
    return Explanation(
        tuple(frames.values()), refused, tuple(session.capture.misses), session.serving.hosted_because, tuple(imports)
    )


def stats() -> dict[str, Any]:
    """Counters of this process: hits (variants served from packages), misses by reason, compiles, bypasses by reason, loads,
    saves, seconds_saved, errors."""
    return _stats.snapshot()

"""The places in torch where coldframe listens.

`install` replaces, once per process, methods of torch's guard classes and a few functions of Dynamo by wrappers that call the
original and, when a frame of ours is being compiled on this thread, report to its `FrameCapture`. For everybody else a
wrapper is one thread-local read. Nothing here may change what torch does or let an error of ours reach it.
"""

from __future__ import annotations

from ...guards.premises import Premises
from ...seam import symbols
from ...seam.patches import Patches
from .. import listening
from . import attributes, dynamo, guards, unguarded

# What compiles while a frame runs (a backward, say) must not be traced itself. A served callable may be, within another one.
_NOT_TRACED = (
    *("api", "automatic", "capture", "graphs", "guards", "package", "seam.stats", "session"),
    *(f"serve.{name}" for name in ("code_map", "conditions", "frames", "globals_table", "hosted", "lazy_modules", "native")),
)
_patches = Patches("capture")


def install() -> None:
    """Installs the listeners, all or none; once. IncompatiblePackageError, naming what this torch lacks."""
    with _patches.once() as needed:
        if not needed:
            return
        symbols.probe()
        _skip_our_own()
        guards.install(_patches.wrap)
        dynamo.install(_patches.wrap)
        unguarded.install(_patches.wrap, _premises)
        attributes.install(_patches.wrap, _premises)


def _premises() -> Premises | None:
    frame = listening.current()
    return frame.premises if frame is not None else None


def _skip_our_own() -> None:
    rules = symbols.module("torch._dynamo.trace_rules")
    known = len(rules.SKIP_DIRS)
    for part in _NOT_TRACED:
        rules.add(f"coldframe.torch.{part}")
    added = rules.SKIP_DIRS[known:]

    def undo() -> None:
        for each in added:
            rules.SKIP_DIRS.remove(each)
        rules._recompile_re()

    _patches.add("torch._dynamo.trace_rules.SKIP_DIRS", undo)

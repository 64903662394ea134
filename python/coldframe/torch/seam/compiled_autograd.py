"""Compiled autograd, which captures backwards while they run."""

from __future__ import annotations

import importlib
import sys

from . import symbols

_NEEDED = "torch.export._trace"


def prepare() -> None:
    """Imports what compiled autograd imports when it first captures, and Dynamo, which looks on there, would compile.

    Where torch has compiled the forward itself, that has imported it.
    """
    config = symbols.imported("torch._dynamo.config")
    if config is not None and config.compiled_autograd and _NEEDED not in sys.modules:
        importlib.import_module(_NEEDED)

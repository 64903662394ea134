"""Runs at the start of processes whose parent has enabled coldframe: enables it here, too.

The directory of this file comes first in PYTHONPATH. The sitecustomize that would have run without it runs first.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import sys


def _run_the_other() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    paths = [path for path in sys.path if os.path.abspath(path) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", paths)
    if spec is not None and spec.loader is not None:
        other = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = other
        spec.loader.exec_module(other)


try:
    _run_the_other()
finally:
    if os.environ.get("COLDFRAME") == "1":
        with contextlib.suppress(ImportError):  # another Python, without coldframe
            import coldframe  # noqa: F401

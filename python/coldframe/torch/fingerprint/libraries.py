"""The shared libraries that give operators of the program their C++ kernels, by content.

A kernel that runs while a graph is traced, of a composite operator say, decides what the graph does, and is in no source.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

import torch

from ..seam import symbols

_TORCH = os.path.join(os.path.dirname(torch.__file__), "")
# A kernel and the C++ file that registered it; which it does under this very name in its library, too.
_KERNEL = re.compile(r"(\w+)(?:\[\w+\])?: registered at (.+\.(?:cc|cpp|cxx|cu|h|hpp)):\d+ ")
_WHILE_TRACING = re.compile("CompositeImplicit|Autograd|ADInplaceOrView|Functionalize|Python|FuncTorch|Autocast")


def kernels_of(operator: str) -> Iterator[str]:
    """The schemas of an operator ("library::name"), and digests of the libraries whose code runs while it is traced."""
    found: set[str] = set()
    for schema in symbols.module("torch._C")._jit_get_schemas_for_operator(operator):
        yield str(schema)
        overload = f".{schema.overload_name}" if schema.overload_name else ""
        dump = symbols.module("torch._C")._dispatch_dump(f"{operator}{overload}")
        found.update(file for key, file in _KERNEL.findall(dump) if _WHILE_TRACING.match(key))
    for file in sorted(found):
        yield from _libraries_with(file, tuple(_loaded()))


def _loaded() -> Iterator[str]:
    """Shared libraries in this process, those of torch apart."""
    with contextlib.suppress(OSError):
        paths = {line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if line.count("/")}
        yield from sorted(path for path in paths if ".so" in path and not path.startswith(_TORCH))


@functools.cache
def _libraries_with(text: str, libraries: tuple[str, ...]) -> tuple[str, ...]:
    """Digests of those that hold the text."""
    found = []
    for path in libraries:
        with (
            contextlib.suppress(OSError, ValueError),  # deleted since, or empty
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            if content.find(text.encode()) >= 0:
                found.append(hashlib.sha256(content).hexdigest())
    return tuple(found)

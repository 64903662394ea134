"""The origins of operators' kernels: shared libraries, by content, and files of Python.

A kernel that runs while a graph is traced, of a composite operator say, decides what the graph does. In C++ it is in no source;
from Python it may be a function of torch itself, and torch keeps to itself which one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import mmap
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from ..seam import symbols
from . import places

_TORCH = os.path.join(os.path.dirname(torch.__file__), "")
# A kernel and the file that registered it; which a C++ file does under this very name in its library, too.
_KERNEL = re.compile(r"^(\w+)(?:\[\w+\])?: registered at (.+):\d+ ", re.MULTILINE)
_DEFINITION = re.compile(r"^debug: registered at (.+):\d+", re.MULTILINE)
LIBRARY = os.path.join(_TORCH, "library.py")
_CPP = (".cc", ".cpp", ".cxx", ".cu", ".h", ".hpp")
_WHILE_TRACING = re.compile("CompositeImplicit|Autograd|ADInplaceOrView|Functionalize|Python|FuncTorch|Autocast|Meta")


def kernels_of(operator: str) -> Iterator[str]:
    """The schemas of an operator ("library::name"), and digests of the libraries whose code runs while it is traced."""
    found: set[str] = set()
    for schema in symbols.module("torch._C")._jit_get_schemas_for_operator(operator):
        yield str(schema)
        overload = f".{schema.overload_name}" if schema.overload_name else ""
        found.update(file for _, file in _kernels(f"{operator}{overload}") if file.endswith(_CPP))
    for file in sorted(found):
        yield from _libraries_with(file, tuple(_loaded()))


def in_python() -> dict[str, frozenset[str]]:
    """The operators ("library::name") with kernels from Python that run while they are traced, those of torch apart, and the
    files that made the `torch.library.Library` of each kernel: torch's own file for what was registered without one."""
    return _in_python(frozenset(symbols.module("torch.library")._impls))


@functools.lru_cache(4)
def _in_python(registered: frozenset[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for overload in {"::".join(each.split("/")[:2]) for each in registered}:
        for _, file in _kernels(overload):
            if not file.endswith(_CPP) and (file == LIBRARY or not is_of_torch(file)):
                found.setdefault(overload.partition(".")[0], set()).add(file)
    return {name: frozenset(files) for name, files in found.items()}


def is_defined_in_python(operator: str) -> bool:
    """Returns whether Python code that is not torch's has defined an operator."""
    found = _DEFINITION.search(symbols.module("torch._C")._dispatch_dump(operator))
    return found is not None and not found[1].endswith(_CPP) and (found[1] == LIBRARY or not is_of_torch(found[1]))


def is_of_torch(file: str) -> bool:
    return file.startswith(_TORCH)


def _kernels(overload: str) -> list[tuple[str, str]]:
    kernels = _KERNEL.findall(symbols.module("torch._C")._dispatch_dump(overload))
    return [(key, file) for key, file in kernels if _WHILE_TRACING.match(key)]


def _loaded() -> Iterator[str]:
    """Shared libraries in this process, those of torch apart."""
    with contextlib.suppress(OSError):
        paths = {line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if line.count("/")}
        yield from sorted(path for path in paths if ".so" in path and not is_of_torch(path))


def digest(module: str) -> str:
    """Returns the digest of the file that a module of the program is, where that is a shared library; "" for all others."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(file, str) or not file.endswith(".so") or not places.is_of_program_file(file):
        return ""
    try:
        return _digest_at(file, os.stat(file).st_mtime_ns)
    except OSError:
        return ""


@functools.lru_cache(256)
def _digest_at(path: str, time: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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

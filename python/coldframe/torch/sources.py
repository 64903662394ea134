"""The source files whose functions were compiled into a package, and whether they still say the same.

First the whole file by digest; only when that differs each function by the semantic digest of its code, so that edits
elsewhere in the file, comments and moved lines do not invalidate a package.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import _core
from ..errors import SourceChangedError

Function = tuple[str, bytes, int, int]  # qualified name, semantic digest, first line, last line


class SourceSet:
    """The functions that one callable inlined, by file. Adding is cheap: a set of code objects' descriptions."""

    def __init__(self) -> None:
        self._functions: dict[tuple[str, str], dict[tuple[str, bytes], Function]] = {}
        self._seen: set[int] = set()
        self._keep: list[types.CodeType] = []

    def add(self, code: types.CodeType) -> None:
        """Notes `code`. Code without a file (generated, from exec) has no source to compare and is left out."""
        if id(code) in self._seen:
            return
        self._seen.add(id(code))
        self._keep.append(code)
        if code.co_filename.startswith("<") or not os.path.isfile(code.co_filename):
            return
        module = _module_of(code.co_filename)
        if module is None:
            return
        digest = _core.CodeObject.from_code(code).semantic_digest
        last = max((line for _, _, line in code.co_lines() if line is not None), default=code.co_firstlineno)
        functions = self._functions.setdefault((module, code.co_filename), {})
        functions[code.co_qualname, digest] = (code.co_qualname, digest, code.co_firstlineno, last)

    def update(self, other: SourceSet) -> None:
        for key, functions in other._functions.items():
            self._functions.setdefault(key, {}).update(functions)

    def files(self) -> list[_core.SourceFile]:
        """One entry a file, sorted by module."""
        return [
            _core.SourceFile(module, os.path.basename(path), _file_digest(path) or b"\0" * 32, sorted(functions.values()))
            for (module, path), functions in sorted(self._functions.items())
        ]


def validate(files: Sequence[_core.SourceFile]) -> None:
    """Raises SourceChangedError naming the first function that is not the same any more, by module, name and line."""
    for file in files:
        path = _path_of(file.module)
        if path is not None and _file_digest(path) == file.digest and not _edited_since_start(path):
            continue
        present = _functions_of(file.module, path)
        for qualname, digest, first, last in file.functions:
            if digest not in present.get(qualname, ()):
                where = f"{file.module}.{qualname} (lines {first} to {last} of {file.path_hint} when it was compiled)"
                raise SourceChangedError(f"source code of {where} has changed: compile again, or restore the source")


_module_by_file: dict[str, str | None] = {}
_PROCESS_START = os.stat("/proc/self").st_ctime if os.path.exists("/proc/self") else 0.0


def _module_of(path: str) -> str | None:
    if path not in _module_by_file:
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str):
                _module_by_file.setdefault(file, name)
        _module_by_file.setdefault(path, None)
    return _module_by_file[path]


def _path_of(name: str) -> str | None:
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None else None


def _file_digest(path: str) -> bytes | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError:
        return None


def _edited_since_start(path: str) -> bool:
    # A file younger than this process may not be what the process imported.
    try:
        return os.stat(path).st_mtime >= _PROCESS_START
    except OSError:
        return True


def _functions_of(name: str, path: str | None) -> dict[str, set[bytes]]:
    """Semantic digests of the functions that a module has: those in memory where it is imported, else those of its file."""
    found: dict[str, set[bytes]] = {}
    module = sys.modules.get(name)
    live = list(_live_codes(module)) if module is not None else []
    for code in live:
        found.setdefault(code.co_qualname, set()).add(_core.CodeObject.from_code(code).semantic_digest)
    try:
        text = Path(path).read_bytes() if path else b""
        parsed = list(_nested(compile(text, path or name, "exec", dont_inherit=True)))
    except (OSError, SyntaxError, ValueError):
        parsed = []
    known = set(found)
    for code in parsed:
        if code.co_qualname not in known:  # not reachable in memory: a decorator's inner function, say
            found.setdefault(code.co_qualname, set()).add(_core.CodeObject.from_code(code).semantic_digest)
    return found


def _live_codes(module: types.ModuleType) -> Iterator[types.CodeType]:
    """Code of the functions and methods that a module's namespace holds and that its file defines."""
    file = getattr(module, "__file__", None)
    stack: list[object] = list(vars(module).values())
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, type) and value.__module__ == module.__name__:
            stack.extend(vars(value).values())
        elif isinstance(value, (staticmethod, classmethod)):
            stack.append(value.__func__)
        elif isinstance(value, property):
            stack.extend(f for f in (value.fget, value.fset, value.fdel) if f is not None)
        elif isinstance(value, types.FunctionType):
            stack.append(getattr(value, "__wrapped__", None))
            if value.__code__.co_filename == file:
                yield from _nested(value.__code__)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _nested(const)

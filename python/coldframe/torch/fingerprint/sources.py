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
from collections.abc import Sequence
from pathlib import Path

from ... import _core
from ...errors import SourceChangedError
from . import import_effects, state

_EFFECTS = "<module>"  # stands among a file's functions for what importing it does
_UNNAMED = "<unnamed>"  # follows the qualified name of a function that is not what its name leads to
_UNKNOWN = b"\0" * 32  # a digest that no text has
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
        module = module_of(code.co_filename)
        if module is not None:
            self._add(module, code, code.co_qualname)

    def add_executed(self, code: types.CodeType, named: bool) -> bool:
        """Notes code that ran without being traced, and what importing its module does, which may have decided that it runs.
        `named`: whether its qualified name leads to it. False when no imported module has its file."""
        module = module_of(code.co_filename)
        if module is None:
            return False
        self._add(module, code, code.co_qualname + ("" if named else _UNNAMED))
        return self.add_import(code.co_filename)

    def add_import(self, path: str) -> bool:
        """Notes what importing the module in this file does. False when no imported module has the file."""
        module = module_of(path)
        if module is None:
            return False
        functions = self._functions.setdefault((module, path), {})
        effects = [] if _edited_since_start(path) else import_effects.digests(path)
        functions.update({(_EFFECTS, digest): (_EFFECTS, digest, 1, 1) for digest in effects or [_UNKNOWN]})
        return True

    def _add(self, module: str, code: types.CodeType, qualname: str) -> None:
        digest = state.semantic_digest(code)
        last = max((line for _, _, line in code.co_lines() if line is not None), default=code.co_firstlineno)
        functions = self._functions.setdefault((module, code.co_filename), {})
        functions[qualname, digest] = (qualname, digest, code.co_firstlineno, last)

    def update(self, other: SourceSet) -> None:
        for key, functions in other._functions.items():
            self._functions.setdefault(key, {}).update(functions)

    def files(self) -> list[_core.SourceFile]:
        """One entry a file, sorted by module."""
        return [
            _core.SourceFile(module, os.path.basename(path), _imported_digest(path), sorted(functions.values()))
            for (module, path), functions in sorted(self._functions.items())
        ]


def validate(files: Sequence[_core.SourceFile]) -> None:
    """Raises SourceChangedError naming the first function that is not the same any more, by module, name and line.

    A function that the imported module has under its name counts as it is in memory (somebody may have replaced it there);
    the others, made inside functions or not imported yet, by their file.
    """
    for file in files:
        present: dict[str, set[bytes]] | None = None
        recorded: dict[str, set[bytes]] = {}
        for qualname, digest, _, _ in file.functions:
            recorded.setdefault(qualname, set()).add(digest)
        for qualname, digest, first, last in file.functions:
            live = _live_digests(file.module, qualname)
            if live is not None:
                same = not live.isdisjoint(recorded[qualname])
            elif _file_unchanged(file):
                same = True
            else:
                if present is None:
                    present = _parsed_digests(file.module)
                same = digest in present.get(qualname.removesuffix(_UNNAMED), ())
            if not same:
                where = f"{file.module}.{qualname} (lines {first} to {last} of {file.path_hint} when it was compiled)"
                raise SourceChangedError(f"source code of {where} has changed: compile again, or restore the source")


_module_by_file: dict[str, str | None] = {}
_PROCESS_START = os.stat("/proc/self").st_ctime if os.path.exists("/proc/self") else 0.0


def module_of(path: str) -> str | None:
    """The imported module whose file this is; None for generated code."""
    if path.startswith("<") or not os.path.isfile(path):
        return None
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


def _imported_digest(path: str) -> bytes:
    return _UNKNOWN if _edited_since_start(path) else _file_digest(path) or _UNKNOWN


def _file_unchanged(file: _core.SourceFile) -> bool:
    if file.module.partition(".")[0] == "torch":
        return True  # the very build of torch is part of the environment
    path = _path_of(file.module)
    return path is not None and _file_digest(path) == file.digest and not _edited_since_start(path)


def _edited_since_start(path: str) -> bool:
    # A file younger than this process may not be what the process imported.
    try:
        return os.stat(path).st_mtime >= _PROCESS_START
    except OSError:
        return True


def _live_digests(module: str, qualname: str) -> set[bytes] | None:
    """Semantic digests of the function under this name in memory, and of what it wraps; None when there is none to see."""
    if "<" in qualname or module not in sys.modules:
        return None
    return {state.semantic_digest(function.__code__) for function in state.functions_under(module, qualname)} or None


def _parsed_digests(module: str) -> dict[str, set[bytes]]:
    """Semantic digests of the functions in a module's file as it is now, by qualified name, and of what importing it does."""
    found: dict[str, set[bytes]] = {}
    path = _path_of(module)
    try:
        text = Path(path).read_bytes() if path else b""
        stack = [compile(text, path or module, "exec", dont_inherit=True)]
    except (OSError, SyntaxError, ValueError):
        return found
    while stack:
        code = stack.pop()
        found.setdefault(code.co_qualname, set()).add(state.semantic_digest(code))
        stack.extend(const for const in code.co_consts if isinstance(const, types.CodeType))
    found[_EFFECTS].update(import_effects.digests(path))
    return found

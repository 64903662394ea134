"""Maps recorded code objects to the program's own."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterable

from ... import _core
from .lines import Lines


class Program:
    """The code objects of frames, and those nested in them, by what was recorded of each: since then their lines may have
    moved. Of files packages have the last part alone; the rest is found here."""

    def __init__(self, frames: Iterable[tuple[_core.CodeEntry, types.CodeType]]) -> None:
        self._codes: dict[bytes, types.CodeType] = {}
        self._files: dict[tuple[str, str], str] = {}  # by module and last part
        self._lines: list[tuple[str, Lines]] = []  # with the module
        for entry, code in frames:
            self._add(entry.python_code, code)
            self._lines.append((entry.module, Lines(entry.python_code, code)))
            self._files[entry.module, os.path.basename(code.co_filename)] = code.co_filename

    def _add(self, recorded: _core.CodeObject, code: types.CodeType) -> None:
        self._codes[recorded.digest] = code
        inner = [const for const in recorded.fields["consts"] if isinstance(const, _core.CodeObject)]
        present = [const for const in code.co_consts if isinstance(const, types.CodeType)]
        for each, own in zip(inner, present, strict=True):
            self._add(each, own)

    def __getitem__(self, recorded: _core.CodeObject) -> types.CodeType:
        return self._codes[recorded.digest]

    def restored(self, recorded: _core.CodeObject, module: str) -> types.CodeType:
        """The recorded code with the program's own code objects for those that are nested in it: the functions that it makes
        must be those that the package has variants for."""
        return self._restored(recorded.to_code(), module)

    def resume(self, entry: _core.CodeEntry) -> types.CodeType:
        """The code of a function in which a frame goes on: one as long as it lives, as Dynamo's variants hang on it."""
        code = self.restored(entry.python_code, entry.module)
        entry.python_code.lives_as(code)
        return code

    def _restored(self, code: types.CodeType, module: str) -> types.CodeType:
        consts = tuple(
            self._codes.get(_core.CodeObject.from_code(const).digest) or self._restored(const, module)
            if isinstance(const, types.CodeType)
            else const
            for const in code.co_consts
        )
        code = next((each.moved(code) for of, each in self._lines if of == module and code.co_firstlineno in each), code)
        file = self._file(code.co_filename, module)
        unchanged = file == code.co_filename and all(new is old for new, old in zip(consts, code.co_consts, strict=True))
        return code if unchanged else code.replace(co_consts=consts, co_filename=file)

    def _file(self, recorded: str, module: str) -> str:
        if (known := self._files.get((module, recorded))) is not None:
            return known
        file = getattr(sys.modules.get(module), "__file__", None) or ""
        return file if os.path.basename(file) == recorded else recorded

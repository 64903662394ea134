"""The lines of compiled code, when those of the function that it was compiled from have moved: tracebacks show them, and what
runs as it is may ask for its caller's."""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator

from ... import _core

_LINE_ONLY, _NO_LINE = 13, 15  # kinds of entries in co_linetable, see Objects/locations.md of CPython
_LONGEST = 8  # code units of one entry


class Lines:
    """Maps lines of one recorded function to those of today."""

    def __init__(self, recorded: _core.CodeObject, code: types.CodeType) -> None:
        fields = recorded.fields
        self._now = {fields["firstlineno"]: code.co_firstlineno}
        if fields["linetable"] != code.co_linetable or fields["firstlineno"] != code.co_firstlineno:
            for before, now in zip(_lines(recorded.to_code()), _lines(code), strict=False):
                self._now.setdefault(before, now)
        moves = {now - before for before, now in self._now.items()}
        self._all = moves.pop() if len(moves) == 1 else None  # how far all have moved

    def __contains__(self, line: int) -> bool:
        return line in self._now

    def moved(self, code: types.CodeType) -> types.CodeType:
        """The code that was compiled from the function, with the lines that this has now."""
        if self._all is not None:
            return code.replace(co_firstlineno=code.co_firstlineno + self._all) if self._all else code
        first = self._now[code.co_firstlineno]
        return code.replace(co_firstlineno=first, co_linetable=b"".join(self._table(code, first)))

    def _table(self, code: types.CodeType, at: int) -> Iterator[bytes]:
        for start, end, line in code.co_lines():
            units = (end - start) // 2
            for length in (_LONGEST,) * (units // _LONGEST) + ((units % _LONGEST,) if units % _LONGEST else ()):
                kind = _NO_LINE if line is None else _LINE_ONLY
                yield bytes([0x80 | kind << 3 | length - 1])
                if line is not None:
                    now = self._now.get(line, line)
                    yield _signed(now - at)
                    at = now


def _lines(code: types.CodeType) -> Iterator[int]:
    """The line of each instruction that has one, of those in codes within, too."""
    yield from (line for line, *_ in code.co_positions() if line is not None)
    yield from itertools.chain.from_iterable(_lines(const) for const in code.co_consts if isinstance(const, types.CodeType))


def _signed(number: int) -> bytes:
    value = -number << 1 | 1 if number < 0 else number << 1
    parts = []
    while value >= 64:
        parts.append(value & 63 | 64)
        value >>= 6
    return bytes([*parts, value])

"""Enums that a frame used for members of theirs alone, so that a further member changes nothing for it."""

from __future__ import annotations

import dis
import enum
import types
from typing import Any

from .lookups import BY_ANY_NAME


class Enums:
    """Those of one frame, by the names under which code of the program came to them."""

    def __init__(self) -> None:
        self._names: dict[type, set[str]] = {}
        self._codes: list[types.CodeType] = []
        self.owner: type | None = None  # that a descriptor of the standard library is about to be given

    def held(self, cls: Any, source: Any) -> None:
        """Notes that Dynamo has a class in its hands, which it found in this place."""
        if cls is self.owner:
            self.owner = None
        elif isinstance(cls, type) and issubclass(cls, enum.Enum):
            name = getattr(source, "global_name", None) or getattr(source, "member", None)
            self._names.setdefault(cls, set()).add(name if isinstance(name, str) else "")

    def traced(self, code: types.CodeType) -> None:
        """Notes a code of the program that Dynamo went through."""
        self._codes.append(code)

    def read_by_member(self, cls: type) -> bool:
        """Returns whether the program went from each of the names of an enum to a member at once, and nowhere else."""
        names, found = self._names.get(cls, set()), set[str]()
        members: Any = vars(cls).get("_member_map_", ())
        for code in self._codes if names else ():
            if names.isdisjoint((*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars)):
                continue
            instructions = list(dis.get_instructions(code))
            for this, following in zip(instructions, [*instructions[1:], None], strict=True):
                fused = "FAST" in this.opname and isinstance(this.argval, tuple)  # two variables at once, since 3.13
                read = this.argval if fused else (this.argval,)
                if isinstance(read[0], str) and not names.isdisjoint(read):
                    if fused or following is None or following.opname != "LOAD_ATTR" or following.argval not in members:
                        return False
                    found.add(this.argval)
        finds_any = any(not BY_ANY_NAME.isdisjoint(code.co_names) for code in self._codes)
        return names == found and not (names and finds_any)

"""Code objects as data."""

from __future__ import annotations

import types
import weakref
from typing import Any, ClassVar

from ... import _core
from ...errors import InvalidArgumentError


class SerializedCode:
    """A code object as data that lasts: every `co_*` field of CPython, nested code in `co_consts` as SerializedCode.

    Equal when every field is, wherever the file lies: what was compiled has the last part of its name alone. It holds the
    core's own object, which a package writes as it is.
    """

    __slots__ = ("__weakref__", "_code", "core")
    core: _core.CodeObject
    _known: ClassVar[dict[int, tuple[weakref.ref[types.CodeType], SerializedCode]]] = {}

    def __init__(self, **fields: Any) -> None:
        """From all `co_*` fields, as keywords. Raises InvalidArgumentError for a field that is missing or unknown."""
        named = {name.removeprefix("co_"): value for name, value in fields.items()}
        try:
            if isinstance(consts := named.get("consts"), tuple):
                named["consts"] = tuple(c.core if isinstance(c, SerializedCode) else c for c in consts)
            self.core = _core.CodeObject.from_fields(named)
        except (KeyError, TypeError) as error:
            raise InvalidArgumentError(f"SerializedCode: {error}") from error
        self._code: types.CodeType | None = None

    @classmethod
    def of(cls, core: _core.CodeObject) -> SerializedCode:
        """The same code object of the core, under this class."""
        made = cls.__new__(cls)
        made.core = core
        made._code = None
        return made

    @classmethod
    def from_code_object(cls, code: types.CodeType) -> SerializedCode:
        """Memoised: one code object gives one and the same result. TypeError for anything else than a code object."""
        if not isinstance(code, types.CodeType):
            raise TypeError(f"a code object is expected, not {type(code).__name__}")
        known = cls._known.get(id(code))
        if known is not None and known[0]() is code:
            return known[1]
        made = cls.of(_core.CodeObject.from_code(code))
        key = id(code)
        cls._known[key] = weakref.ref(code, lambda _: cls._known.pop(key, None)), made
        return made

    @classmethod
    def to_code_object(cls, serialized_code: SerializedCode) -> types.CodeType:
        """A code object with these fields; memoised. TypeError for anything else than a SerializedCode."""
        if not isinstance(serialized_code, SerializedCode):
            raise TypeError(f"a SerializedCode is expected, not {type(serialized_code).__name__}")
        if serialized_code._code is None:
            serialized_code._code = serialized_code.core.to_code()
        return serialized_code._code

    def __getattr__(self, name: str) -> Any:
        if name.startswith("co_"):
            fields = self.core.fields
            if name == "co_consts":
                return tuple(SerializedCode.of(c) if isinstance(c, _core.CodeObject) else c for c in fields["consts"])
            if name.removeprefix("co_") in fields:
                return fields[name.removeprefix("co_")]
            if name == "co_lnotab":
                return None  # of Pythons before 3.10
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SerializedCode):
            return NotImplemented
        return self.core.without_directories() == other.core.without_directories()

    def __hash__(self) -> int:
        return hash(self.core.without_directories())

    def __repr__(self) -> str:
        return f"<SerializedCode {self.co_qualname}, {self.co_filename}:{self.co_firstlineno}>"

    def __reduce__(self) -> Any:
        return _from_fields, ({f"co_{name}": getattr(self, f"co_{name}") for name in self.core.fields},)


def _from_fields(fields: dict[str, Any]) -> SerializedCode:
    return SerializedCode(**fields)

"""Values that Dynamo reads without the guard that it would have made elsewhere: what of them is compared instead."""

from __future__ import annotations

import types
from typing import Any

from ...errors import NotPortableError
from .expressions import Expression, parse

# Guards that Dynamo leaves out for the standard library, by what they would have said: of these the exact python build says
# enough, because they are about functions, classes and modules.
BY_BUILD = frozenset(
    [
        *("BUILTIN_MATCH", "CLASS_MATCH", "CLOSURE_MATCH", "DUPLICATE_INPUT", "FUNCTION_MATCH", "HASATTR", "ID_MATCH"),
        *("MODULE_MATCH", "NN_MODULE", "NOT_PRESENT_IN_GENERIC_DICT", "TYPE_MATCH"),
    ]
)
OF_CONTENT = frozenset(["DICT_CONTAINS", "DICT_NOT_CONTAINS", "SET_CONTAINS", "SET_NOT_CONTAINS"])


def compared(kind: str, source: str, value: Any) -> tuple[Expression, Any] | None:
    """Returns an expression and what it must give for the guard of this kind to hold; None where nothing is to be compared."""
    expression = parse(source)
    if kind == "SEQUENCE_LENGTH" and isinstance(value, dict):
        return None  # a registry may have grown: what is looked up in it is a premise of its own
    if kind == "SEQUENCE_LENGTH":
        return ("call", ("name", "len"), expression), len(value)
    if kind in ("DICT_KEYS_MATCH", "MAPPING_KEYS_CHECK"):
        return ("call", ("name", "list"), expression), list(value)
    if kind not in ("BOOL_MATCH", "CONSTANT_MATCH", "EQUALS_MATCH", "NONE_MATCH"):
        raise NotPortableError(f"{source} is read and not guarded ({kind})")
    return None if isinstance(value, types.CodeType) else (expression, value)

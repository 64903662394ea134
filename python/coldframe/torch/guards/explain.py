"""Texts of what a guard found in place of what it wants: a miss is explained by what was recorded and what is there now."""

from __future__ import annotations

import ast
import reprlib
from collections.abc import Mapping
from typing import Any

_SHOWN = (bool, int, float, complex, str, bytes, type, type(None), tuple, list, dict, set, frozenset)
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60


def with_present(text: str, frame_locals: Mapping[str, Any], namespace: Mapping[str, Any]) -> str:
    """The text of a guard, as torch gives it (an expression and, after `#`, whence it comes), with what is there now. Only
    what the guard looks at is looked at; a text that is no such expression stays as it is."""
    code, _, origin = text.partition("  #")
    try:
        expression = code.partition(", type=<class")[0].strip()  # a guard on a type says, too, which
        found = _present(ast.parse(expression, mode="eval").body, {"L": frame_locals, "G": namespace})
    except Exception:  # of the program's own objects, or where something is gone
        found = None
    present = f" (here: {found})" if found is not None else ""
    return f"{code.strip()}{present}" + (f"  # {origin.strip()}" if origin else "")


def _present(guard: ast.expr, scope: Mapping[str, Any]) -> str | None:
    if isinstance(guard, ast.UnaryOp):
        return _present(guard.operand, scope) or _shown(_value(guard.operand, scope))
    if isinstance(guard, ast.Compare):
        return _shown(_value(guard.left, scope))
    if isinstance(guard, ast.Call) and isinstance(guard.func, ast.Name):
        if guard.func.id == "___check_type_id":
            return _name(type(_value(guard.args[0], scope)))
        if guard.func.id == "___check_obj_id":
            return _shown(_value(guard.args[0], scope))
        if guard.func.id == "___dict_contains":
            return _shown(list(_value(guard.args[1], scope)))
    return None


def _value(expression: ast.expr, scope: Mapping[str, Any]) -> Any:
    match expression:
        case ast.Name(id=name):
            return scope[name]
        case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
            return _value(owner, scope)[key]
        case ast.Attribute(value=owner, attr=name):
            return getattr(_value(owner, scope), name)
        case ast.Call(func=ast.Name(id="len"), args=[owner]):
            return len(_value(owner, scope))
        case ast.Call(func=ast.Name(id="type"), args=[owner]):
            return type(_value(owner, scope))
    raise ValueError(ast.dump(expression))


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return _name(value)
    return _repr.repr(value) if type(value) in _SHOWN else f"a {_name(type(value))}"


def _name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"

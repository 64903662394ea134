"""Reading functions: their closures, the globals they use, their code under a name without a path of this machine."""

from __future__ import annotations

import dis
import types
from typing import Any


def cells(function: Any) -> dict[str, Any]:
    """The closure of a function by name; cells that are still empty are left out."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def global_names(code: types.CodeType) -> set[str]:
    """Every name that the code, or code nested in it, reads as a global."""
    names = {
        instruction.argval for instruction in dis.get_instructions(code) if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= global_names(constant)
    return names


def read_globals(function: types.FunctionType) -> dict[str, Any]:
    """The globals that a function reads, without the builtins."""
    names = global_names(function.__code__)
    return {name: value for name, value in function.__globals__.items() if name in names and name != "__builtins__"}


def portable_code(code: types.CodeType, filename: str) -> types.CodeType:
    constants = tuple(portable_code(item, filename) if isinstance(item, types.CodeType) else item for item in code.co_consts)
    return code.replace(co_filename=filename, co_consts=constants)


def describe(target: Any) -> str:
    described = target if hasattr(target, "__qualname__") else type(target)
    return f"{described.__module__}.{described.__qualname__}"

"""Names of ours for the globals that Dynamo generates.

torch names them from per-process counters, addresses and random ids (`__builtins_dict___0`, `__resume_at_70_3`,
`___module_collections_94316_c0`, `__compiled_fn_1_<uuid>`). Under those names two packages, or a package and the next
compilation, collide. Here each becomes a name derived from what it stands for, the same everywhere: in bytecode, guards and
recipes.
"""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Mapping
from typing import Any

from ... import _core
from ...errors import NotPortableError
from ..guards import operands


def global_recipe(name: str, value: Any) -> Any:
    """Returns the recipe that makes the value of a generated global again. NotPortableError when there is none."""
    import builtins

    if value is vars(builtins):
        return {"builtins": True}
    if isinstance(value, (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType)):
        original = getattr(value, "_torchdynamo_orig_callable", value)
        if getattr(original, "__qualname__", "").startswith("_get_gen_rand_values_fn."):
            return _random_recipe(original)
        return {"object": operands.reference(value)}
    try:
        return {"value": _core.portable(value)}
    except NotPortableError as error:
        raise NotPortableError(f"global {name!r} that the compiled code reads: {error}") from error


def _random_recipe(function: Any) -> Any:
    # Dynamo draws the program's random numbers before the graph, from the generator of the module `random`.
    free = dict(zip(function.__code__.co_freevars, (c.cell_contents for c in function.__closure__), strict=True))
    for call, _, _ in free["random_calls"]:
        if getattr(random, call.__name__, None) != call:
            raise NotPortableError("random numbers drawn from a generator object of the program")
    return {"random_calls": [(call.__name__, tuple(args), dict(kwargs)) for call, args, kwargs in free["random_calls"]]}


def referenced_names(code: types.CodeType, program: _core.GuardProgram) -> set[str]:
    """The global names that dynamo code, nested code included, and its guards read."""
    names = program.global_names()
    stack = [code]
    while stack:
        current = stack.pop()
        names.update(current.co_names)
        stack.extend(const for const in current.co_consts if isinstance(const, types.CodeType))
    return names


def rename_code(code: types.CodeType, names: Mapping[str, str]) -> _core.CodeObject:
    """`code` with its generated names replaced, nested code included, as a package has it."""
    return _core.CodeObject.portable(_portable(code)).renamed(names)


def _portable(code: types.CodeType) -> types.CodeType:
    # Where the program makes functions, Dynamo's code has the dictionary of their globals as a constant.
    consts: list[Any] = []
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            const = _portable(const)
        elif isinstance(const, dict) and isinstance(const.get("__name__"), str):
            module = sys.modules.get(const["__name__"])
            if module is None or vars(module) is not const:
                raise NotPortableError("the compiled code makes functions over globals that belong to no imported module")
            const = _core.Construct(_core.ImportRef("builtins", "vars"), (_core.ImportRef(const["__name__"]),))
        consts.append(const)
    unchanged = all(new is old for new, old in zip(consts, code.co_consts, strict=True))
    return code if unchanged else code.replace(co_consts=tuple(consts))

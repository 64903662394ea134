"""Names of ours for the globals that Dynamo generates.

torch names them from per-process counters, addresses and random ids (`__builtins_dict___0`, `__resume_at_70_3`,
`___module_collections_94316_c0`, `__compiled_fn_1_<uuid>`). Under those names two packages, or a package and the next
compilation, collide. Here each becomes a name derived from what it stands for, the same everywhere: in bytecode, guards and
recipes.
"""

from __future__ import annotations

import dis
import random
import re
import sys
import types
from collections.abc import Mapping
from typing import Any

from ... import _core
from ...errors import NotPortableError
from ..guards import operands, premises

_PREMISE_EXPRESSIONS = ("contained", "distinct", "hookless", "orders", "values")
_GENERATED_TEXT = re.compile(r"__\w+")


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
    names: set[str] = set()
    stack = [code]
    while stack:
        current = stack.pop()
        names.update(current.co_names)
        stack.extend(const for const in current.co_consts if isinstance(const, types.CodeType))
    globals_nodes = set()
    for op in program.ops:
        if op.kind == "globals_dict":
            globals_nodes.add(op.result)
        elif (op.kind == "dict_getitem" and op.inputs[0] in globals_nodes) or op.kind == "global_weakref":
            names.add(op.operands[0])
        elif op.kind == "expression":
            names.update(_expression_names(op.operands[0]))
        elif op.kind == "named_check" and op.operands[0] == premises.NAME:
            for part in _PREMISE_EXPRESSIONS:
                names.update(_expression_names(op.operands[1][0].get(part, ())))
    return names


def _expression_names(expression: Any) -> set[str]:
    match expression:
        case ("item", ("name", "G"), ("const", str(name))):
            return {name}
        case tuple():
            return set().union(*(_expression_names(part) for part in expression))
    return set()


def loaded_globals(code: types.CodeType) -> set[str]:
    """The names that LOAD_GLOBAL reads in `code` and the code nested in it."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            names |= loaded_globals(const)
    return names


def rename_code(code: types.CodeType, names: Mapping[str, str]) -> _core.CodeObject:
    """`code` with its generated names replaced, nested code included, as a package has it."""
    return _rename(_core.CodeObject.portable(_portable(code)), names)


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


def _rename(code: _core.CodeObject, names: Mapping[str, str]) -> _core.CodeObject:
    fields = code.fields
    consts = tuple(_rename(c, names) if isinstance(c, _core.CodeObject) else c for c in fields["consts"])
    return code.replace(names=tuple(names.get(n, n) for n in fields["names"]), consts=consts)


def rename_text(text: str, names: Mapping[str, str]) -> str:
    return _GENERATED_TEXT.sub(lambda match: names.get(match[0], match[0]), text) if "__" in text else text


def rename_program(program: _core.GuardProgram, names: Mapping[str, str]) -> _core.GuardProgram:
    """`program` with its generated names replaced, in operands and in texts."""
    renamed = _core.GuardProgram()
    globals_nodes: set[int | None] = set()
    for op in program.ops:
        values = op.operands
        if op.kind == "globals_dict":
            globals_nodes.add(op.result)
        elif (op.kind == "dict_getitem" and op.inputs[0] in globals_nodes) or op.kind == "global_weakref":
            values = (names.get(values[0], values[0]),)
        elif op.kind == "expression":
            values = (_rename_expression(values[0], names),)
        elif op.kind == "named_check" and values[0] == premises.NAME:
            checks = values[1][0]
            renamed_parts = {part: _rename_expression(checks[part], names) for part in _PREMISE_EXPRESSIONS if part in checks}
            values = (values[0], ({**checks, **renamed_parts},))
        texts = [rename_text(text, names) for text in op.explanations]
        renamed.add(op.kind, op.inputs, values, rename_text(op.source, names), texts, op.example)
    return renamed


def _rename_expression(expression: Any, names: Mapping[str, str]) -> Any:
    match expression:
        case ("item", ("name", "G"), ("const", str(name))):
            return ("item", ("name", "G"), ("const", names.get(name, name)))
        case tuple():
            return tuple(_rename_expression(part, names) for part in expression)
    return expression

"""Sets in whose order code that ran while a frame was compiled may have gone through them: hashes decide it, and the hashes of
texts the seed of the process."""

from __future__ import annotations

import dis
import itertools
import sys
import types
from collections.abc import Iterable, Iterator, Set

from ..fingerprint import sharing
from ..guards.premises import Premises

_SEED = "a text"  # whose hash says which seed the process has
_READS = frozenset(["LOAD_GLOBAL", "LOAD_NAME"])
_ATTRIBUTES = frozenset(["LOAD_ATTR", "LOAD_METHOD"])
_CALLS = frozenset(["CALL", "CALL_FUNCTION", "PRECALL"])
_VARIABLES = frozenset(["LOAD_CLASSDEREF", "LOAD_CLOSURE", "LOAD_DEREF", "LOAD_FAST", "LOAD_FAST_CHECK"])
# What these give of a set, or of a set that they are given, does not depend on its order, where they are not the program's own.
_BUILTINS_WITHOUT_ORDER = frozenset(["all", "any", "bool", "isinstance", "len", "max", "min", "sorted", "type"])
_METHODS_WITHOUT_ORDER = frozenset(["__contains__", "isdisjoint", "issubset", "issuperset"])
_OPERATIONS_WITHOUT_ORDER = frozenset(["COMPARE_OP", "CONTAINS_OP", "IS_OP", "TO_BOOL", "UNARY_NOT"])
# By what code goes through something, or shows it.
_GOES_THROUGH = frozenset(["FOR_ITER", "LIST_EXTEND", "SET_UPDATE", "UNPACK_EX", "UNPACK_SEQUENCE"])
_NAMES_THAT_GO_THROUGH = frozenset(
    [
        *("chain", "deque", "dict", "enumerate", "extend", "filter", "format", "fromkeys", "iter", "join", "list", "map"),
        *("next", "pop", "popitem", "print", "reduce", "repr", "str", "sum", "tuple", "zip"),
    ]
)
_MAKE = frozenset(["frozenset", "set"])
_METHODS_THAT_MAKE = frozenset(["difference", "intersection", "symmetric_difference", "union"])


def add_to(premises: Premises, places: Iterable[sharing.Place]) -> None:
    """Adds what decides the order of sets that the code may have gone through: those within what lies at these places, its
    constants, and those that it made."""
    codes = premises.executed_codes()
    for code in codes:
        for items in _constants(code):
            premises.iterated(items)
    builtins = _BUILTINS_WITHOUT_ORDER.difference(*(vars(sys.modules[name]) for name in premises.modules))
    names = {name for code in codes for name in _gone_through(code, builtins)}
    is_any_gone_through = any(map(_goes_through_anything, codes))
    for name, items in sharing.sets_in(places):
        if len(items) > 1 and (name in names if name else is_any_gone_through):
            premises.iterated(items)
    if is_any_gone_through and any(_makes(code, builtins) for code in codes):
        premises.iterated([_SEED])


def _constants(code: types.CodeType) -> Iterator[Set[object]]:
    for instruction, following in itertools.pairwise(dis.get_instructions(code)):
        is_set = instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, frozenset)
        if is_set and following.opname != "CONTAINS_OP":
            yield instruction.argval


def _gone_through(code: types.CodeType, builtins: Set[str]) -> Iterator[str]:
    """Names of which a code does more with what they lead to than to look things up in it."""
    for instruction, following, is_given in _instructions(code, builtins):
        looks_up = (
            following.opname in _OPERATIONS_WITHOUT_ORDER
            or (following.opname in _ATTRIBUTES and following.argval in _METHODS_WITHOUT_ORDER)
            or (following.opname in _CALLS and is_given)
        )
        if instruction.opname in _READS | _ATTRIBUTES | _VARIABLES and not looks_up:
            yield instruction.argval
        elif isinstance(instruction.argval, tuple) and "FAST" in instruction.opname:  # two variables at once, since 3.13
            yield from map(str, instruction.argval)


def _goes_through_anything(code: types.CodeType) -> bool:
    return not _NAMES_THAT_GO_THROUGH.isdisjoint(code.co_names) or any(
        each.opname in _GOES_THROUGH for each in dis.get_instructions(code)
    )


def _makes(code: types.CodeType, builtins: Set[str]) -> bool:
    """Returns whether a code makes a set and does more with it than to look things up in it."""
    if not _METHODS_THAT_MAKE.isdisjoint(code.co_names):
        return True
    instructions = list(dis.get_instructions(code))
    for number, (instruction, before) in enumerate(zip(instructions, [None, *instructions], strict=False)):
        if instruction.opname == "BUILD_SET" and instruction.argval == 0:
            continue  # of constants, or of what SET_ADD fills
        if instruction.opname in ("BUILD_SET", "SET_ADD"):
            rest = instructions[number + 1 :]
        elif instruction.opname in _READS and instruction.argval in _MAKE and (instruction.arg or 0) & 1:
            rest = _behind_call(instructions[number:])
        else:
            continue
        is_given = before is not None and before.opname in _READS and before.argval in builtins
        following = rest[0].opname if rest else ""
        if not (following in _OPERATIONS_WITHOUT_ORDER or "JUMP_IF" in following or (following in _CALLS and is_given)):
            return True
    return False


def _behind_call(instructions: list[dis.Instruction]) -> list[dis.Instruction]:
    """Those that follow the call of what the first one reads."""
    depth = 0
    for number, each in enumerate(instructions):
        depth += dis.stack_effect(each.opcode, each.arg, jump=False)
        if number and depth <= 1 and each.opname in _CALLS:
            return instructions[number + 1 :]
    return []


def _instructions(code: types.CodeType, builtins: Set[str]) -> Iterator[tuple[dis.Instruction, dis.Instruction, bool]]:
    """Each instruction with the next one, and whether what it reads, or attributes of it, is given to what has no use for its
    order, one of these builtins say."""
    is_given = is_of_given = False
    for instruction, following in itertools.pairwise(dis.get_instructions(code)):
        is_attribute = instruction.opname in _ATTRIBUTES
        is_of_given = is_of_given if is_attribute else is_given
        yield instruction, following, is_of_given
        orderless = _METHODS_WITHOUT_ORDER if is_attribute else builtins
        is_given = (is_attribute or instruction.opname in _READS) and instruction.argval in orderless

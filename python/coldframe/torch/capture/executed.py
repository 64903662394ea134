"""The program's own functions that run while a frame is compiled, and what they depend on.

Dynamo tells which code it has traced. Beside that the program's code runs: functions that are allowed in a graph, the rules of
operators, the dispatch of tensor subclasses, passes given to the compiler. Whoever calls it, each function that is heard is a
source; what it holds and what it reads of globals becomes a premise, or the reason why the entry cannot be kept.
"""

from __future__ import annotations

import builtins
import collections
import dis
import functools
import importlib.util
import inspect
import itertools
import operator
import os
import re
import sys
import traceback
import types
from collections.abc import Iterable, Iterator, Sequence, Set

from ... import _core
from ...errors import NotPortableError
from ..fingerprint import chains, places, state
from ..fingerprint.sources import SourceSet, module_of
from ..guards import operands
from ..guards.lookups import BY_ANY_NAME
from ..guards.premises import Premises
from . import outside, reached

_MADE_WHEN_READ = "__annotations__"  # of any module
_UNKNOWABLE = frozenset(["__import__", "compile", "eval", "exec", "globals", "input", "open", "vars"])
_INTROSPECTION = frozenset(["ast", "dis", "inspect", "pydoc"])
_ASKS_INSIDE = frozenset([*state.OF_FUNCTIONS, "__dataclass_fields__", "fields", "get_type_hints"])
_OF_PROCESS = frozenset(
    [
        *("__globals__", "active_count", "cache_info", "f_globals", "f_locals", "locked"),
        *("__subclasses__", "current_thread", "findsource", "get_ident", "getEffectiveLevel", "getcomments", "getmodule"),
        *("getsource", "getsourcelines", "hasHandlers", "isEnabledFor", "main_thread"),
    ]
)
_KEPT_BY_CLASS = "__subclasshook__"  # its results are
_NAME = re.compile(r"[A-Za-z_][\w.-]*")  # of a module or distribution
_IDENTITIES = frozenset(["id", "is_", "is_not"])
_LOOKS_FOR = frozenset(["distribution", "find_loader", "find_spec"])  # modules
_READS = frozenset(["LOAD_GLOBAL", "LOAD_NAME"])
_ATTRIBUTES = frozenset(["LOAD_ATTR", "LOAD_METHOD"])
_WHEN_MADE = frozenset(["__call__", "__init__", "__new__", "__post_init__"])  # what runs without its name
_WRITES = frozenset(["STORE_GLOBAL", "DELETE_GLOBAL"])
_Read = tuple[str, chains.Chain, object]  # of a module's globals, with the value


# What says in which line code stands: attributes of code, frames and tracebacks, and what reads these.
_OF_LINES = {name for cls in (types.CodeType, types.FrameType, types.TracebackType) for name in vars(cls) if "line" in name}
_OF_LINES |= {
    *("co_lnotab", "co_positions", "extract_stack", "extract_tb", "getframeinfo", "getsourcelines", "lineno"),
    *("walk_stack", "walk_tb"),
}
_OF_FRAMES = {
    "dis": frozenset(["Bytecode", "findlinestarts", "get_instructions"]),
    "inspect": frozenset(["getframeinfo", "getinnerframes", "getlineno", "getouterframes", "stack", "trace"]),
    "traceback": frozenset(name for name in traceback.__all__ if not name.startswith("print")),
}


def asks_for_lines(code: types.CodeType) -> str:
    """Returns the first name in a code object that leads to line numbers, which are no part of what is compared of code."""
    return min(_OF_LINES & set(code.co_names), default="")


def add_to(
    premises: Premises, sources: SourceSet, functions: Sequence[types.FunctionType], traced: Iterable[types.CodeType]
) -> None:
    """Adds what was heard. What cannot be said of it becomes the failure of the premises."""
    for code in traced:
        premises.used_of_tensors(code.co_names)
        premises.decided(code.co_names)
        if places.is_of_program(code):
            premises.enums.traced(code)
        if places.is_of_program(code) and (asked := asks_for_lines(code)):
            premises.failure = f"{code.co_qualname}() asks where in its file it stands ({asked}), which no edit leaves as it is"
        if places.is_of_program(code) and not _LOOKS_FOR.isdisjoint(code.co_names):
            for name in _names_of_modules(code):
                premises.installed(name)
        if places.is_of_program(code) and "co_consts" in code.co_names:
            premises.failure = f"{code.co_qualname}() reads constants of code, which no guard compares as they are"
        if places.is_of_program(code) and (module := module_of(code.co_filename)) is not None:
            premises.inlined(module, code.co_qualname)
            try:
                premises.unshadowed(module, _builtins_of(code, vars(sys.modules[module])))
            except NotPortableError as error:
                premises.failure = f"{code.co_qualname}() uses a builtin: {error}"
    made_within = {id(inner) for function in functions for inner in _nested(function.__code__)}
    counts = collections.Counter(id(function.__code__) for function in functions)
    added: list[tuple[types.FunctionType, list[_Read]]] = []
    named = _names_in(functions)
    waiting, seen = list(functions), set[int]()
    skipped, otherwise = list[types.FunctionType](), list[types.FunctionType]()
    while waiting:
        for function in waiting:
            if id(function) in seen:
                continue
            seen.add(id(function))
            if function not in otherwise and _reads_modules(function, named):
                skipped.append(function)
                continue
            try:
                if counts[id(function.__code__)] >= _core.FUNCTIONS_OF_A_CODE and id(function.__code__) not in made_within:
                    raise NotPortableError("it was made anew too often")
                added.append((function, _add(premises, sources, function, id(function.__code__) in made_within)))
            except NotPortableError as error:
                premises.failure = f"{function.__qualname__}(), which ran while the frame was compiled: {error}"
                return
        found = _not_run(premises, added, {id(function) for function in functions})
        waiting = [function for function in found if id(function) not in seen and places.is_of_program(function.__code__)]
        if not waiting:
            waiting = [each for each in skipped if each not in otherwise and _is_called_otherwise(each, premises)]
            otherwise += waiting
            seen -= set(map(id, waiting))
    read = [each for _, of_function in added for each in of_function]
    _add_attributes(premises, added)
    premises.compares_identities = any(_compares_identities(function.__code__) for function, _ in added)
    premises.looks_up_any_name = any(_finds_any(function.__code__, [value for *_, value in read]) for function, read in added)
    try:
        _add_installed(premises, added)
    except NotPortableError as error:
        premises.failure = f"a module that was looked for while the frame was compiled: {error}"
    if any(_looks_inside(function.__code__, read) for function, read in added):
        inside = [(cls.__module__, (*cls.__qualname__.split("."), chains.INSIDE)) for cls in premises.classes()]
        for module, chain, value in read:
            if isinstance(value, types.FunctionType) and places.is_of_program(value.__code__):
                inside += [(module, (*chain, name)) for name in state.OF_FUNCTIONS]
            elif isinstance(vars(sys.modules[module]).get(chain[0]), type):
                inside.append((module, (chain[0], chains.INSIDE)))
        for each in premises.met.functions:
            place = each.__module__, each.__qualname__
            if (
                isinstance(each, types.FunctionType)
                and each in state.functions_under(*place)
                and places.is_of_program(each.__code__)
            ):
                inside += [(place[0], (*place[1].split("."), name)) for name in state.OF_FUNCTIONS]
        for module, chain in inside:
            try:
                for name in _named_in_annotations(premises.read(module, chain)) & vars(sys.modules[module]).keys():
                    premises.read(module, (name,))
            except (KeyError, NotPortableError) as error:
                premises.failure = f"{'.'.join(chain[:-1])} was looked into while the frame was compiled: {error}"


def _compares_identities(code: types.CodeType) -> bool:
    """Returns whether a code may ask which object one is, constants apart."""
    if not _IDENTITIES.isdisjoint(code.co_names):
        return True
    pairs = itertools.pairwise(dis.get_instructions(code))
    return any(second.opname == "IS_OP" and first.opname != "LOAD_CONST" for first, second in pairs)


def _named_in_annotations(inside: object) -> Set[str]:
    """Names in texts that stand for annotations, which typing.get_type_hints looks up: in annotations of a function, or those
    that chains.INSIDE gives of a class."""
    tables = [inside, *(each for each in inside.values() if isinstance(each, dict))] if isinstance(inside, dict) else []
    texts = (each for table in tables for name, each in table.items() if isinstance(each, str) and not name.endswith("__doc__"))
    return {name for text in texts for name in re.findall(r"[A-Za-z_]\w*", text)}


def _finds_any(code: types.CodeType, read: Iterable[object]) -> bool:
    """Returns whether a code may look up attributes by names that do not stand in it."""
    named = not BY_ANY_NAME.isdisjoint(code.co_names)
    lookers = (each for each in read if isinstance(each, (types.BuiltinFunctionType, types.FunctionType, type)))
    return (
        named
        or any(each.__name__ in BY_ANY_NAME for each in lookers)
        or any(isinstance(each, operator.attrgetter) for each in read)
    )


def _add_attributes(premises: Premises, added: Iterable[tuple[types.FunctionType, list[_Read]]]) -> None:
    """Attributes of functions that the code has read, and of methods of classes that it met, under names that stand in it."""
    names: set[str] = set()
    for function, read in added:
        code = function.__code__
        names.update(code.co_names)
        if not BY_ANY_NAME.isdisjoint(code.co_names):
            names.update(const for const in code.co_consts if isinstance(const, str))
        for module, _, value in read:
            for each in state.functions_within(value):
                premises.attributes.met(state.name_of(each, module))
    premises.attributes.asked(names)
    for cls in premises.classes() if names else ():
        for name in names & vars(cls).keys():
            if any(places.is_of_program(each.__code__) for each in state.functions_of(vars(cls)[name])):
                premises.attributes.met((cls.__module__, f"{cls.__qualname__}.{name}"))


def _add_installed(premises: Premises, added: Iterable[tuple[types.FunctionType, list[_Read]]]) -> None:
    """The modules or distributions that functions look for: those that they, or what calls them, may mean."""
    looking: set[int] = set()
    before = -1
    while before < len(looking):
        before = len(looking)
        for function, read in added:
            called = {id(each) for *_, value in read for each in state.functions_of(value)}
            if not looking.isdisjoint(called) or any(_is_of_importlib(value) for *_, value in read):
                looking.add(id(function))
    codes = [function.__code__ for function, _ in added if id(function) in looking]
    names = {name for code in codes for name in _names_of_modules(code)}
    if codes and not names:
        premises.failure = f"{codes[0].co_qualname}(), which ran while the frame was compiled, looks for modules"
    for name in names:
        premises.installed(name)
        module = sys.modules.get(name)
        if module is not None and reached.is_of_program(module):
            for attribute in {each for code in codes for each in code.co_names} & vars(module).keys():
                premises.read(name, (attribute,))


def _names_of_modules(code: types.CodeType) -> Iterator[str]:
    """Constants of a code that can be names of modules."""
    return (const for const in code.co_consts if isinstance(const, str) and _NAME.fullmatch(const))


def _is_of_importlib(value: object) -> bool:
    name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return str(name).partition(".")[0] == "importlib"


def _looks_inside(code: types.CodeType, read: Iterable[_Read]) -> bool:
    """Returns whether a code may ask what functions and classes are like, without running them."""
    names = {*code.co_names, *(const for const in code.co_consts if isinstance(const, str))}
    if not names.isdisjoint(_ASKS_INSIDE):
        return True
    modules = (
        value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None) for *_, value in read
    )
    return not _INTROSPECTION.isdisjoint(map(str, modules))


def _not_run(
    premises: Premises, added: Iterable[tuple[types.FunctionType, list[_Read]]], heard: Set[int]
) -> Iterator[types.FunctionType]:
    """Functions that count although they need not have run, because what they gave was kept, or what calls them gave."""
    members = collections.defaultdict[str, list[object]](list)
    for cls in premises.classes():
        for name, member in vars(cls).items():
            members[name].append(member)
    for function, read in added:
        ran = id(function) in heard
        made = () if ran else [cls for *_, cls in read if isinstance(cls, type)]
        for hook in members.get(_KEPT_BY_CLASS, ()):
            yield from state.functions_of(hook)
        for cls in made:
            for name in _WHEN_MADE:
                yield from state.functions_of(inspect.getattr_static(cls, name, None))
        for value in (
            *(value for *_, value in read),
            *(member for name in function.__code__.co_names for member in members.get(name, ())),
        ):
            premises.met.note(value)
            if isinstance(value, functools.cached_property) or not ran:
                yield from state.functions_of(value)
    for kept in list(premises.met.cached.values()):
        yield from state.functions_of(kept) if kept.cache_info().currsize else ()


def _add(premises: Premises, sources: SourceSet, function: types.FunctionType, made_within: bool) -> list[_Read]:
    """Returns what the function reads of globals."""
    code, module = function.__code__, operands.globals_module(function)
    if module is None:
        raise NotPortableError("its globals belong to no imported module")
    found = state.name_of(function, module)
    if not sources.add_executed(code, found == (module, code.co_qualname)) and found is None:
        raise NotPortableError(f"{os.path.basename(code.co_filename)!r} is the file of no imported module")
    premises.executed(function, module)
    premises.used_of_tensors(code.co_names)
    premises.decided(code.co_names)
    if asked := asks_for_lines(code):
        raise NotPortableError(f"it asks where in its file it stands ({asked}), which no edit leaves as it is")
    if found is not None:
        premises.holding(function, *found)  # its code, too
    elif not made_within and state.holds(function):
        raise NotPortableError("it has defaults or a closure, and no name leads to it")
    if calls := _OF_PROCESS & set(code.co_names):
        raise NotPortableError(f"it calls {min(calls)}(), which more than what it reads decides")
    read = [(module, chain, _add_read(premises, function, module, chain)) for chain in _chains(code)]
    for name in _imports(code, function.__globals__):
        if (imported := sys.modules.get(name)) is None:
            premises.installed(name)
            continue
        outside.check(imported)
        premises.met.note(imported)
        for attribute in reached.attributes(imported, code.co_names):
            read.append((name, (attribute,), premises.read(name, (attribute,))))
        if reached.is_of_program(imported):
            premises.missing(name, (each for each in code.co_names if state.lacks(name, each)))
    named_anyhow = not BY_ANY_NAME.isdisjoint(code.co_names)
    for *_, value in list(read):
        for each in state.functions_within(value):
            for attribute in vars(each) if named_anyhow else vars(each).keys() & set(code.co_names):
                if each not in state.functions_under(each.__module__, each.__qualname__):
                    raise NotPortableError(f"it reads {attribute!r} of a function to which no name leads")
                place = each.__module__, (*each.__qualname__.split("."), attribute)
                read.append((*place, premises.read(*place)))
        if getattr(value, "__name__", "") in _OF_FRAMES.get(str(getattr(value, "__module__", None)), ()):
            raise NotPortableError(f"it calls {value!r}, which says where in its file it stands")
    if {"co_consts", "f_code"} <= set(code.co_names):
        raise NotPortableError("it reads constants of the code that runs, among them its documentation")
    return read


def _add_read(premises: Premises, function: types.FunctionType, module: str, chain: chains.Chain) -> object:
    namespace = function.__globals__
    name = chain[0]
    if name not in namespace:
        if name in _UNKNOWABLE:
            raise NotPortableError(f"it calls {name}()")
        if name == "hash" and function.__name__ != "__hash__":  # what finds a key in a dict may differ
            premises.iterated([name])
        premises.unshadowed(module, [name])
        return None
    value = namespace[name]
    for attribute in (*chain[1:], ""):
        outside.check_value(value)
        if not isinstance(value, types.ModuleType):
            break
        if attribute and not hasattr(value, attribute) and reached.is_of_program(value):
            raise NotPortableError(f"module {value.__name__!r} has no {attribute!r}")
        value = getattr(value, attribute, None)
    if isinstance(value, types.BuiltinFunctionType) and value.__name__ in _UNKNOWABLE:
        raise NotPortableError(f"it calls {value.__name__}()")
    return premises.read(module, chain)


def _reads_modules(function: types.FunctionType, named: Set[str]) -> bool:
    """Returns whether it is how attributes of a module are read: what is read counts by its value, however it is found. Methods
    of modules whose names stand in other code are not."""
    module, qualname = operands.globals_module(function), function.__qualname__
    if module is None:
        return False
    name = function.__name__
    is_special = name.startswith("__") and name.endswith("__") and not name.endswith("attr__")  # it runs without its name
    return qualname in ("__getattr__", "__dir__") or (
        name not in named
        and not (is_special and name not in ("__dir__", "__getattribute__"))
        and any(issubclass(cls, types.ModuleType) for cls in state.owners(module, qualname))
    )


def _is_called_otherwise(function: types.FunctionType, premises: Premises) -> bool:
    """Returns whether code may have called how attributes of a module are read, or a method of one, as another function."""
    classes = (cls for cls in premises.classes() if not issubclass(cls, types.ModuleType))
    held = function in premises.met.functions or function.__name__ in premises.met.names
    return held or any(vars(cls).get(function.__name__) is function for cls in classes)


def _names_in(functions: Iterable[types.FunctionType]) -> Set[str]:
    """Returns the names that stand in those of these functions that are not how attributes of a module are read."""
    left, names = list(functions), set[str]()
    while counting := [function for function in left if not _reads_modules(function, names)]:
        left = [function for function in left if function not in counting]
        names.update(name for function in counting for name in function.__code__.co_names)
    return names


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield const
            yield from _nested(const)


def _chains(code: types.CodeType) -> Iterator[chains.Chain]:
    """The globals that a code reads, each with the attributes that it reads of it at once."""
    chain: list[str] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname in _WRITES:
            raise NotPortableError(f"it changes the global {instruction.argval!r}")
        if chain and instruction.opname in _ATTRIBUTES:
            chain.append(instruction.argval)
            continue
        if chain:
            yield tuple(chain)
        chain = [instruction.argval] if instruction.opname in _READS else []


def _imports(code: types.CodeType, namespace: dict[str, object]) -> Iterator[str]:
    """Names of the modules that a code imports when it runs, or tries to."""
    instructions = list(dis.get_instructions(code))
    for level, _, instruction in zip(instructions, instructions[1:], instructions[2:], strict=False):
        if instruction.opname == "IMPORT_NAME":
            name = "." * level.argval + instruction.argval
            absolute = importlib.util.resolve_name(name, str(namespace.get("__package__") or "")) if level.argval else name
            yield absolute


def _builtins_of(code: types.CodeType, namespace: dict[str, object]) -> list[str]:
    """Names of builtins in a code; some may be of attributes only."""
    return [name for name in code.co_names if name not in namespace and name in vars(builtins) and name != _MADE_WHEN_READ]

"""Modules, loggers and functions that code which ran while a frame was compiled got hold of otherwise than by the name of a
global: from tables and closures, as defaults, from classes and objects.

No code says which attributes of them it reads: each counts that has a name which stands in any of the code.
"""

from __future__ import annotations

import contextlib
import dis
import logging
import sys
import types
import warnings
from collections.abc import Iterable, Mapping, Sequence

from ...errors import NotPortableError
from ..fingerprint import builds, chains, places, state
from ..guards import constant_calls, registrations
from ..guards.lookups import names_in
from ..guards.premises import Premises
from . import outside

_PATTERNS = {"MATCH_MAPPING": Mapping, "MATCH_SEQUENCE": Sequence}  # whose registered classes match
_GETATTR = "__getattr__"
_SAID = frozenset(["_cache", "name"])  # attributes of a logger that are as its name says


def is_of_program(module: types.ModuleType) -> bool:
    of_file = places.is_of_program_file(getattr(module, "__file__", None) or "<")
    return of_file and not builds.is_of_build(module.__name__)  # torch.ops has names of files that are none


def attributes(module: types.ModuleType, names: Iterable[str]) -> set[str]:
    """Returns those of these names that are attributes of a module, but for what every module has."""
    of_classes = (name for cls in type(module).__mro__ if not issubclass(types.ModuleType, cls) for name in vars(cls))
    own = {*vars(module), *of_classes}
    names = {name for name in names if not hasattr(types.ModuleType, name)}
    given = names - own if _GETATTR in own and is_of_program(module) else set[str]()
    return names & own | {name for name in given if _gives(module, name)}


def _gives(module: types.ModuleType, name: str) -> bool:
    with contextlib.suppress(Exception):  # of what is imported when it is asked for
        return hasattr(module, name)
    return False


def add_to(premises: Premises) -> None:
    """Adds what the code may have read so. What another process cannot compare becomes the failure of the premises."""
    try:
        if premises.failure is None:
            _add(premises)
    except NotPortableError as error:
        premises.failure = f"what ran while the frame was compiled: {error}"


def _add(premises: Premises) -> None:
    codes, met = premises.executed_codes(), premises.met
    names = {name for code in codes for name in names_in(code)}
    operations = {instruction.opname for code in codes for instruction in dis.get_instructions(code)}
    met.abstract.update(cls for name, cls in _PATTERNS.items() if name in operations)
    read: set[tuple[str, chains.Chain]] = set()
    while True:
        names |= met.names
        for cls in list(premises.classes()):
            for name in names & vars(cls).keys():
                with contextlib.suppress(NotPortableError):  # it is said of the class, where it is needed
                    state.describe(vars(cls)[name], met)
        places_of = [(each, *_place(each)) for each in met.modules]
        found = {(module, (*way, name)) for each, module, way in places_of for name in attributes(each, names)}
        if found <= read:
            break
        for place in sorted(found - read):
            _read(premises, *place)
        read |= found
    for module in met.modules:
        outside.check(module)
    for module in filter(is_of_program, met.modules):
        if premises.looks_up_any_name:
            raise NotPortableError(f"attributes of module {module.__name__!r} were looked up by names that are not to be seen")
        premises.missing(module.__name__, (name for name in names if state.lacks(module.__name__, name)))
    for function in list(met.functions):
        premises.asked_of_process(function)
    premises.reached(met.functions)
    asked = [constant_calls.warnings_raised] if warnings.warn in met.functions else []
    if any(str(each.__module__).partition(".")[0] == "numpy" for each in (*met, *met.functions)):
        asked += [sys.modules["numpy"].geterr, sys.modules["numpy"].get_printoptions]
    for function in asked:
        premises.called(function, (), {}, function())
    _add_registered(premises)
    for each in met.operators:
        premises.operators.update({name: registrations.of(name) for name in registrations.names_of(each)})
    loggers = [*met.loggers, *([logging.root] if logging.getLogger in met.functions else [])]
    for logger in loggers:
        if state_of := names & vars(logger).keys() - _SAID:
            raise NotPortableError(f"it asks for {min(state_of)!r}, of a logger perhaps, which each process has set up")


def _add_registered(premises: Premises) -> None:
    """Whoever may have registered the program's classes with abstract ones of the library or torch."""
    for cls in list(premises.classes()):
        for base in premises.met.abstract:
            with contextlib.suppress(TypeError):  # a protocol that nobody may ask
                premises.instance_checked(cls, (base,), issubclass(cls, base))


def _place(module: types.ModuleType) -> tuple[str, chains.Chain]:
    """The name under which a module, or one that it is an attribute of, is imported, and the attributes that lead on to it."""
    parts = module.__name__.split(".")
    for count in range(len(parts), 0, -1):
        value: object = sys.modules.get(top := ".".join(parts[:count]))
        for name in parts[count:]:
            value = getattr(value, name, None)
        if value is module:
            return top, tuple(parts[count:])
    raise NotPortableError(f"module {module.__name__!r} is not what is imported under this name")


def _read(premises: Premises, module: str, chain: chains.Chain) -> None:
    try:
        outside.check_value(premises.read(module, chain))
    except NotPortableError:
        if not builds.is_of_build(module):  # of torch's own and the library's, a name may stand for anything
            raise

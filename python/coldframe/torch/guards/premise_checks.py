"""Checks of premises: what Dynamo took for granted when it compiled a frame is so in this process.

A premise is about the process or about the objects that a variant is first used with; torch itself would look at it once, while
it compiles, and never again. So here: checked after all other guards hold, until it has held once.
"""

from __future__ import annotations

import builtins
import collections
import importlib
import sys
from typing import Any

from ... import _core
from ...errors import CorruptPackageError, PackageError
from ..fingerprint import chains, environment, sharing, state
from ..seam import symbols
from . import classes, function_attributes, operands, registrations, replaced
from .constant_calls import gives_constant, outcome
from .expressions import NAMES, Expression, is_called, render
from .lookups import digest_of_keys

_KNOWN = "<known>"  # in a scope: values of expressions


class PremiseCheck:
    """A guard over the locals of a frame. `texts` says what did not hold last."""

    def __init__(self, checks: dict[str, Any], scope: dict[str, Any], texts: list[str]) -> None:
        self._checks: dict[str, Any] | None = checks
        self._scope = scope
        self._texts = texts

    def __call__(self, frame_locals: Any) -> bool:
        if self._checks is None:
            return True
        reason = unmet(self._checks, {**self._scope, "L": frame_locals})
        if reason is not None:
            self._texts[:] = [reason]
            return False
        self._checks = None
        return True


def unmet(checks: dict[str, Any], scope: dict[str, Any]) -> str | None:
    """Returns what does not hold, in words; None when everything does. `scope`: what guard expressions may name."""
    scope = {**scope, _KNOWN: {}}
    for name, check in checks.items():
        try:
            reason = _CHECKS[name](check, scope) if name in _CHECKS else f"unknown premise {name!r}"
        except Exception as error:  # what was read is not there
            reason = f"{name}: {type(error).__name__}: {error}"
        if reason is not None:
            return reason
    return None


def _absent(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, name in entries:
        if state.has(_value(expression, scope), name):
            return f"not hasattr({render(expression)}, {name!r})"
    return None


def _calls(calls: Any, scope: dict[str, Any]) -> str | None:
    for callee, args, kwargs, expected in calls:
        text = f"{callee.module}.{callee.qualname}()"
        function = _core.resolve(callee)
        if not gives_constant(function, args, kwargs):
            return f"{text} is not marked as a constant"
        if not _same(outcome(function, _core.resolve(args), _core.resolve(kwargs)), expected):
            return f"{text} == {expected!r}"
    return None


def _classes(description: Any, scope: dict[str, Any]) -> str | None:
    return classes.difference(description)


def _contained(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, key, expected in entries:
        if (_core.resolve(key) in _value(expression, scope)) is not expected:
            return f"{key!r} {'in' if expected else 'not in'} {render(expression)}"
    return None


def _distinct(expressions: Any, scope: dict[str, Any]) -> str | None:
    seen: dict[int, Expression] = {}
    for expression in expressions:
        try:
            value = _value(expression, scope)
        except Exception:  # a registry has become shorter, say: what is not there is nothing else
            continue
        other = seen.setdefault(id(value), expression)
        if other is not expression:
            return f"{render(expression)} is not {render(other)}"
    return None


def _hashes(entries: Any, scope: dict[str, Any]) -> str | None:
    for item, expected in entries:
        if hash(_core.resolve(item)) != expected:
            return f"the order of a set with {item!r}, which the hash seed of the process decides (PYTHONHASHSEED)"
    return None


def _hookless(entries: Any, scope: dict[str, Any]) -> str | None:
    for module, names in entries:
        found = _value(module, scope)
        if "_call_impl" in vars(found):
            return f"{render(module)} is called as its class says"
        for name in names:
            if len(getattr(found, name)):
                return f"not {render(module)}.{name}"
    return None


def _functions(entries: Any, scope: dict[str, Any]) -> str | None:
    for module, qualname, expected, names in entries:
        found = list(state.functions_under(module, qualname))
        wrapped = tuple(each.__code__.co_qualname for each in found)
        if wrapped != names or not any(state.is_function(each, expected) for each in found):
            return f"{module}.{qualname}() is not what it was"
    return None


def _reads(entries: Any, scope: dict[str, Any]) -> str | None:
    for module, chain, expected in entries:
        value, found = chains.of_module(importlib.import_module(module), chain)
        if found != chain or not _core.same(state.describe(value), expected):
            return f"{module}.{'.'.join(chain)} is not what it was"
    return None


def _unshadowed(entries: Any, scope: dict[str, Any]) -> str | None:
    for module, names in entries:
        for name in names:
            if name in vars(importlib.import_module(module)):
                return f"{name!r} is not a builtin in module {module}"
    return None


def _operators(expected: Any, scope: dict[str, Any]) -> str | None:
    return None if operands.claims_of_tensors(operands.OPERATORS) == expected else "an operator of torch.Tensor is another one"


def _tensors(entry: Any, scope: dict[str, Any]) -> str | None:
    names, expected = entry
    return None if operands.claims_of_tensors(names) == expected else f"torch.Tensor has its own {', '.join(names)}"


def _settings(expected: Any, scope: dict[str, Any]) -> str | None:
    found = environment.while_compiling(environment.settings())
    for module in expected.keys() | found.keys():
        before, now = expected.get(module, {}), found.get(module, {})
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                return f"{module}.{name} == {before.get(name, 'the default')!r}"
    return None


def _inlined(entries: Any, scope: dict[str, Any]) -> str | None:
    marked = (f"{module}.{qualname}" for module, qualname in entries if registrations.is_marked(module, qualname))
    return next((f"{name}() is no longer to be traced" for name in marked), None)


def _replaced(entry: Any, scope: dict[str, Any]) -> str | None:
    names, expected = entry
    return None if replaced.digest(names) == expected else f"a function of torch is another one, among {', '.join(names)}"


def _registrations(entries: Any, scope: dict[str, Any]) -> str | None:
    for name, expected in entries:
        if (found := registrations.of(name)) != expected:
            return f"{name} has the rules {', '.join(sorted(set(expected) ^ set(found)))} as before"
    return None


def _of_torch(entries: Any, scope: dict[str, Any]) -> str | None:
    for ref, expected in entries:
        if operands.claims(_core.resolve(ref)) != expected:
            return f"{ref.module}.{ref.qualname} is what it was"
    return None


def _same_cells(entries: Any, scope: dict[str, Any]) -> str | None:
    for one, other in entries:
        if _value(one, scope) is not _value(other, scope):
            return f"{render(one)} is {render(other)}"
    return None


def _dirs(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, names in entries:
        if dir(_value(expression, scope)) != names:
            return f"dir({render(expression)}) is what it was"
    return None


def _is_there(value: Any) -> bool:
    return value is not None and value is not False


def _of_inputs(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, name, expected in entries:
        if (_is_there(getattr(_value(expression, scope), name))) is not expected:
            return f"{render(expression)}.{name} is {'there' if expected else 'None or False'}"
    return None


def _held(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, description in entries:
        if not _core.same(state.describe_called(_value(expression, scope)), description):
            return f"{render(expression)} is not what it was"
    return None


def _keys(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, expected in entries:
        if digest_of_keys(_value(expression, scope)) != expected:
            return f"the keys of {render(expression)}"
    return None


def _memory(entries: Any, scope: dict[str, Any]) -> str | None:
    numbers: dict[int, int] = {}  # by address
    first: dict[int, tuple[int, int]] = {}  # by number: the address, and where the first tensor in it begins
    for expression, number, offset in entries:
        try:
            tensor = _value(expression, scope)
        except Exception:  # see _distinct
            continue
        memory = tensor.untyped_storage().data_ptr()
        place = memory, tensor.data_ptr() - offset
        if memory and (numbers.setdefault(memory, number) != number or first.setdefault(number, place) != place):
            return f"{render(expression)} shares memory with the same tensors as before"
    return None


def _missing(entries: Any, scope: dict[str, Any]) -> str | None:
    return next((f"module {module} has no {name}" for module, name in entries if not state.lacks(module, name)), None)


def _shared(entry: Any, scope: dict[str, Any]) -> str | None:
    places, of_all, expected = entry
    if _core.digest(sharing.numbers(places, of_all)) == expected:
        return None
    return f"which objects are the same one, among {', '.join('.'.join(chain) for _, chain in places)}"


def _modules(names: Any, scope: dict[str, Any]) -> str | None:
    return next((f"module {name} is imported" for name in names if name not in sys.modules), None)


def _installed(entries: Any, scope: dict[str, Any]) -> str | None:
    for name, expected in entries:
        if (found := state.installed(name)) != expected:
            return f"installed {name}: {expected} (here: {found})"
    return None


def _instances(entries: Any, scope: dict[str, Any]) -> str | None:
    for cls, of, expected in entries:
        if issubclass(_core.resolve(cls), tuple(map(_core.resolve, of))) is not expected:
            return f"issubclass({cls.qualname}, {', '.join(each.qualname for each in of)}) is {expected}"
    return None


def _isinstance(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, of, expected in entries:
        if isinstance(_value(expression, scope), tuple(map(_core.resolve, of))) is not expected:
            return f"isinstance({render(expression)}, {', '.join(each.qualname for each in of)}) is {expected}"
    return None


def _global_hooks(entries: Any, scope: dict[str, Any]) -> str | None:
    module = symbols.module("torch.nn.modules.module")
    for name, count in entries:
        if len(getattr(module, name)) != count:
            return f"len(torch.nn.modules.module.{name}) == {count}"
    return None


def _orders(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, order in entries:
        value = _value(expression, scope)
        keys = list(dict.keys(value))
        if not isinstance(value, collections.OrderedDict) or list(value) != [keys[i] for i in order if i < len(keys)]:
            return f"the order of {render(expression)}"
    return None


def _values(entries: Any, scope: dict[str, Any]) -> str | None:
    for expression, expected in entries:
        if not _same(_value(expression, scope), expected):
            return f"{render(expression)} == {expected!r}"
    return None


_CHECKS = {
    "absent": _absent,
    "attributes": function_attributes.difference,
    "calls": _calls,
    "classes": _classes,
    "contained": _contained,
    "distinct": _distinct,
    "functions": _functions,
    "global_hooks": _global_hooks,
    "hashes": _hashes,
    "hookless": _hookless,
    "inlined": _inlined,
    "installed": _installed,
    "instances": _instances,
    "isinstance": _isinstance,
    "keys": _keys,
    "missing": _missing,
    "memory": _memory,
    "modules": _modules,
    "operators": _operators,
    "orders": _orders,
    "reads": _reads,
    "dirs": _dirs,
    "held": _held,
    "of_inputs": _of_inputs,
    "of_torch": _of_torch,
    "registrations": _registrations,
    "replaced": _replaced,
    "same": _same_cells,
    "settings": _settings,
    "shared": _shared,
    "tensors": _tensors,
    "unshadowed": _unshadowed,
    "values": _values,
}


def _same(value: Any, expected: Any) -> bool:
    try:
        return _core.same(value, expected)
    except PackageError:
        return False


def _value(expression: Expression, scope: dict[str, Any]) -> Any:
    """Returns the value of an expression, kept for others that it is a part of, as most are."""
    known: dict[Expression, Any] = scope[_KNOWN]
    if expression not in known:
        known[expression] = _evaluated(expression, scope)
    return known[expression]


def _evaluated(expression: Expression, scope: dict[str, Any]) -> Any:
    match expression:
        case ("name", str(name)) if name in NAMES:
            return scope[name] if name in scope else getattr(builtins, name)
        case ("const", value):
            return value
        case ("import", str(module)):
            return __import__(module)
        case ("attr", tuple(base), str(attr)):
            return getattr(_value(base, scope), attr)
        case ("item", tuple(base), tuple(index)):
            return _value(base, scope)[_evaluated(index, scope)]
        case ("call", tuple(function), *args) if is_called(function, len(args)):
            return _evaluated(function, scope)(*(_evaluated(arg, scope) for arg in args))
        case ("compare", tuple(one), ("is", tuple(other))):
            return _value(one, scope) is _value(other, scope)
    raise CorruptPackageError(f"not an expression of a premise: {expression!r:.80}")

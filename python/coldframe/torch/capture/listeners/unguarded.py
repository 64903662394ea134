"""The places in torch where Dynamo does without a guard, and reports to the frame's `Premises` instead.

A wrapper calls the original and otherwise leaves everything as it is.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, get_args

from ...fingerprint import builds
from ...guards import constant_calls
from ...guards.premises import Premises
from ...seam import symbols
from ...seam.patches import Wrap
from . import sets, trees

Current = Callable[[], Premises | None]


def install(wrap: Wrap, current: Current) -> None:
    """Installs the wrappers with `wrap`; `current` yields the premises of the frame that is being compiled, if it is ours."""
    _wrap_sources(wrap, current)
    _wrap_builder(wrap, current)
    _wrap_folded(wrap, current)
    _wrap_polyfilled(wrap, current)
    _wrap_constants(wrap, current)
    sets.install(wrap, current)
    _wrap_identities(wrap, current)
    _wrap_dicts(wrap, current)
    _wrap_instance_checks(wrap, current)
    _wrap_metaclasses(wrap, current)
    trees.install(wrap, current)


def _wrap_sources(wrap: Wrap, current: Current) -> None:
    skipped = symbols.module("torch._dynamo.source").is_from_skip_guard_source

    def make(original: Any) -> Callable[..., Any]:
        def make_guard(self: Any, create: Any) -> Any:
            premises = current()
            if premises is not None and skipped(self):
                premises.unguarded(self, create)
            return original(self, create)

        return make_guard

    wrap(symbols.module("torch._guards").Source, "make_guard", make)


def _wrap_builder(wrap: Wrap, current: Current) -> None:
    dynamo = symbols.module("torch._dynamo.guards")
    config = symbols.module("torch._dynamo.config")

    def hooks(original: Any) -> Callable[..., Any]:
        def EMPTY_NN_MODULE_HOOKS_DICT(self: Any, guard: Any) -> Any:  # noqa: N802
            premises = current()
            if premises is not None and config.skip_nnmodule_hook_guards:
                source = guard.originating_source
                premises.hookless(source.base.name, source.member)
            return original(self, guard)

        return EMPTY_NN_MODULE_HOOKS_DICT

    def build(original: Any) -> Callable[..., Any]:
        def build_guards(self: Any, *args: Any, **kwargs: Any) -> Any:
            premises = current()
            if premises is None:
                return original(self, *args, **kwargs)
            premises.restart()
            built = original(self, *args, **kwargs)
            premises.guards_built(built[0])
            return built

        return build_guards

    wrap(dynamo.GuardBuilder, "EMPTY_NN_MODULE_HOOKS_DICT", hooks)
    wrap(dynamo.CheckFunctionManager, "build_guards", build)


def _wrap_folded(wrap: Wrap, current: Current) -> None:
    variables = symbols.module("torch._dynamo.variables.torch")
    folded = {id(function): function for function in constant_calls.of_torch()}

    def make(original: Any) -> Callable[..., Any]:
        def call_function(self: Any, tx: Any, args: Any, kwargs: Any) -> Any:
            result = original(self, tx, args, kwargs)
            premises = current()
            if premises is not None and id(self.value) in folded and result.is_python_constant():
                constants = tuple(arg.as_python_constant() for arg in args)
                keywords = {name: arg.as_python_constant() for name, arg in kwargs.items()}
                premises.called(self.value, constants, keywords, result.as_python_constant())
            return result

        return call_function

    wrap(variables.TorchInGraphFunctionVariable, "call_function", make)


# singledispatch fills a table with what it has found; unwrap counts how often it goes on. Neither shows in what they give.
_BOOKKEEPING = frozenset([functools.__file__, inspect.__file__])


def _is_bookkeeping(tx: Any) -> bool:
    return getattr(getattr(tx, "f_code", None), "co_filename", None) in _BOOKKEEPING


def _wrap_polyfilled(wrap: Wrap, current: Current) -> None:
    def make(original: Any) -> Callable[..., Any]:
        def call_function(self: Any, tx: Any, args: Any, kwargs: Any) -> Any:
            result = original(self, tx, args, kwargs)
            premises = current()
            if premises is not None and any(self.fn is f for f in constant_calls.OF_PYTHON) and not _is_bookkeeping(tx):
                if args or kwargs:
                    premises.failure = f"{self.fn.__name__}() was called while Dynamo traced, and is not called again"
                else:
                    premises.called(self.fn, (), {}, result.as_python_constant())
            return result

        return call_function

    wrap(symbols.module("torch._dynamo.variables.functions").PolyfilledFunctionVariable, "call_function", make)


def _wrap_constants(wrap: Wrap, current: Current) -> None:
    def make(original: Any) -> Callable[..., Any]:
        def invoke_and_store_as_constant(tx: Any, function: Any, *rest: Any) -> Any:
            premises = current()
            if premises is None:
                return original(tx, function, *rest)

            def noted(*args: Any, **kwargs: Any) -> Any:
                result = function(*args, **kwargs)
                premises.called(function, args, kwargs, result)
                return result

            return original(tx, noted, *rest)

        return invoke_and_store_as_constant

    wrap(symbols.module("torch._dynamo.variables.functions"), "invoke_and_store_as_constant", make)


# Types of which many objects may be equal.
_MANY_EQUAL = (str, bytes, int, float, complex)

# What ids may be asked: which objects are the same, that is. Anything else makes numbers of them.
_OF_IDENTITY = frozenset([operator.eq, operator.ne, operator.is_, operator.is_not, operator.contains, isinstance, type, bool])


def _wrap_identities(wrap: Wrap, current: Current) -> None:
    """hash() and id(): constants to Dynamo, and others in each process. Of a key's hash only what is found by it counts."""

    def finding(original: Any) -> Callable[..., Any]:
        def __init__(self: Any, vt: Any) -> None:
            premises = current()
            if premises is None:
                return original(self, vt)
            premises.finding_key += 1
            try:
                return original(self, vt)
            finally:
                premises.finding_key -= 1

        return __init__

    def hashing(original: Any) -> Callable[..., Any]:
        def generic_hash(tx: Any, arg: Any) -> Any:
            result = original(tx, arg)
            premises = current()
            if premises is not None and not premises.finding_key and result is not None and result.is_python_constant():
                if arg.is_python_constant():
                    premises.iterated([arg.as_python_constant()])
                else:
                    premises.failure = "the hash of an object was taken for a constant"
            return result

        return generic_hash

    def identifying(original: Any) -> Callable[..., Any]:
        def call_id(self: Any, tx: Any, *args: Any) -> Any:
            result = original(self, tx, *args)
            premises = current()
            if premises is not None and result.is_python_constant():
                premises.ids.add(result.as_python_constant())
            return result

        return call_id

    def calling(original: Any) -> Callable[..., Any]:
        def call_function(self: Any, tx: Any, args: Any, kwargs: Any) -> Any:
            premises = current()
            if premises is not None and premises.ids and self.fn not in _OF_IDENTITY:
                for arg in args:
                    if type(arg).__name__ == "ConstantVariable" and type(arg.value) is int and arg.value in premises.ids:
                        premises.failure = f"{self.fn.__name__}() of the id of an object, another one in each process"
            result = original(self, tx, args, kwargs)
            if premises is not None and self.fn in (operator.is_, operator.is_not):
                note_equal(premises, *args)
            return result

        return call_function

    def note_equal(premises: Premises, one: Any, other: Any) -> None:
        """Notes whether two constants from outside, equal ones, are one object: guards on their values do not say."""
        if not (one.source and other.source and one.is_python_constant() and other.is_python_constant()):
            return
        values = one.as_python_constant(), other.as_python_constant()
        if type(values[0]) is type(values[1]) and type(values[0]) in _MANY_EQUAL and values[0] == values[1]:
            premises.equal_by_bits(f"{one.source.name} is {other.source.name}", values[0] is values[1])

    def comparing(handlers: dict[str, Any]) -> dict[str, Any]:
        """Dynamo's table of comparisons, calling the method that its variables have now."""

        def late(handler: Any) -> Any:
            variable = getattr(handler, "__self__", None)
            return handler if variable is None else lambda tx, args, kwargs: variable.call_function(tx, args, kwargs)

        return {name: late(handler) for name, handler in handlers.items()}

    builtin = symbols.module("torch._dynamo.variables.builtin").BuiltinVariable
    wrap(symbols.module("torch._dynamo.variables.hashable").HashableTracker, "__init__", finding)
    wrap(symbols.module("torch._dynamo.variables.object_protocol"), "generic_hash", hashing)
    wrap(builtin, "call_id", identifying)
    wrap(symbols.module("torch._dynamo.symbolic_convert"), "compare_op_handlers", comparing)
    wrap(builtin, "call_function", calling)


def _wrap_dicts(wrap: Wrap, current: Current) -> None:
    """Keys that are looked up in a dict and are not there: a variable of the environment, say."""
    dicts = symbols.module("torch._dynamo.variables.dicts").ConstDictVariable

    def make(original: Any) -> Callable[..., Any]:
        def getitem_const_raise_exception_if_absent(self: Any, tx: Any, key: Any) -> Any:
            premises: Any = current()
            named = premises is not None and self.source is not None and key.is_python_constant() and not _is_bookkeeping(tx)
            if named and key not in self and not tx.output.side_effects.is_modified(self):
                premises.lacks(self.source.name, key.as_python_constant())
            return original(self, tx, key)

        return getitem_const_raise_exception_if_absent

    wrap(dicts, "getitem_const_raise_exception_if_absent", make)


def _wrap_instance_checks(wrap: Wrap, current: Current) -> None:
    """isinstance() and issubclass() where more than bases decides: registered classes, hooks of classes, protocols."""

    def note(premises: Premises, source: Any, cls: type, of: Any, result: Any) -> None:
        flat = tuple(inner for each in (of if isinstance(of, tuple) else (of,)) for inner in get_args(each) or (each,))
        decided_by_bases = all(type(each) is type for each in flat)
        if source is not None and not decided_by_bases:
            premises.is_instance(source.name, flat, result.as_python_constant())
        elif not decided_by_bases and not all(map(builds.is_of_exact_build, (cls, *flat))):
            premises.instance_checked(cls, flat, result.as_python_constant())

    def make(original: Any) -> Callable[..., Any]:
        def check(self: Any, tx: Any, checked: Any, of: Any) -> Any:
            result = original(self, tx, checked, of)
            if (premises := current()) is not None and of.is_python_constant() and result.is_python_constant():
                asked_of_class = original.__name__ == "call_issubclass"
                cls = checked.as_python_constant() if asked_of_class else checked.python_type()
                note(premises, None if asked_of_class else checked.source, cls, of.as_python_constant(), result)
            return result

        return check

    builtin = symbols.module("torch._dynamo.variables.builtin").BuiltinVariable
    for name in ("call_isinstance", "call_issubclass"):
        wrap(builtin, name, make)


def _wrap_metaclasses(wrap: Wrap, current: Current) -> None:
    """Attributes that a class has from its metaclass, which are read without a guard."""

    def make(original: Any) -> Callable[..., Any]:
        def lookup_metaclass_attr(self: Any, name: str) -> Any:
            if (premises := current()) is not None:
                premises.looked_up_in_metaclass(type(self.value), name)
            return original(self, name)

        return lookup_metaclass_attr

    wrap(symbols.module("torch._dynamo.variables.user_defined").UserDefinedClassVariable, "lookup_metaclass_attr", make)

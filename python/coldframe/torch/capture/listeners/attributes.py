"""Listeners where Dynamo reads what an object is like, or is, without a guard: attributes that are not there, above all."""

from __future__ import annotations

import contextlib
import dataclasses
import dis
import enum
import functools
import operator
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils import _contextlib

from ...fingerprint import builds, state
from ...guards.premises import Premises
from ...seam import generation, symbols
from ...seam.patches import Wrap

Current = Callable[[], Premises | None]


def install(wrap: Wrap, current: Current) -> None:
    """Installs the wrappers with `wrap`; `current` yields the premises of the frame that is being compiled, if it is ours."""
    for cls in _trackers(symbols.module("torch._dynamo.variables.base").VariableTracker):
        for name in ("call_obj_hasattr", generation.current().gives_attribute):
            if name in vars(cls):
                wrap(cls, name, functools.partial(_asking, current))
        if "call_method" in vars(cls):
            wrap(cls, "call_method", functools.partial(_calling, current))
        for name in filter(_OF_OPERATORS.fullmatch, list(vars(cls))):
            if vars(cls)[name] is not None:
                wrap(cls, name, functools.partial(_combining, current))
    _wrap_own_methods(wrap, current)
    _wrap_bound(wrap, current)
    _wrap_namespaces(wrap, current)
    _wrap_tensors(wrap, current)
    _wrap_builtins(wrap, current)
    _wrap_builder(wrap, current)
    _wrap_cells(wrap, current)
    _wrap_classes(wrap, current)
    _wrap_stores(wrap, current)


def _trackers(cls: type) -> Iterator[type]:
    """A class of Dynamo's variables, and all that derive from it."""
    symbols.module("torch._dynamo.variables")
    waiting, seen = [cls], set[type]()
    while waiting:
        cls = waiting.pop()
        if cls not in seen:
            seen.add(cls)
            yield cls
            waiting.extend(cls.__subclasses__())


@contextlib.contextmanager
def _contained(premises: Premises) -> Iterator[None]:
    """Within it, asking objects of the program: an error of theirs is the frame's failure, and not torch's."""
    try:
        yield
    except Exception as error:
        premises.failure = f"an object could not be asked while the frame was compiled: {type(error).__name__}: {error}"


def _asking(current: Current, original: Any) -> Callable[..., Any]:
    def asked(self: Any, tx: Any, name: Any, *rest: Any, **more: Any) -> Any:
        premises = current()
        if premises is not None and isinstance(name, str):
            premises.asked(name)
            if (source := self.source) is not None:
                with _contained(premises):
                    _note(premises, tx, self, source, name)
        return original(self, tx, name, *rest, **more)

    return asked


def _calling(current: Current, original: Any) -> Callable[..., Any]:
    def called(self: Any, tx: Any, name: Any, *rest: Any, **more: Any) -> Any:
        if (premises := current()) is not None and isinstance(name, str):
            premises.asked(name)
            if name in _GOING_THROUGH:
                _note_keys(premises, tx, rest)
            if type(self).__name__ == "TensorVariable" and self.source is not None:
                with _contained(premises):
                    _note_own(premises, self.source, tx.output.resolve_source_value(self.source), name)
        return original(self, tx, name, *rest, **more)

    return called


_OF_OPERATORS = re.compile(r"(nb|sq)_inplace_\w+_impl")  # of Dynamo's variables, that take in another one


def _combining(current: Current, original: Any) -> Callable[..., Any]:
    def combine(self: Any, tx: Any, *others: Any, **more: Any) -> Any:
        if (premises := current()) is not None:
            _note_keys(premises, tx, (others,))
        return original(self, tx, *others, **more)

    return combine


# Methods of lists, sets, dicts, deques and texts that go through what they are given.
_GOING_THROUGH = frozenset(
    [
        *("__iadd__", "__init__", "__ior__", "difference", "difference_update", "extend", "extendleft", "fromkeys"),
        *("intersection", "intersection_update", "isdisjoint", "issubset", "issuperset", "join", "symmetric_difference"),
        *("symmetric_difference_update", "union", "update"),
    ]
)


def _note_keys(premises: Premises, tx: Any, given: Any) -> None:
    """Dicts and sets of the program that are gone through: not all that does so guards their keys."""
    for argument in given[0] if given and isinstance(given[0], (list, tuple)) else ():
        if argument.source is None:
            continue
        try:
            value = tx.output.resolve_source_value(argument.source)
        except Exception as error:  # of sources that cannot be asked
            with contextlib.suppress(NotImplementedError):  # of variables that have no type
                if argument.is_realized() and issubclass(argument.python_type(), (dict, set, frozenset)):
                    premises.failure = f"what is gone through cannot be found again: {type(error).__name__}: {error}"
            continue
        if isinstance(value, (dict, set, frozenset)):
            premises.has_keys(argument.source.name, value)


def _note_own(premises: Premises, source: Any, value: Any, name: str) -> None:
    """A method was looked up in an object's class. An attribute of its own of that name, which is not there, would hide it."""
    special = name.startswith("__") and name.endswith("__")
    if not special and name not in getattr(value, "__dict__", (name,)):
        premises.lacks(f"{source.name}.__dict__", name)


def _wrap_own_methods(wrap: Wrap, current: Current) -> None:
    variables = symbols.module("torch._dynamo.variables.user_defined")

    def make(original: Any) -> Callable[..., Any]:
        def _maybe_get_baseclass_method(self: Any, name: str) -> Any:
            premises = current()
            if premises is not None and self.source is not None and not isinstance(self.value, type):
                with _contained(premises):
                    _note_own(premises, self.source, self.value, name)
            return original(self, name)

        return _maybe_get_baseclass_method

    wrap(variables.UserDefinedVariable, "_maybe_get_baseclass_method", make)


def _wrap_bound(wrap: Wrap, current: Current) -> None:
    """The parts of a decorator like torch.no_grad(): Dynamo looks at the object whose bound method it finds in a closure."""

    def make(original: Any) -> Callable[..., Any]:
        def call_function(self: Any, tx: Any, args: Any, kwargs: Any) -> Any:
            premises, owner = current(), self.value.__self__ if type(self.value) is types.MethodType else None
            if premises is not None and self.source is not None and isinstance(owner, _contextlib._DecoratorContextManager):
                with _contained(premises):
                    premises.held(f"{self.source.name}.__self__", owner)
            return original(self, tx, args, kwargs)

        return call_function

    wrap(symbols.module("torch._dynamo.variables.user_defined").UserDefinedObjectVariable, "call_function", make)


def _note(premises: Premises, tx: Any, variable: Any, source: Any, name: str) -> None:
    if tx.output.side_effects.has_pending_mutation_of_attr(variable, name):
        return
    value = vars(variable).get("value", state.MISSING)  # of a variable that has its object
    if value is state.MISSING and not (type(variable).__name__ == "TensorVariable" and hasattr(torch.Tensor, name)):
        with contextlib.suppress(Exception):  # of variables that stand for no object, and of sources that cannot be asked
            value = tx.output.resolve_source_value(source)
    if isinstance(value, types.ModuleType) and name not in vars(value) and state.has(value, name):
        premises.gives(source, name)
    if value is state.MISSING or state.has(value, name):
        return
    if isinstance(value, types.ModuleType):
        if sys.modules.get(value.__name__) is value:
            premises.missing(value.__name__, [name])
    elif not (hasattr(type(value), "__getattr__") and builds.is_of_exact_build(type(value)) and hasattr(value, name)):
        premises.has_not(source, name)


def _wrap_namespaces(wrap: Wrap, current: Current) -> None:
    """Names that are looked up in the __dict__ of an object, and which there are."""
    proxy = symbols.module("torch._dynamo.variables.dicts").SideEffectsProxyDict

    def looks_up(original: Any) -> Callable[..., Any]:
        def look_up(self: Any, key: Any) -> Any:
            premises, source = current(), self.item.source
            if premises is not None and source is not None and (name := self._maybe_unwrap_key(key)) not in self.item_dict:
                premises.lacks(f"{source.name}.__dict__", name)
            return original(self, key)

        return look_up

    def iterates(original: Any) -> Callable[..., Any]:
        def __iter__(self: Any) -> Any:
            premises = current()
            if premises is not None and self.item.source is not None:
                premises.listed(f"{self.item.source.name}.__dict__", list(self.item_dict))
            return original(self)

        return __iter__

    wrap(proxy, "__contains__", looks_up)
    wrap(proxy, "__getitem__", looks_up)
    wrap(proxy, "__iter__", iterates)


_OF_TENSORS = frozenset(["_base", "grad_fn", "is_leaf", "retains_grad"])


def _wrap_tensors(wrap: Wrap, current: Current) -> None:
    """A tensor's place in autograd's graph, which its guard does not say."""
    tensors = symbols.module("torch._dynamo.variables.tensor").TensorVariable

    def make(original: Any) -> Callable[..., Any]:
        def give_attribute(self: Any, tx: Any, name: str) -> Any:
            premises = current()
            if premises is not None:
                premises.used_of_tensors([name])
            if premises is not None and name in _OF_TENSORS and self.source is not None:
                with _contained(premises):
                    premises.of_input(self.source, name, getattr(tx.output.resolve_source_value(self.source), name))
            return original(self, tx, name)

        return give_attribute

    def measures(original: Any) -> Callable[..., Any]:
        def call_method(self: Any, tx: Any, name: str, args: Any, kwargs: Any) -> Any:
            result = original(self, tx, name, args, kwargs)
            premises = current()
            if premises is not None and self.from_tensor.source is not None and result.is_python_constant():
                premises.failure = f"{name}() of the memory of a tensor was taken for a constant"
            return result

        return call_method

    wrap(tensors, generation.current().gives_attribute, make)
    wrap(symbols.module("torch._dynamo.variables.tensor").UntypedStorageVariable, "call_method", measures)


_TEXT = frozenset(map(id, (ascii, format, print, repr, str, str.format, str.format_map, operator.mod, operator.imod)))


def _wrap_builtins(wrap: Wrap, current: Current) -> None:
    """Builtins that ask more of an object than an attribute whose name is known: dir(), and all that make text of it."""

    def make(original: Any) -> Callable[..., Any]:
        def call_function(self: Any, tx: Any, args: Any, kwargs: Any) -> Any:
            premises = current()
            if premises is not None and id(self.fn) in _TEXT:
                premises.asked("__repr__")
            if premises is not None and self.fn is dir and args and args[0].source is not None:
                with _contained(premises):
                    premises.dir_of(args[0].source, tx.output.resolve_source_value(args[0].source))
            return original(self, tx, args, kwargs)

        return call_function

    wrap(symbols.module("torch._dynamo.variables.builtin").BuiltinVariable, "call_function", make)


# Guarded when it is known how they are used; torch's own guards say all of a tensor that they look at.
_GUARDED_LATER = (int, float, torch.Tensor, torch.SymInt, torch.SymFloat, torch.SymBool)


def _wrap_builder(wrap: Wrap, current: Current) -> None:
    """Some of what Dynamo knows it takes without a guard: functions, descriptors, modes, classes of tensors."""
    builder = symbols.module("torch._dynamo.variables.builder").VariableBuilder

    def make(original: Any) -> Callable[..., Any]:
        def _wrap(self: Any, value: Any) -> Any:
            premises = current()
            if premises is None or isinstance(value, _GUARDED_LATER):
                return original(self, value)
            if value is dataclasses.fields:
                premises.asked("__dataclass_fields__")
            guards = self.tx.output.guards
            before = len(guards.inner)
            made = original(self, value)
            # As it is, when compiled code calls it, or when what breaks the graph there does.
            runs = type(made).__name__ in ("DelayGraphBreakVariable", "SkipFunctionVariable")
            if not runs and len(guards.inner) == before and not any(g.originating_source == self.source for g in guards.inner):
                with _contained(premises):
                    if ".__annotations__[" in self.source.name and not state.can_be_described(value):
                        premises.shown(self.source, str(value))
                    else:
                        premises.held(self.source.name, value)
            return made

        return _wrap

    wrap(builder, "_wrap", make)


def _written(code: types.CodeType) -> set[str]:
    """Names of cells that code writes to."""
    return {i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_DEREF", "DELETE_DEREF")}


def _wrap_cells(wrap: Wrap, current: Current) -> None:
    """Cells of the program's functions that a frame calls: which are one decides what is read after one was written."""
    met: weakref.WeakKeyDictionary[Premises, dict[str, tuple[types.CellType, bool]]] = weakref.WeakKeyDictionary()

    def note(premises: Premises, source: str, function: types.FunctionType) -> None:
        cells = met.setdefault(premises, {})
        if f"{source}.__closure__[0]" in cells:
            return
        written = _written(function.__code__)
        for index, (name, cell) in enumerate(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)):
            place = f"{source}.__closure__[{index}]"
            for other, (known, is_written) in cells.items():
                if is_written or name in written:
                    premises.equal_by_bits(f"{other} is {place}", known is cell)
            cells[place] = cell, name in written

    def make(original: Any) -> Callable[..., Any]:
        def bind_args(self: Any, tx: Any, args: Any, kwargs: Any) -> Any:
            result = original(self, tx, args, kwargs)
            premises = current()
            of_program = not builds.is_of_build(str(self.fn.__globals__.get("__name__")))
            if premises is not None and of_program and self.fn.__closure__ and (source := self.get_source()) is not None:
                note(premises, source.name, self.fn)
            return result

        return bind_args

    wrap(symbols.module("torch._dynamo.variables.functions").UserFunctionVariable, "bind_args", make)


def _wrap_classes(wrap: Wrap, current: Current) -> None:
    """Enums that Dynamo comes to, but for those that it gives to what reads a member's value."""
    variables = symbols.module("torch._dynamo.variables.user_defined")

    def holds(original: Any) -> Callable[..., Any]:
        def __init__(self: Any, value: Any, **more: Any) -> None:
            if (premises := current()) is not None:
                premises.enums.held(value, more.get("source"))
            original(self, value, **more)

        return __init__

    def gives(original: Any) -> Callable[..., Any]:
        def invoke_descriptor_get(self: Any, tx: Any, name: str, descriptor: Any, source: Any) -> Any:
            if (premises := current()) is not None and type(descriptor) is enum.property:
                premises.enums.owner = type(self.value)
            return original(self, tx, name, descriptor, source)

        return invoke_descriptor_get

    wrap(variables.UserDefinedClassVariable, "__init__", holds)
    wrap(variables.UserDefinedObjectVariable, "invoke_descriptor_get", gives)


def _wrap_stores(wrap: Wrap, current: Current) -> None:
    """Attributes that a frame writes: a descriptor of the class would take what is written."""

    def make(original: Any) -> Callable[..., Any]:
        def store_attr(self: Any, item: Any, name: str, *rest: Any, **more: Any) -> Any:
            if (premises := current()) is not None:
                premises.asked(name)
            return original(self, item, name, *rest, **more)

        return store_attr

    wrap(symbols.module("torch._dynamo.side_effects").SideEffects, "store_attr", make)

"""Listeners where Dynamo comes to see the order of a set, which comes from hashes, or makes the text of a value.

Dynamo goes through a set in the order in which it was filled. That comes from hashes in a set that had items to begin with, and
perhaps in any one after such a set went into another.
"""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Callable
from typing import Any

from ...guards.premises import Premises
from ...seam import generation, symbols
from ...seam.patches import Wrap

Current = Callable[[], Premises | None]


def install(wrap: Wrap, current: Current) -> None:
    """Installs the wrappers with `wrap`; `current` yields the premises of the frame that is being compiled, if it is ours."""
    _wrap_readers(wrap, current)
    _wrap_items(wrap, current)
    _wrap_texts(wrap, current)


def _sets() -> Any:
    return getattr(symbols.module("torch._dynamo.variables.sets"), generation.current().set_variable)


def _wrap_method(wrap: Wrap, name: str, make: Callable[[Any], Any]) -> None:
    """Replaces a method of sets, and of each kind of them that has one of its own."""
    kinds = [_sets()]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if kind is _sets() or name in vars(kind):
            wrap(kind, name, make)


def _is_plain(variable: Any) -> bool:
    return isinstance(variable, _sets()) and variable.python_type() in (set, frozenset) and len(variable.items) > 1


def _is_by_hashes(variable: Any, premises: Premises) -> bool:
    return _is_plain(variable) and (premises.sets_mixed or len(variable.original_items) > 1)


def _note(variable: Any, premises: Premises) -> None:
    variables = [item.vt for item in dict.__iter__(variable.items)]
    premises.iterated(v.as_python_constant() for v in variables if v.is_python_constant())


def _note_all(shown: Any, premises: Premises) -> None:
    """Sets within what is shown: the text of a real set goes by hashes, whatever Dynamo's order of it is."""
    base = symbols.module("torch._dynamo.variables.base").VariableTracker
    base.visit(lambda inner: _note(inner, premises) if _is_plain(inner) else None, shown)


# Of torch._dynamo.polyfills, which Dynamo traces for the operations of sets: the order in which they go through a set shows at
# most in the order of the set that they give. Every set display with more than two constants is a set_update.
_POLYFILLS = (
    *("dictview_richcompare", "set_difference", "set_difference_update", "set_intersection", "set_intersection_update"),
    *("set_isdisjoint", "set_symmetric_difference", "set_symmetric_difference_update", "set_union", "set_update"),
)


def _wrap_readers(wrap: Wrap, current: Current) -> None:
    """A set's own methods."""
    polyfills = symbols.module("torch._dynamo.polyfills")
    orderless = {function.__code__ for name in _POLYFILLS if (function := getattr(polyfills, name, None)) is not None}

    def iterates(original: Any) -> Callable[..., Any]:
        def iterate(self: Any, tx: Any) -> Any:
            premises = current()
            if premises is not None and _is_by_hashes(self, premises):
                if getattr(tx, "f_code", None) in orderless:
                    premises.sets_mixed = True
                else:
                    _note(self, premises)
            return original(self, tx)

        return iterate

    def unites(original: Any) -> Callable[..., Any]:
        def unite(self: Any, tx: Any, other: Any, *rest: Any, **more: Any) -> Any:
            premises = current()
            if premises is not None:
                both = self, getattr(other, "_base_vt", other)
                premises.sets_mixed = any(_is_by_hashes(each, premises) for each in both) or premises.sets_mixed
            return original(self, tx, other, *rest, **more)

        return unite

    def pops(original: Any) -> Callable[..., Any]:
        def call_method(self: Any, tx: Any, name: str, *args: Any) -> Any:
            premises = current()
            if premises is not None and name == "pop" and self.python_type() in (set, frozenset) and len(self.items) > 1:
                _note(self, premises)  # any item: which one, hashes decide
            return original(self, tx, name, *args)

        return call_method

    def extends(original: Any) -> Callable[..., Any]:
        def call_method(self: Any, tx: Any, name: str, args: Any, *rest: Any) -> Any:
            premises = current()
            if premises is not None and name == "extend" and args and _is_by_hashes(args[0], premises):
                _note(args[0], premises)  # list(items) is one
            return original(self, tx, name, args, *rest)

        return call_method

    row = generation.current()
    for name in ("unpack_var_sequence", "tp_iter_impl", row.shows):
        _wrap_method(wrap, name, iterates)
    for name in row.combines_sets:
        _wrap_method(wrap, name, unites)
    _wrap_method(wrap, "call_method", pops)
    wrap(symbols.module("torch._dynamo.variables.lists").ListVariable, "call_method", extends)


class _Items(dict[Any, Any]):
    """The items of a set's variable: whoever goes through them, but for the files that `knowing` names, sees their order."""

    knowing: frozenset[str]

    def __init__(self, variable: Any, premises: Premises) -> None:
        super().__init__(variable.items)
        self.variable = variable
        self.premises = premises

    def _gone_through(self) -> None:
        if sys._getframe(2).f_code.co_filename not in self.knowing and _is_by_hashes(self.variable, self.premises):
            _note(self.variable, self.premises)


def _reader(name: str) -> Callable[..., Any]:
    def method(self: _Items, *args: Any) -> Any:
        self._gone_through()
        return getattr(dict, name)(self, *args)

    return method


for _name in ("__iter__", "__or__", "__reversed__", "__ror__", "copy", "items", "keys", "popitem", "values"):
    setattr(_Items, _name, _reader(_name))


def _wrap_items(wrap: Wrap, current: Current) -> None:
    """Variables of other kinds go through a set's items as well, past its methods: dict.fromkeys() does."""
    # A set's own methods are listened to, and so the iterators that they make; the others visit all variables, hash them, or
    # write what makes the set again.
    names = ("variables.sets", "variables.iter", "variables.base", "variables.hashable", "side_effects", "codegen")
    _Items.knowing = frozenset(symbols.module(f"torch._dynamo.{name}").__file__ for name in names) | {__file__}

    def makes(original: Any) -> Callable[..., Any]:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            if (premises := current()) is not None and type(self.items) is dict:
                self.items = _Items(self, premises)

        return __init__

    _wrap_method(wrap, "__init__", makes)


# What makes texts of values that Dynamo knows.
_TO_TEXT = frozenset([ascii, format, repr, str, str.format, operator.mod, operator.imod])
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")


def _note_address(text: Any, premises: Premises) -> None:
    if text.is_python_constant() and _ADDRESS.search(str(text.as_python_constant())):
        premises.failure = "the text of an object with its address was taken for a constant"


def _wrap_texts(wrap: Wrap, current: Current) -> None:
    constants = symbols.module("torch._dynamo.variables.constant").ConstantVariable
    builtin = symbols.module("torch._dynamo.variables.builtin").BuiltinVariable
    objects = symbols.module("torch._dynamo.variables.user_defined").UserDefinedObjectVariable

    def prints(original: Any) -> Callable[..., Any]:
        def show(self: Any, tx: Any, shown: Any) -> Any:
            premises = current()
            shown = shown.realize() if hasattr(shown, "realize") else shown
            if premises is not None and _is_by_hashes(shown, premises):
                _note(shown, premises)
            result = original(self, tx, shown)
            if premises is not None and isinstance(shown, objects) and result is not None and result.is_python_constant():
                premises.shown(shown.source, result.as_python_constant())  # Dynamo has asked the object itself
            return result

        return show

    def makes_text(original: Any) -> Callable[..., Any]:
        def make_text(tx: Any, shown: Any) -> Any:
            premises = current()
            if premises is None:
                return original(tx, shown)
            premises.asked("__repr__")
            _note_all(shown, premises)
            result = original(tx, shown)
            _note_address(result, premises)
            return result

        return make_text

    def formats(original: Any) -> Callable[..., Any]:
        def call_function(self: Any, tx: Any, args: Any, kwargs: Any) -> Any:
            premises = current()
            chooses = self.fn in (min, max) and "key" in kwargs  # of equal ones, the first
            if premises is not None and (chooses or self.fn in _TO_TEXT):
                for shown in (*args, *kwargs.values()):
                    _note_all(shown, premises)
            result = original(self, tx, args, kwargs)
            if premises is not None and self.fn in _TO_TEXT:
                _note_address(result, premises)
            return result

        return call_function

    def of_text(original: Any) -> Callable[..., Any]:
        def call_method(self: Any, tx: Any, name: str, args: Any, kwargs: Any) -> Any:
            premises = current()
            if premises is not None and name == "__hash__" and not premises.finding_key:
                premises.iterated([self.value])
            if premises is not None and isinstance(self.value, str):
                for shown in (*args, *kwargs.values()):
                    _note_all(shown, premises)
            return original(self, tx, name, args, kwargs)

        return call_method

    def represents(original: Any) -> Callable[..., Any]:
        def show(self: Any, tx: Any) -> Any:
            result = original(self, tx)
            if (premises := current()) is not None:
                _note_address(result, premises)
            return result

        return show

    row = generation.current()
    for name in ("call_str", "call_repr"):
        wrap(builtin, name, prints)
    wrap(builtin, "call_function", formats)
    wrap(constants, "call_method", of_text)
    wrap(objects, row.shows, represents)
    if row.shows_by_functions:
        for name in ("generic_repr", "generic_str"):
            wrap(symbols.module("torch._dynamo.variables.object_protocol"), name, makes_text)

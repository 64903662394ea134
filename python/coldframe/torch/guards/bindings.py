"""Guards on functions, classes and objects that no name leads to: bound to what is found at the guarded place, when it
fits."""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ... import _core
from ...errors import IncompatiblePackageError
from ..fingerprint import state
from . import classes, operands


@dataclass
class Bindings:
    """The objects that the guards of one variant were bound to when they were first made in this process: whoever makes them
    again, for another executor, binds them to the same."""

    threads: int = field(default_factory=torch.get_num_threads)
    functions: dict[int, Rebinding] = field(default_factory=dict)  # by number of the op
    types: dict[int, TypeRebinding] = field(default_factory=dict)  # by number of the class among those without a name
    objects: dict[int, Any] = field(default_factory=dict)  # found by name; by number of the op

    def type_check(self, description: dict[str, Any]) -> TypeRebinding:
        """The guard on a class of this description; the same one wherever the same class was guarded."""
        return self.types.setdefault(description["number"], TypeRebinding(description, self.types))

    def object(self, number: int, operand: Any, *, same_sources: bool = True) -> Any:
        """Returns what a guard on an identity refers to. IncompatiblePackageError when something else has its name."""
        if number not in self.objects:
            self.objects[number] = _find(operand, same_sources) if isinstance(operand, dict) else _core.resolve(operand)
        return self.objects[number]


class Rebinding:
    """A guard on a function that has no name, on its code, on an object of a known class or of known content: the first that
    fits the description is bound, and compared by identity from then on."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self.bound: Callable[[], Any] | None = None

    def __call__(self, value: Any) -> bool:
        kind = self.description["rebind"]
        if kind == "content":
            if self.bound is None and state.is_described(value, self.description["content"]):
                self.bound = lambda: value
            return self.bound is not None and self.bound() is value
        if kind != "object" and not isinstance(value, types.FunctionType):
            return False
        guarded = value.__code__ if kind == "code" else value
        if self.bound is not None:
            return self.bound() is guarded
        if not (_has_state(value, self.description) if kind == "object" else fits(value, self.description)):
            return False
        self.bound = weakref.ref(guarded)
        return True


class TypeRebinding:
    """A guard that objects are of a class without a name: the class of the first one that fits the description is bound, and
    compared by identity from then on. Distinct recorded classes bind to
    distinct classes; one class binds once."""

    def __init__(self, description: dict[str, Any], others: dict[int, TypeRebinding]) -> None:
        self.description = description
        self.others = others
        self.bound: Callable[[], type | None] = lambda: None

    def __call__(self, value: Any) -> bool:
        cls = type(value)
        if self.bound() is cls:
            return True
        if self.bound() is not None or any(other.bound() is cls for other in self.others.values()):
            return False
        if not classes.is_described(cls, self.description):
            return False
        self.bound = weakref.ref(cls)
        return True


def _find(operand: dict[str, Any], same_sources: bool) -> Any:
    ref = next(operand[kind] for kind in ("function", "code", "object") if kind in operand)
    found = _core.resolve(ref)
    if "object" in operand:
        if operands.claims(found) != operand["claims"]:
            raise IncompatiblePackageError(f"{ref.module}.{ref.qualname} is not what it was when it was compiled")
        return found
    function = _core.resolve(_core.ImportRef(ref.module, ref.qualname.removesuffix(".__code__")))
    code, namespace = (getattr(function, name, None) for name in ("__code__", "__globals__"))
    module = operand.get("globals")
    same = isinstance(code, types.CodeType) and (not same_sources or operands.semantic_digest(code) == operand["digest"])
    if not same or (module is not None and namespace is not getattr(sys.modules.get(module), "__dict__", None)):
        raise IncompatiblePackageError(f"{ref.module}.{ref.qualname} is not the function that was compiled")
    return found


def _has_state(value: object, description: dict[str, Any]) -> bool:
    if type(value) is not _core.resolve(description["class"]):
        return False
    return all(_fits(getattr(value, name, None), {"value": expected}) for name, expected in description["state"].items())


def fits(function: types.FunctionType, description: dict[str, Any]) -> bool:
    """Returns whether `function` may stand for the described one: name, globals, code, defaults and closure are the same."""
    module = sys.modules.get(description["globals"])
    return (
        function.__module__ == description["module"]
        and module is not None
        and function.__globals__ is vars(module)
        and function.__qualname__ == description["qualname"]
        and operands.semantic_digest(function.__code__) == description["digest"]
        and _all_fit(function.__defaults__ or (), description["defaults"])
        and (function.__kwdefaults__ or {}).keys() == description["kwdefaults"].keys()
        and all(_fits(v, description["kwdefaults"][k]) for k, v in (function.__kwdefaults__ or {}).items())
        and _all_cells_fit(function.__closure__ or (), description["closure"])
    )


def _all_fit(values: Sequence[Any], contents: Sequence[dict[str, Any]]) -> bool:
    return len(values) == len(contents) and all(map(_fits, values, contents))


def _all_cells_fit(cells: Sequence[types.CellType], contents: Sequence[dict[str, Any]]) -> bool:
    if len(cells) != len(contents):
        return False
    for cell, content in zip(cells, contents, strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            if content.get("empty") is not True:
                return False
            continue
        if content.get("empty") or not _fits(value, content):
            return False
    return True


def _fits(value: Any, content: dict[str, Any]) -> bool:
    if "value" in content:
        try:
            return _core.same(value, content["value"])
        except Exception:  # not a value: another thing than was recorded
            return False
    if "function" in content:
        return isinstance(value, types.FunctionType) and fits(value, content["function"])
    return True

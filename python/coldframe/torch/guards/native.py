"""Guard programs as steps of the native guard engine, with every operand resolved in this process.

What the engine cannot decide exactly as torch does makes the program *unsupported*, and its frame is served by torch's own
guard managers. Nothing here imports Dynamo.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import torch

from ... import _core
from ..seam import symbols
from . import classes, premises
from . import rare as kinds
from .bindings import Bindings, Rebinding
from .expressions import names, render
from .hosted import _dict_unchanged
from .premise_checks import PremiseCheck

_C = symbols.module("torch._C")
_autograd = symbols.module("torch._C._autograd")
_device = symbols.module("torch.utils._device")
_functorch = symbols.module("torch._C._functorch")
_guards = symbols.module("torch._C._dynamo.guards")

_COMPILER = ("torch._dynamo", "torch._functorch", "torch._inductor")
_PLAIN_TENSORS = (torch.Tensor, torch.nn.Parameter)


class UnsupportedError(Exception):
    """The reason why a program, or a package, is not for the native path."""


def is_lazy(module: str) -> bool:
    """True if a module is part of torch's compiler and not imported. Its content is that of the exact torch build: a guard
    on it holds, for nobody can have changed what is not there."""
    return module.startswith(_COMPILER) and symbols.imported(module) is None


def steps_of(
    program: _core.GuardProgram,
    names: Sequence[str],
    namespace: dict[str, Any],
    lazy: set[str],
    *,
    threads_matter: bool = True,
    same_sources: bool = True,
    bindings: Bindings | None = None,
) -> list[_core.Step]:
    """The program over frames with these locals and globals. `lazy`: aliases of modules that are not imported.

    UnsupportedError; IncompatiblePackageError when something that the guards refer to is not there.
    """
    return _Steps(program, names, namespace, lazy, threads_matter, same_sources, bindings or Bindings()).make()


class _Steps:
    def __init__(
        self,
        program: _core.GuardProgram,
        names: Sequence[str],
        namespace: dict[str, Any],
        lazy: set[str],
        threads_matter: bool,
        same_sources: bool,
        bindings: Bindings,
    ) -> None:
        self.bindings = bindings
        self.number = 0  # of the op
        self.ops = program.ops
        self.names = names
        self.namespace = namespace
        self.lazy = lazy
        self.threads_matter = threads_matter
        self.same_sources = same_sources
        self.made: list[_core.Step] = []
        self.last: list[_core.Step] = []  # after everything else
        self.parents: dict[int, int] = {}
        self.globals: set[int] = set()
        self.unseen: set[int] = set()  # values of modules that are not imported
        self.tensors: list[tuple[int, Any]] = []
        self.paths: dict[Any, int] = {}
        self.free = max((op.result or 0 for op in self.ops), default=0) + 1

    def make(self) -> list[_core.Step]:
        for number, op in enumerate(self.ops):
            self.number = number
            if op.role == "mark":
                continue
            if any(node in self.unseen for node in op.inputs):
                if op.role == "relation":
                    raise UnsupportedError(f"{op.kind} with a module that is not imported")
                if op.result is not None:
                    self.unseen.add(op.result)
                continue
            if op.role == "accessor":
                self.accessor(op)
            else:
                method = getattr(self, op.kind, None)
                if method is None:
                    raise UnsupportedError(f"a guard of kind {op.kind}")
                method(op, *op.operands)
        return self.made + self.bulk() + self.last

    def add(self, operation: str, inputs: Sequence[int], operand: Any = None, number: int = 0, result: int = 0) -> None:
        self.made.append((operation, tuple(inputs), result, operand, number))

    def value(self, operation: str, inputs: Sequence[int] = (), operand: Any = None, number: int = 0) -> int:
        """A value that is not one of the program's."""
        result, self.free = self.free, self.free + 1
        self.add(operation, inputs, operand, number, result)
        return result

    # Accessors.

    def accessor(self, op: _core.GuardOp) -> None:
        (node,), kind, operands = op.inputs, op.kind, op.operands
        assert op.result is not None and op.example is not None
        self.parents[op.result] = node
        if kind == "globals_dict":
            self.globals.add(op.result)
        if kind == "dict_getitem" and node in self.globals and operands[0] in self.lazy:
            self.unseen.add(op.result)
            return
        if kind == "framelocals":
            if operands[0] not in self.names:
                raise UnsupportedError(f"a guard on the local {operands[0]!r}, which is no argument")
            self.add("local", (), number=self.names.index(operands[0]), result=op.result)
        elif kind == "global_weakref":
            found = self.value("dict_getitem", (self.value("globals"),), operands[0])
            self.add("weakref_call", (found,), result=op.result)
        elif kind in _SAME:
            operand, number = (None, operands[0]) if kind in _BY_INDEX else (operands[0] if operands else None, 0)
            self.add(_SAME[kind], (node,), _core.resolve(operand), number, op.result)
        elif kind in kinds.ACCESSORS:
            self.add("apply", (node,), kinds.ACCESSORS[kind](*_core.resolve(operands)), result=op.result)
        elif kind == "named_accessor" and operands[0] == "import_module":
            importlib.import_module(operands[1][0])
            self.add("dict_getitem", (self.value("constant", (), sys.modules),), operands[1][0], result=op.result)
        elif kind == "named_accessor" and operands[0] in kinds.NAMED_ACCESSORS:
            self.add("apply", (node,), kinds.NAMED_ACCESSORS[operands[0]](*_core.resolve(operands[1])), result=op.result)
        else:
            raise UnsupportedError(f"an accessor of kind {kind} {operands!r:.60}")
        if op.example[3]:  # torch's manager of an ordered dict checks these itself
            if op.example[0] is None or op.example[2] is None:
                raise UnsupportedError("a dict of an unknown type")
            self.add("dict_size_match", (op.result,), _core.resolve(op.example[0]), op.example[2])

    # Checks, by kind.

    def type_match(self, op: _core.GuardOp, cls: Any) -> None:
        if isinstance(cls, dict):
            self.add("test", op.inputs, self.bindings.type_check(cls))
        else:
            self.add("type_match", op.inputs, self.bindings.object(self.number, cls))

    def id_match(self, op: _core.GuardOp, operand: Any) -> None:
        if isinstance(operand, dict) and "rebind" in operand:
            place = self.parents[op.inputs[0]] if operand["rebind"] == "code" else op.inputs[0]
            bound = self.bindings.functions.setdefault(self.number, Rebinding(operand))
            self.add("test" if operand["rebind"] in ("object", "content") else "bound_function", (place,), bound)
            return
        self.add("id_match", op.inputs, self.bindings.object(self.number, operand, same_sources=self.same_sources))

    def equals_match(self, op: _core.GuardOp, expected: Any) -> None:
        self.add("equals_match", op.inputs, _core.resolve(expected))

    def length(self, op: _core.GuardOp, number: int) -> None:
        self.add("length", op.inputs, number=number)

    def dict_length(self, op: _core.GuardOp, number: int) -> None:
        self.add("dict_length", op.inputs, number=number)

    def dict_contains(self, op: _core.GuardOp, expected: bool, key: Any) -> None:
        self.add("dict_contains" if expected else "dict_lacks", op.inputs, _core.resolve(key))

    def set_contains(self, op: _core.GuardOp, expected: bool, item: Any) -> None:
        self.add("set_contains" if expected else "set_lacks", op.inputs, _core.resolve(item))

    def mapping_keys(self, op: _core.GuardOp, keys: Any) -> None:
        self.add("mapping_keys", op.inputs, list(_core.resolve(keys)))

    def no_hasattr(self, op: _core.GuardOp, name: str) -> None:
        self.add("no_hasattr", op.inputs, name)

    def none_match(self, op: _core.GuardOp) -> None:
        self.add("none_match", op.inputs)

    def not_none(self, op: _core.GuardOp) -> None:
        self.add("not_none", op.inputs)

    def true_match(self, op: _core.GuardOp) -> None:
        self.add("id_match", op.inputs, True)

    def false_match(self, op: _core.GuardOp) -> None:
        self.add("id_match", op.inputs, False)

    def float_is_nan(self, op: _core.GuardOp) -> None:
        self.add("float_is_nan", op.inputs)

    def complex_is_nan(self, op: _core.GuardOp) -> None:
        self.add("complex_is_nan", op.inputs)

    def tuple_iterator_length(self, op: _core.GuardOp, length: int, cls: Any) -> None:
        self.add("test", op.inputs, kinds.tuple_iterator(length, _core.resolve(cls)))

    def range_iterator_match(self, op: _core.GuardOp, start: int, stop: int, step: int, cls: Any) -> None:
        self.add("test", op.inputs, kinds.range_iterator(start, stop, step, _core.resolve(cls)))

    def fake_script_type_match(self, op: _core.GuardOp, cls: Any) -> None:
        self.add("test", op.inputs, kinds.real_type(_core.resolve(cls)))

    def dispatch_key_set(self, op: _core.GuardOp, keys: int) -> None:
        self.add("test", op.inputs, kinds.dispatch_keys(keys))

    def dict_version(self, op: _core.GuardOp, snapshot: Any) -> None:
        self.add("test", op.inputs, functools.partial(_dict_unchanged, _core.resolve(snapshot)))

    def dual_level(self, op: _core.GuardOp, level: int) -> None:
        forward_ad = vars(symbols.module("torch.autograd.forward_ad"))
        found = self.value("dict_getitem", (self.value("constant", (), forward_ad),), "_current_level")
        self.add("equals_match", (found,), level)

    def tensor_match(self, op: _core.GuardOp, info: Any) -> None:
        self.tensors.append((op.inputs[0], _core.resolve(info)))

    def dimension_marking(self, op: _core.GuardOp, marked: Any, unmarked: Any, other: Any) -> None:
        if marked or other:
            self.add("test", op.inputs, kinds.marking(marked, unmarked, other))
            return
        self.add("unmarked_tensor", op.inputs, (_PLAIN_TENSORS, ("_has_dynamo_dim_marking",)))  # what every mark_* sets

    def default_device(self, op: _core.GuardOp, device: Any) -> None:
        module = self.value("constant", (), vars(_device))
        self.add("equals_match", (self.value("dict_getitem", (module,), "CURRENT_DEVICE"),), _core.resolve(device))

    def torch_function_mode_stack(self, op: _core.GuardOp, modes: Any) -> None:
        if modes:
            self.add("holds", (), kinds.function_modes(_core.resolve(modes)))
            return
        self.add("equals_match", (self.value("call", (), _C._len_torch_function_stack),), 0)

    def global_state(self, op: _core.GuardOp, state: Any, threads: Any) -> None:
        state = {**state, "num_threads": threads if self.threads_matter else self.bindings.threads}
        guard = _guards.GlobalStateGuard()
        guard.__setstate__(json.dumps(state))
        self.add("holds", (), guard.check)

    def named_check(self, op: _core.GuardOp, name: str, args: Any) -> None:
        if name == premises.NAME:
            checks = args[0] if self.same_sources else {**args[0], "classes": classes.without_code(args[0].get("classes"))}
            self.last.append(("premise", (), 0, PremiseCheck(checks, self.scope(), []), 0))
        elif name == "no_inlineable_saved_tensors_hooks":
            top = self.value("apply", (self.value("constant", (), True),), _autograd._top_saved_tensors_default_hooks)
            self.add("none_or", (top,), _not_inlineable)
        elif name == "functorch_stack" and not args[0]:
            self.add("none_match", (self.value("call", (), _functorch.get_interpreter_stack),))
        elif name in kinds.NAMED_CHECKS:
            self.add("test", op.inputs, kinds.NAMED_CHECKS[name](*_core.resolve(args)))
        else:
            raise UnsupportedError(f"a guard of kind {name}")

    # Relations.

    def object_aliasing(self, op: _core.GuardOp) -> None:
        self.last.append(("same", tuple(op.inputs), 0, None, 0))

    def no_tensor_aliasing(self, op: _core.GuardOp, names: Any) -> None:
        self.last.append(("distinct", tuple(op.inputs), 0, None, 0))

    def storage_overlapping(self, op: _core.GuardOp, count: int) -> None:
        self.last.append(("tensors", tuple(op.inputs), 0, kinds.overlapping(count), 0))

    def expression(self, op: _core.GuardOp, parts: Any) -> None:
        others = [part for part in parts if not self.identity(part)]
        if not others:
            return
        text, scope = " and ".join(f"({render(part)})" for part in others), self.scope()
        if any(alias in text for alias in self.lazy):
            raise UnsupportedError("an expression over a module that is not imported")
        if unknown := sorted(set().union(*map(names, others)) - {"L"} - scope.keys() - vars(builtins).keys()):
            raise UnsupportedError(f"an expression that names {', '.join(unknown)}")
        function = eval(compile(f"lambda L: {text}", "<coldframe guard>", "eval"), scope)
        self.last.append(("frame_test", (), 0, function, 0))

    def identity(self, part: Any) -> bool:
        """Returns whether the part says that the ends of two paths are one object: then as steps."""
        match part:
            case ("compare", tuple(left), ("is", tuple(right))):
                made = self.made
                self.made = []
                ends = [self.path(left), self.path(right)]
                steps, self.made = self.made, made
                self.last += steps
                found = [end for end in ends if end is not None]
                if len(found) == len(ends):
                    self.last.append(("same", tuple(found), 0, None, 0))
                    return True
        return False

    def path(self, expression: Any) -> int | None:
        """The number of the value at the end of a path of names, attributes and constant indices; None for anything else."""
        if expression not in self.paths:
            match expression:
                case ("item", ("name", "L"), ("const", str(name))) if name in self.names:
                    self.paths[expression] = self.value("local", number=self.names.index(name))
                case ("name", "G"):
                    self.paths[expression] = self.value("globals")
                case ("attr", base, str(name)) if (found := self.path(base)) is not None:
                    self.paths[expression] = self.value("getattr", (found,), name)
                case ("item", base, ("const", key)) if key not in self.lazy and (found := self.path(base)) is not None:
                    self.paths[expression] = self.value("getitem", (found,), key)
                case _:
                    return None
        return self.paths[expression]

    def scope(self) -> dict[str, Any]:
        return {**kinds.FUNCTIONS, "G": self.namespace}

    # All tensors at once, through torch's own check.

    def bulk(self) -> list[_core.Step]:
        nodes = [node for node, _ in self.tensors]
        checks = kinds.tensor_checks([info for _, info in self.tensors])
        return [("tensors", tuple(nodes[index] for index in members), 0, check, 0) for members, check in checks]


_SAME = {
    "globals_dict": "globals",
    "getattr": "getattr",
    "generic_getattr": "generic_getattr",
    "getitem": "getitem",
    "dict_getitem": "dict_getitem",
    "list_getitem": "list_getitem",
    "tuple_getitem": "tuple_getitem",
    "closure": "closure",
    "code": "code",
    "func_defaults": "defaults",
    "func_kwdefaults": "kwdefaults",
    "call_no_args": "call_no_args",
    "type": "type",
    "type_mro": "type_mro",
    "type_dict": "type_dict",
    "generic_dict": "generic_dict",
    "weakref_call": "weakref_call",
    "dict_key": "dict_key",
    "dict_value": "dict_value",
}
_BY_INDEX = frozenset({"list_getitem", "tuple_getitem", "dict_key", "dict_value"})


def _not_inlineable(hooks: Any) -> bool:
    utils = symbols.module("torch._functorch._aot_autograd.utils")
    return not utils.saved_tensors_hooks_are_inlineable(hooks)

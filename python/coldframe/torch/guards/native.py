"""Guard programs as steps of the native guard engine: what the core leaves to Python of lowering them.

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
from typing import Any, NoReturn

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


class UnsupportedError(Exception):
    """The reason why a program, or a package, is not for the native path."""


def is_lazy(module: str) -> bool:
    """True if a module is part of torch's compiler and not imported. Its content is that of the exact torch build: a guard
    on it holds, for nobody can have changed what is not there."""
    return module.startswith(_COMPILER) and symbols.imported(module) is None


def steps_of(
    program: _core.GuardProgram,
    names: tuple[str, ...],
    namespace: dict[str, Any],
    lazy: set[str],
    *,
    threads_matter: bool = True,
    same_sources: bool = True,
    bindings: Bindings | None = None,
    before: list[_core.Step] | None = None,
) -> _core.Steps:
    """Steps of the native engine for the program over frames with these locals and globals. `lazy`: aliases of modules that are
    not imported. `before`: steps that come first.

    UnsupportedError; IncompatiblePackageError when something that the guards refer to is not there.
    """
    rare = _Rare(program, names, namespace, lazy, threads_matter, same_sources, bindings or Bindings())
    return _core.lower_guards(program, names, lazy, rare, before or [])


class _Rare:
    """Lowers what the core does not by itself: guards whose exact meaning is torch's, and objects that are bound once."""

    unmarked = (torch.Tensor, torch.nn.Parameter), ("_has_dynamo_dim_marking",)  # plain tensors, without what every mark_* sets

    def __init__(
        self,
        program: _core.GuardProgram,
        names: tuple[str, ...],
        namespace: dict[str, Any],
        lazy: set[str],
        threads_matter: bool,
        same_sources: bool,
        bindings: Bindings,
    ) -> None:
        self.program = program
        self.names = names
        self.namespace = namespace
        self.lazy = lazy
        self.threads_matter = threads_matter
        self.same_sources = same_sources
        self.bindings = bindings
        self.objects = bindings.objects
        self.number = 0  # of the op
        self.parent = 0  # the value that its first input was read of
        self.free = 0  # number of a value
        self.made: list[_core.Step] = []
        self.last: list[_core.Step] = []  # after everything else
        self.paths: dict[Any, int] = {}

    def lower(self, number: int, parent: int, free: int) -> tuple[list[_core.Step], list[_core.Step], int]:
        """Returns the steps of an op, those of it that come after everything else, and the next number of a value."""
        self.number, self.parent, self.free, self.made, self.last = number, parent, free, [], []
        op = self.program[number]
        if op.role == "accessor":
            self.accessor(op)
        elif (method := getattr(self, op.kind, None)) is not None:
            method(op, *op.operands)
        else:
            self.unsupported(f"a guard of kind {op.kind}")
        return self.made, self.last, self.free

    def tensors(self, nodes: Sequence[int], infos: Sequence[Any]) -> list[_core.Step]:
        """Returns the steps that check all tensors at once, through torch's own check."""
        checks = kinds.tensor_checks(infos)
        return [("tensors", tuple(nodes[index] for index in members), 0, check, 0) for members, check in checks]

    def unsupported(self, reason: str) -> NoReturn:
        raise UnsupportedError(reason)

    def add(self, operation: str, inputs: Sequence[int], operand: Any = None, number: int = 0, result: int = 0) -> None:
        self.made.append((operation, tuple(inputs), result, operand, number))

    def value(self, operation: str, inputs: Sequence[int] = (), operand: Any = None, number: int = 0) -> int:
        """A value that is not one of the program's."""
        result, self.free = self.free, self.free + 1
        self.add(operation, inputs, operand, number, result)
        return result

    def accessor(self, op: _core.GuardOp) -> None:
        kind, operands = op.kind, op.operands
        assert op.result is not None
        if kind in kinds.ACCESSORS:
            self.add("apply", op.inputs, kinds.ACCESSORS[kind](*_core.resolve(operands)), result=op.result)
        elif kind == "named_accessor" and operands[0] == "import_module":
            importlib.import_module(operands[1][0])
            self.add("dict_getitem", (self.value("constant", (), sys.modules),), operands[1][0], result=op.result)
        elif kind == "named_accessor" and operands[0] in kinds.NAMED_ACCESSORS:
            self.add("apply", op.inputs, kinds.NAMED_ACCESSORS[operands[0]](*_core.resolve(operands[1])), result=op.result)
        else:
            self.unsupported(f"an accessor of kind {kind} {operands!r:.60}")

    # Checks and relations, by kind.

    def type_match(self, op: _core.GuardOp, description: dict[str, Any]) -> None:
        self.add("test", op.inputs, self.bindings.type_check(description))

    def id_match(self, op: _core.GuardOp, description: dict[str, Any]) -> None:
        if "rebind" not in description:
            self.add("id_match", op.inputs, self.bindings.object(self.number, description, same_sources=self.same_sources))
            return
        place = self.parent if description["rebind"] == "code" else op.inputs[0]
        bound = self.bindings.functions.setdefault(self.number, Rebinding(description))
        self.add("test" if description["rebind"] in ("object", "content") else "bound_function", (place,), bound)

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

    def dimension_marking(self, op: _core.GuardOp, marked: Any, unmarked: Any, other: Any) -> None:
        self.add("test", op.inputs, kinds.marking(marked, unmarked, other))

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
            self.unsupported(f"a guard of kind {name}")

    def storage_overlapping(self, op: _core.GuardOp, count: int) -> None:
        self.last.append(("tensors", tuple(op.inputs), 0, kinds.overlapping(count), 0))

    def expression(self, op: _core.GuardOp, parts: Any) -> None:
        others = [part for part in parts if not self.identity(part)]
        if not others:
            return
        text, scope = " and ".join(f"({render(part)})" for part in others), self.scope()
        if any(alias in text for alias in self.lazy):
            self.unsupported("an expression over a module that is not imported")
        if unknown := sorted(set().union(*map(names, others)) - {"L"} - scope.keys() - vars(builtins).keys()):
            self.unsupported(f"an expression that names {', '.join(unknown)}")
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


def _not_inlineable(hooks: Any) -> bool:
    utils = symbols.module("torch._functorch._aot_autograd.utils")
    return not utils.saved_tensors_hooks_are_inlineable(hooks)

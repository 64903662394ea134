"""Hosted execution of guard programs: replay into torch's own guard managers.

The example values that torch's classes ask for are stand-ins: of an example they read the type, whether it is immutable and,
of a dict, the length. What was recorded by name is resolved; what was described (a function of a `<locals>` scope) is bound
to the object that is found at the guarded place when it fits, and compared by identity from then on.
"""

from __future__ import annotations

import functools
import importlib
import json
import operator
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ... import _core
from ...errors import CorruptPackageError, IncompatiblePackageError
from ..seam import generation, symbols
from . import classes, premises
from .bindings import Bindings, Rebinding
from .expressions import render
from .premise_checks import PremiseCheck
from .rare import CONSTANT_BASES, NAMED_ACCESSORS, NAMED_CHECKS
from .record import ACCESSORS

_C = symbols.module("torch._C")
_device = symbols.module("torch.utils._device")
_torch = symbols.module("torch")

_METHODS = {kind: (method, keyword) for method, (kind, keyword) in ACCESSORS.items()}
_READS = {"getattr": operator.attrgetter, "generic_getattr": operator.attrgetter, "dict_getitem": operator.itemgetter}
_Values = tuple[Any, ...]


class _StandIn:
    """An example value of a type that cannot be made without its constructor."""


def replay(
    program: _core.GuardProgram,
    namespace: dict[str, Any],
    *,
    threads_matter: bool = True,
    same_sources: bool = True,
    bindings: Bindings | None = None,
) -> Any:
    """A RootGuardManager that decides as the recorded one did, over frames whose globals are `namespace`.

    With `threads_matter=False` the thread count is rebound to the present one, or that of `bindings`. With
    `same_sources=False` a function of the recorded name will do, whatever its code. IncompatiblePackageError when something
    that the guards refer to is not there; then no frame could pass them.
    """
    return _Replay(namespace, threads_matter, same_sources, bindings or Bindings()).run(program)


class _Replay:
    def __init__(self, namespace: dict[str, Any], threads_matter: bool, same_sources: bool, bindings: Bindings) -> None:
        self.bindings = bindings
        self.number = 0  # of the op
        self.guards = symbols.module("torch._C._dynamo.guards")
        self.dynamo = symbols.module("torch._dynamo.guards")
        self.namespace = namespace
        self.threads_matter = threads_matter
        self.same_sources = same_sources
        self.nodes: list[Any] = [self.guards.RootGuardManager()]
        self.rebinds: dict[int, list[tuple[Any, Sequence[str]]]] = {}
        self.parents: dict[int, int] = {}
        self.accessors: dict[int, _core.GuardOp] = {}

    def run(self, program: _core.GuardProgram) -> Any:
        for self.number, op in enumerate(program.ops):
            if op.role == "accessor":
                self.accessor(op)
            elif op.role == "mark":
                getattr(self.nodes[op.inputs[0]], op.kind)()
            elif op.role == "relation":
                getattr(self, op.kind)(op)
            else:
                getattr(self, op.kind)(self.nodes[op.inputs[0]], op, op.operands, op.explanations)
        return self.nodes[0]

    def accessor(self, op: _core.GuardOp) -> None:
        manager = self.nodes[op.inputs[0]]
        method, keyword = _METHODS[op.kind]
        assert op.example is not None and op.result == len(self.nodes)
        kwargs: dict[str, Any] = {"source": op.source, "example_value": _example(op)}
        manager_type = self.dynamo.GuardManagerType
        kwargs["guard_manager_enum"] = manager_type.DICT_GUARD_MANAGER if op.example[3] else manager_type.GUARD_MANAGER
        values = _core.resolve(op.operands)
        if op.kind == "framelocals":
            kwargs["key"] = values
        elif op.kind == "globals_dict":
            kwargs["f_globals"] = self.namespace
        elif op.kind == "named_accessor":
            kwargs["python_lambda"] = _named_accessor(*values)
        elif keyword:
            kwargs[keyword] = values[0]
        child = getattr(manager, method)(**kwargs)
        self.parents[op.result] = op.inputs[0]
        self.accessors[op.result] = op
        self.nodes.append(child)

    # Checks: (manager, op, operands, texts).

    def _plain(self, method: str, manager: Any, values: _Values, texts: Sequence[str]) -> None:
        getattr(manager, method)(*_core.resolve(values), texts, None)

    def type_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        if isinstance(values[0], dict):
            manager.add_lambda_guard(self.bindings.type_check(values[0]), texts, None)
        else:
            manager.add_type_match_guard(id(self.bindings.object(self.number, values[0])), texts, None)

    def id_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        operand = values[0]
        if isinstance(operand, dict) and "rebind" in operand:
            place = self.parents[op.inputs[0]] if operand["rebind"] == "code" else op.inputs[0]
            bound = self.bindings.functions.setdefault(self.number, Rebinding(operand))
            self.nodes[place].add_lambda_guard(bound, texts, None)
            return
        found = self.bindings.object(self.number, operand, same_sources=self.same_sources)
        manager.add_id_match_guard(id(found), texts, None)

    def equals_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        self._plain("add_equals_match_guard", manager, values, texts)

    def length(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        self._plain("add_length_check_guard", manager, values, texts)

    def dict_length(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        self._plain("add_dict_length_check_guard", manager, values, texts)

    def dict_contains(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        self._plain("add_dict_contains_guard", manager, values, texts)

    def set_contains(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        self._plain("add_set_contains_guard", manager, values, texts)

    def mapping_keys(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        keys = _core.resolve(values[0])
        manager.add_mapping_keys_guard(types.MappingProxyType(dict.fromkeys(keys)), texts, None)

    def no_hasattr(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        self._plain("add_no_hasattr_guard", manager, values, texts)

    def none_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_none_match_guard(texts, None)

    def not_none(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_not_none_guard(texts, None)

    def true_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_true_match_guard(texts, None)

    def false_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_false_match_guard(texts, None)

    def float_is_nan(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_float_is_nan_guard(texts, None)

    def complex_is_nan(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_complex_is_nan_guard(texts, None)

    def tuple_iterator_length(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_tuple_iterator_length_guard(values[0], id(_core.resolve(values[1])), texts, None)

    def range_iterator_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_range_iterator_match_guard(*values[:3], id(_core.resolve(values[3])), texts, None)

    def dict_version(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        check = functools.partial(_dict_unchanged, _core.resolve(values[0]))
        accessor = self.accessors[op.inputs[0]]
        if not isinstance(manager, self.guards.DictGuardManager):
            manager.add_lambda_guard(check, texts, None)
        elif accessor.kind in _READS and not isinstance(owner := self.nodes[accessor.inputs[0]], self.guards.DictGuardManager):
            read = _READS[accessor.kind](accessor.operands[0])  # torch's manager of a dict takes no lambda: its owner
            owner.add_lambda_guard(lambda value: check(read(value)), texts, None)
        else:
            raise IncompatiblePackageError(f"a guard on the dictionary {accessor.source} cannot be made again")

    def fake_script_type_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        fake = symbols.module("torch._library.fake_class_registry").FakeScriptObject
        manager.add_fake_script_type_match_guard(fake, id(_core.resolve(values[0])), texts, None)

    def dispatch_key_set(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_dispatch_key_set_guard(_C.DispatchKeySet.from_raw_repr(values[0]), texts, None)

    def dual_level(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_dual_level_match_guard(values[0], texts, None)

    def tensor_match(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        info = _core.resolve(values[0])
        # Where there are no sizes, torch's class takes the shape of its example: that of a scalar.
        shape = (0,) if info["size"] else ()
        example = torch.empty(shape, dtype=info["dtype"], device=info["device"], requires_grad=info["requires_grad"])
        keys = _C.DispatchKeySet.from_raw_repr(info["dispatch_keys"])
        size, stride = list(info["size"]), list(info["stride"])
        with self._without_keys():  # the recorded ones are what counted where the guard was made
            manager.add_tensor_match_guard(example, size, stride, info["name"], texts, None, info["pytype"], keys)

    @contextmanager
    def _without_keys(self) -> Iterator[None]:
        """Within it, neither the thread nor the root's record of it has dispatch keys of its own."""
        root, none = self.nodes[0], _C.DispatchKeySet.from_raw_repr(0)
        with _C._ForceDispatchKeyGuard(none, none):
            if not generation.current().roots_know_the_thread:
                yield
                return
            before = root.get_local_state()
            root.set_local_state(self.guards.RootGuardManager().get_local_state())
            yield
            root.set_local_state(before)

    def dimension_marking(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        manager.add_dimension_marking_guard(*values, texts, None)

    def default_device(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        # torch's class takes the present default device for the expected one, and so can be made only under that.
        expected = _core.resolve(values[0])
        manager.add_lambda_guard(lambda _: expected == _device.CURRENT_DEVICE, texts, None)

    def torch_function_mode_stack(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        modes = [object.__new__(cls) for cls in _core.resolve(values[0])]
        manager.add_torch_function_mode_stack_guard(modes, texts, None)

    def global_state(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        state = dict(values[0])
        state["num_threads"] = values[1] if self.threads_matter else self.bindings.threads
        guard = self.guards.GlobalStateGuard()
        guard.__setstate__(json.dumps(state))
        manager.add_global_state_guard(guard, texts, None)

    def named_check(self, manager: Any, op: _core.GuardOp, values: _Values, texts: Sequence[str]) -> None:
        name, args = values
        if name == premises.NAME:
            said = list(texts)
            checks = args[0] if self.same_sources else {**args[0], "classes": classes.without_code(args[0].get("classes"))}
            self.nodes[0].add_epilogue_lambda_guard(PremiseCheck(checks, self.scope(), said), said, None)
        else:
            manager.add_lambda_guard(_named_check(name, _core.resolve(args)), texts, None)

    # Relations.

    def object_aliasing(self, op: _core.GuardOp) -> None:
        first, second = (self.nodes[i] for i in op.inputs)
        self.guards.install_object_aliasing_guard(first, second, op.explanations, None)

    def no_tensor_aliasing(self, op: _core.GuardOp) -> None:
        managers = [self.nodes[i] for i in op.inputs]
        self.guards.install_no_tensor_aliasing_guard(managers, list(op.operands[0]), op.explanations, None)

    def storage_overlapping(self, op: _core.GuardOp) -> None:
        managers = [self.nodes[i] for i in op.inputs]
        count = op.operands[0]
        self.guards.install_storage_overlapping_guard(managers[:count], managers[count:], op.explanations, None)

    def expression(self, op: _core.GuardOp) -> None:
        text = " and ".join(f"({render(part)})" for part in op.operands[0]) or "True"
        function = eval(compile(f"lambda L: {text}", "<coldframe guard>", "eval"), self.scope())
        self.nodes[0].add_epilogue_lambda_guard(function, op.explanations, None)

    def scope(self) -> dict[str, Any]:
        """Returns what guard expressions may name, but for the locals of the frame."""
        return {**self.dynamo._get_closure_vars(), **self.dynamo.SYMPY_INTERP, "G": self.namespace}


def _dict_unchanged(expected: Any, value: Any) -> bool:
    if isinstance(expected, tuple):
        return tuple(value) == expected
    # By what a package would hold: 1 is not like True, and a version of a dict says more than that.
    return type(value) is dict and _core.same(value, expected)


def _example(op: _core.GuardOp) -> Any:
    """A stand-in for the value that the accessor yielded when it was recorded."""
    assert op.example is not None
    ref, immutable, length, ordered = op.example
    try:
        cls: Any = _core.resolve(ref) if ref is not None else _StandIn
    except IncompatiblePackageError:
        if ordered:  # a guard on the order of keys checks the type of its example
            raise
        cls = _StandIn
    if length is not None:
        return _dict_example(cls, length)
    if issubclass(cls, torch.Tensor):
        return torch.empty(0) if cls is not torch.nn.Parameter else torch.nn.Parameter(torch.empty(0), requires_grad=False)
    if cls is tuple:
        return () if immutable else ([],)
    if immutable:
        return _IMMUTABLE.get(cls)
    if cls in (list, set, frozenset, bytes, str, int, float, bool):
        return cls()
    if hasattr(cls, "__del__"):
        return _StandIn()
    try:
        return object.__new__(cls)
    except TypeError:
        return _StandIn()


_IMMUTABLE: dict[Any, Any] = {
    type(None): None,
    bool: False,
    int: 0,
    float: 0.0,
    complex: 0j,
    str: "",
    bytes: b"",
    types.CodeType: _example.__code__,
    types.BuiltinFunctionType: len,
}


def _dict_example(cls: type, length: int) -> Any:
    entries = dict.fromkeys(range(length))
    if issubclass(cls, type({}.keys())):
        return entries.keys()
    if cls is dict or not issubclass(cls, dict):
        return entries
    example = cls.__new__(cls)
    dict.update(example, entries)
    return example


def _named_accessor(name: str, args: _Values) -> Callable[[Any], Any]:
    dynamo = symbols.module("torch._dynamo.guards")
    if name == "import_module":
        importlib.import_module(args[0])
        return lambda _: sys.modules.get(args[0])  # the program may put another one there
    if name == "torch_function_mode_at":
        return lambda _: dynamo.get_torch_function_mode_stack_at(args[0])
    if name == "current_stream":
        return lambda _: dynamo.get_current_stream(args[0])
    if name in ("collective_tensor", "context_value", "list_of_reverse_iterator"):
        return NAMED_ACCESSORS[name](*args)
    accessors: dict[str, Callable[[Any], Any]] = {
        "as_tensor_fullprec": _torch._as_tensor_fullprec,
        "dataclass_fields": dynamo.dataclass_fields,
        "from_numpy": dynamo.from_numpy,
        "get_base": lambda value: value.get_base(),
        "int": int,
        "item": lambda value: value.item(),
        "namedtuple_fields": lambda value: value._fields,
        "obj_flatten": lambda value: value.__obj_flatten__(),
        "script_qualified_name": lambda value: value._type().qualified_name(),
        "tensor_flatten_attributes": lambda value: value.__tensor_flatten__()[0],
    }
    if name not in accessors:
        raise CorruptPackageError(f"unknown guard accessor {name!r}")
    return accessors[name]


def _named_check(name: str, args: _Values) -> Callable[[Any], bool]:
    dynamo = symbols.module("torch._dynamo.guards")
    if name == "no_inlineable_saved_tensors_hooks":
        utils = symbols.module("torch._functorch._aot_autograd.utils")
        return lambda _: not utils.saved_tensors_hooks_are_inlineable(utils.top_saved_tensors_hooks())
    if name == "functorch_stack":
        compare = symbols.module("torch._functorch.pyfunctorch").compare_functorch_state
        return lambda _: bool(compare(args[0]))
    if name == "constant_subclass" and args[0] in CONSTANT_BASES:
        base, expected = args
        return lambda value: bool(base(value) == expected)
    if name == "count_iterator":
        cls, expected = args
        return lambda value: type(value) is cls and tuple(dynamo.normalize_count_iter(value)) == expected
    if name == "subclass_metadata":
        expected, cls = args
        if cls is not None:
            return lambda value: bool(cls.__metadata_guard__(expected, value.__tensor_flatten__()[1]))
        return lambda value: bool(value.__tensor_flatten__()[1] == expected)
    if name in ("copy_on_write", "reverse_iterator", "same_bits"):
        return NAMED_CHECKS[name](*args)
    if name == "opaque_object":
        return lambda value: bool(dynamo.check_opaque_obj(value, args[0]))
    raise CorruptPackageError(f"unknown guard check {name!r}")

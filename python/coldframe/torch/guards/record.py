"""Recording how torch builds the guards of one frame.

torch builds them by calling methods of pybind classes: accessors yield child managers, checks add leaf guards. `Recording`
turns each such call into an op of a guard program as it happens. Objects are reduced at once; those that later calls
refer to (managers, the values of accessors, the objects behind addresses) are held only until `finish`.
"""

from __future__ import annotations

import json
import os
import re
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ... import _core
from ...errors import NotPortableError
from ..fingerprint import state
from ..seam import symbols
from ..values import portable
from . import classes, operands
from .expressions import parse
from .premises import Premises

_device = symbols.module("torch.utils._device")

# torch's accessor methods: (kind, keyword of the operand or None).
ACCESSORS: dict[str, tuple[str, str | None]] = {
    "call_function_no_args_manager": ("call_no_args", None),
    "closure_manager": ("closure", None),
    "code_manager": ("code", None),
    "dict_getitem_manager": ("dict_getitem", "key"),
    "framelocals_manager": ("framelocals", "key"),
    "func_defaults_manager": ("func_defaults", None),
    "func_kwdefaults_manager": ("func_kwdefaults", None),
    "generic_getattr_manager": ("generic_getattr", "attr"),
    "get_generic_dict_manager": ("generic_dict", None),
    "get_key_manager": ("dict_key", "index"),
    "get_value_manager": ("dict_value", "index"),
    "getattr_manager": ("getattr", "attr"),
    "getitem_manager": ("getitem", "key"),
    "global_weakref_manager": ("global_weakref", "global_name"),
    "globals_dict_manager": ("globals_dict", None),
    "grad_manager": ("grad", None),
    "indexed_manager": ("indexed", "idx"),
    "lambda_manager": ("named_accessor", None),
    "list_getitem_manager": ("list_getitem", "key"),
    "set_getitem_manager": ("set_getitem", "index"),
    "tensor_property_size_manager": ("tensor_size", "idx"),
    "tensor_property_storage_offset_manager": ("tensor_storage_offset", "idx"),
    "tensor_property_stride_manager": ("tensor_stride", "idx"),
    "tuple_getitem_manager": ("tuple_getitem", "key"),
    "tuple_iterator_getitem_manager": ("tuple_iterator_getitem", "index"),
    "type_dict_manager": ("type_dict", None),
    "type_manager": ("type", None),
    "type_mro_manager": ("type_mro", None),
    "weakref_call_manager": ("weakref_call", None),
}

# torch's leaf guards whose operands are plain values, as they come: (kind, number of operands).
_PLAIN_CHECKS: dict[str, tuple[str, int]] = {
    "add_complex_is_nan_guard": ("complex_is_nan", 0),
    "add_dict_contains_guard": ("dict_contains", 2),
    "add_dict_length_check_guard": ("dict_length", 1),
    "add_dual_level_match_guard": ("dual_level", 1),
    "add_equals_match_guard": ("equals_match", 1),
    "add_false_match_guard": ("false_match", 0),
    "add_float_is_nan_guard": ("float_is_nan", 0),
    "add_length_check_guard": ("length", 1),
    "add_no_hasattr_guard": ("no_hasattr", 1),
    "add_none_match_guard": ("none_match", 0),
    "add_not_none_guard": ("not_none", 0),
    "add_set_contains_guard": ("set_contains", 2),
    "add_true_match_guard": ("true_match", 0),
}

# The accessors that torch writes as lambdas, by the class of the source they read.
_NAMED_ACCESSORS: dict[str, tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    "AttrProxySource": ("get_base", lambda source: ()),
    "CallMethodItemSource": ("item", lambda source: ()),
    "ContextVarGetSource": (
        "context_value",
        lambda source: (source.default_value,) if source.has_default else (),
    ),
    "CurrentStreamSource": ("current_stream", lambda source: (source.device,)),
    "DataclassFieldsSource": ("dataclass_fields", lambda source: ()),
    "DynamicScalarSource": ("int", lambda source: ()),
    "FlattenScriptObjectSource": ("obj_flatten", lambda source: ()),
    "FloatTensorSource": ("as_tensor_fullprec", lambda source: ()),
    "ImportSource": ("import_module", lambda source: (source.module_name,)),
    "ListReverseIteratorBackingListSource": ("list_of_reverse_iterator", lambda source: ()),
    "NamedTupleFieldsSource": ("namedtuple_fields", lambda source: ()),
    "NumpyTensorSource": ("from_numpy", lambda source: ()),
    "ScriptObjectQualifiedNameSource": ("script_qualified_name", lambda source: ()),
    "SubclassAttrListSource": ("tensor_flatten_attributes", lambda source: ()),
    "UnwrapCollectiveTensorSource": ("collective_tensor", lambda source: ()),
    "TorchFunctionModeStackSource": ("torch_function_mode_at", lambda source: (source._get_index(),)),
}

_TABLES = frozenset(vars(torch.nn.Module()))  # names of what every module has
_RANGES = "_dynamo_dynamic_range"  # of dimensions, that the program has marked as dynamic
_UNRECORDED = -1  # the number of a manager whose checks say nothing
_ADDRESS = re.compile(r"(?<=, )\d{7,}(?=\))")
# The file in "  # line of the program  # some/folder/program.py:3 in f (_dynamo/guards.py:5 in g)": torch leaves away only
# its own folder, and the root.
_FILE = re.compile(r"(?<=  # )(?:(?!  # )[^\n])*?(?=:\d+ in )|(?<=\()[^()\n]*?(?=:\d+ in )")


def portable_text(text: object) -> str:
    """A guard's text without addresses and directories, which say nothing in another process."""
    return _FILE.sub(lambda match: os.path.basename(match[0]), _ADDRESS.sub("...", str(text)))


class Recording:
    """The guard program of one RootGuardManager, as it is built.

    `program` may be used when `failure` is None; else `failure` says what cannot be held by a package. Not thread-safe: one
    compilation builds its guards on one thread.
    """

    def __init__(self, premises: Premises | None = None, guards: int = 0) -> None:
        self.guards = guards  # how many of Dynamo's it is made of
        # Where types were looked up in pytree's registry and nothing else, each of these is guarded by itself. What else
        # libraries have registered, and in which order, does not matter then.
        self._reads_registry = premises is None or premises.registry_read
        self.program = _core.GuardProgram()
        self.premises = premises if premises is not None else Premises()
        self.failure: str | None = None
        self.root: Any = None  # the manager
        self.sources: list[Any] = []  # sources under construction, innermost last
        self.code_parts: Sequence[str] | None = None  # of the Python lambda guard being made
        self.shape_code_parts: Callable[[], Any] = lambda: None  # torch's texts of the guards it compiles to C++
        self._nodes: dict[int, int] = {}
        self._values: dict[int, Any] = {}
        self._texts: dict[int, str] = {}
        self._objects: dict[int, Any] = {}
        self._parents: dict[int, int] = {}
        self._whole: set[int] = set()  # nodes of dicts and sets that are no part of what lies around them
        self._made_classes: dict[int, int] = {}  # numbers of classes without a name, by their addresses
        self._keep: list[Any] = []
        self._tensors: dict[str, torch.Tensor] = {}  # among these
        self._shareable: dict[int, list[str]] = {}  # by id of an object: the sources under which it was found

    def finish(self) -> _core.GuardProgram:
        """The program; drops every object. NotPortableError with the reason of the first op that could not be recorded."""
        self.premises.distinct(sources[0] for sources in self._shareable.values())
        self._shareable.clear()
        self.premises.lie(self._tensors)
        self._tensors.clear()
        self._nodes.clear()
        self._values.clear()
        self._objects.clear()
        self._made_classes.clear()
        self._keep.clear()
        self.root = None
        if self.failure is not None:
            raise NotPortableError(self.failure)
        return self.program

    def set_root(self, root: Any) -> None:
        self.root = root
        self._remember(root, 0)

    def is_root(self, manager: Any) -> bool:
        return self._nodes.get(id(manager)) == 0

    def note_identity(self, obj: object) -> None:
        """The object behind an address that a guard is about to be given."""
        self._objects[id(obj)] = obj

    def call(self, method: str, manager: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Records one call of a method of a guard manager, after it succeeded."""
        if self.failure is not None:
            return
        try:
            node = self._nodes.get(id(manager))
            if node is None:
                raise NotPortableError("a guard manager that was made unseen")
            if node == _UNRECORDED:
                return
            if method in ACCESSORS:
                self._accessor(method, node, kwargs, result)
            elif method in ("mark_tag_safe", "mark_tag_safe_root"):
                self.program.add(method, (node,))
            else:
                self._check(method, node, args)
        except Exception as error:  # a failure here must never reach the compilation
            self.failure = f"{method}: {error}"

    def relation(self, kind: str, managers: Sequence[Any], values: tuple[Any, ...], verbose: Any) -> None:
        """Records a guard over several managers."""
        if self.failure is not None:
            return
        try:
            inputs = [self._nodes[id(manager)] for manager in managers]
            self.program.add(kind, inputs, values, "", [portable_text(part) for part in verbose or ()])
        except Exception as error:
            self.failure = f"{kind}: {error}"

    def expressions(self, parts: Sequence[str], verbose: Any) -> None:
        """Records Python text over the whole frame."""
        if self.failure is not None:
            return
        try:
            parsed = tuple(parse(part) for part in parts)
            self.program.add("expression", (0,), (parsed,), "", [portable_text(part) for part in verbose or parts])
        except Exception as error:
            self.failure = f"expression: {error}"

    def symbolic_shapes(self, verbose: Any) -> None:
        """Records a guard that torch has compiled to C++, by the text that it would otherwise have been."""
        parts = self.shape_code_parts()
        if parts is None:  # torch keeps them only while it builds the guards that count
            self.failure = self.failure or "symbolic shape guards whose text is not known"
        else:
            self.expressions(parts.python_code_parts.exprs, verbose)

    def _is_registry(self, value: Any) -> bool:
        """Returns whether it is pytree's, in which the frame has only looked up types."""
        return value is pytree.SUPPORTED_NODES and not self._reads_registry

    def _is_part(self, kind: str, node: int, key: Any) -> bool:
        """True for a part of what lies around it, to which nothing else leads: a namespace, a table of a module's."""
        if kind in ("generic_dict", "globals_dict"):
            return True
        of_module = isinstance(self._values.get(self._parents.get(node, -1)), torch.nn.Module)
        return of_module and kind == "dict_getitem" and key in _TABLES

    def _remember(self, manager: Any, node: int, value: Any = None, source: str = "") -> None:
        self._nodes[id(manager)] = node
        self._values[node] = value
        self._texts[node] = source
        self._keep.append(manager)

    def _accessor(self, method: str, node: int, kwargs: dict[str, Any], result: Any) -> None:
        if id(result) in self._nodes:
            return  # the manager had this child
        kind, keyword = ACCESSORS[method]
        of_registry = self._is_registry(self._values.get(node))
        if of_registry and kind == "dict_key":
            self._remember(result, _UNRECORDED)
            return
        value = kwargs["example_value"]
        if kind == "framelocals":
            values: tuple[Any, ...] = tuple(kwargs["key"])
        elif kind == "named_accessor":
            source = self.sources[-1] if self.sources else None
            if type(source).__name__ not in _NAMED_ACCESSORS:
                raise NotPortableError(f"accessor by an unknown function for {type(source).__name__}")
            name, arguments = _NAMED_ACCESSORS[type(source).__name__]
            values = (name, arguments(source))
        else:
            values = (kwargs[keyword],) if keyword else ()
            if of_registry and kind == "dict_value":
                kind, values = "dict_getitem", (list(pytree.SUPPORTED_NODES)[kwargs["index"]],)
            self.premises.constant_guarded(values)
        kept_as = kwargs["guard_manager_enum"]
        ordered = getattr(kept_as, "name", str(kept_as)) == "DICT_GUARD_MANAGER" and not self._is_registry(value)
        example = (
            _type_reference(type(value)),
            bool(result.is_guarded_value_immutable()),
            len(value) if isinstance(value, (dict, type({}.keys()))) else None,
            ordered,
        )
        if example[3] and example[0] is None:
            raise NotPortableError(f"a dict of type {type(value).__qualname__}, which has no name to import it by")
        # Functions in pytree's registry are found by their place, where another process may have others.
        by_place = isinstance(value, types.FunctionType) and "SUPPORTED_NODES" in kwargs["source"]
        if state.can_be_shared(value) and not by_place and not self._is_part(kind, node, kwargs.get("key")):
            self._shareable.setdefault(id(value), []).append(kwargs["source"])
            if isinstance(value, torch.Tensor):
                self._tensors[kwargs["source"]] = value
            if isinstance(value, (types.CellType, types.FunctionType)) or type(value) is object:
                self.premises.is_same(self._shareable[id(value)])
        child = self.program.add(kind, (node,), values, portable_text(kwargs["source"]), (), example)
        assert child is not None
        if isinstance(value, (dict, set, frozenset)) and not self._is_part(kind, node, kwargs.get("key")):
            self._whole.add(child)
        self._remember(result, child, value, kwargs["source"])
        self._parents[child] = node
        if example[3]:
            self.premises.ordered(kwargs["source"], value)

    def _check(self, method: str, node: int, args: tuple[Any, ...]) -> None:
        if method in _PLAIN_CHECKS:
            kind, count = _PLAIN_CHECKS[method]
            values, verbose = args[:count], args[-2]
            self.premises.constant_guarded(values)
            if kind in ("dict_length", "length") and node in self._whole:
                self.premises.has_keys(self._texts[node], self._values[node])
            if kind == "equals_match" and state.has_other_equals(*values):
                self.premises.equal_by_bits(self._texts[node], *values)
            elif kind in ("float_is_nan", "complex_is_nan"):
                if len(args) > 2:  # since torch 2.15 no other NaN will do
                    kind, values = "named_check", ("same_bits", (args[0],))
                else:
                    self.premises.equal_by_bits(self._texts[node], self._values[node])
            values = tuple(map(portable, values))
        else:
            if method == "add_dict_version_guard" and self._is_registry(args[0]):
                return
            kind, values, verbose = getattr(self, f"_{method}")(node, args)
        self.program.add(kind, (node,), tuple(values), "", [portable_text(part) for part in _texts(verbose)])

    def _object(self, address: int) -> Any:
        if address not in self._objects:
            raise NotPortableError("a guard on the identity of an object that was not seen")
        return self._objects[address]

    # Each of the following turns the arguments of one torch method into (kind, operands, texts).

    def _add_type_match_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        cls = self._object(args[0])
        try:
            operand: Any = operands.reference(cls)
        except NotPortableError:
            operand = {"number": self._made_classes.setdefault(id(cls), len(self._made_classes)), **classes.describe_made(cls)}
            for base in cls.__bases__:
                self.premises.type_guarded(base)
        else:
            self.premises.type_guarded(cls)
        return "type_match", (operand,), args[1]

    def _add_id_match_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        parent = place = self._parents.get(node, -1)
        while place > 0 and not isinstance(self._values.get(place), type):
            place = self._parents.get(place, -1)
        obj = self._object(args[0])
        self.premises.constant_guarded(obj)
        operand = operands.identity(obj, self._values.get(parent), self._values.get(place))
        return "id_match", (operand,), args[1]

    def _add_fake_script_type_match_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        return "fake_script_type_match", (operands.reference(self._object(args[1])),), args[2]

    def _add_tuple_iterator_length_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        return "tuple_iterator_length", (args[0], operands.reference(self._object(args[1]))), args[2]

    def _add_range_iterator_match_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        return "range_iterator_match", (*args[:3], operands.reference(self._object(args[3]))), args[4]

    def _add_mapping_keys_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        self.premises.listed(self._texts[node], list(args[0].keys()))
        return "mapping_keys", (tuple(args[0].keys()),), args[1]

    def _add_dict_version_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        # pytree's registry only grows: its keys say it all.
        if args[0] is pytree.SUPPORTED_NODES:
            return "dict_version", (tuple(operands.reference(key) for key in args[0]),), args[1]
        return "dict_version", (dict(args[0]),), args[1]

    def _add_dispatch_key_set_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        return "dispatch_key_set", (args[0].raw_repr(),), args[1]

    def _add_tensor_match_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        value, size, stride, name, verbose, _, pytype, keys, *of_rank = args
        if any(of_rank):
            raise NotPortableError("a guard on the device of this rank (compile_on_one_rank)")
        self.premises.type_guarded(pytype)
        return "tensor_match", (operands.tensor(value, size, stride, name, pytype, keys),), verbose

    def _add_dimension_marking_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        ranges = getattr(self._values[node], _RANGES, ())
        if any((each.min, each.max) != (None, None) for each in ranges):
            # As torch's guard on what is marked, this holds for a tensor without marks.
            given = f"getattr({self._texts[node]}, {_RANGES!r}, {str(ranges)!r})"
            self.premises.equal_by_bits(f"str({given})", str(ranges))
        dependent = {name: value for name, value in args[2].items() if name != _RANGES}  # guarded since torch 2.15
        return "dimension_marking", (*args[:2], dependent), args[3]

    def _add_default_device_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:

        return "default_device", (_device.CURRENT_DEVICE,), args[0]

    def _add_torch_function_mode_stack_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        return "torch_function_mode_stack", (tuple(operands.reference(type(mode)) for mode in args[0]),), args[1]

    def _add_global_state_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        state = json.loads(args[0].__getstate__())
        threads = state.pop("num_threads")
        return "global_state", (state, threads), args[1]

    def _add_lambda_guard(self, node: int, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], Any]:
        if self.code_parts is not None:
            return "expression", (tuple(parse(part) for part in self.code_parts),), args[1]
        return "named_check", _named_check(args[0]), args[1]

    _add_epilogue_lambda_guard = _add_lambda_guard


def _texts(verbose: Any) -> Sequence[Any]:
    return [verbose] if isinstance(verbose, str) else list(verbose or ())


def _type_reference(cls: type) -> _core.ImportRef | None:
    try:
        return operands.reference(cls)
    except NotPortableError:
        return None


def _named_check(function: Callable[[Any], bool]) -> tuple[str, tuple[Any, ...]]:
    """The closed list of checks that torch writes as closures, by the method that makes them."""
    made_by = function.__qualname__.removeprefix("GuardBuilder.").partition(".")[0]
    names = function.__code__.co_freevars
    free = {name: cell.cell_contents for name, cell in zip(names, function.__closure__ or (), strict=True)}
    if made_by == "AUTOGRAD_SAVED_TENSORS_HOOKS" and free["guard_hooks_ids"] is None:
        return "no_inlineable_saved_tensors_hooks", ()
    if made_by == "FUNCTORCH_STACK_MATCH":
        return "functorch_stack", (list(free["states"]),)
    if made_by == "CONSTANT_SUBCLASS_MATCH":
        return "constant_subclass", (operands.reference(free["base_type"]), free["base_value"])
    if made_by == "COUNT_ITERATOR_MATCH":
        return "count_iterator", (operands.reference(free["count_type"]), tuple(free["normalized_count_iter"]))
    if made_by == "TENSOR_SUBCLASS_METADATA_MATCH":
        guard = free.get("cls")
        return "subclass_metadata", (free["original_metadata"], operands.reference(guard) if guard else None)
    if made_by == "OPAQUE_OBJ_GUARD_FN_MATCH":
        return "opaque_object", (free["original_values"],)
    if made_by == "LIST_REVERSEITERATOR_LEN":
        return "reverse_iterator", (operands.reference(free["it_type"]), free["length"])
    if made_by == "COW_TENSOR_MATCH":
        return "copy_on_write", (free["expected"],)
    raise NotPortableError(f"guard {made_by} depends on objects that only this process has")

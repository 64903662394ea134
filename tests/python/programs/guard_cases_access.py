"""Every accessor of guard programs, with frames that its guards hold for and frames that they refuse."""

from __future__ import annotations

import collections
import contextvars
import functools
import weakref
from typing import Any

import numpy as np
import torch
import torch._dynamo.source as sources
from guard_kit import Case, Frame, Kit, local
from guard_objects import (
    Box,
    Derived,
    Fields,
    Flattened,
    Mode,
    MoreFields,
    Other,
    Pair,
    Plain,
    Proxy,
    Rederived,
    Script,
    Swapped,
    Veiled,
    closing_over,
    current_stream,
    function,
    module,
    other_default,
    patched,
    read_switch,
    switch,
)
from torch._dynamo.source import TensorProperty

x = local("x")


def equal(source: Any) -> Any:
    return lambda kit: kit.equal(source)


def frames(*values: Any) -> list[Frame]:
    return [Frame({"x": value}) for value in values]


def lazily(*makers: Any) -> list[Frame]:
    return [Frame(lambda make=make: {"x": make()}) for make in makers]


def case(name: str, kind: str, build: Any, good: Any, bad: list[Any], also: list[Any] | None = None, **more: Any) -> Case:
    return Case(name, (kind, *more.pop("kinds", ())), {"x": good}, build, frames(*bad), frames(*(also or ())), **more)


def named(name: str, source: Any, good: Any, bad: list[Any], also: list[Any] | None = None, **more: Any) -> Case:
    return case(f"named_accessor:{name}", "named_accessor", equal(source), good, bad, also, **more)


attr = functools.partial(sources.AttrSource, x)
item = functools.partial(sources.GetItemSource, x)
size = functools.partial(sources.TensorPropertySource, x)
keyed = sources.DictGetItemSource(x, sources.ConstDictKeySource(x, 0))
G = {"g": 1, "gone": 2}
referent, other_referent = Box(a=1), Box(a=1)
weak = {"w": weakref.ref(referent)}
three = torch.zeros(3, 4)
leaf, scored = torch.zeros(2), torch.zeros(2, requires_grad=True)
scored.grad = torch.ones(2)


def imported(name: str) -> Any:
    made = object.__new__(sources.ImportSource)  # its constructor wants a trace to be under way
    object.__setattr__(made, "module_name", name)
    return made


def keys_in_order(kit: Kit) -> None:
    kit.check(x, "DICT_KEYS_MATCH")


def indexed(kit: Kit) -> None:
    node = kit.node(sources.IndexedSource(size(TensorProperty.SIZE, 0), 7))
    node.add_equals_match_guard((7, 3), ["(7, L['x'].size()[0]) == (7, 3)"], None)


def type_order(kit: Kit) -> None:
    source = sources.TypeMROSource(sources.TypeSource(x))
    kit.check(sources.GetItemSource(source, 1), "CLASS_MATCH")


def mode_level(kit: Kit) -> None:
    kit.equal(sources.AttrSource(sources.TorchFunctionModeStackSource(0), "level"))


ACCESSORS = [
    case("framelocals", "framelocals", equal(x), 1, [2, True, None, 1.0], kinds=("equals_match",)),
    Case(
        "framelocals:absent",
        ("framelocals",),
        {"x": 1},
        equal(x),
        [Frame({}), Frame({"y": 1})],
        [Frame({"x": 1, "y": 2})],
    ),
    case("getattr", "getattr", equal(attr("a")), Box(a=1), [Box(a=2), Box(b=1), 1], [Box(a=1, b=5)]),
    case(
        "generic_getattr",
        "generic_getattr",
        equal(sources.GenericAttrSource(x, "a")),
        Veiled(a=1, veil=9),
        [Veiled(a=9, veil=1)],
        [Veiled(a=1, veil=1)],
    ),
    case(
        "getitem",
        "getitem",
        equal(item(1)),
        collections.deque([1, 2]),
        [collections.deque([1, 3]), collections.deque([1])],
        [[5, 2]],
    ),
    case("getitem:slice", "getitem", equal(item(slice(0, 2), True)), [1, 2, 3], [[1, 3, 3], [1]], [[1, 2, 9]]),
    case(
        "dict_getitem",
        "dict_getitem",
        equal(sources.DictGetItemSource(x, "k")),
        {"k": 1},
        [{"k": 2}, {}],
        [{"j": 3, "k": 1}],
    ),
    case(
        "dict_getitem:keys",
        "dict_getitem",
        equal(sources.DictGetItemSource(x, (1, "a"))),
        {(1, "a"): 1},
        [{(1, "b"): 1}, {(1, "a"): 2}],
    ),
    case("list_getitem", "list_getitem", equal(item(1)), [1, 2], [[2, 1], [1]], [[5, 2, 7]]),
    case("list_getitem:subclass", "list_getitem", equal(sources.ListGetItemSource(x, 0)), [1], [[2], []]),
    case("tuple_getitem", "tuple_getitem", equal(item(1)), (1, 2), [(2, 1), (1,)], [(5, 2, 7)]),
    case("set_getitem", "set_getitem", equal(sources.NonSerializableSetGetItemSource(x, 0)), {5}, [{6}], [{5}]),
    case("indexed", "indexed", indexed, three, [torch.zeros(4, 4)], [torch.ones(3, 1)], kinds=("tensor_size",)),
    case(
        "tensor_size",
        "tensor_size",
        equal(size(TensorProperty.SIZE, 1)),
        three,
        [torch.zeros(3, 5)],
        [torch.zeros(7, 4)],
    ),
    case(
        "tensor_stride",
        "tensor_stride",
        equal(size(TensorProperty.STRIDE, 0)),
        three,
        [torch.zeros(4, 3).T, torch.zeros(3, 5)],
        [torch.zeros(9, 4)],
    ),
    case(
        "tensor_storage_offset",
        "tensor_storage_offset",
        equal(size(TensorProperty.STORAGE_OFFSET)),
        three,
        [torch.zeros(4, 4)[1:]],
        [torch.zeros(4, 4)[:3]],
    ),
    Case(
        "globals_dict",
        ("globals_dict", "dict_getitem"),
        {},
        equal(sources.GlobalSource("g")),
        [Frame(state=lambda: patched(G, g=2)), Frame(state=lambda: patched(G, g=None))],
        [Frame(state=lambda: patched(G, h=2))],
        namespace=G,
    ),
    Case(
        "global_weakref",
        ("global_weakref",),
        {},
        lambda kit: kit.check(sources.GlobalWeakRefSource("w"), "WEAKREF_ALIVE"),
        [Frame(state=lambda: patched(weak, w=weakref.ref(Box())))],
        [Frame(state=lambda: patched(weak, w=weakref.ref(other_referent)))],
        namespace=weak,
    ),
    case("grad", "grad", lambda kit: kit.check(sources.GradSource(x), "NONE_MATCH"), leaf, [scored], [torch.zeros(1)]),
    case(
        "closure",
        "closure",
        equal(sources.CellContentsSource(sources.GetItemSource(sources.ClosureSource(x), 0), "cell_contents")),
        closing_over(1),
        [closing_over(2), function],
        [closing_over(1)],
    ),
    case("code", "code", equal(sources.CodeSource(x)), function, [other_default, read_switch], kinds=("id_match",)),
    case(
        "func_defaults",
        "func_defaults",
        equal(sources.DefaultsSource(x, 0)),
        function,
        [other_default, read_switch],
    ),
    case(
        "func_kwdefaults",
        "func_kwdefaults",
        equal(sources.DefaultsSource(x, "b", True)),
        function,
        [other_default, read_switch],
    ),
    Case(
        "call_no_args",
        ("call_no_args",),
        {"x": read_switch},
        equal(sources.CallFunctionNoArgsSource(x)),
        [Frame(state=lambda: patched(switch, on=2))],
    ),
    case(
        "type",
        "type",
        equal(sources.AttrSource(sources.TypeSource(x), "a")),
        Plain(),
        [Other()],
        [Derived()],
    ),
    case("type_mro", "type_mro", type_order, Derived(), [Rederived()]),
    case(
        "type_dict",
        "type_dict",
        equal(sources.DictGetItemSource(sources.TypeDictSource(sources.TypeSource(x)), "a")),
        Plain(),
        [Other(), Derived()],
    ),
    case(
        "generic_dict",
        "generic_dict",
        equal(attr("training")),
        module(),
        [module(training=False)],
        [module(other=3)],
        kinds=("dict_getitem",),
    ),
    case(
        "generic_dict:absent",
        "generic_dict",
        lambda kit: kit.check(x, "NOT_PRESENT_IN_GENERIC_DICT", attr="forward"),
        module(),
        [module(forward=1)],
        [module(other=3)],
        kinds=("dict_contains",),
    ),
    Case(
        "tuple_iterator_getitem",
        ("tuple_iterator_getitem",),
        lambda: {"x": iter((1, 2))},
        equal(sources.TupleIteratorGetItemSource(x, 1)),
        lazily(lambda: iter((1, 3)), lambda: iter((1, "2"))),
        lazily(lambda: iter((5, 2))),
    ),
    case(
        "weakref_call",
        "weakref_call",
        equal(sources.AttrSource(sources.WeakRefCallSource(x), "a")),
        weakref.ref(referent),
        [weakref.ref(Box()), weakref.ref(function)],
        [weakref.ref(other_referent)],
    ),
    case(
        "dict_key",
        "dict_key",
        keys_in_order,
        {"a": 1, "b": 2},
        [{"b": 2, "a": 1}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, collections.OrderedDict(a=1, b=2)],
        [{"a": 5, "b": None}],
        ordered=(x,),
        kinds=("equals_match", "dict_length"),
    ),
    case(
        "dict_key:class",
        "dict_key",
        keys_in_order,
        {Plain: 1, Other: 2},
        [{Other: 1, Plain: 2}, {Plain: 1, Derived: 2}],
        [{Plain: 8, Other: 9}],
        ordered=(x,),
    ),
    case("dict_value", "dict_value", equal(keyed), {"a": 1, "b": 2}, [{"a": 3, "b": 2}, {"a": 1}], ordered=(x,)),
    named("as_tensor_fullprec", sources.CallMethodItemSource(sources.FloatTensorSource(x)), 1.5, [2.5, 1.25], [1.5]),
    Case(
        "named_accessor:current_stream",
        ("named_accessor",),
        {},
        equal(sources.AttrSource(sources.CurrentStreamSource(torch.device("cpu")), "a")),
        [Frame(state=lambda: current_stream(Box(a=2)))],
        [Frame(state=lambda: current_stream(Box(a=1)))],
        state=lambda: current_stream(Box(a=1)),
    ),
    Case(
        "named_accessor:dataclass_fields",
        ("named_accessor",),
        {"x": Fields()},
        lambda kit: kit.check(sources.DataclassFieldsSource(x), "SEQUENCE_LENGTH"),
        frames(MoreFields(), 1),
        frames(Fields(7)),
    ),
    named(
        "from_numpy",
        sources.TensorPropertySource(sources.NumpyTensorSource(x), TensorProperty.SIZE, 0),
        np.zeros(3),
        [np.zeros(4)],
        [np.ones(3)],
    ),
    named(
        "get_base",
        sources.AttrSource(sources.AttrProxySource(x), "a"),
        Proxy(Box(a=1)),
        [Proxy(Box(a=2)), Box(a=1)],
        [Proxy(Box(a=1, b=2))],
    ),
    Case(
        "named_accessor:import_module",
        ("named_accessor",),
        {},
        equal(sources.DictGetItemSource(sources.AttrSource(imported("guard_objects"), "switch"), "on")),
        [Frame(state=lambda: patched(switch, on=2)), Frame(state=lambda: patched(switch, on="1"))],
    ),
    named("int", sources.DynamicScalarSource(x, True), 3, [4, "a"], [True + 2]),
    named("item", sources.CallMethodItemSource(x), torch.tensor(3), [torch.tensor(4), torch.zeros(2)], [torch.tensor([3])]),
    named(
        "namedtuple_fields",
        sources.GetItemSource(sources.NamedTupleFieldsSource(x), 0),
        Pair(1, 2),
        [Swapped(1, 2), (1, 2)],
        [Pair(3, 4)],
    ),
    named(
        "obj_flatten",
        sources.GetItemSource(sources.FlattenScriptObjectSource(x), 0),
        Script("s", 1),
        [Script("s", 2), 1],
        [Script("t", 1, 2)],
    ),
    named("script_qualified_name", sources.ScriptObjectQualifiedNameSource(x), Script("a"), [Script("b")], [Script("a", 1)]),
    named(
        "tensor_flatten_attributes",
        sources.GetItemSource(sources.SubclassAttrListSource(x), 0),
        Flattened("a"),
        [Flattened("b", "a"), 1],
        [Flattened("a", "c")],
    ),
    Case(
        "named_accessor:torch_function_mode_at",
        ("named_accessor",),
        {},
        mode_level,
        [Frame(state=lambda: Mode(2))],
        [Frame(state=lambda: Mode(1))],
        state=lambda: Mode(1),
    ),
]


def variable(*values: Any) -> contextvars.ContextVar[Any]:
    made: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    for value in values:
        made.set(value)
    return made


def collective(tensor: torch.Tensor) -> Any:
    from torch.distributed._functional_collectives import AsyncCollectiveTensor

    return AsyncCollectiveTensor(tensor)


# Of later generations.
if hasattr(sources, "ContextVarGetSource"):
    ACCESSORS += [
        named("context_value", sources.ContextVarGetSource(x), variable(1), [variable(2)], [variable(2, 1)]),
        case(
            "named_accessor:context_value:default",
            "named_accessor",
            equal(sources.ContextVarGetSource(x, has_default=True, default_value=3)),
            variable(),
            [variable(2)],
            [variable(3)],
        ),
    ]
if hasattr(sources, "UnwrapCollectiveTensorSource"):
    ACCESSORS += [
        named("collective_tensor", sources.UnwrapCollectiveTensorSource(x), 1, [2], [1]),
        case(
            "named_accessor:collective_tensor:waiting",
            "named_accessor",
            equal(sources.AttrSource(sources.UnwrapCollectiveTensorSource(x), "shape")),
            torch.ones(2),
            [torch.ones(3), collective(torch.ones(3))],
            [collective(torch.zeros(2))],
        ),
    ]
if hasattr(sources, "ListReverseIteratorBackingListSource"):
    backing = sources.ListReverseIteratorBackingListSource(x)
    ACCESSORS.append(
        named(
            "list_of_reverse_iterator", sources.GetItemSource(backing, 0), reversed([1, 2]), [reversed([2, 2])], [reversed([1])]
        )
    )

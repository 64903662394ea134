"""Every check, relation and mark of guard programs but those on tensors, with frames that hold and frames that are refused."""

from __future__ import annotations

import collections
import enum
import itertools
import math
import types
from collections.abc import Callable
from typing import Any

import guard_objects as objects
import torch
import torch._dynamo.guards as dynamo
import torch._dynamo.source as sources
from guard_cases_access import case, frames, lazily
from guard_kit import Case, Frame, Kit, local
from guard_objects import Box, Derived, Fields, Other, Plain
from torch import nn
from torch._library.fake_class_registry import FakeScriptObject
from torch._library.opaque_object import register_opaque_type
from torch._opaque_base import OpaqueBase

x, y = local("x"), local("y")


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    ONE = 1


class Name(str):
    pass


class Rank(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Handle(OpaqueBase):
    """An opaque object whose guard reads its key."""

    def __init__(self, key: int, note: str = "") -> None:
        self.key = key
        self.note = note


register_opaque_type(Handle, typ="reference", guard_fn=lambda handle: [handle.key], members={})


class Inner:
    def __init__(self, metadata: Any) -> None:
        self.metadata = metadata

    def __tensor_flatten__(self) -> tuple[list[str], Any]:
        return ["a"], self.metadata


class OnlyEven(Inner):
    @classmethod
    def __metadata_guard__(cls, expected: Any, present: Any) -> bool:
        return bool(expected % 2 == present % 2)


class Registry(dict[Any, Any]):
    pass


def check(kind: str, **keywords: Any) -> Callable[[Kit], None]:
    return lambda kit: kit.check(x, kind, **keywords)


def constant(value: Any, bad: list[Any], also: list[Any] | None = None, kind: str = "equals_match") -> Case:
    return case(f"{kind}:{value!r}", kind, check("CONSTANT_MATCH"), value, bad, [value, *(also or ())])


def identity(name: str, value: Any, bad: list[Any], kind: str = "id_match") -> Case:
    return case(f"{kind}:{name}", kind, check("ID_MATCH"), value, bad, [value])


def iterator(kind: str, method: str, good: Any, bad: list[Any], also: list[Any]) -> Case:
    return Case(f"{kind}:{method}", (kind,), lambda: {"x": good()}, check(method), lazily(*bad), lazily(good, *also))


def fits_code(kit: Kit) -> None:
    kit.equal(sources.CodeSource(x))


def fake(real: Any) -> FakeScriptObject:
    return FakeScriptObject(real, "Handle", real)


def make(value: Any) -> Any:
    return objects.closing_over(value)


def twin(value: Any) -> Any:
    """Another function of the same text."""

    def inner() -> Any:
        return value

    return inner


def nested(value: Any) -> Any:
    return make(make(value))


def with_default(value: Any) -> Any:
    def inner(a: Any = value, *, b: Any = 2) -> Any:
        return a, b

    return inner


def renamed(function: Any, **attributes: Any) -> Any:
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    for name, value in attributes.items():
        setattr(copy, name, value)
    return copy


def over(function: Any, namespace: dict[str, Any]) -> Any:
    """The same function over other globals: `m1.f` and `m2.f` of equal text."""
    copy = types.FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    return copy


def aliasing(kit: Kit) -> None:
    import torch._dynamo.guards as dynamo

    dynamo.install_object_aliasing_guard(kit.node(x), kit.node(y), ["L['y'] is L['x']"], None)


def aliasing_expression(kit: Kit) -> None:
    kit.builder.add_python_lambda_leaf_guard_to_root(["L['y'] is L['x']"], ["L['y'] is L['x']"])


def expression(*parts: str) -> Callable[[Kit], None]:
    return lambda kit: kit.builder.add_python_lambda_leaf_guard_to_root(list(parts), list(parts))


def tag_safe(kit: Kit) -> None:
    kit.equal(sources.AttrSource(x, "training"))
    kit.equal(sources.GetItemSource(sources.AttrSource(x, "shape"), 0))
    node = kit.node(x)
    node.mark_tag_safe()
    node.mark_tag_safe_root()


def module(training: bool = True, shape: tuple[int, ...] = (1, 2)) -> nn.Module:
    return objects.module(training=training, shape=shape)


shared = Box()
function = make(1)
namespace = {"limit": 4}


def _nan(kind: str, value: Any, fails: list[Any], other: Any) -> Case:
    if objects.BY_BITS:
        return case(kind, "named_check", check("EQUALS_MATCH"), value, [*fails, other], [])
    return case(kind, kind, check("EQUALS_MATCH"), value, fails, [other])


CHECKS = [
    case("type_match", "type_match", check("TYPE_MATCH"), Plain(), [Other(), Derived(), Plain, 1], [Plain()]),
    case("type_match:builtin", "type_match", check("TYPE_MATCH"), 1, [True, 1.0, None], [2]),
    identity("class", Plain, [Other, Derived, Plain()]),
    identity("module", math, [itertools, None]),
    identity("builtin", len, [print, math.sqrt]),
    identity("torch function", torch.relu, [torch.sin, nn.functional.relu]),
    identity("function", objects.read_switch, [objects.function, renamed(objects.read_switch)]),
    identity("method of a class", Fields.__init__, [objects.MoreFields.__init__]),
    identity("enum member", Color.RED, [Color.BLUE, 1, Level.ONE]),
    identity("none", None, [0, False]),
    identity("true", True, [1, False]),
    identity("dtype", torch.float32, [torch.float64, "float32"]),
    case("id_match:code", "id_match", fits_code, objects.function, [objects.other_default], [renamed(objects.function)]),
    case(
        "id_match:rebound function",
        "id_match",
        check("ID_MATCH"),
        function,
        [make(1), make(2), renamed(function)],
        [function],
    ),
    case(
        "id_match:rebound code",
        "id_match",
        fits_code,
        function,
        [twin(1), with_default(1), objects.function],
        [make(1), make(2)],
    ),
    constant(1, [2, True, 1.0, "1", None], [1]),
    constant(1.5, [2.5, 1, None]),
    constant("a", ["b", b"a", Name("a")]),
    constant(b"a", ["a", b"b"]),
    constant(2**80, [2**80 + 1, 0]),
    constant(1 + 2j, [1 - 2j, 1]),
    constant((1, (2, "a")), [(1, (2, "b")), [1, (2, "a")], (1,)]),
    constant([1, 2], [[2, 1], (1, 2), [1]]),
    constant({1, 2}, [{1}, frozenset({1, 2}), {2, 3}], [{2, 1}]),
    constant(frozenset({1, 2.5}), [frozenset({1}), {1, 2.5}]),
    constant(slice(1, None, 2), [slice(1, None, 3), slice(None)]),
    constant(range(3), [range(4), range(0, 6, 2), [0, 1, 2]]),
    constant(torch.Size([1, 2]), [torch.Size([2, 1]), (1, 2)]),
    constant(torch.float32, [torch.float64]),
    constant(torch.device("cpu"), [torch.device("meta"), "cpu"]),
    constant(Color.RED, [Color.BLUE, Level.ONE, 1]),
    constant(Level.ONE, [1, True, Color.RED]),
    constant(Plain, [Other, Plain()]),
    constant(None, [0, False, ""], kind="none_match"),
    constant(True, [False, 1, None], kind="true_match"),
    constant(False, [True, 0, None], kind="false_match"),
    _nan("float_is_nan", math.nan, [1.0, math.inf, 1, complex("nan")], -math.nan),
    _nan("complex_is_nan", complex("nan"), [1j, math.nan], complex(1, math.nan)),
    case("not_none", "not_none", check("WEAKREF_ALIVE"), 1, [None], [0, ""]),
    case("length", "length", check("SEQUENCE_LENGTH"), [1, 2], [[1], [1, 2, 3], (1, 2), 5], [[3, 4]], kinds=("type_match",)),
    case("length:empty", "length", check("SEQUENCE_LENGTH"), (), [(1,)], [()]),
    case("length:deque", "length", check("SEQUENCE_LENGTH"), collections.deque([1]), [collections.deque(), [1]]),
    case("dict_length", "dict_length", check("SEQUENCE_LENGTH"), {"a": 1}, [{}, {"a": 1, "b": 2}], [{"b": 5}]),
    case("dict_contains", "dict_contains", check("DICT_CONTAINS", key="a"), {"a": 1}, [{}, {"b": 1}], [{"a": 2, "b": 1}]),
    case("dict_contains:not", "dict_contains", check("DICT_NOT_CONTAINS", key="a"), {}, [{"a": 1}], [{"b": 1}]),
    case("dict_contains:class", "dict_contains", check("DICT_CONTAINS", key=Plain), {Plain: 1}, [{Other: 1}, {}]),
    case("set_contains", "set_contains", check("SET_CONTAINS", key="a"), {"a"}, [set(), {"b"}], [{"a", "b"}]),
    case(
        "set_contains:not",
        "set_contains",
        check("SET_NOT_CONTAINS", key="a"),
        frozenset(),
        [frozenset("a")],
        [frozenset("b")],
    ),
    case("set_contains:class", "set_contains", check("SET_CONTAINS", key=Plain), {Plain}, [{Other}], [{Plain, Other}]),
    case(
        "mapping_keys",
        "mapping_keys",
        check("MAPPING_KEYS_CHECK"),
        types.MappingProxyType({"a": 1, "b": 2}),
        [types.MappingProxyType({"a": 1}), types.MappingProxyType({"b": 1, "a": 2})],
        [types.MappingProxyType({"a": 9, "b": 8}), {"a": 1, "b": 2}],
    ),
    case("no_hasattr", "no_hasattr", check("HASATTR", attr="a"), Box(), [Box(a=1), Plain()], [Box(b=1)]),
    case("hasattr", "getattr", check("HASATTR", attr="a"), Box(a=1), [Box()], [Box(a=None), Plain()]),
    iterator(
        "tuple_iterator_length",
        "TUPLE_ITERATOR_LEN",
        lambda: iter((1, 2)),
        [lambda: iter(()), lambda: iter([1, 2])],
        [lambda: iter((3, 4))],
    ),
    iterator(
        "range_iterator_match",
        "RANGE_ITERATOR_MATCH",
        lambda: iter(range(1, 9, 2)),
        [lambda: iter(range(1, 9)), lambda: iter(range(3, 9, 2)), lambda: iter([1])],
        [],
    ),
    iterator(
        "named_check",
        "COUNT_ITERATOR_MATCH",
        lambda: itertools.count(3, 2),
        [lambda: itertools.count(3), lambda: itertools.count(5, 2), lambda: iter([3])],
        [],
    ),
    case(
        "named_check:constant_subclass:int",
        "named_check",
        check("CONSTANT_SUBCLASS_MATCH"),
        Rank(3),
        [Rank(4), "a"],
        [Rank(3)],
    ),
    case(
        "named_check:constant_subclass:str",
        "named_check",
        check("CONSTANT_SUBCLASS_MATCH"),
        Name("a"),
        [Name("b")],
        [Name("a")],
    ),
    case(
        "named_check:opaque",
        "named_check",
        check("OPAQUE_OBJ_GUARD_FN_MATCH"),
        Handle(1),
        [Handle(2), 1],
        [Handle(1, "n")],
    ),
    case(
        "named_check:metadata",
        "named_check",
        check("TENSOR_SUBCLASS_METADATA_MATCH"),
        Inner({"a": (1, 2)}),
        [Inner({"a": (1, 3)}), Inner(None), 1],
        [Inner({"a": (1, 2)})],
    ),
    case(
        "named_check:metadata guard",
        "named_check",
        check("TENSOR_SUBCLASS_METADATA_MATCH"),
        OnlyEven(2),
        [OnlyEven(3)],
        [OnlyEven(4)],
    ),
    case(
        "fake_script_type_match",
        "fake_script_type_match",
        check("FAKE_SCRIPT_TYPE_MATCH"),
        Handle(1),
        [Plain(), fake(Plain())],
        [Handle(2), fake(Handle(3))],
    ),
    case(
        "dict_version",
        "dict_version",
        check("DICT_VERSION"),
        table := {"a": 1, "b": Plain},
        [
            {"a": 2, "b": Plain},
            {"b": Plain, "a": 1},
            {"a": 1},
            Registry(a=1, b=Plain),
            {"a": 1, "b": Plain, "c": 0},
            {"a": True, "b": Plain},
        ],
        [table],
    ),
    case(
        "dispatch_key_set",
        "dispatch_key_set",
        check("DISPATCH_KEY_SET_MATCH"),
        torch._C._dispatch_keys(torch.zeros(1)),
        [torch._C._dispatch_keys(torch.zeros(1, device="meta"))],
        [torch._C._dispatch_keys(torch.ones(2))],
    ),
    Case(
        "object_aliasing",
        ("object_aliasing",),
        {"x": shared, "y": shared},
        aliasing,
        [Frame({"x": shared, "y": Box()})],
        [Frame(lambda: dict.fromkeys("xy", Box()))],
    ),
    Case(
        "expression:aliasing",
        ("expression",),
        {"x": shared, "y": shared},
        aliasing_expression,
        [Frame({"x": shared, "y": Box()}), Frame({"x": shared})],
        [Frame(lambda: dict.fromkeys("xy", Box()))],
    ),
    Case(
        "expression:arithmetic",
        ("expression",),
        {"x": 4, "y": 2},
        expression("L['x'] == 2*L['y']", "2 <= L['x'] and L['x'] <= 1024", "L['y'] % 2 == 0 or L['x'] > 9"),
        [Frame({"x": 4, "y": 3}), Frame({"x": 2, "y": 1}), Frame({"x": 2000, "y": 1000}), Frame({"x": 4})],
        [Frame({"x": 12, "y": 6}), Frame({"x": 10, "y": 5})],
    ),
    Case(
        "expression:globals",
        ("expression",),
        {"x": 4},
        expression("L['x'] <= G['limit']"),
        [Frame({"x": 5}), Frame(state=lambda: objects.patched(namespace, limit=3))],
        [Frame({"x": 5}, lambda: objects.patched(namespace, limit=9))],
        namespace=namespace,
    ),
    Case(
        "expression:types",
        ("expression",),
        {"x": (1, 2)},
        expression("type(L['x']) is tuple", "len(L['x']) == 2"),
        frames([1, 2], (1,), 3),
        frames((3, 4)),
    ),
    case(
        "mark_tag_safe",
        "mark_tag_safe",
        tag_safe,
        module(),
        [module(False), module(shape=(2, 2))],
        [module(shape=(1, 9))],
        kinds=("mark_tag_safe_root",),
    ),
]

# Of later generations.
if hasattr(dynamo.GuardBuilder, "COW_TENSOR_MATCH"):
    plain, copied = torch.zeros(2), torch.zeros(2)
    CHECKS.append(
        case(
            "named_check:copy_on_write",
            "named_check",
            check("COW_TENSOR_MATCH"),
            plain,
            [torch._lazy_clone(copied), 1],
            [torch.ones(3)],
        )
    )
if hasattr(dynamo.GuardBuilder, "LIST_REVERSEITERATOR_LEN"):
    CHECKS.append(
        case(
            "named_check:reverse_iterator",
            "named_check",
            check("LIST_REVERSEITERATOR_LEN"),
            reversed([1, 2]),
            [reversed([1]), reversed((1, 2)), iter([1, 2])],
            [reversed([3, 4])],
        )
    )

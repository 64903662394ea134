"""Whatever becomes of what words prove, an engine that knows a frame by words decides as one that has never seen it."""

from __future__ import annotations

import dis
import gc
import itertools
import sys
import types
import weakref
from collections.abc import Callable
from opcode import opmap
from typing import Any

import pytest

from coldframe import _core

Steps = list[Any]


def at(name: str, *reads: tuple[str, Any, int]) -> Steps:
    """Reads from the global `name` on; the last value has number 9."""
    steps: Steps = [("globals", (), 1, None, 0), ("dict_getitem", (1,), 9, name, 0)]
    return steps + [(operation, (9,), 9, operand, number) for operation, operand, number in reads]


def attribute(name: str) -> tuple[str, Any, int]:
    return ("getattr", name, 0)


def equals(value: Any) -> Steps:
    return [("equals_match", (9,), 0, value, 0)]


class Slots:
    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x


class Plain:
    shared = 1

    def __init__(self) -> None:
        self.x = 1


class Hidden(Plain):
    @property
    def x(self) -> int:
        return self._x

    @x.setter
    def x(self, value: int) -> None:
        self._x = value


class Meta(type):
    pass


def case(make: Callable[[], Any], steps: Steps, *changes: Callable[[Any], None]) -> Any:
    return make, steps, changes


def fresh_class(value: Any = 1, **members: Any) -> Any:
    return types.new_class("Made", (Plain,), exec_body=lambda body: body.update(attribute=value, **members))


class Value:
    pass


def gains(name: str) -> Callable[[Any], None]:
    return lambda owner: setattr(type(vars(type(owner))["attribute"]), name, lambda *args: 7)


def with_value() -> Any:
    return fresh_class(type("Value", (), {})())()


def cell(value: Any) -> Any:
    return (lambda: value).__closure__[0]  # type: ignore[index]


def function(a: int = 1, *, b: int = 2) -> int:
    return a + b


def copied() -> types.FunctionType:
    made = types.FunctionType(function.__code__, globals(), "made", (1,), None)
    made.__kwdefaults__ = {"b": 2}
    return made


NOT_NONE: Steps = [("not_none", (9,), 0, None, 0)]
X = at("it", attribute("x")) + equals(1)
SHARED = at("it", attribute("shared")) + equals(1)


def set_class(owner: Any) -> None:
    owner.__class__ = type("Other", (Plain,), {"x": property(lambda self: 5)})


CASES = {
    "slot": case(lambda: Slots(1), X, lambda it: setattr(it, "x", 2), lambda it: delattr(it, "x")),
    "attribute": case(
        Plain,
        X,
        lambda it: setattr(it, "x", 2),
        lambda it: it.__dict__.update(x=2),
        lambda it: it.__dict__.clear(),
        lambda it: setattr(it, "__dict__", {"x": 2}),
        set_class,
    ),
    "attribute of the class": case(
        lambda: fresh_class(1)(),
        at("it", attribute("attribute")) + equals(1),
        lambda it: setattr(it, "attribute", 2),
        lambda it: setattr(type(it), "attribute", 2),
        lambda it: setattr(type(it), "attribute", property(lambda self: 3)),
        lambda it: setattr(type(it), "__getattribute__", lambda self, name: 4),
        lambda it: delattr(type(it), "attribute"),
    ),
    "attribute of a base": case(
        lambda: fresh_class()(), SHARED, lambda it: setattr(type(it), "shared", 2), lambda it: setattr(it, "shared", 2)
    ),
    "what is absent": case(
        lambda: fresh_class()(),
        [*at("it"), ("no_hasattr", (9,), 0, "late", 0)],
        lambda it: setattr(it, "late", 2),
        lambda it: setattr(type(it), "late", 2),
        lambda it: setattr(type(it), "__getattr__", lambda self, name: 3),
    ),
    "a value that becomes a descriptor": case(
        with_value, at("it", attribute("attribute")) + NOT_NONE, gains("__get__"), gains("__set__")
    ),
    "a value that hides behind a descriptor": case(
        lambda: (made := with_value(), made.__dict__.update(attribute=1))[0],
        at("it", attribute("attribute")) + equals(1),
        lambda it: (gains("__set__")(it), gains("__get__")(it)),
    ),
    "attribute of a class": case(
        lambda: Meta("Classed", (), {"x": 1}),
        X,
        lambda it: setattr(it, "x", 2),
        lambda it: setattr(Meta, "x", property(lambda cls: 3)),
    ),
    "attribute of a module": case(
        lambda: (made := types.ModuleType("made"), setattr(made, "x", 1))[0],
        X,
        lambda it: setattr(it, "x", 2),
        lambda it: vars(it).clear(),
        lambda it: setattr(it, "__class__", type("Other", (types.ModuleType,), {"x": property(lambda self: 5)})),
    ),
    "descriptor of another class": case(
        lambda: fresh_class(vars(Slots)["x"])(),
        [*at("it"), ("no_hasattr", (9,), 0, "attribute", 0)],
        lambda it: setattr(type(it), "attribute", 1),
        lambda it: setattr(type(it), "attribute", property(lambda self: 1)),
    ),
    "item of a list": case(
        lambda: [0, 1],
        at("it", ("list_getitem", None, 1)) + equals(1),
        lambda it: it.__setitem__(1, 2),
        lambda it: it.clear(),
        lambda it: it.pop(),
        lambda it: it.insert(0, 5),
        lambda it: it.__init__([5] * 100),
    ),
    "length": case(lambda: [0, 1], [*at("it"), ("length", (9,), 0, None, 2)], lambda it: it.append(1), lambda it: it.clear()),
    "item of a dict": case(
        lambda: {"k": 1},
        at("it", ("dict_getitem", "k", 0)) + equals(1),
        lambda it: it.update(k=2),
        lambda it: it.pop("k"),
        lambda it: it.clear(),
    ),
    "order of a dict": case(
        lambda: {"k": 1, "l": 2},
        at("it", ("dict_key", None, 0)) + equals("k"),
        lambda it: it.update(k=it.pop("k")),
        lambda it: it.pop("k"),
    ),
    "what a dict lacks": case(lambda: {}, [*at("it"), ("dict_lacks", (9,), 0, "k", 0)], lambda it: it.update(k=1)),
    "size of a dict": case(lambda: {"k": 1}, [*at("it"), ("dict_length", (9,), 0, None, 1)], lambda it: it.update(l=1)),
    "defaults": case(
        copied,
        at("it", ("defaults", None, 0), ("tuple_getitem", None, 0)) + equals(1),
        lambda it: setattr(it, "__defaults__", (2,)),
        lambda it: setattr(it, "__defaults__", None),
    ),
    "defaults by attribute": case(
        copied,
        at("it", attribute("__defaults__"), ("tuple_getitem", None, 0)) + equals(1),
        lambda it: setattr(it, "__defaults__", (2,)),
    ),
    "named defaults": case(
        copied,
        at("it", ("kwdefaults", None, 0), ("dict_getitem", "b", 0)) + equals(2),
        lambda it: setattr(it, "__kwdefaults__", {"b": 3}),
        lambda it: it.__kwdefaults__.update(b=3),
    ),
    "code": case(
        copied,
        [*at("it", ("code", None, 0)), ("id_match", (9,), 0, function.__code__, 0)],
        lambda it: setattr(it, "__code__", case.__code__),
    ),
    "cell": case(lambda: cell(1), at("it", attribute("cell_contents")) + equals(1), lambda it: setattr(it, "cell_contents", 2)),
    "property": case(
        Hidden, X, lambda it: setattr(it, "x", 2), lambda it: setattr(it, "_x", 2), lambda it: it.__dict__.clear()
    ),
    "class": case(Plain, [*at("it"), ("type_match", (9,), 0, Plain, 0)], set_class),
}


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_noticed(name: str) -> None:
    make, steps, changes = CASES[name]
    for change in (*changes, lambda it: None):
        it = make()
        namespace = {"it": it}
        engine = _core.GuardEngine(steps)

        def ask(engine: _core.GuardEngine, namespace: dict[str, Any] = namespace) -> int:
            return engine.check((), (), namespace)

        for _ in range(4):
            assert ask(engine) == -1
        assert engine.reduction is not None
        change(it)
        for _ in range(3):
            assert ask(engine) == ask(_core.GuardEngine(steps)), change
        namespace["it"] = make()
        assert ask(engine) == ask(_core.GuardEngine(steps))
        if "x" in vars(Meta):
            del Meta.x  # type: ignore[attr-defined]


def test_an_object_at_the_address_of_one_that_died_is_another_one() -> None:
    def named(value: int) -> types.ModuleType:
        made = types.ModuleType("made")
        made.x = value  # type: ignore[attr-defined]
        return made

    for make in (named, Slots, lambda value: [value], lambda value: {"k": value}, cell):
        kind = make(1)
        reads = {
            list: ("list_getitem", None, 0),
            dict: ("dict_getitem", "k", 0),
            types.CellType: attribute("cell_contents"),
        }.get(type(kind), attribute("x"))
        steps = at("holder", ("list_getitem", None, 0), reads) + equals(1)
        namespace = {"holder": [kind]}
        engine = _core.GuardEngine(steps)
        del kind
        for _ in range(4):
            assert engine.check((), (), namespace) == -1
        for _ in range(200):  # the allocator gives the place again
            namespace["holder"].clear()
            namespace["holder"].append(make(2))
            assert engine.check((), (), namespace) != -1
            namespace["holder"][0] = make(1)
            assert engine.check((), (), namespace) == -1


def test_a_check_may_run_itself() -> None:
    """From a step, and from the finalizer of what an engine kept."""
    entered = []

    def bound(value: Any) -> bool:
        if len(entered) < 500:
            entered.append(value)
            for _ in range(3):
                engine.check(("local",), (object(),), namespace)
        return True

    namespace: dict[str, Any] = {"it": copied(), "k": [1, 2, 3]}
    read = [("dict_getitem", (1,), 2, "k", 0), ("list_getitem", (2,), 3, None, 1), ("equals_match", (3,), 0, 2, 0)]
    steps = [("globals", (), 1, None, 0), *read * 10, ("dict_getitem", (1,), 2, "it", 0)]
    engine = _core.GuardEngine([*steps, ("bound_function", (2,), 0, bound, 0), *read * 10])
    for _ in range(200):
        namespace["k"] = [1, 2, 3]
        assert engine.check(("local",), (object(),), namespace) == -1
    assert entered


def test_what_a_foreign_key_runs_to_compare_itself_does_no_harm() -> None:
    asked = []

    class Key:
        def __hash__(self) -> int:
            return hash("it")

        def __eq__(self, other: object) -> bool:
            asked.append(other)
            namespace["more"] = len(asked)
            engine.check((), (), {"it": 2})
            return False

    steps = at("it") + equals(1)
    engine = _core.GuardEngine(steps)
    namespace: dict[Any, Any] = {Key(): 0}
    namespace["it"] = 1
    for number in range(50):
        namespace["other"] = number
        assert engine.check((), (), namespace) == -1
    namespace["it"] = 2
    assert engine.check((), (), namespace) != -1
    assert asked


def test_nothing_is_kept_alive() -> None:
    holder: dict[str, Any] = {"it": Plain()}
    engine = _core.GuardEngine(at("it", attribute("x")) + equals(1))
    for _ in range(5):
        assert engine.check((), (), holder) == -1
    assert engine.reduction is not None
    gone = weakref.ref(holder["it"])
    del holder["it"]
    assert gone() is None
    assert engine.check((), (), holder) != -1


# The rewritten call of a graph.


NULL_COMES_FIRST = sys.version_info < (3, 13)
SAMPLE = dis.get_instructions(lambda: print(sys.path))
CACHES = {each.opname: (behind.offset - each.offset) // 2 - 1 for each, behind in itertools.pairwise(SAMPLE)}


def assembled(parts: list[tuple[str, int]], **fields: Any) -> types.CodeType:
    code = bytearray()
    for name, argument in parts:
        if name in opmap:  # PRECALL is no more since 3.12
            caches = CACHES.get(name, 0)
            code += bytes([opmap[name], argument]) + bytes(2 * caches)
    return (lambda x: None).__code__.replace(co_code=bytes(code), **fields)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_stack_of_the_rewritten_code_is_deep_enough(count: int) -> None:
    """A size that was read before the arguments is read among them."""

    class Helpers:
        @staticmethod
        def call_size(value: Any, index: int) -> Any:
            return value[index]

    helper = 2 if sys.version_info >= (3, 12) else 1  # the lowest bit is another thing since 3.12
    parts = [("RESUME", 0), ("PUSH_NULL", 0), ("LOAD_GLOBAL", 0), ("LOAD_ATTR", helper), ("LOAD_FAST", 0), ("LOAD_CONST", 1)]
    if not NULL_COMES_FIRST:
        parts.insert(3, parts.pop(1))
    parts += [("PRECALL", 2), ("CALL", 2), ("STORE_FAST", 1), ("LOAD_GLOBAL", 5), ("LOAD_GLOBAL", 6)]
    parts += [("LOAD_FAST", 0)] * count + [("LOAD_FAST", 1), ("PRECALL", count + 2), ("CALL", count + 2), ("RETURN_VALUE", 0)]
    code = assembled(
        parts,
        co_names=("helpers", "call_size", "graph", "weight"),
        co_consts=(None, 0),
        co_varnames=("x", "size"),
        co_nlocals=2,
        co_stacksize=count + 4,
    )
    namespace = {"helpers": Helpers, "graph": lambda *args: args, "weight": "w", "it": 1}
    dispatcher = _core.Dispatcher(types.FunctionType((lambda x: None).__code__, namespace), lambda x: "missed")
    dispatcher.set_plan([(at("it") + equals(1), types.FunctionType(code, namespace), None)])
    for number in range(5):
        assert dispatcher([number]) == ("w", *[[number]] * count, number)
    ((_, _, bound),) = dispatcher.reductions  # type: ignore[misc]
    assert bound
    functions = [found for found in gc.get_objects() if type(found) is types.FunctionType]
    made = [f.__code__ for f in functions if any("BoundCall" in repr(type(const)) for const in f.__code__.co_consts)]
    assert made and all(code.co_stacksize >= deepest(code) for code in made)


def deepest(code: types.CodeType) -> int:
    """Returns how deep the stack gets in the straight line that the code begins with."""
    depth = most = 0
    for each in dis.get_instructions(code):
        if each.opname == "JUMP_FORWARD":
            break
        depth += dis.stack_effect(each.opcode, each.arg, jump=False)
        most = max(most, depth)
    return most

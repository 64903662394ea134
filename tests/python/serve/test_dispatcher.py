"""The dispatcher binds arguments as Python does, asks its variants in order, and gives up nothing that it does not own."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe import _core
from coldframe.errors import InvalidArgumentError
from coldframe.torch.serve.conditions import Conditions


def none() -> str:
    return "none"


def positional(a: Any, b: Any) -> str:
    return "positional"


def defaults(a: Any, b: Any = 2, c: Any = (3,)) -> str:
    return "defaults"


def positional_only(a: Any, b: Any = 5, /, c: Any = 6) -> str:
    return "positional_only"


def keyword_only(a: Any, *, b: Any, c: Any = 7) -> str:
    return "keyword_only"


def variadic(a: Any, *args: Any, b: Any = 1, **kwargs: Any) -> str:
    return "variadic"


def named(**kwargs: Any) -> str:
    return "named"


def free() -> Callable[..., Any]:
    outer, late = [1], 2

    def with_cells(a: Any, b: Any = None) -> Any:
        return outer, late, (lambda: a)

    return with_cells


FUNCTIONS = [none, positional, defaults, positional_only, keyword_only, variadic, named, free()]


def served(function: Any, guards: Any = (), result: Any = "served") -> Any:
    """A dispatcher with one variant."""
    variant = types.FunctionType(
        (lambda *args, **kwargs: result).__code__, {}, "variant", function.__defaults__, (types.CellType(result),)
    )
    variant.__kwdefaults__ = function.__kwdefaults__
    made = _core.Dispatcher(function, lambda *args, **kwargs: ("missed", args, kwargs))
    made.set_plan([(list(guards), variant, None)])
    return made


def expected_locals(function: Any, args: Any, kwargs: Any) -> dict[str, Any] | None:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {**bound.arguments, **{name: cell.cell_contents for name, cell in cells}}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@given(st.lists(st.integers(), max_size=4), st.dictionaries(st.sampled_from(["a", "b", "c", "d", "kwargs"]), st.integers()))
def test_arguments_are_bound_as_python_binds_them(function: Any, args: list[int], kwargs: dict[str, int]) -> None:
    seen: list[dict[str, Any]] = []
    dispatcher = served(function, [("frame_test", (), 0, lambda frame: seen.append(dict(frame)) or True, 0)])
    expected = expected_locals(function, args, kwargs)
    if expected is None:
        with pytest.raises(TypeError) as ours:
            dispatcher(*args, **kwargs)
        with pytest.raises(TypeError) as pythons:
            function(*args, **kwargs)
        assert str(ours.value) == str(pythons.value) and seen == []
    else:
        assert dispatcher(*args, **kwargs) == "served"
        assert seen == [expected] and seen[0].keys() == set(dispatcher.names)


def test_an_unbound_cell_is_no_local() -> None:
    def make() -> Any:
        def uses(a: Any) -> Any:
            return later

        if make is None:
            later = 1
        return uses

    seen: list[Any] = []
    assert served(make(), [("frame_test", (), 0, lambda frame: seen.append(dict(frame)) or True, 0)])(1) == "served"
    assert seen == [{"a": 1}]


def test_new_defaults_are_a_miss() -> None:
    def function(a: Any = 1, *, b: Any = 2) -> None: ...

    dispatcher = served(function)
    assert dispatcher() == "served"
    function.__defaults__ = (5,)
    assert dispatcher()[0] == "missed"
    dispatcher = served(function)
    assert dispatcher() == "served"
    function.__kwdefaults__ = {"b": 3}
    assert dispatcher()[0] == "missed"


def test_another_code_is_a_miss() -> None:
    def function(a: Any) -> str:
        return "old"

    dispatcher = served(function)
    assert dispatcher(1) == "served"
    function.__code__ = (lambda a: "new").__code__
    assert dispatcher(1)[0] == "missed"


def test_variants_are_asked_in_order_and_the_last_that_served_first() -> None:
    asked: list[int] = []
    heard: list[int] = []

    def guard(number: int) -> Any:
        return ("frame_test", (), 0, lambda frame: asked.append(number) or frame["a"] == number, 0)

    def variant(number: int) -> Any:
        return types.FunctionType((lambda a: number).__code__, {}, "variant", None, (types.CellType(number),))

    def function(a: Any) -> Any: ...

    dispatcher = _core.Dispatcher(function, lambda a: "missed")
    dispatcher.set_plan([([guard(n)], variant(n), lambda n=n: heard.append(n)) for n in range(3)])
    assert [dispatcher(n) for n in (2, 2, 0, 1, 9)] == [2, 2, 0, 1, "missed"]
    assert asked == [0, 1, 2, 2, 2, 0, 0, 1, 1, 0, 2]
    assert heard == [2, 0, 1]


def test_conditions_come_before_variants() -> None:
    state: dict[str, Any] = {"present": state_value}
    made = Conditions()
    made.item(state, "present", state_value)
    made.lacks(state, "absent")
    made.contains(members := {1}, 1)
    made.gives(lambda: state.get("given"), None)
    dispatcher = served(none, made.steps)
    for _ in range(4):
        assert dispatcher() == "served"
    for change, undo in (
        (lambda: state.update(absent=1), lambda: state.pop("absent")),
        (lambda: state.update(present=object()), lambda: state.update(present=state_value)),
        (lambda: state.update(given=1), lambda: state.pop("given")),
        (members.clear, lambda: members.add(1)),
    ):
        change()
        assert dispatcher()[0] == "missed"
        undo()
        assert dispatcher() == "served"


state_value = object()


def test_what_raises_in_a_guard_refuses_and_what_raises_in_the_code_does_not_vanish() -> None:
    def fail(frame: Any) -> bool:
        raise KeyError("guard")

    assert served(none, [("frame_test", (), 0, fail, 0)])()[0] == "missed"
    dispatcher = _core.Dispatcher(none, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dispatcher()
    dispatcher.set_plan([([], lambda: {}["code"], None)])
    with pytest.raises(KeyError, match="code"):
        dispatcher()


def test_a_plan_may_change_while_it_is_asked() -> None:
    """From within a guard, from within the code, and from other threads."""
    dispatcher = served(positional)

    def replace(frame: Any) -> bool:
        dispatcher.set_plan([])
        gc.collect()
        return True

    dispatcher.set_plan([([("frame_test", (), 0, replace, 0)], lambda a, b: "old", None)])
    assert dispatcher(1, 2) == "old" and dispatcher(1, 2)[0] == "missed"
    dispatcher.set_plan([([], lambda a, b: dispatcher.set_plan([]) or "old", None)])
    assert dispatcher(1, 2) == "old" and dispatcher(1, 2)[0] == "missed"
    stop = threading.Event()

    def toggle() -> None:
        while not stop.is_set():
            dispatcher.set_plan([([("local", (), 1, None, 0)], lambda a, b: a + b, None)])

    thread = threading.Thread(target=toggle)
    thread.start()
    try:
        assert {dispatcher(n, 1) if isinstance(n, int) else None for n in range(2000)} >= {1000}
    finally:
        stop.set()
        thread.join()


def test_calls_keep_and_leak_nothing() -> None:
    class Thing:
        pass

    argument, extra = Thing(), Thing()
    steps = [
        ("local", (), 1, None, 0),
        ("getattr", (1,), 2, "__class__", 0),
        ("type", (1,), 3, None, 0),
        ("same", (2, 3), 0, None, 0),
        ("local", (), 4, None, 2),
        ("type_match", (4,), 0, tuple, 0),
    ]
    dispatcher = served(variadic, steps, result=None)
    before = [sys.getrefcount(value) for value in (argument, extra, Thing, None, dispatcher)]
    for _ in range(100):
        assert dispatcher(argument, extra, b=2, other=extra) is None
        assert dispatcher(argument, no=extra) is None
    after = [sys.getrefcount(value) for value in (argument, extra, Thing, None, dispatcher)]
    assert all(abs(new - old) < 20 for new, old in zip(after, before, strict=True)), (before, after)


def test_a_cycle_through_a_dispatcher_is_collected() -> None:
    class Owner:
        def miss(self) -> None: ...

    owner = Owner()
    owner.dispatcher = _core.Dispatcher(none, owner.miss)  # type: ignore[attr-defined]
    owner.dispatcher.set_plan([([("constant", (), 1, owner, 0)], none, owner.miss)])  # type: ignore[attr-defined]
    gone, dispatcher = weakref.ref(owner), weakref.ref(owner.dispatcher)  # type: ignore[attr-defined]
    del owner
    gc.collect()
    assert gone() is None and dispatcher() is None


@pytest.mark.parametrize(
    "step",
    [
        ("unknown", (), 0, None, 0),
        ("getattr", (7,), 1, "x", 0),
        ("getattr", (), -1, "x", 0),
        ("unmarked_tensor", (0,), 0, 3, 0),
        ("local", (), 1, None),
        "step",
    ],
)
def test_wrong_steps_are_refused(step: Any) -> None:
    with pytest.raises((InvalidArgumentError, OverflowError, TypeError)):
        _core.GuardEngine([step])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        _core.Dispatcher(len, none)  # type: ignore[arg-type]
    dispatcher = served(none)
    for plan in ([([], len, None)], [()], [3], 3):
        with pytest.raises(TypeError):
            dispatcher.set_plan(plan)  # type: ignore[arg-type]
    assert dispatcher() == "served"

"""Functions of the program that parts of torch hold, wherever they lie in these."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from coldframe import _core


class Owner:
    """Stands for a class of a part."""

    __slots__ = ("__dict__", "slot")


Owner.__module__ = "part"


def own() -> None:
    """Stands for a function of the program."""


def foreign(name: str, **names: Any) -> types.FunctionType:
    """A function whose code lies in a file of the part."""
    code = compile(f"def {name}(): return held", "/part/file.py", "exec")
    exec(code, names)
    return names[name]  # type: ignore[no-any-return]


def over(held: object) -> types.FunctionType:
    """A function of the part over a closure that holds the object."""
    made: dict[str, Any] = {}
    exec(compile("def make(held):\n    def inner(): return held\n    return inner", "/part/file.py", "exec"), made)
    return made["make"](held)  # type: ignore[no-any-return]


def with_attribute(held: object) -> types.FunctionType:
    function = foreign("carrier")
    function.__wrapped__ = held  # type: ignore[attr-defined]
    return function


def instance(held: object, name: str) -> Owner:
    made = Owner()
    setattr(made, name, held)
    return made


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("part.inner")
    monkeypatch.setitem(sys.modules, "part.inner", module)
    return module


def find() -> list[tuple[Any, Any]]:
    return _core.held_functions({"/part/": False, functools.__file__: False}, {"part": True})


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (own, "name"),
        ({"table": own}, "table"),
        ({"table": [(own,)]}, "table"),
        ({"table": {"inner": {own}}}, "inner"),
        (instance(own, "attribute"), "name"),
        (instance([own], "slot"), "name"),
    ],
    ids=["name", "table", "list within", "set within", "attribute of an object", "slot of an object"],
)
def test_is_found_as_it_is(part: types.ModuleType, value: object, key: str) -> None:
    vars(part)["name"] = value
    found = find()
    assert [each for _, each in found] == [own]
    assert found[0][0] in (key, "attribute")


@pytest.mark.parametrize(
    "wrap",
    [over, with_attribute, functools.partial, staticmethod, property, functools.cached_property, lambda f: over(over(f))],
    ids=["closure", "attribute", "partial", "staticmethod", "property", "cached property", "closure of a closure"],
)
def test_is_found_with_what_wraps_it(part: types.ModuleType, wrap: Callable[[Any], Any]) -> None:
    wrapped = wrap(own)
    vars(part)["table"] = {"key": wrapped}
    assert find() == [("key", wrapped)]


@pytest.mark.parametrize("size", [None, 8])
def test_is_found_in_a_table_that_a_cached_function_gives(part: types.ModuleType, size: int | None) -> None:
    vars(part)["name"] = cached = functools.lru_cache(size)(foreign("give", held={"key": own}))
    cached()
    assert find() == [("key", own)]


@pytest.mark.parametrize("size", [None, 8])
def test_what_a_cached_function_has_computed_is_nobodys_act(part: types.ModuleType, size: int | None) -> None:
    vars(part)["name"] = cached = functools.lru_cache(size)(foreign("give", held={own}))
    cached()
    assert find() == []


def test_is_found_in_a_class_of_the_part(part: types.ModuleType) -> None:
    vars(part)["Owned"] = type("Owned", (), {"__module__": "part.inner", "method": own})
    assert find() == [("method", own)]


@pytest.mark.parametrize(
    "value",
    [
        {id(own): own},
        {"__builtins__": {}, "own": own},
        types.SimpleNamespace(own=own),
        type("Elsewhere", (), {"__module__": "other", "method": own}),
        foreign("function", own=own),
    ],
    ids=["by an address", "globals of a module", "an object of another", "a class of another", "what code may read"],
)
def test_is_not_found(part: types.ModuleType, value: object) -> None:
    vars(part)["name"] = value
    assert find() == []


def test_modules_of_the_program_are_no_part(part: types.ModuleType) -> None:
    vars(part).update(name=own, __file__="/tmp/generated.py")
    assert find() == []


def test_globals_of_compiled_code_are_left_out(part: types.ModuleType) -> None:
    vars(part).update({"__compiled_fn_1": over(own), "__getattr__": own})
    assert find() == [("__getattr__", own)]


def test_circles_end(part: types.ModuleType) -> None:
    circle: list[Any] = []
    circle += [circle, {"key": own, "circle": circle}]
    vars(part)["name"] = circle
    assert find() == [("key", own)]


@pytest.mark.parametrize("value", [own, over(own)], ids=["as it is", "in a closure"])
def test_is_found_under_each_key(part: types.ModuleType, value: object) -> None:
    vars(part)["tables"] = [{"one": value, "other": value}, {"third": value}]
    assert sorted(find(), key=str) == [(key, value) for key in ("one", "other", "third")]


def test_many_are_found(part: types.ModuleType) -> None:
    tables = [[{"x": number}] for number in range(200_000)]
    vars(part)["name"] = [*tables, {"key": own}]
    assert find() == [("key", own)]

"""Values: Python object -> canonical bytes -> Python object."""

from __future__ import annotations

import random
from typing import Any

import pytest
from core_support import bits, fingerprint, scalars, values
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe import _core, errors


@given(values())
@settings(max_examples=100)
def test_every_value_comes_back_exactly(value: Any) -> None:
    back = _core.portable(value, resolve=True)
    assert fingerprint(back) == fingerprint(value)
    assert _core.same(back, value)
    assert _core.digest(back) == _core.digest(value)


@given(st.one_of(st.tuples(values(), values()), st.tuples(scalars(), scalars())))
@settings(max_examples=100)
def test_digests_are_equal_exactly_when_values_are(pair: tuple[Any, Any]) -> None:
    left, right = pair
    assert (_core.digest(left) == _core.digest(right)) == (fingerprint(left) == fingerprint(right))


@pytest.mark.parametrize("value", [0.0, -0.0, float("nan"), -float("nan"), float("inf"), 5e-324])
def test_floats_keep_their_bits(value: float) -> None:
    assert bits(_core.portable(value, resolve=True)) == bits(value)


@pytest.mark.parametrize("power", [8, 63, 64, 128, 5000])
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_ints_of_every_size(power: int, offset: int, sign: int) -> None:
    value = sign * (2**power + offset)
    assert _core.portable(value, resolve=True) == value


def test_values_that_python_calls_equal_stay_different() -> None:
    alike = [True, 1, 1.0, 1 + 0j]
    assert len({_core.digest(value) for value in alike}) == len(alike)
    assert [type(value) for value in _core.portable(alike, resolve=True)] == [bool, int, float, complex]
    assert _core.digest(0.0) != _core.digest(-0.0)
    assert _core.digest((1,)) != _core.digest([1])
    assert _core.digest({1}) != _core.digest(frozenset({1}))


def test_dicts_keep_their_order_and_sets_have_none() -> None:
    assert list(_core.portable({"b": 1, "a": 2}, resolve=True)) == ["b", "a"]
    assert _core.digest({"b": 1, "a": 2}) != _core.digest({"a": 2, "b": 1})
    items = [f"item {number}" for number in range(200)]
    shuffled = random.Random(0).sample(items, len(items))
    assert _core.digest(set(items)) == _core.digest(set(shuffled))


@given(st.binary(max_size=40))
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    try:
        value = _core.decode(data, resolve=False)
    except errors.CorruptPackageError:
        return
    except errors.IncompatiblePackageError:
        return
    assert _core.encode(value) == data


@given(values())
@settings(max_examples=50)
def test_a_changed_encoding_never_gives_the_same_value(value: Any) -> None:
    data = bytearray(_core.encode(value))
    data[len(data) // 2] ^= 1
    try:
        changed = _core.decode(bytes(data), resolve=False)
    except (errors.CorruptPackageError, errors.IncompatiblePackageError):
        return
    assert fingerprint(changed) != fingerprint(value)


def test_shared_parts_are_repeated() -> None:
    shared = [1, 2]
    back = _core.portable([shared, shared], resolve=True)
    assert back == [[1, 2], [1, 2]]
    assert back[0] is not back[1]


def cyclic_values() -> list[tuple[Any, str]]:
    items: list[Any] = [1]
    items.append({"again": (items,)})
    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    return [(items, "value[1]['again'][0]"), (mapping, "value['self']")]


@pytest.mark.parametrize(("value", "path"), cyclic_values())
def test_a_cycle_is_not_portable(value: Any, path: str) -> None:
    with pytest.raises(errors.NotPortableError, match="contains itself") as caught:
        _core.encode(value)
    assert path in str(caught.value)


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def test_deep_nesting_has_a_limit() -> None:
    assert _core.portable(nested(255), resolve=True) == nested(255)
    for levels in (256, 10_000):
        with pytest.raises(errors.NotPortableError, match="too deeply"):
            _core.encode(nested(levels))


def test_what_shares_its_parts_too_often_is_not_portable() -> None:
    value: Any = 0
    for _ in range(60):
        value = [value, value]
    with pytest.raises(errors.NotPortableError, match="more parts"):
        _core.encode(value)


class Plain:
    """An instance of it is not portable."""


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no repr")


class Wordy:
    def __repr__(self) -> str:
        return "wordy " * 1000


class OwnInt(int):
    pass


class OwnStr(str):
    pass


class OwnDict(dict):
    pass


@pytest.mark.parametrize(
    "value",
    [Plain(), Broken(), OwnInt(1), OwnStr("a"), OwnDict(), bytearray(b"x"), object(), iter([1]), memoryview(b"x")],
    ids=lambda value: type(value).__name__,
)
def test_errors_name_type_and_path(value: Any) -> None:
    with pytest.raises(errors.NotPortableError) as caught:
        _core.encode({"outer": [0, (value,)]})
    message = str(caught.value)
    assert "value['outer'][1][0]" in message
    assert type(value).__name__ in message


def test_errors_show_a_short_repr_and_survive_a_raising_one() -> None:
    with pytest.raises(errors.NotPortableError, match="wordy wordy") as caught:
        _core.encode(Wordy())
    assert len(str(caught.value)) < 300
    with pytest.raises(errors.NotPortableError, match="Broken"):
        _core.encode({Broken(): 1})


def test_indistinguishable_items_are_not_portable() -> None:
    with pytest.raises(errors.NotPortableError, match="told apart"):
        _core.encode({float("nan"), float("nan")})
    with pytest.raises(errors.NotPortableError):
        _core.encode({float("nan"): 1, float("nan"): 2})


def test_a_container_that_changes_while_it_is_read() -> None:
    victim: list[Any] = []

    class Shrinking:
        @property
        def __module__(self) -> str:  # type: ignore[override]
            victim.clear()
            return "nowhere"

    victim.extend([Shrinking() for _ in range(100)])
    with pytest.raises(errors.NotPortableError):
        _core.encode(victim)

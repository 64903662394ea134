"""Helpers of the tests of coldframe._core: strategies for values, and an exact comparison that does not use the core."""

from __future__ import annotations

import re
import struct
import types
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any

from hypothesis import strategies as st


def named(value: object) -> str:
    """Returns the name of a test with this parameter: the same in every process, so without its address."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def fingerprint(value: Any) -> Hashable:
    """Equal exactly when two values are: types, float bits, order of dicts, and no order of sets."""
    kind = type(value)
    if kind is float:
        return kind, bits(value)
    if kind is complex:
        return kind, bits(value.real), bits(value.imag)
    if kind in (tuple, list):
        return kind, tuple(map(fingerprint, value))
    if kind is dict:
        return kind, tuple((fingerprint(key), fingerprint(item)) for key, item in value.items())
    if kind in (set, frozenset):
        return kind, frozenset(Counter(map(fingerprint, value)).items())
    if kind in (slice, range):
        return kind, fingerprint(value.start), fingerprint(value.stop), fingerprint(value.step)
    return kind, value


def floats() -> st.SearchStrategy[float]:
    """All of them: infinities, both zeros, every NaN payload."""
    any_bits = st.integers(0, 2**64 - 1).map(lambda number: struct.unpack("<d", number.to_bytes(8, "little"))[0])
    nans = st.integers(1, 2**52 - 1).flatmap(
        lambda payload: st.sampled_from([0x7FF, 0xFFF]).map(
            lambda head: struct.unpack("<d", (head << 52 | payload).to_bytes(8, "little"))[0]
        )
    )
    return st.one_of(st.floats(), any_bits, nans, st.sampled_from([0.0, -0.0, 1.0]))


def integers() -> st.SearchStrategy[int]:
    edges = [sign * 2**power + offset for sign in (1, -1) for power in (63, 64) for offset in (-1, 0, 1)]
    return st.one_of(st.integers(), st.sampled_from(edges), st.integers(-(2**200), 2**200))


def texts() -> st.SearchStrategy[str]:
    """With lone surrogates."""
    return st.text(st.characters(exclude_categories=()))


def scalars() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(),
        st.booleans(),
        st.just(...),
        integers(),
        floats(),
        st.builds(complex, floats(), floats()),
        texts(),
        st.binary(),
        st.sampled_from([0, 1, False, True, 0.0, 1.0, -0.0, 0j, "", b"", "1", b"1", (), None]),
    )


def hashables() -> st.SearchStrategy[Any]:
    return st.recursive(scalars(), lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner)), max_leaves=4)


def values() -> st.SearchStrategy[Any]:
    ranges = st.builds(range, integers(), integers(), integers().filter(bool))
    return st.recursive(
        st.one_of(scalars(), ranges, st.builds(slice, scalars(), scalars(), scalars())),
        lambda inner: st.one_of(
            st.lists(inner),
            st.lists(inner).map(tuple),
            st.dictionaries(hashables(), inner),
            st.sets(hashables()),
            st.frozensets(hashables()),
        ),
        max_leaves=20,
    ).filter(is_portable)


def is_portable(value: Any) -> bool:
    """Two NaNs of the same bits in one set or dict cannot be told apart."""
    if isinstance(value, (set, frozenset, dict)) and len(set(map(fingerprint, value))) != len(value):
        return False
    if isinstance(value, dict):
        return all(is_portable(key) and is_portable(item) for key, item in value.items())
    return not isinstance(value, (tuple, list, set, frozenset)) or all(map(is_portable, value))


def nested_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested_codes(constant)

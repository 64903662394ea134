"""Documents on their way to Python objects: those of the fuzz targets' corpus, and mutations of them, always the same.

What bytes alone are decoded to, tests/fuzz drives with libFuzzer; here is what goes on in CPython: its code objects above all.
"""

from __future__ import annotations

import os
import random
import sys
import types
from collections.abc import Callable, Iterator

import pytest
from harness import ROOT

from coldframe import _core, errors

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
MUTATIONS = 20000 if os.environ.get("COLDFRAME_FULL") == "1" else 2000
TELLING = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x9B, 0xBB, 0xD9, 0xF6, 0x81)


def mutated(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(changed))
        match source.randrange(4):
            case 0:
                changed[at] ^= 1 << source.randrange(8)
            case 1:
                changed[at] = source.choice(TELLING)
            case 2:
                changed[at] = source.randrange(256)
            case 3:
                changed[at : at + source.randrange(2)] = bytes([source.choice(TELLING)])
    return bytes(changed)


def documents(name: str) -> list[bytes]:
    """The corpus, whose code objects are of CPython 3.11, and code objects of this one."""
    own = [_core.encode(function.__code__) for function in (mutated, inputs, code)] if name == "code" else []
    return own + [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def inputs(name: str) -> Iterator[bytes]:
    source = random.Random(1)
    for data in documents(name):
        yield data
        for _ in range(MUTATIONS):
            yield mutated(data, source)


def value(data: bytes) -> None:
    decoded = _core.decode(data, resolve=False)
    assert _core.encode(decoded) == data


def code(data: bytes) -> None:
    decoded = _core.decode(data, resolve=False)
    if not isinstance(decoded, types.CodeType):
        raise errors.CorruptPackageError("another value by now")
    assert _core.encode(decoded) == data
    wrapped = _core.CodeObject.from_code(decoded)
    assert wrapped.to_code() is decoded
    assert _core.CodeObject.from_fields(wrapped.fields) == wrapped
    assert wrapped.replace(name="other").without_directories().to_code().co_name == "other"
    assert len(wrapped.semantic_digest) == 32
    # CPython reads these tables by itself when it makes a traceback.
    list(decoded.co_positions())
    list(decoded.co_lines())


def guards(data: bytes) -> None:
    program = _core.GuardProgram.from_bytes(data)
    assert program.to_bytes() == data
    for op in program.ops:
        _ = op.kind, op.role, op.inputs, op.result, op.operands, op.source, op.explanations, op.example


@pytest.mark.parametrize("target", [value, code, guards], ids=lambda target: target.__name__)
def test_mutated_documents_are_refused_or_kept(target: Callable[[bytes], None]) -> None:
    accepted = 0
    for data in inputs(target.__name__):
        try:
            target(data)
        except errors.PackageError:
            continue
        accepted += 1
    assert accepted >= (len(documents(target.__name__)) if sys.version_info[:2] == (3, 11) else 3)

"""Doing it again and again keeps nothing."""

from __future__ import annotations

import gc
import hashlib
import pathlib
import resource
import sys
from collections.abc import Callable
from typing import Any

import pytest

from coldframe import _core, errors
from coldframe._core import Blob, CodeObject, Construct, GuardedCode, GuardProgram, ImportRef

REPETITIONS = 2000


class Marker:
    pass


def function(x: int, y: float = 1.5) -> Any:
    return lambda: (x, y, "constant", (1, 2))


NESTED = {"a": [1, 2.5, "text", b"bytes", (None, True)], "b": {1, 2}, "c": Marker, "d": function.__code__, "e": slice(1, 2)}
ENCODED = _core.encode(NESTED)


def refused() -> None:
    with pytest.raises(errors.NotPortableError):
        _core.encode([1, Marker()])
    with pytest.raises(errors.CorruptPackageError):
        _core.decode(ENCODED[:-1])
    with pytest.raises(errors.IncompatiblePackageError):
        ImportRef(__name__, "Marker.nothing").resolve()


def coded() -> None:
    code = CodeObject.from_code(function.__code__)
    made = code.replace(name="other")
    assert made.to_code().co_name == "other"
    assert CodeObject.from_fields(code.fields) == code
    assert _core.decode(_core.encode(function.__code__)) == function.__code__


def guarded() -> None:
    program = GuardProgram()
    program.add("equals_match", [0], (Marker,), "x", ["y"])
    code = GuardedCode(program, CodeObject.from_code(function.__code__), details={"type": Marker})
    assert [op.operands for op in code.guards.ops] == [(ImportRef(__name__, "Marker"),)]


def in_files(path: pathlib.Path) -> None:
    package = _core.Package()
    entry = _core.CodeEntry(CodeObject.from_code(function.__code__), __name__)
    entry.guarded_codes = [GuardedCode(GuardProgram(), entry.python_code)]
    package.codes = [entry]
    package.artifacts = [_core.Artifact("b", "k", Marker, [Blob("blob", b"bytes" * 1000)])]
    package.write(path)
    opened = _core.Package.open(path)
    opened.verify()
    assert next(iter(opened)).python_code.to_code() == function.__code__
    assert opened.artifacts[0].blobs[0].read() == b"bytes" * 1000


def state() -> tuple[int, ...]:
    gc.collect()
    watched = (Marker, function, function.__code__, ImportRef, Construct, CodeObject, Blob, NESTED, ENCODED, None.__class__)
    return (len(gc.get_objects()), *map(sys.getrefcount, watched))


def grows(action: Callable[[], None], repetitions: int) -> list[int]:
    for _ in range(20):
        action()
    before = state()
    for _ in range(repetitions):
        action()
    return [after - was for was, after in zip(before, state(), strict=True)]


@pytest.mark.parametrize(
    "action",
    [
        lambda: _core.portable(NESTED, resolve=True),
        lambda: _core.resolve(_core.decode(ENCODED, resolve=False)),
        lambda: _core.digest(Construct(ImportRef("builtins", "int"), (Marker, ["x"]))),
        lambda: hash(Construct(_core.import_ref(Marker), (1,))),
        refused,
        coded,
        guarded,
    ],
    ids=["portable", "resolve", "construct", "import_ref", "refused", "code", "guards"],
)
def test_objects_do_not_pile_up(action: Callable[[], None]) -> None:
    assert max(map(abs, grows(action, REPETITIONS))) < 20


def test_packages_do_not_pile_up(tmp_path: pathlib.Path) -> None:
    assert max(map(abs, grows(lambda: in_files(tmp_path / "a.cfp"), 50))) < 20


def test_memory_does_not_grow() -> None:
    """Finds what the C++ side alone would lose."""
    value = [b"x" * 100_000, "y" * 100_000, list(range(1000)), function.__code__]
    data = b"z" * 100_000

    def once() -> None:
        _core.portable(value, resolve=True)
        Blob("blob", data).read()
        with pytest.raises(errors.CorruptPackageError):
            _core.SharedLibrary.load(data, hashlib.sha256(b"").digest())

    for _ in range(50):
        once()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(500):
        once()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # KiB; one lost copy each would be 50,000

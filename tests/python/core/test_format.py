"""docs/format.md suffices: a reader written from it alone reads what the core writes, and refuses what the core refuses."""

from __future__ import annotations

import hashlib
import pathlib
import random
import re
import types
from typing import Any

import pytest
import second_reader
from core_support import fingerprint, nested_codes, values
from harness import ROOT
from hypothesis import given
from hypothesis import strategies as st

from coldframe import _core, errors

DOCUMENT = ROOT / "docs" / "format.md"


def plain(value: Any) -> Any:
    """A value of the second reader as the core gives it to Python."""
    match value:
        case second_reader.Dict(items):
            return {plain(key): plain(item) for key, item in zip(items[::2], items[1::2], strict=True)}
        case second_reader.Set(items, frozen):
            return (frozenset if frozen else set)(map(plain, items))
        case second_reader.Slice(start, stop, step):
            return slice(plain(start), plain(stop), plain(step))
        case second_reader.Range(start, stop, step):
            return range(start, stop, step)
        case second_reader.ImportRef(module, qualname):
            return _core.ImportRef(module, qualname)
        case second_reader.Construct(module, qualname, args):
            return _core.Construct(_core.ImportRef(module, qualname), tuple(map(plain, args)))
        case second_reader.Code(fields):
            return _core.CodeObject.from_fields({name: plain_field(name, field) for name, field in fields.items()}).to_code()
        case tuple():
            return tuple(map(plain, value))
        case list():
            return list(map(plain, value))
    return value


def plain_field(name: str, field: Any) -> Any:
    return tuple(map(plain, field)) if name == "consts" else field


def decoded(data: bytes) -> Any:
    return second_reader.document(data, second_reader.value)


def a_function(x: int, *, y: int = 2) -> tuple[int, ...]:
    constants = (1, -0.0, "\ud800", b"\0", frozenset({1, "a"}), 2**70, ...)
    return (*tuple(x + y + i for i in range(3)), len(constants))


def a_program() -> _core.GuardProgram:
    program = _core.GuardProgram()
    node = program.add("framelocals", [0], ("x", 0), "L['x']", example=(_core.ImportRef("builtins", "dict"), False, 3, True))
    assert node is not None
    item = program.add("getitem", [node], (_core.Construct(_core.ImportRef("torch", "device"), ("cpu",)),), "L['x'][0]")
    assert item is not None
    program.add("type_match", [node], (_core.ImportRef("builtins", "dict"),), "", ["type(L['x']) is dict"])
    program.add("tensor_match", [item], ({"size": (1, None), "dispatch_keys": 2**63 + 5},))
    program.add("object_aliasing", [node, item], source="L['x']")
    program.add("mark_tag_safe", [node])
    return program


def a_package() -> _core.Package:
    code = _core.CodeObject.from_code(a_function.__code__)
    entry = _core.CodeEntry(code, "model", "user_function")
    entry.function_names = ["a_function"]
    entry.code_source = "a_function.__code__"
    entry.guarded_codes = [_core.GuardedCode(a_program(), code, ["graph_0"], 1.5, {"z": (1, 2.5), "a": {3: [None]}})]
    entry.import_sources = {"b": "os", "aa": "sys", "a": "re"}
    entry.installed_globals = {"g": _core.ImportRef("os", "sep")}
    entry.backend_ids = ["graph_0"]
    package = _core.Package()
    package.key = ("model", "a_function", bytes(32), bytes(range(32)))
    package.environment = package.environment | {"python_version": "3.11.7", "settings": {"s": 2**80, "t": {1, "x"}}}
    package.sources = [_core.SourceFile("m", "m.py", b"d" * 32, [("f", b"c" * 32, 1, -1)])]
    package.codes = [entry]
    blobs = [
        _core.Blob("kernel.so", bytes(range(256)) * 50),
        _core.Blob("same", bytes(range(256)) * 50),
        _core.Blob("empty", b""),
    ]
    package.artifacts = [_core.Artifact("graph_0", "inductor_native", {"x": slice(1, None)}, blobs)]
    package.producer = "test"
    package.created = 1700000000
    package.compile_seconds = 12.25
    return package


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("format") / "a.cfp"
    a_package().write(path)
    return path.read_bytes()


def test_package_is_read_field_by_field(written: bytes) -> None:
    package, read = a_package(), second_reader.read(written)
    assert tuple(read["key"].values()) == package.key
    assert {name: plain_mapping(value) for name, value in read["environment"].items()} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in package.environment.items()
    }
    source = read["sources"][0]
    assert (source["module"], source["path_hint"], source["digest"]) == ("m", "m.py", b"d" * 32)
    assert [tuple(function.values()) for function in source["functions"]] == package.sources[0].functions
    assert (read["producer"], read["created"], read["compile_seconds"]) == ("test", 1700000000, 12.25)

    entry, expected = read["codes"][0], package.codes[0]
    assert plain(entry["python_code"]) == a_function.__code__
    assert (entry["module"], entry["role"], entry["code_source"]) == ("model", 2, "a_function.__code__")
    assert (entry["function_names"], entry["backend_ids"]) == (("a_function",), ("graph_0",))
    assert (entry["bypassed"], entry["bypass_reason"], entry["skipped"]) == (False, "", False)
    assert entry["import_sources"] == expected.import_sources
    assert {name: plain(recipe) for name, recipe in entry["installed_globals"]} == expected.installed_globals
    guarded = entry["guarded_codes"][0]
    assert plain(guarded["dynamo_code"]) == a_function.__code__
    assert plain(guarded["details"]) == expected.guarded_codes[0].details
    assert guarded["compile_seconds"] == 1.5

    artifact = read["artifacts"][0]
    assert (artifact["backend_id"], artifact["kind"], plain(artifact["recipe"])) == (
        "graph_0",
        "inductor_native",
        {"x": slice(1, None)},
    )
    assert artifact["blobs"] == tuple((blob.name, blob.read()) for blob in package.artifacts[0].blobs)


def plain_mapping(value: Any) -> Any:
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_guards_are_read_op_by_op(written: bytes) -> None:
    ops = second_reader.read(written)["codes"][0]["guarded_codes"][0]["guards"]
    numbers = {number: name for number, name, *_ in _core.guard_kinds()}
    assert len(ops) == len(a_program())
    for op, expected in zip(ops, a_program().ops, strict=True):
        assert numbers[op["kind"]] == expected.kind
        assert (list(op["inputs"]), op["result"]) == (expected.inputs, expected.result)
        assert (op["source"], list(op["explanations"])) == (expected.source, expected.explanations)
        assert tuple(map(plain, op["operands"])) == expected.operands
        if expected.example is not None:
            assert op["example"] == (*second_names(expected.example[0]), *expected.example[1:])


def second_names(reference: _core.ImportRef | None) -> tuple[str, str]:
    return (reference.module, reference.qualname) if reference else ("", "")


def test_every_kind_of_guard_has_the_types_of_the_page() -> None:
    known = {number: 0 if types_ == "-" else len(types_) for number, types_ in second_reader.GUARDS.items()}
    assert known == {number: operands for number, _, _, operands, *_ in _core.guard_kinds()}


def test_example_of_the_page() -> None:
    dump = re.search(r"```hex\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert dump is not None
    data = bytes.fromhex("".join(line.partition(":")[2] for line in dump[1].splitlines()))
    read = second_reader.read(data)
    assert read["key"]["code"] == hashlib.sha256(b"code").digest()
    assert [op["kind"] for op in read["codes"][0]["guarded_codes"][0]["guards"]] == [1, 66]
    for position in range(len(data)):
        with pytest.raises((second_reader.CorruptError, second_reader.UnsupportedError)):
            second_reader.read(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])


@given(values())
def test_values_agree(value: Any) -> None:
    assert fingerprint(plain(decoded(_core.encode(value)))) == fingerprint(value)


def test_code_objects_agree() -> None:
    for code in nested_codes(compile(pathlib.Path(__file__).read_text(), __file__, "exec")):
        back = plain(decoded(_core.encode(code)))
        assert back == code and back.co_linetable == code.co_linetable and back.co_qualname == code.co_qualname


# Of sound bytes that make nothing that Python can hold: a slice in a set, a range of texts.
UNHOLDABLE = ("an item that cannot be in one", "two items are equal here", "a range whose parts make none")


@given(values(), st.randoms(use_true_random=False))
def test_both_refuse_the_same_bytes(value: Any, chance: random.Random) -> None:
    data = bytearray(_core.encode(value))
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        _core.digest(_core.decode(bytes(data), resolve=False))
        core = True
    except errors.CorruptPackageError as error:
        if any(text in str(error) for text in UNHOLDABLE):
            return
        core = False
    except (errors.PackageError, TypeError, ValueError):
        return  # sound bytes of what Python itself cannot hold, such as a list in a set
    try:
        decoded(bytes(data))
        second = True
    except second_reader.CorruptError:
        second = False
    assert core == second


def test_nested_code_stays_code() -> None:
    assert any(isinstance(constant, types.CodeType) for constant in a_function.__code__.co_consts)
    assert plain(decoded(_core.encode(a_function.__code__))) == a_function.__code__

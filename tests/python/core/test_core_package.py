"""Guard programs, code entries, artifacts and packages as Python sees them."""

from __future__ import annotations

import hashlib
import os
import pathlib
from typing import Any

import pytest

from coldframe import _core, errors
from coldframe._core import (
    Artifact,
    Blob,
    CodeEntry,
    CodeObject,
    Construct,
    GuardedCode,
    GuardProgram,
    ImportRef,
    Package,
    SourceFile,
)

EXAMPLE = (ImportRef("builtins", "dict"), False, 3, True)


def a_code(name: str = "f") -> CodeObject:
    namespace: dict[str, Any] = {}
    exec(f"def {name}(x):\n    return x + 1\n", namespace)
    return CodeObject.from_code(namespace[name].__code__)


def a_program() -> GuardProgram:
    program = GuardProgram()
    node = program.add("framelocals", [0], ("x", 0), "L['x']", example=EXAMPLE)
    assert node is not None
    item = program.add("getitem", [node], (Construct(ImportRef("torch", "device"), ("cpu",)),), "L['x'][device]")
    program.add("type_match", [node], (ImportRef("builtins", "dict"),), "L['x']", ["type(L['x']) is dict"])
    program.add("object_aliasing", [node, item], source="L['x']")
    program.add("mark_tag_safe", [node])
    return program


def a_guarded_code(name: str = "f") -> GuardedCode:
    details = {"resume": ["a"], "kind": ImportRef("torch", "float32")}
    return GuardedCode(a_program(), a_code(name), ["backend_0"], 1.5, details)


def an_entry(name: str = "f") -> CodeEntry:
    entry = CodeEntry(a_code(name), "model", "user_function")
    entry.function_names = [name]
    entry.code_source = f"{name}.__code__"
    entry.guarded_codes = [a_guarded_code(name)]
    entry.import_sources = {"__import_os": "os"}
    entry.installed_globals = {"second": ImportRef("os", "sep"), "first": (1, 2.0)}
    entry.backend_ids = ["backend_0"]
    entry.bypassed = True
    entry.bypass_reason = "a reason"
    return entry


def a_package() -> Package:
    package = Package()
    package.key = ("model", "Net.forward", b"c" * 32, b"o" * 32)
    package.environment = {
        "python_version": "3.11.7",
        "cpu_features": ["avx2", "fma"],
        "device": {"name": "none"},
        "settings": {"freezing": False, "dtype": ImportRef("torch", "float32")},
    }
    package.sources = [SourceFile("model", "model.py", b"s" * 32, [("Net.forward", b"d" * 32, 3, 9)])]
    package.codes = [an_entry()]
    blobs = [Blob("kernel.so", b"\x7fELF" * 1000), Blob("constant", b"")]
    package.artifacts = [Artifact("backend_0", "inductor_native", {"entry": "kernel"}, blobs)]
    package.producer = "coldframe test"
    package.created = 1_700_000_000
    package.compile_seconds = 12.5
    return package


def test_ops_say_what_was_added() -> None:
    local, item, check, relation, mark = a_program().ops
    assert (local.kind, local.role, local.inputs, local.result, local.operands) == ("framelocals", "accessor", [0], 1, ("x", 0))
    assert local.example == EXAMPLE
    assert item.operands == (Construct(ImportRef("torch", "device"), ("cpu",)),)
    assert (check.role, check.result, check.source) == ("check", None, "L['x']")
    assert check.explanations == ["type(L['x']) is dict"]
    assert check.example is None
    assert (relation.kind, relation.role, relation.inputs) == ("object_aliasing", "relation", [1, 2])
    assert (mark.role, mark.operands) == ("mark", ())


def test_programs_are_values() -> None:
    program = a_program()
    assert len(program) == 5
    assert program == a_program()
    ops = program.ops
    for _ in range(100):
        program.add("mark_tag_safe", [1])
    assert ops[0].source == "L['x']"
    assert program != a_program()
    with pytest.raises(TypeError):
        hash(program)


def test_every_guard_kind_is_known() -> None:
    kinds = _core.guard_kinds()
    assert len({number for number, *_ in kinds}) == len({name for _, name, *_ in kinds}) == len(kinds)
    assert {role for _, _, role, *_ in kinds} == {"accessor", "check", "relation", "mark"}
    assert (65, "id_match", "check", 1, 1, 1) in kinds


def test_wrong_ops_are_refused() -> None:
    program = GuardProgram()
    with pytest.raises(errors.InvalidArgumentError, match="no guard kind 'nothing'"):
        program.add("nothing", [0])
    with pytest.raises(errors.InvalidArgumentError):
        program.add("getattr", [7], ("x",))
    with pytest.raises(errors.InvalidArgumentError):
        program.add("getattr", [0], ())
    with pytest.raises(errors.NotPortableError, match=r"equals_match\.operands\[0\] of type object"):
        program.add("equals_match", [0], (object(),))
    assert len(program) == 0


def test_the_program_of_a_guarded_code_does_not_change() -> None:
    program = a_program()
    guarded = GuardedCode(program, a_code())
    program.add("mark_tag_safe", [1])
    assert guarded.guards == a_program()
    with pytest.raises(errors.InvalidArgumentError, match="does not change"):
        guarded.guards.add("mark_tag_safe", [1])
    ops = guarded.guards.ops
    del guarded
    assert ops[0].source == "L['x']"


def test_guarded_codes_and_entries_keep_what_they_are_given() -> None:
    guarded = a_guarded_code()
    assert guarded.dynamo_code == a_code()
    assert guarded.backend_ids == ["backend_0"]
    assert guarded.compile_seconds == 1.5
    assert guarded.details == {"resume": ["a"], "kind": ImportRef("torch", "float32")}
    assert GuardedCode(GuardProgram(), a_code()).details == {}

    entry = an_entry()
    assert entry.role == "user_function"
    assert entry.python_code == a_code()
    assert list(entry.installed_globals.items()) == [("second", ImportRef("os", "sep")), ("first", (1, 2.0))]
    assert entry.import_sources == {"__import_os": "os"}
    assert (entry.function_names, entry.code_source, entry.bypassed) == (["f"], "f.__code__", True)
    entry.role = "resume"
    assert entry.role == "resume"
    entry.add_guarded_code(guarded)
    assert entry.guarded_codes[1] is guarded
    entry.guarded_codes.clear()
    assert len(entry.guarded_codes) == 2
    assert CodeEntry(a_code(), "m").role == "entry"


@pytest.mark.parametrize(
    "make",
    [
        lambda: CodeEntry(a_code(), "m", "nothing"),
        lambda: GuardedCode(GuardProgram(), a_code(), details={1: 2}),  # type: ignore[dict-item]
        lambda: SourceFile("m", "m.py", b"short", []),
        lambda: setattr(Package(), "key", ("m", "q", b"", b"")),
        lambda: setattr(Package(), "environment", {"nothing": 1}),
        lambda: setattr(Package(), "environment", {"soabi": 1}),
        lambda: setattr(Package(), "environment", {"cpu_features": "avx"}),
        lambda: setattr(an_entry(), "installed_globals", {1: 2}),
    ],
)
def test_wrong_arguments_are_refused(make: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        make()


def test_missing_code_is_refused() -> None:
    for make in (lambda: CodeEntry(None, "m"), lambda: GuardedCode(GuardProgram(), None)):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            make()
    with pytest.raises(TypeError):
        an_entry().python_code = None  # type: ignore[assignment]


def test_blobs() -> None:
    blob = Blob("name", b"bytes")
    assert (blob.name, blob.size, blob.read()) == ("name", 5, b"bytes")
    assert blob.digest == hashlib.sha256(b"bytes").digest()


def test_environment_has_all_fields() -> None:
    environment = a_package().environment
    assert environment["python_version"] == "3.11.7"
    assert environment["torch_version"] == ""
    assert environment["cpu_features"] == ["avx2", "fma"]
    assert environment["device"] == {"name": "none"}
    assert environment["settings"] == {"freezing": False, "dtype": ImportRef("torch", "float32")}
    package = Package()
    package.environment = environment
    assert package.environment == environment


def test_a_package_comes_back_from_a_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.cfp"
    written = a_package()
    assert written.write(path) == path.stat().st_size
    package = Package.open(str(path))
    package.verify()
    assert package.key == written.key
    assert package.environment == written.environment
    assert (package.producer, package.created, package.compile_seconds) == ("coldframe test", 1_700_000_000, 12.5)
    (source,) = package.sources
    assert (source.module, source.path_hint, source.digest) == ("model", "model.py", b"s" * 32)
    assert source.functions == [("Net.forward", b"d" * 32, 3, 9)]
    (entry,) = package
    assert entry is package.codes[0]
    assert entry.python_code == a_code()
    assert entry.installed_globals == an_entry().installed_globals
    (guarded,) = entry.guarded_codes
    assert guarded.guards == a_program()
    assert guarded.dynamo_code == a_code()
    assert guarded.details == a_guarded_code().details
    (artifact,) = package.artifacts
    assert (artifact.backend_id, artifact.kind, artifact.recipe) == ("backend_0", "inductor_native", {"entry": "kernel"})
    assert [(blob.name, blob.read()) for blob in artifact.blobs] == [("kernel.so", b"\x7fELF" * 1000), ("constant", b"")]
    again = tmp_path / "b.cfp"
    package.write(os.fsencode(again))  # type: ignore[arg-type]
    assert again.read_bytes() == path.read_bytes()


def test_changing_an_entry_changes_its_package() -> None:
    package = a_package()
    package.codes[0].bypass_reason = "another"
    assert package.codes[0].bypass_reason == "another"
    package.codes.clear()
    assert len(package.codes) == 1


def test_packages_merge() -> None:
    package, other = a_package(), a_package()
    other.codes[0].add_guarded_code(a_guarded_code("g"))
    package.merge(other)
    assert len(package.codes) == 1
    assert len(package.codes[0].guarded_codes) == 2
    other.key = ("other", "f", b"c" * 32, b"o" * 32)
    with pytest.raises(errors.InvalidArgumentError):
        package.merge(other)


def test_errors_of_files(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.PackageNotFoundError, match=r"absent\.cfp") as caught:
        Package.open(tmp_path / "absent.cfp")
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, errors.PackageError)
    (tmp_path / "zeros.cfp").write_bytes(bytes(1000))
    with pytest.raises(errors.CorruptPackageError, match=r"zeros\.cfp"):
        Package.open(tmp_path / "zeros.cfp")
    with pytest.raises(errors.PackageError):
        Package.open(tmp_path)
    with pytest.raises((errors.PackageIOError, errors.PackageNotFoundError)) as io_error:
        a_package().write(tmp_path / "zeros.cfp" / "below.cfp")
    assert isinstance(io_error.value, OSError)
    with pytest.raises(TypeError):
        Package.open(3.5)  # type: ignore[arg-type]


def test_a_damaged_blob_is_found_on_first_use(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.cfp"
    package = Package()
    data = os.urandom(5000)
    package.artifacts = [Artifact("b", "k", None, [Blob("random", data)])]
    package.write(path)
    content = bytearray(path.read_bytes())
    content[content.index(data) + 2500] ^= 1
    path.write_bytes(content)
    damaged = Package.open(path)
    for read in (damaged.verify, damaged.artifacts[0].blobs[0].read):
        with pytest.raises(errors.CorruptPackageError, match="random"):
            read()


def test_host() -> None:
    features = _core.cpu_features()
    assert features == sorted(features)
    assert _core.libc_version().startswith("glibc ")
    assert _core.__version__.count(".") == 2

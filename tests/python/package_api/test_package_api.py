"""coldframe.package: code, sources, systems and entries as data, and CompilePackage."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import package_api_support as support
import pytest
import torch
from package_api_support import Modules, compiled, served
from torch._dynamo.bytecode_transformation import get_code_keys

from coldframe import _core, errors, package
from coldframe.package import (
    CompilePackage,
    DynamoCacheEntry,
    DynamoCodeCacheEntry,
    GuardedCodeCacheEntry,
    InlinedSource,
    PrecompileCacheEntry,
    PrecompileContext,
    SerializedCode,
    SourceInfo,
    SystemInfo,
)

NO_GUARDS = _core.GuardProgram().to_bytes()


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    with support.fresh(tmp_path, monkeypatch) as made:
        yield made


def outer(a: Any, /, b: Any, *, c: Any = 3) -> Any:
    """Doc."""

    def inner(x: Any) -> Any:
        return a + x, b"y", 1.5, {1, 2}

    try:
        return inner(b), lambda: inner
    except ValueError:
        return c


def add(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def fields(code: types.CodeType) -> dict[str, Any]:
    return {name: getattr(code, name) for name in get_code_keys()}


def nested(code: Any) -> Any:
    return next(const for const in code.co_consts if type(const) is type(code))


# SerializedCode


def test_every_field_of_a_code_object_is_there() -> None:
    code = outer.__code__
    made = SerializedCode.from_code_object(code)
    for name, value in fields(code).items():
        if name != "co_consts":
            assert getattr(made, name) == value
    assert len(made.co_consts) == len(code.co_consts)
    for const, original in zip(made.co_consts, code.co_consts, strict=True):
        if isinstance(original, types.CodeType):
            assert const == SerializedCode.from_code_object(original)
            assert const.co_name == original.co_name
        else:
            assert const == original
    assert "outer" in repr(made)
    with pytest.raises(AttributeError, match="no attribute 'co_other'"):
        _ = made.co_other


def test_both_ways_are_memoised_and_come_back() -> None:
    made = SerializedCode.from_code_object(outer.__code__)
    assert SerializedCode.from_code_object(outer.__code__) is made
    again = SerializedCode(**{name: getattr(made, name) for name in get_code_keys()})
    code = SerializedCode.to_code_object(again)
    assert code == outer.__code__
    assert fields(code) == fields(outer.__code__)
    assert SerializedCode.to_code_object(again) is code
    assert types.FunctionType(code, globals())(1, 1, c=2)[0] == (2, b"y", 1.5, {1, 2})
    assert SerializedCode.to_code_object(nested(made)) == nested(outer.__code__)


def test_codes_are_equal_by_content() -> None:
    made = SerializedCode.from_code_object(outer.__code__)
    copied = SerializedCode.from_code_object(outer.__code__.replace())
    assert copied is not made
    assert copied == made
    assert hash(copied) == hash(made)
    assert {copied: 1}[made] == 1
    for changed in (outer.__code__.replace(co_name="x"), outer.__code__.replace(co_firstlineno=1), add.__code__):
        assert SerializedCode.from_code_object(changed) != made
    assert made != outer.__code__
    constants = [SerializedCode.from_code_object((lambda: 0).__code__.replace(co_consts=(c,))) for c in (0, 0.0, -0.0, False)]
    assert len(set(constants)) == 4
    for back in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert back == made
        assert hash(back) == hash(made)
        assert SerializedCode.to_code_object(back) == outer.__code__


def test_wrong_codes_are_refused() -> None:
    for wrong in (outer, None, SerializedCode.from_code_object(outer.__code__)):
        with pytest.raises(TypeError, match=f"a code object is expected, not {type(wrong).__name__}"):
            SerializedCode.from_code_object(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a SerializedCode is expected, not code"):
        SerializedCode.to_code_object(outer.__code__)  # type: ignore[arg-type]
    given = fields(add.__code__)
    with pytest.raises(errors.InvalidArgumentError, match="no field 'other'"):
        SerializedCode(**given, co_other=1)
    with pytest.raises(errors.InvalidArgumentError, match="'consts' of a code object is not a tuple"):
        SerializedCode(**{**given, "co_consts": 5})
    del given["co_flags"]
    with pytest.raises(errors.InvalidArgumentError, match="'flags' of a code object is missing"):
        SerializedCode(**given)
    with pytest.raises(AttributeError):
        SerializedCode.from_code_object(add.__code__).co_name = "other"


# Sources and systems


def test_sources_are_noted_by_meaning(modules: Modules) -> None:
    module = modules()
    info = SourceInfo(inlined_sources=set())
    assert info.inlined_sources == set()
    info.add_code(module.helper.__code__)
    info.add_code(module.helper.__code__)
    (source,) = info.inlined_sources
    assert isinstance(source, InlinedSource)
    assert (source.module, source.qualname) == (module.__name__, "helper")
    assert (source.firstlineno, source.lastlineno) == (5, 6)
    assert source.content == support.PROGRAM

    moved = SourceInfo()
    moved.add_code(modules("# moved\n\n" + support.PROGRAM, module.__name__).helper.__code__)
    (other,) = moved.inlined_sources
    assert other.checksum == source.checksum
    assert other.firstlineno == 7
    changed = SourceInfo()
    changed.add_code(modules(support.PROGRAM.replace("cos() * 2", "cos() * 4"), module.__name__).helper.__code__)
    (other,) = changed.inlined_sources
    assert other.checksum != source.checksum
    assert changed != info
    assert SourceInfo([source]) == info

    info.add_code(compile("x = 1", "<generated>", "exec"))
    assert info.inlined_sources == {source}
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.checksum = ""  # type: ignore[misc]
    with pytest.raises(TypeError, match="a code object is expected, not str"):
        info.add_code("helper")  # type: ignore[arg-type]


def test_this_system() -> None:
    info = SystemInfo.current()
    assert (info.python_version, info.torch_version) == (__import__("platform").python_version(), torch.__version__)
    assert info == SystemInfo.current()
    info.check_compatibility(SystemInfo.current())
    theirs = torch._dynamo.package.SystemInfo.current()
    assert dataclasses.asdict(info) == dataclasses.asdict(theirs)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("python_version", "2.7", "a different Python version: 2.7"),
        ("torch_version", "0.1", "a different PyTorch version: 0.1"),
        ("toolkit_version", "1.0", "a different toolkit version: 1.0"),
        ("triton_version", (0, 1), r"a different Triton version: \(0, 1\)"),
        ("gpu_name", "Abacus", "different GPU: .*Abacus"),
    ],
)
def test_another_system(field: str, value: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = SystemInfo("3.11.0", "2.13.0", "12.8", (3, 5), "H100")
    other = dataclasses.replace(here, **{field: value})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    here.check_compatibility(here, "cuda")
    with pytest.raises(errors.IncompatiblePackageError, match=message):
        other.check_compatibility(here, "cuda")
    if field in ("python_version", "torch_version"):
        with pytest.raises(RuntimeError, match=message):
            other.check_compatibility(here)
    else:
        other.check_compatibility(here, "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(errors.IncompatiblePackageError, match="cuda is not available"):
        here.check_compatibility(here, "cuda")


# Entries


def test_the_entry_of_a_compiled_function(modules: Modules) -> None:
    module = modules()
    entry = compiled(module.calls).cache_entry()
    (code,) = entry.codes
    assert code.python_code == SerializedCode.from_code_object(module.calls.__code__)
    assert (code.python_module, code.code_source) == (module.__name__, "target.__code__")
    assert (code.has_compile_id, code.bypassed, code.install_to_global) == (True, False, False)
    assert set(code.backend_ids) == entry.backend_ids
    assert len(code.guarded_codes) == len(code.backend_ids) == 1
    assert code.backend_ids[0] in code.guarded_codes[0].dynamo_code.co_names
    assert set(code.import_sources.values()) <= {"torch._dynamo.utils"}
    assert (entry.fn_name, entry.fn_first_lineno, entry.device_type) == ("calls", module.calls.__code__.co_firstlineno, "cpu")
    assert entry.system_info == SystemInfo.current()
    assert {source.qualname for source in entry.source_info.inlined_sources} == {"calls", "helper"}
    assert entry.debug_info() == {
        "num_codes": "1",
        "fn_name": "calls",
        "fn_first_lineno": module.calls.__code__.co_firstlineno,
        "device_type": "cpu",
        "backend_ids": sorted(entry.backend_ids),
    }
    entry.check_versions()


def test_the_entries_of_a_broken_graph(modules: Modules) -> None:
    module = modules()
    main, resume = compiled(module.broken).cache_entry().codes
    assert main.python_code.co_name == "broken"
    assert (resume.install_to_global, resume.code_source) == (True, None)
    (name,) = resume.function_names
    assert name in main.guarded_codes[0].dynamo_code.co_names
    assert len({*main.backend_ids, *resume.backend_ids}) == 2


def test_entries_can_be_pickled(modules: Modules) -> None:
    module = modules()
    made = compiled(module.broken)
    entry = made.cache_entry()
    back = pickle.loads(pickle.dumps(entry))
    assert back.debug_info() == entry.debug_info()
    assert back.system_info == entry.system_info
    assert back.source_info == entry.source_info
    assert [code.python_code for code in back.codes] == [code.python_code for code in entry.codes]
    assert [code.backend_ids for code in back.codes] == [code.backend_ids for code in entry.codes]
    again = CompilePackage(module.broken, back)
    again.install(made.cached_backends)
    assert served(module.broken)
    damaged = bytearray(pickle.dumps(entry))
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(errors.CorruptPackageError):
        pickle.loads(damaged)


def test_a_guarded_code_comes_back_whole(modules: Modules) -> None:
    """From a pickle and from its two parts: what is made of it serves."""
    module = modules()
    made = compiled(module.add)
    entry = made.cache_entry()
    (code,) = entry.codes
    (guarded,) = code.guarded_codes
    for again in (
        pickle.loads(pickle.dumps(guarded)),
        copy.deepcopy(guarded),
        GuardedCodeCacheEntry(guarded.guards_state, guarded.dynamo_code),
    ):
        assert again.guards_state == guarded.guards_state
        assert again.dynamo_code == guarded.dynamo_code
        code.guarded_codes = [again]
        one = CompilePackage(module.add, entry)
        one.install(made.cached_backends)
        assert served(module.add)
        one.uninstall()


@pytest.mark.parametrize("kind", ["code", "whole"])
def test_other_entries_can_be_pickled(kind: str, modules: Modules) -> None:
    module = modules()
    entry = compiled(module.add).cache_entry()
    if kind == "code":
        back = pickle.loads(pickle.dumps(entry.codes[0]))
        assert back.python_code == entry.codes[0].python_code
        assert back.backend_ids == entry.codes[0].backend_ids
    else:
        whole = PrecompileCacheEntry.from_cache_entry(entry, PrecompileContext._backend_artifacts_by_key)
        back = pickle.loads(pickle.dumps(whole))
        assert back.dynamo.debug_info() == entry.debug_info()
        CompilePackage(module.add, back.dynamo).install(back.backends)


def test_entries_refuse_what_they_are_not_made_of() -> None:
    code = SerializedCode.from_code_object(add.__code__)
    assert GuardedCodeCacheEntry(NO_GUARDS, code).guards_state == NO_GUARDS
    assert package._GuardedCodeCacheEntry is GuardedCodeCacheEntry
    assert package._DynamoCodeCacheEntry is DynamoCodeCacheEntry
    assert package._DynamoCacheEntry is DynamoCacheEntry
    for call, message in (
        (lambda: GuardedCodeCacheEntry("text", code), "guards_state: bytes is expected, not str"),  # type: ignore[arg-type]
        (lambda: GuardedCodeCacheEntry(NO_GUARDS, add.__code__), "dynamo_code: SerializedCode is expected, not code"),
        (lambda: DynamoCodeCacheEntry(code), "core: CodeEntry is expected, not SerializedCode"),  # type: ignore[arg-type]
        (lambda: DynamoCacheEntry([]), "package: Package is expected, not list"),  # type: ignore[arg-type]
        (lambda: PrecompileCacheEntry({}, {}), "dynamo: DynamoCacheEntry is expected, not dict"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=message):
            call()  # type: ignore[no-untyped-call]
    with pytest.raises(errors.CorruptPackageError):
        GuardedCodeCacheEntry(b"garbage", code)


def test_attributes_of_a_code_entry_can_be_assigned(modules: Modules) -> None:
    entry = compiled(modules().broken).cache_entry()
    main, resume = entry.codes
    main.guarded_codes = []
    main.bypassed = True
    resume.function_names = ["renamed"]
    assert [code.bypassed for code in entry.codes] == [True, False]
    assert entry.codes[0].guarded_codes == []
    assert entry.codes[1].function_names == ["renamed"]
    with pytest.raises(AttributeError):
        resume.python_module = "other"  # type: ignore[misc]


def test_the_system_of_an_entry_is_what_it_is_set_to(modules: Modules) -> None:
    module = modules()
    entry = compiled(module.add).cache_entry()
    here = entry.system_info
    for change, message in (
        ({"python_version": "3.9.0"}, "Python version: 3.9.0"),
        ({"torch_version": "1.0"}, "PyTorch .*1.0"),
    ):
        entry.system_info = dataclasses.replace(here, **change)
        with pytest.raises(errors.IncompatiblePackageError, match=f"Compile package was created with a different {message}"):
            entry.check_versions()
        with pytest.raises(RuntimeError, match=message):
            CompilePackage(module.add, entry)
    with pytest.raises(TypeError, match="system_info: SystemInfo is expected, not str"):
        entry.system_info = "here"  # type: ignore[assignment]
    foreign = SystemInfo("3.9.0", "1.0", "12.8", (3, 5), "H100")
    entry.system_info = foreign
    assert entry.system_info == foreign
    assert pickle.loads(pickle.dumps(entry)).system_info == foreign
    entry.system_info = here
    assert entry.system_info == here
    entry.check_versions()


def test_a_whole_entry_leaves_out_what_lacks_its_backend(modules: Modules) -> None:
    module = modules()
    entry = compiled(module.broken).cache_entry()
    main, resume = entry.codes
    backends = dict(PrecompileContext._backend_artifacts_by_key)
    whole = PrecompileCacheEntry.from_cache_entry(entry, {**backends, "__compiled_fn_unused": backends[main.backend_ids[0]]})
    dynamo, held = whole
    assert dynamo is entry
    assert held == backends
    assert whole.source_id == CompilePackage(module.broken).source_id

    del backends[resume.backend_ids[0]]
    partial = PrecompileCacheEntry.from_cache_entry(pickle.loads(pickle.dumps(entry)), backends)
    assert [code.bypassed for code in partial.dynamo.codes] == [False, True]
    assert partial.backends.keys() == {main.backend_ids[0]}
    assert partial.to_package().artifacts
    CompilePackage(module.broken, partial.dynamo).install(partial.backends)

    nothing = PrecompileCacheEntry.from_cache_entry(pickle.loads(pickle.dumps(entry)), {})
    assert nothing.backends == {}
    for code, original in zip(nothing.dynamo.codes, entry.codes, strict=True):
        assert code.bypass_reason == f"Backend {original.backend_ids[0]} is not found in the given backends"
    with pytest.raises(errors.InvalidArgumentError, match=f"Backend {min(entry.backend_ids)} is not found"):
        PrecompileCacheEntry(entry, {}).to_package()

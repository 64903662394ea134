"""coldframe.package: where packages are kept."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import package_api_support as support
import pytest
import torch
from package_api_support import PROGRAM, Modules, compiled, counted, served, vector

from coldframe import errors
from coldframe.package import (
    CompilePackage,
    DiskDynamoCache,
    DiskDynamoStore,
    DynamoCache,
    DynamoStore,
    EagerCacheArtifact,
    GuardedCodeCacheEntry,
    InMemoryDynamoStore,
    PrecompileCacheEntry,
    PrecompileContext,
    SerializedCode,
    SystemInfo,
)

KINDS = """
import functools
import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return x + 1


class Plain:
    def method(self, x):
        return x + 2

    @staticmethod
    def static(x):
        return x + 3

    def __call__(self, x):
        return x + 4


def decorate(fn):
    @functools.wraps(fn)
    def inner(x):
        return fn(x) * 2

    return inner


@decorate
def decorated(x):
    return x + 5


def make(kind):
    kinds = {"module": Model(), "forward": Model().forward, "method": Plain().method, "static": Plain.static,
             "callable": Plain(), "decorated": decorated}
    return kinds[kind]
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    with support.fresh(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture(params=["memory", "disk", "cache"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DynamoStore:
    if request.param == "memory":
        return InMemoryDynamoStore()
    return (DiskDynamoStore if request.param == "disk" else DiskDynamoCache)(tmp_path / "packages")


# Stores


@pytest.mark.parametrize("name", ["add", "empty", "broken"])
def test_a_store_gives_back_what_it_got(name: str, store: DynamoStore, modules: Modules) -> None:
    fn = getattr(modules(), name)
    made = compiled(fn)
    store.save_package(made, "folder/key")
    PrecompileContext.clear()
    loaded, backends = store.load_package(fn, "folder/key")
    assert loaded.cache_entry().debug_info() == made.cache_entry().debug_info()
    assert backends.keys() == made.cache_entry().backend_ids == PrecompileContext._backend_artifacts_by_key.keys()
    assert not served(fn)
    torch._dynamo.reset()
    loaded.install(backends)
    assert served(fn)
    store.clear()
    with pytest.raises(errors.PackageNotFoundError, match="No package found with key folder/key"):
        store.load_package(fn, "folder/key")
    with pytest.raises(FileNotFoundError, match="No package found with key other"):
        store.load_cache_entry("other")
    assert served(fn)


@pytest.mark.parametrize("kind", ["module", "forward", "method", "static", "callable", "decorated"])
def test_whatever_can_be_compiled_can_be_stored(kind: str, tmp_path: Path, modules: Modules) -> None:
    module = modules(KINDS)
    name = module.__name__
    store = DiskDynamoStore(tmp_path / "packages")
    store.save_package(compiled(module.make(kind)), "key")
    PrecompileContext.clear()
    fn = modules(KINDS, name).make(kind)
    loaded, backends = store.load_package(fn, "key")
    assert not served(fn)
    torch._dynamo.reset()
    loaded.install(backends)
    assert served(fn)
    loaded.uninstall()
    assert not served(fn)


def test_a_store_refuses_what_is_not_whole(store: DynamoStore, modules: Modules) -> None:
    module = modules()
    made = compiled(module.broken)
    name = max(made.cache_entry().backend_ids)
    del PrecompileContext._backend_artifacts_by_key[name]
    with pytest.raises(errors.InvalidArgumentError, match=f"^Backend {name} is not found in the given backends"):
        store.save_package(made, "key")
    with pytest.raises(RuntimeError, match=f"Backend {name} is not found"):
        store.save_cache_entry(made.cache_entry(), "key")
    with pytest.raises(errors.PackageNotFoundError):
        store.read("key")
    for call_ in (store.record_package, lambda other: store.save_package(other, "key")):
        with pytest.raises(TypeError, match="a CompilePackage is expected, not function"):
            call_(module.add)
    with pytest.raises(errors.PackageStateError, match="not initialized"):
        store.save_package(CompilePackage(None), "key")


def test_a_store_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        DynamoStore()  # type: ignore[abstract]

    class Listed(DynamoStore):
        def clear(self) -> None: ...
        def write(self, cache_entry: PrecompileCacheEntry, path: str) -> None: ...

    with pytest.raises(TypeError, match=r"Listed.*abstract.*read"):
        Listed()  # type: ignore[abstract]


def test_recording_is_not_saving(store: DynamoStore, modules: Modules) -> None:
    module = modules()
    made = compiled(module.add)
    store.record_package(made)
    assert PrecompileContext._dynamo_cache_entries.keys() == {made.source_id}
    with pytest.raises(errors.PackageNotFoundError):
        store.read(made.source_id)
    store.record_eager_backend("__compiled_fn_mine", module.add)
    recorded = PrecompileContext.serialize_artifact_by_key("__compiled_fn_mine")
    assert isinstance(recorded, EagerCacheArtifact)
    assert recorded.after_deserialization() is module.add


def test_what_is_in_memory_is_a_copy(modules: Modules) -> None:
    store = InMemoryDynamoStore()
    entry = compiled(modules().add).cache_entry()
    store.save_cache_entry(entry, "key")
    entry.codes[0].bypassed = True
    assert store.packages.keys() == {"key"}
    assert not store.read("key").dynamo.codes[0].bypassed


@pytest.mark.parametrize("key", ["../key", "a/../../key", "/key", "..", "", "a\0b"])
def test_keys_stay_below_the_prefix(key: str, tmp_path: Path, modules: Modules) -> None:
    store = DiskDynamoStore(tmp_path / "packages")
    made = compiled(modules().add)
    for act in (lambda: store.save_package(made, key), lambda: store.load_cache_entry(key), lambda: store.path(key)):
        with pytest.raises(errors.InvalidArgumentError, match="is no key of a package"):
            act()
    assert not list(tmp_path.rglob("*.cfp"))
    with pytest.raises(TypeError, match="key: a str is expected, not int"):
        store.path(1)  # type: ignore[arg-type]


def test_a_key_is_a_path(tmp_path: Path, modules: Modules) -> None:
    made = compiled(modules().add)
    DiskDynamoStore(tmp_path).save_package(made, "a.cfp")
    assert DiskDynamoStore(tmp_path).path("a") == DiskDynamoStore(str(tmp_path)).path("a.cfp") == tmp_path / "a.cfp"
    assert DiskDynamoStore(tmp_path).path_prefix() == str(tmp_path)
    everywhere = DiskDynamoStore()
    assert everywhere.read(str(tmp_path / "a")).dynamo.fn_name == "add"
    everywhere.clear()
    assert (tmp_path / "a.cfp").exists()


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: data[:200] + b"?" + data[201:]])
def test_a_damaged_file_is_refused_and_replaced(damage: Any, tmp_path: Path, modules: Modules) -> None:
    module = modules()
    store = DiskDynamoStore(tmp_path)
    made = compiled(module.add)
    store.save_package(made, "key")
    file = tmp_path / "key.cfp"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(errors.CorruptPackageError, match=r"key\.cfp"):
        store.load_package(module.add, "key")
    store.save_package(made, "key")
    assert store.read("key").dynamo.fn_name == "add"


def test_a_file_system_that_refuses(tmp_path: Path, modules: Modules) -> None:
    made = compiled(modules().add)
    (tmp_path / "file").write_text("notes")
    (tmp_path / "folder.cfp").mkdir()
    for prefix, key in ((tmp_path / "file", "key"), (tmp_path, "folder"), (tmp_path, "long" * 99)):
        with pytest.raises(errors.PackageIOError):
            DiskDynamoStore(prefix).save_package(made, key)
        with pytest.raises(errors.PackageError):
            DiskDynamoStore(prefix).load_cache_entry(key)
    assert (tmp_path / "file").read_text() == "notes"


def test_a_second_save_adds(tmp_path: Path, modules: Modules) -> None:
    fn = modules().add
    store = DiskDynamoStore(tmp_path)
    for n in (3, 5, 5):
        store.save_package(compiled(fn, vector(n), dynamic=False), "key")
    loaded, backends = store.load_package(fn, "key")
    assert len(loaded.cache_entry().codes[0].guarded_codes) == 2
    loaded.install(backends)
    assert served(fn, vector(3))
    assert served(fn, vector(5))


def test_a_save_replaces_another_program(tmp_path: Path, modules: Modules) -> None:
    module = modules()
    store = DiskDynamoStore(tmp_path)
    store.save_package(compiled(module.add), "key")
    store.save_package(compiled(module.broken), "key")
    assert store.read("key").dynamo.fn_name == "broken"
    assert len(list(tmp_path.rglob("*.cfp"))) == 1


def test_clear_removes_packages_alone(tmp_path: Path, modules: Modules) -> None:
    store = DiskDynamoStore(tmp_path / "packages")
    made = compiled(modules().add)
    for key in ("a", "b/c", "d.cfp/e"):
        store.save_package(made, key)
    (tmp_path / "packages" / "notes.txt").write_text("notes")
    (tmp_path / "outside.cfp").write_text("outside")
    store.clear()
    assert (tmp_path / "packages" / "notes.txt").exists()
    assert (tmp_path / "outside.cfp").exists()
    assert not [file for file in (tmp_path / "packages").rglob("*.cfp") if file.is_file()]
    store.clear()
    DiskDynamoStore(tmp_path / "nowhere").clear()


# DiskDynamoCache


def test_the_cache_lies_where_torch_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(DynamoCache, DiskDynamoCache)
    assert DynamoCache.path_prefix() == str(tmp_path / "cache" / "dynamo")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert DynamoCache.path_prefix() == str(tmp_path / "elsewhere" / "dynamo")
    assert DiskDynamoCache(tmp_path).path_prefix() == str(tmp_path)


def test_hits_misses_and_errors_are_counted(modules: Modules) -> None:
    module = modules()
    assert DynamoCache.load(module.add) is None
    assert DynamoCache.load_and_install_package(module.add) is None
    assert counted() == {"miss": 2}
    made = compiled(module.add)
    DynamoCache.save(made)
    PrecompileContext.clear()
    entry = DynamoCache.load(module.add)
    assert entry is not None
    assert entry.dynamo.debug_info() == made.cache_entry().debug_info()
    assert PrecompileContext._dynamo_cache_entries.keys() == {made.source_id}
    assert counted() == {"miss": 2, "hit": 1}
    package_ = DynamoCache.load_and_install_package(module.add)
    assert isinstance(package_, CompilePackage)
    assert served(module.add)
    assert counted() == {"miss": 2, "hit": 2}
    file = DynamoCache.path(made.source_id)
    file.write_bytes(file.read_bytes()[:-5])
    assert DynamoCache.load(module.add) is None
    assert DynamoCache.load_and_install_package(module.add) is None
    assert counted() == {"miss": 2, "hit": 2, "error": 2}
    assert DynamoCache.load(module.other) is None
    assert counted() == {"miss": 3, "hit": 2, "error": 2}


def test_a_package_of_another_python_is_an_error_that_is_counted(modules: Modules) -> None:
    module = modules()
    entry = compiled(module.add).cache_entry()
    entry.system_info = SystemInfo("3.9.0", str(torch.__version__))
    whole = PrecompileCacheEntry.from_cache_entry(entry, PrecompileContext._backend_artifacts_by_key)
    DynamoCache.write(whole, whole.source_id)
    assert DynamoCache.load(module.add) is None
    assert counted() == {"error": 1}


def test_a_file_of_another_function_is_not_used(modules: Modules) -> None:
    module = modules()
    DynamoCache.save(compiled(module.other))
    mine, theirs = (DynamoCache.path(CompilePackage.source_id_from_fn(fn)) for fn in (module.add, module.other))
    mine.write_bytes(theirs.read_bytes())
    assert DynamoCache.load_and_install_package(module.add) is None
    assert counted() == {"error": 1}
    assert not served(module.add)


def test_changed_sources_are_not_installed(modules: Modules) -> None:
    module = modules()
    DynamoCache.save(compiled(module.calls))
    changed = modules(PROGRAM.replace("x.cos() * 2", "x.cos() * 5"), module.__name__)
    with pytest.raises(errors.SourceChangedError, match=f"{module.__name__}.helper"):
        DynamoCache.load_and_install_package(changed.calls)
    assert not served(changed.calls)


def test_the_cache_saves_what_it_can(modules: Modules) -> None:
    module = modules()
    made = compiled(module.broken)
    main, resume = made.cache_entry().codes
    del PrecompileContext._backend_artifacts_by_key[resume.backend_ids[0]]
    DynamoCache.save(made)
    entry = DynamoCache.load(module.broken)
    assert entry is not None
    assert [code.bypassed for code in entry.dynamo.codes] == [False, True]
    assert entry.backends.keys() == set(main.backend_ids)
    assert not made.cache_entry().codes[1].bypassed
    with pytest.raises(errors.PackageStateError, match="not initialized"):
        DynamoCache.save(CompilePackage(None))


def test_an_installed_package_lives_with_its_function(modules: Modules) -> None:
    module = modules()
    DynamoCache.save(compiled(module.add))
    before = dict(vars(module))
    gone = weakref.ref(DynamoCache.load_and_install_package(module.add))
    gc.collect()
    assert served(module.add)
    torch._dynamo.reset()
    del module.add, before["add"]
    gc.collect()
    assert gone() is None
    assert vars(module) == before


def test_an_installed_package_keeps_no_module_alive(modules: Modules) -> None:
    kind = modules("import torch\n\nclass Model(torch.nn.Module):\n    def forward(self, x):\n        return x + 1\n").Model
    model = kind()
    made = CompilePackage(model)
    torch._dynamo.optimize("eager", package=made)(model)(vector())
    DynamoCache.save(made)
    torch._dynamo.reset()
    del made
    assert DynamoCache.load_and_install_package(model) is not None
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_name_given_by_hand_never_stands_for_two_graphs(modules: Modules, tmp_path: Path) -> None:
    """A second save with another graph replaces the first: what called the first one's must not run the second's."""
    module, store = modules(), DiskDynamoStore(tmp_path)
    entry = support.by_hand(module.add).cache_entry()
    for factor in (10, 20):
        graph = torch.fx.symbolic_trace(support.scaled(factor))
        store.record_eager_backend(support.HAND, graph)
        (guarded,) = entry.codes[0].guarded_codes
        code = SerializedCode.from_code_object(support.hand_code(module.add).replace(co_firstlineno=factor))
        entry.codes[0].guarded_codes = [GuardedCodeCacheEntry(guarded.guards_state, code)]
        store.save_cache_entry(entry, "key")
        (kept,) = store.read("key").dynamo.codes[0].guarded_codes
        assert kept.dynamo_code.co_firstlineno == factor
        package, backends = store.load_package(module.add, "key")
        package.install(backends)
        assert torch.equal(support.called(module.add, vector()), vector() * factor)
        package.uninstall()

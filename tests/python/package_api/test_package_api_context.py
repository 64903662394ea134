"""coldframe.package: backend artifacts, PrecompileContext, and packages in torch's own places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import package_api_support as support
import pytest
import torch
from package_api_support import (
    HAND,
    BrokenArtifact,
    Modules,
    ScaledArtifact,
    by_hand,
    called,
    compiled,
    counted,
    scaled,
    served,
    vector,
)
from torch.compiler._cache import CacheArtifactManager

from coldframe import errors, package
from coldframe.package import (
    BackendCacheArtifact,
    CompilePackage,
    DiskDynamoCache,
    DiskDynamoStore,
    DynamoCache,
    DynamoStore,
    EagerCacheArtifact,
    InMemoryDynamoStore,
    PackageCacheArtifact,
    PrecompileCacheEntry,
    PrecompileContext,
)


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    with support.fresh(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture(params=["memory", "disk", "cache"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DynamoStore:
    if request.param == "memory":
        return InMemoryDynamoStore()
    return (DiskDynamoStore if request.param == "disk" else DiskDynamoCache)(tmp_path / "packages")


# Backend artifacts and the context


def test_artifacts_of_ones_own(store: DynamoStore, modules: Modules) -> None:
    with pytest.raises(TypeError, match="abstract"):
        BackendCacheArtifact("key", 1)  # type: ignore[abstract]
    with pytest.raises(TypeError, match="key: a str is expected, not int"):
        ScaledArtifact(1, 1)  # type: ignore[arg-type]
    fn = modules().add
    PrecompileContext.record_artifact(ScaledArtifact(HAND, 7))
    store.save_package(by_hand(fn), "key")
    PrecompileContext.clear()
    loaded, backends = store.load_package(fn, "key")
    assert backends.keys() == {HAND}
    loaded.install(backends)
    assert torch.equal(called(fn, vector()), vector() * 7)
    loaded.uninstall()
    assert not served(fn)


def test_an_artifact_without_a_module_cannot_be_saved(store: DynamoStore, modules: Modules) -> None:
    class Local(BackendCacheArtifact[Any]):
        def after_deserialization(self) -> Any:
            return scaled(1)

    PrecompileContext.record_artifact(Local(HAND, 1))
    made = by_hand(modules().add)
    with pytest.raises(errors.NotPortableError, match=f"backend {HAND}: .*Local cannot be pickled"):
        store.save_package(made, "key")
    with pytest.raises(errors.PackageNotFoundError):
        store.read("key")


def test_a_broken_artifact_leaves_nothing(store: DynamoStore, modules: Modules) -> None:
    module = modules()
    PrecompileContext.record_artifact(BrokenArtifact(HAND, None))
    store.save_package(by_hand(module.add), "key")
    loaded, backends = store.load_package(module.add, "key")
    before = dict(vars(module))
    with pytest.raises(RuntimeError, match=f"no luck with {HAND}"):
        loaded.install(backends)
    assert vars(module) == before
    assert not served(module.add)


def test_eager_artifacts_hold_graphs_and_named_functions(store: DynamoStore, modules: Modules) -> None:
    fn = modules().add
    assert EagerCacheArtifact(HAND, fn).after_deserialization() is fn
    assert EagerCacheArtifact.type() == "precompile_eager"
    made = compiled(fn)
    (name,) = made.cached_backends
    store.record_eager_backend(name, made.cached_backends[name])
    assert isinstance(PrecompileContext.serialize_artifact_by_key(name), EagerCacheArtifact)
    store.save_package(made, "key")
    loaded, backends = store.load_package(fn, "key")
    loaded.install(backends)
    assert served(fn)
    loaded.uninstall()
    store.record_eager_backend(name, object())
    with pytest.raises(errors.NotPortableError):
        store.save_package(made, "key")


def test_the_context_keeps_copies_by_key() -> None:
    assert PrecompileContext.serialize_artifact_by_key("a") is None
    artifact = ScaledArtifact("a", [1])
    PrecompileContext.record_artifact(artifact)
    artifact.content.append(2)
    held = PrecompileContext.serialize_artifact_by_key("a")
    assert type(held) is ScaledArtifact
    assert held is not artifact
    assert (held.key, held.content) == ("a", [1])
    PrecompileContext.edit_artifact("a", lambda content: [*content, 3])
    assert PrecompileContext.serialize_artifact_by_key("a").content == [1, 3]  # type: ignore[union-attr]
    artifact.edit_contents(len)
    assert artifact.content == 2
    with pytest.raises(errors.InvalidArgumentError, match="Key b not found in artifacts"):
        PrecompileContext.edit_artifact("b", len)
    with pytest.raises(TypeError, match="a BackendCacheArtifact is expected, not int"):
        PrecompileContext.record_artifact(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a DynamoCacheEntry is expected, not int"):
        PrecompileContext.record_dynamo_cache_entry(1, "a")  # type: ignore[arg-type]
    PrecompileContext.clear()
    assert PrecompileContext.serialize_artifact_by_key("a") is None


def test_an_edited_artifact_is_what_is_saved(store: DynamoStore, modules: Modules) -> None:
    fn = modules().add
    made = by_hand(fn)
    PrecompileContext.record_artifact(ScaledArtifact(HAND, 7))
    PrecompileContext.edit_artifact(HAND, lambda factor: factor + 1)
    store.save_package(made, "key")
    loaded, backends = store.load_package(fn, "key")
    loaded.install(backends)
    assert torch.equal(called(fn, vector()), vector() * 8)


def test_the_context_stitches_entries_together(modules: Modules) -> None:
    module = modules()
    assert PrecompileContext.create_cache_entries() == ({}, {"dynamo": [], "backends": []})
    assert PrecompileContext.serialize() is None
    functions = [module.add, module.broken]
    made = [compiled(fn) for fn in functions]
    for one in made:
        DynamoCache.record_package(one)
    ids = {name for one in made for name in one.cache_entry().backend_ids}
    entries, debug = PrecompileContext.create_cache_entries()
    assert entries.keys() == {one.source_id for one in made}
    assert {name for entry in entries.values() for name in entry.backends} == ids
    assert {info["key"]: info["fn_name"] for info in debug["dynamo"]} == {
        one.source_id: fn.__name__ for one, fn in zip(made, functions, strict=True)
    }
    assert set(debug["backends"]) == ids
    assert json.loads(json.dumps(debug)) == debug

    assert not list(Path(DynamoCache.path_prefix()).rglob("*.cfp"))
    assert PrecompileContext.save_to_dynamo_cache() == debug
    PrecompileContext.clear()
    for fn in functions:
        assert DynamoCache.load_and_install_package(fn) is not None
        assert served(fn)
    PrecompileContext.clear()
    assert PrecompileContext.save_to_dynamo_cache() == {"dynamo": [], "backends": []}


def test_what_cannot_be_saved_does_not_stop_the_rest(modules: Modules) -> None:
    class Local(BackendCacheArtifact[Any]):
        def after_deserialization(self) -> Any:
            return scaled(1)

    module = modules()
    good, bad = compiled(module.other), by_hand(module.add)
    PrecompileContext.record_artifact(Local(HAND, 1))
    for one in (bad, good):
        DynamoCache.record_package(one)
    PrecompileContext.save_to_dynamo_cache()
    assert DynamoCache.load(module.add) is None
    assert DynamoCache.load(module.other) is not None
    made = PrecompileContext.serialize()
    assert made is not None
    assert made[1].artifacts["precompile_dynamo"] == [good.source_id]


# In torch's own places


def test_packages_travel_in_torchs_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: Modules) -> None:
    module = modules()
    made = compiled(module.add)
    DynamoCache.record_package(made)
    by_context = PrecompileContext.serialize()
    DynamoCache.save(made)
    by_torch = torch.compiler.save_cache_artifacts()
    for n, saved in enumerate((by_context, by_torch)):
        assert saved is not None
        data, info = saved
        assert info.artifacts["precompile_dynamo"] == info.precompile_dynamo_artifacts == [made.source_id]
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / f"other{n}"))
        assert DynamoCache.load(module.add) is None
        found = torch.compiler.load_cache_artifacts(data)
        assert found is not None
        assert found.artifacts["precompile_dynamo"] == [made.source_id]
        assert info.precompile_artifacts == found.precompile_artifacts == [made.source_id]
        installed = DynamoCache.load_and_install_package(module.add)
        assert installed is not None
        assert served(module.add)
        installed.uninstall()
        assert not served(module.add)
        torch._dynamo.reset()


def test_the_last_package_of_a_key_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: Modules) -> None:
    fn = modules().add
    for n in (3, 5):
        DynamoCache.save(compiled(fn, vector(n), dynamic=False))
    saved = torch.compiler.save_cache_artifacts()
    assert saved is not None
    assert len(saved[1].artifacts["precompile_dynamo"]) == 1
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "other"))
    torch.compiler.load_cache_artifacts(saved[0])
    entry = DynamoCache.load(fn)
    assert entry is not None
    assert len(entry.dynamo.codes[0].guarded_codes) == 2


def test_a_damaged_package_in_torchs_bytes_is_left_out(modules: Modules) -> None:
    fn = modules().add
    made = compiled(fn)
    data = PrecompileCacheEntry.from_cache_entry(made.cache_entry(), PrecompileContext._backend_artifacts_by_key)
    whole = data.to_package().to_bytes()
    assert PackageCacheArtifact.type() == "precompile_dynamo"
    for content in (b"", b"garbage", whole[:-3]):
        PackageCacheArtifact(made.source_id, content).populate_cache()
        assert DynamoCache.load(fn) is None
    assert counted() == {"miss": 3}
    PackageCacheArtifact("../escape", whole).populate_cache()
    assert not list(Path(DynamoCache.path_prefix()).parent.rglob("*escape*"))
    PackageCacheArtifact(made.source_id, whole).populate_cache()
    assert DynamoCache.load(fn) is not None
    with pytest.raises(AssertionError, match="Expected bytes"):
        CacheArtifactManager.record_artifact("precompile_dynamo", "key", "text")


def places() -> dict[str, Any]:
    """Returns the contents of torch's modules."""
    found = {}
    for module in (torch._dynamo.package, torch._dynamo.precompile_context):
        found.update({f"{module.__name__}.{name}": value for name, value in vars(module).items()})
    return found


def test_coldframe_in_place_of_torchs_packages() -> None:
    CompilePackage(places)  # hooks that every package needs are there from now on
    before = places()
    package.uninstall_as_torch_default()
    assert places() == before
    for _ in range(2):
        package.install_as_torch_default()
        package.install_as_torch_default()
        after = places()
        assert {name.removeprefix("torch._dynamo.") for name in after if after[name] is not before[name]} == {
            "package.CompilePackage",
            "package.DynamoCache",
            "precompile_context.DynamoCache",
            "precompile_context.PrecompileContext",
        }
        assert torch._dynamo.package.CompilePackage is CompilePackage
        assert torch._dynamo.package.DynamoCache is DynamoCache
        assert torch._dynamo.precompile_context.PrecompileContext is PrecompileContext
        package.uninstall_as_torch_default()
        assert all(value is before[name] for name, value in places().items())
        package.uninstall_as_torch_default()
        assert places() == before


def test_plain_compile_is_served(modules: Modules) -> None:
    fn = modules().broken
    package.install_as_torch_default()
    with torch._dynamo.config.patch(caching_precompile=True):
        cold = torch.compile(fn, backend="eager")(vector())
        assert counted() == {"miss": 1}
        assert DynamoCache.path(CompilePackage.source_id_from_fn(fn)).exists()
        torch._dynamo.reset()
        compiled_fn = torch.compile(fn, backend="eager")
        assert counted() == {"miss": 1, "hit": 1}
        with torch.compiler.set_stance("fail_on_recompile"):
            assert torch.equal(compiled_fn(vector()), cold)
    assert torch.equal(cold, fn(vector()))


def test_plain_compile_is_served_after_a_reset(modules: Modules) -> None:
    fn = modules().broken
    package.install_as_torch_default()
    with torch._dynamo.config.patch(caching_precompile=True):
        torch.compile(fn, backend="eager")(vector())
        torch._dynamo.reset()
        compiled_fn = torch.compile(fn, backend="eager")
        for _ in range(2):
            with torch.compiler.set_stance("fail_on_recompile"):
                assert torch.equal(compiled_fn(vector()), fn(vector()))
            torch._dynamo.reset()


def test_without_the_setting_or_after_it_nothing_is_saved(modules: Modules) -> None:
    module = modules()
    package.install_as_torch_default()
    torch.compile(module.add, backend="eager")(vector())
    package.uninstall_as_torch_default()
    assert counted() == {}
    assert not list(Path(DynamoCache.path_prefix()).rglob("*.cfp"))


def test_a_damaged_package_does_not_stop_plain_compile(modules: Modules) -> None:
    fn = modules().add
    package.install_as_torch_default()
    file = DynamoCache.path(CompilePackage.source_id_from_fn(fn))
    file.parent.mkdir(parents=True)
    file.write_bytes(b"damaged")
    with torch._dynamo.config.patch(caching_precompile=True):
        assert torch.equal(torch.compile(fn, backend="eager")(vector()), fn(vector()))
    assert counted() == {"error": 1}
    assert DynamoCache.load(fn) is not None  # it was replaced

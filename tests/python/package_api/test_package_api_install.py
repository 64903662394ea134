"""coldframe.package.CompilePackage: into a process, and out again."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import package_api_support as support
import pytest
import torch
from package_api_support import (
    HAND,
    PROGRAM,
    BrokenArtifact,
    Modules,
    by_hand,
    called,
    compiled,
    loaded,
    scaled,
    served,
    vector,
)

from coldframe import errors
from coldframe.package import CompilePackage, EagerCacheArtifact, InMemoryDynamoStore, PrecompileCacheEntry, PrecompileContext

ORDERS = [(0, 1), (1, 0)]


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    with support.fresh(tmp_path, monkeypatch) as made:
        yield made


@pytest.mark.parametrize("name", ["add", "calls", "empty", "broken"])
def test_uninstall_is_the_inverse_of_install(name: str, modules: Modules) -> None:
    module = modules()
    entry = compiled(getattr(module, name)).cache_entry()
    made = CompilePackage(getattr(module, name))
    module = modules(PROGRAM, module.__name__)  # nobody has compiled this one
    fn = getattr(module, name)
    before = dict(vars(module))
    made = CompilePackage(fn, entry)
    assert vars(module) == before
    assert not served(fn)
    before = dict(vars(module))
    for _ in range(2):
        torch._dynamo.reset()
        backends = {key: PrecompileContext.serialize_artifact_by_key(key) for key in entry.backend_ids}
        made.install(backends)
        made.install(backends)
        assert vars(module).keys() - before.keys() >= entry.backend_ids
        assert served(fn)
        made.uninstall()
        assert vars(module) == before
        assert not served(fn)
        made.uninstall()
        assert vars(module) == before


def test_a_package_serves_what_it_compiled_itself(modules: Modules) -> None:
    module = modules()
    made = compiled(module.broken)
    before = dict(vars(module))
    made.install({name: EagerCacheArtifact(name, graph) for name, graph in made.cached_backends.items()})
    assert served(module.broken)
    made.uninstall()
    assert vars(module) == before


def test_a_loaded_package_serves_what_it_compiled_since(modules: Modules) -> None:
    module = modules()
    made, backends = loaded(module.add, vector(3), dynamic=False)
    made.install(backends)
    torch._dynamo.optimize("eager", package=made, dynamic=False)(module.add)(vector(5))
    assert len(made.cache_entry().codes[0].guarded_codes) == 2
    torch._dynamo.reset()
    made.uninstall()
    made.install({**made.cached_backends, **backends})
    assert served(module.add, vector(3))
    assert served(module.add, vector(5))


@pytest.mark.parametrize("name", ["add", "broken"])
@pytest.mark.parametrize("failure", ["missing", "broken"])
@pytest.mark.parametrize("again", [False, True])
def test_a_failing_install_leaves_nothing(name: str, failure: str, again: bool, modules: Modules) -> None:
    module = modules()
    fn = getattr(module, name)
    made, backends = loaded(fn)
    before = dict(vars(module))
    if again:
        made.install(backends)
    last = made.cache_entry().codes[-1].backend_ids[-1]
    given = {key: value for key, value in backends.items() if key != last}
    if failure == "missing":
        with pytest.raises(errors.InvalidArgumentError, match=f"^Backend {last} is not found in the given backends"):
            made.install(given)
    else:
        with pytest.raises(RuntimeError, match=f"no luck with {last}"):
            made.install({**given, last: BrokenArtifact(last, None)})
    assert vars(module) == before
    assert not served(fn)
    torch._dynamo.reset()
    made.install(backends)
    assert served(fn)


@pytest.mark.parametrize("name", ["add", "empty", "broken"])
def test_a_dropped_package_is_taken_out(name: str, modules: Modules) -> None:
    module = modules()
    fn = getattr(module, name)
    made, backends = loaded(fn)
    before = dict(vars(module))
    made.install(backends)
    assert served(fn)
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None
    assert vars(module) == before
    assert not served(fn)


@pytest.mark.parametrize("order", ORDERS)
def test_two_packages_of_one_function(order: tuple[int, ...], modules: Modules) -> None:
    module = modules()
    sizes = (3, 5)
    packages = [loaded(module.add, vector(n), dynamic=False) for n in sizes]
    before = dict(vars(module))
    for made, backends in packages:
        made.install(backends)
    assert [served(module.add, vector(n)) for n in sizes] == [True, True]
    first, second = order
    packages[first][0].uninstall()
    assert not served(module.add, vector(sizes[first]))
    assert served(module.add, vector(sizes[second]))
    packages[second][0].uninstall()
    assert [served(module.add, vector(n)) for n in sizes] == [False, False]
    assert vars(module) == before


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["add", "empty", "broken"])
def test_one_package_twice(name: str, order: tuple[int, ...], modules: Modules) -> None:
    module = modules()
    fn = getattr(module, name)
    packages = [loaded(fn), loaded(fn)]
    before = dict(vars(module))
    for made, backends in packages:
        made.install(backends)
    first, second = order
    packages[first][0].uninstall()
    assert served(fn)
    packages[second][0].uninstall()
    assert not served(fn)
    assert vars(module) == before


@pytest.mark.parametrize("order", ORDERS)
def test_two_packages_that_share_a_global(order: tuple[int, ...], modules: Modules) -> None:
    module = modules()
    name = module.__name__
    wholes = [PrecompileCacheEntry(*_parts(getattr(module, fn))) for fn in ("add", "other")]
    module = modules(PROGRAM, name)
    functions = [module.add, module.other]
    before = dict(vars(module))
    packages = [CompilePackage(fn, whole.dynamo) for fn, whole in zip(functions, wholes, strict=True)]
    added = []
    for made, whole in zip(packages, wholes, strict=True):
        made.install(whole.backends)
        added.append(vars(module).keys() - before.keys())
    shared = set(wholes[0].dynamo.codes[0].import_sources) & set(wholes[1].dynamo.codes[0].import_sources)
    assert shared
    assert shared <= added[0]
    first, second = order
    packages[first].uninstall()
    assert shared <= vars(module).keys()
    assert served(functions[second])
    packages[second].uninstall()
    assert vars(module) == before


@pytest.mark.parametrize("name", ["add", "broken"])
@pytest.mark.parametrize("dropped", [False, True])
def test_what_was_compiled_meanwhile_still_runs(name: str, dropped: bool, modules: Modules) -> None:
    """Plain torch.compile uses the globals that it finds: those of a package, perhaps."""
    old = modules()
    made, backends = loaded(getattr(old, name), vector(3), dynamic=False)
    module = modules(PROGRAM, old.__name__)  # nobody has compiled this one
    fn = getattr(module, name)
    made = CompilePackage(fn, made.cache_entry())
    made.install(backends)
    plain = torch.compile(fn, backend="eager", dynamic=False)
    for n in (3, 5):
        assert torch.equal(plain(vector(n)), fn(vector(n)))
    if dropped:
        del made
        gc.collect()
    else:
        made.uninstall()
    assert not vars(module).keys() & backends.keys()
    for n in (5, 3):
        assert torch.equal(plain(vector(n)), fn(vector(n)))


def test_graphs_of_one_id_in_two_packages(modules: Modules) -> None:
    """One name cannot stand for two graphs: the second is refused, and the first serves on."""
    module = modules()
    before = dict(vars(module))
    first, second = by_hand(module.add), by_hand(module.other)
    first.install({HAND: scaled(10)})
    with pytest.raises(errors.InvalidArgumentError, match=f"'{HAND}' of module '.*' is another graph, of another package"):
        second.install({HAND: scaled(20)})
    assert torch.equal(called(module.add, vector()), vector() * 10)
    first.uninstall()
    second.install({HAND: scaled(20)})
    assert torch.equal(called(module.other, vector()), vector() * 20)
    second.uninstall()
    assert vars(module) == before


def test_installed_again_with_other_graphs(modules: Modules) -> None:
    module = modules()
    made = by_hand(module.add)
    for factor in (10, 20):
        made.install({HAND: EagerCacheArtifact(HAND, scaled(factor))})
        assert torch.equal(called(module.add, vector()), vector() * factor)


def test_a_module_that_is_imported_anew_has_globals_of_its_own(modules: Modules) -> None:
    old = modules()
    first, backends = loaded(old.add)
    first.install(backends)
    new = modules(PROGRAM, old.__name__)
    second = CompilePackage(new.add, first.cache_entry())
    second.install(backends)
    assert served(old.add)
    assert served(new.add)
    second.uninstall()
    assert served(old.add)
    assert not vars(new).keys() & backends.keys()


@pytest.mark.parametrize("name", ["add", "broken"])
def test_after_a_reset_of_dynamo(name: str, modules: Modules) -> None:
    module = modules()
    fn = getattr(module, name)
    made, backends = loaded(fn)
    before = dict(vars(module))
    made.install(backends)
    assert served(fn)
    torch._dynamo.reset()
    assert not served(fn)
    made.uninstall()
    assert vars(module) == before
    assert not served(fn)
    torch._dynamo.reset()
    made.install(backends)
    torch._dynamo.reset()
    made.install(backends)
    assert served(fn)


def test_a_reset_within_a_call_that_is_served(modules: Modules) -> None:
    module = modules("import torch\n\ndef fn(x):\n    y = x.sin()\n    hook()\n    return y + 1\n")
    module.hook = torch._dynamo.disable(lambda: None)
    made, backends = loaded(module.fn)
    made.install(backends)
    module.hook = torch._dynamo.disable(torch._dynamo.reset)
    assert torch.equal(torch.compile(module.fn, backend="eager")(vector()), vector().sin() + 1)
    made.uninstall()
    assert not vars(module).keys() & backends.keys()


def test_an_empty_graph(modules: Modules) -> None:
    module = modules()
    made = compiled(module.empty)
    assert made.cached_backends == {}
    entry = made.cache_entry()
    assert entry.backend_ids == set()
    (code,) = entry.codes
    assert (code.has_compile_id, code.guarded_codes, code.bypassed) == (True, [], False)
    made, backends = loaded(module.empty)
    assert backends == {}
    made.install({})
    assert served(module.empty)


def test_the_backends_are_kept_under_their_ids(modules: Modules) -> None:
    module = modules()
    made = compiled(module.broken)
    assert made.cached_backends.keys() == made.cache_entry().backend_ids
    assert all(map(callable, made.cached_backends.values()))
    again = compiled(modules(PROGRAM, module.__name__).broken)
    assert again.cached_backends.keys() == made.cached_backends.keys()
    assert CompilePackage(module.broken, made.cache_entry()).cached_backends == {}


def _parts(fn: Any) -> PrecompileCacheEntry:
    store = InMemoryDynamoStore()
    store.save_package(compiled(fn), "key")
    return store.read("key")

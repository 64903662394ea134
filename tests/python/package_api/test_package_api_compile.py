"""coldframe.package.CompilePackage: its function, and what Dynamo, or a test in its place, tells it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import package_api_support as support
import pytest
import torch
from package_api_support import HAND, NO_GUARDS, PROGRAM, Modules, by_hand, called, compiled, hand_code, scaled, served, vector

from coldframe import errors
from coldframe.package import CompilePackage, PrecompileContext, SystemInfo

METHODS: dict[str, Callable[[CompilePackage], Any]] = {
    "validate": lambda p: p.validate(),
    "source_id": lambda p: p.source_id,
    "code_context": lambda p: p.code_context(vector.__code__).__enter__(),
    "add_guarded_code": lambda p: p.add_guarded_code(NO_GUARDS, vector.__code__),
    "add_inlined_source": lambda p: p.add_inlined_source([vector.__code__]),
    "add_import_source": lambda p: p.add_import_source("__import_json", "json"),
    "add_resume_function": lambda p: p.add_resume_function(vector.__code__, __name__, "__resume_at_0"),
    "add_backend_id": lambda p: p.add_backend_id(HAND, torch.sin),
    "update_device_type": lambda p: p.update_device_type(None),
    "bypass_current_entry": lambda p: p.bypass_current_entry(),
    "install": lambda p: p.install({}),
    "uninstall": lambda p: p.uninstall(),
    "cache_entry": lambda p: p.cache_entry(),
}
OUTSIDE = ("add_guarded_code", "add_inlined_source", "add_import_source", "add_backend_id", "bypass_current_entry")


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    with support.fresh(tmp_path, monkeypatch) as made:
        yield made


# Its function


def test_a_package_gets_its_function_once(modules: Modules) -> None:
    module = modules()
    made = CompilePackage(None)
    assert not made.is_initialized()
    assert made.cached_backends == {}
    made.initialize(module.add)
    assert made.is_initialized()
    made.validate()
    with pytest.raises(errors.PackageStateError, match="CompilePackage is already initialized"):
        made.initialize(module.add)
    with pytest.raises(AssertionError, match="already initialized"):
        CompilePackage(module.add).initialize(module.add)
    assert CompilePackage(module.add).is_initialized()


@pytest.mark.parametrize("method", METHODS)
def test_without_a_function_nothing_works(method: str) -> None:
    made = CompilePackage(None)
    for _ in range(2):
        with pytest.raises(errors.PackageStateError, match=f"not initialized: {method} needs its function"):
            METHODS[method](made)
    assert not made.is_initialized()


@pytest.mark.parametrize("method", OUTSIDE)
def test_outside_a_compilation_nothing_can_be_added(method: str, modules: Modules) -> None:
    with pytest.raises(errors.PackageStateError, match=rf"{method} belongs into code_context\(code\).*is not set"):
        METHODS[method](CompilePackage(modules().add))


@pytest.mark.parametrize("wrong", ["text", vector.__code__, 1])
def test_what_cannot_be_compiled_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"a function, method or module is expected, not {type(wrong).__name__}"):
        CompilePackage(wrong)
    with pytest.raises(TypeError, match="a function, method or module is expected"):
        CompilePackage.source_id_from_fn(wrong)


@pytest.mark.parametrize("wrong", [len, torch.sin, functools.partial(len), int])
def test_what_has_no_python_code_is_refused(wrong: Any) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="has no Python code that could be compiled"):
        CompilePackage(wrong)


def test_entries_of_something_else_are_refused(modules: Modules) -> None:
    module = modules()
    entry = compiled(module.calls).cache_entry()
    with pytest.raises(TypeError, match="dynamo: a DynamoCacheEntry is expected, not dict"):
        CompilePackage(module.calls, {})  # type: ignore[arg-type]
    with pytest.raises(errors.IncompatiblePackageError, match=rf"was made for {module.__name__}\.calls, not for .*\.add"):
        CompilePackage(module.add, entry)
    with pytest.raises(errors.IncompatiblePackageError, match="was made for"):
        CompilePackage(modules().calls, entry)

    made = CompilePackage(None)
    with pytest.raises(errors.IncompatiblePackageError):
        made.initialize(module.add, entry)
    assert not made.is_initialized()
    made.initialize(module.calls, entry)
    made.validate()


def test_changed_sources_are_refused(modules: Modules) -> None:
    module = modules()
    made = compiled(module.calls)
    entry, name = made.cache_entry(), module.__name__
    CompilePackage(modules("# a comment\n" + PROGRAM, name).calls, entry)

    inlined = modules(PROGRAM.replace("x.cos() * 2", "x.cos() * 7"), name)
    with pytest.raises(errors.SourceChangedError, match=rf"Source code changes detected for .*{name}\.helper"):
        CompilePackage(inlined.calls, entry)
    kept = CompilePackage(inlined.calls, entry, ignore_inlined_sources=True)
    kept.install(made.cached_backends)
    assert torch.equal(called(inlined.calls, vector()), vector().cos() * 2 + 3)
    kept.uninstall()

    itself = modules(PROGRAM.replace("+ 3", "+ 4"), name)
    with pytest.raises(errors.SourceChangedError, match=rf"Source code changes detected for {name}\.calls"):
        CompilePackage(itself.calls, entry)


def test_the_id_of_a_function(modules: Modules) -> None:
    module, twin = modules(), modules()
    made = CompilePackage(module.add).source_id
    assert made == CompilePackage(module.add).source_id == CompilePackage.source_id_from_fn(module.add)
    assert made == CompilePackage.source_id_from_fn(torch.compile(module.add))
    assert bytes.fromhex(made)
    moved = modules("\n\n# moved\n" + PROGRAM, module.__name__)
    assert moved.add.__code__.co_firstlineno != module.add.__code__.co_firstlineno
    assert CompilePackage.source_id_from_fn(moved.add) == made
    changed = modules(PROGRAM.replace("sin() + 1", "sin() + 2"), module.__name__)
    ids = {CompilePackage.source_id_from_fn(fn) for fn in (module.add, twin.add, module.other, changed.add)}
    assert len(ids) == 4

    class Doubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    model = Doubled()
    assert CompilePackage.source_id_from_fn(model) == CompilePackage.source_id_from_fn(model.forward)
    assert CompilePackage.source_id_from_fn(model) == CompilePackage(torch.compile(model)).source_id


# What it is told


def test_a_package_before_anything_is_compiled(modules: Modules) -> None:
    module = modules()
    made = CompilePackage(module.add)
    entry = made.cache_entry()
    (code,) = entry.codes
    assert code.python_code.co_name == "add"
    assert (code.has_compile_id, code.guarded_codes, code.backend_ids) == (False, [], [])
    assert entry.backend_ids == set()
    assert entry.source_info.inlined_sources == set()
    assert entry.fn_first_lineno == module.add.__code__.co_firstlineno
    again = CompilePackage(module.add, entry)
    again.install({})
    assert not served(module.add)
    again.uninstall()


def test_what_is_added_by_hand_is_in_the_entry(modules: Modules) -> None:
    module = modules()
    dynamo_code = hand_code(module.calls)
    made = CompilePackage(module.calls)
    graph = torch.fx.symbolic_trace(lambda x: (x,)).graph
    with made.code_context(module.calls.__code__):
        with pytest.raises(errors.PackageStateError, match="_current_entry is set"):
            made.validate()
        made.add_backend_id(HAND, scaled(3))
        made.add_inlined_source([module.helper.__code__])
        made.add_import_source("__import_json", "json")
        made.update_device_type(graph)
        code = hand_code(module.calls).replace(co_names=(HAND, "__import_json"))
        made.add_guarded_code(NO_GUARDS, code)
    made.validate()
    assert made.cached_backends.keys() == {HAND}
    entry = made.cache_entry()
    assert (entry.backend_ids, entry.device_type) == ({HAND}, "cpu")
    (added,) = entry.codes
    assert (added.has_compile_id, added.bypassed) == (True, False)
    assert added.import_sources == {"__coldframe_import_json": "json"}
    assert added.guarded_codes[0].guards_state == NO_GUARDS
    assert added.guarded_codes[0].dynamo_code.co_code == dynamo_code.co_code
    assert {source.qualname for source in entry.source_info.inlined_sources} == {"helper"}
    assert PrecompileContext.serialize_artifact_by_key(HAND) is None


def test_the_device_of_a_graph(modules: Modules) -> None:
    module = modules()
    made = CompilePackage(module.add)
    graph = torch.fx.symbolic_trace(lambda x: (x,)).graph
    next(iter(graph.nodes)).meta["val"] = torch.device("cuda")
    for given in (graph, None):
        with made.code_context(module.add.__code__):
            made.update_device_type(given)
            made.add_guarded_code(NO_GUARDS, module.other.__code__)
        assert made.cache_entry().device_type == "cuda"


def test_an_entry_is_a_snapshot(modules: Modules) -> None:
    """Changing it changes nothing in the package, whether that was compiled or loaded."""
    fn = modules().add
    made = compiled(fn)
    for one in (made, CompilePackage(fn, made.cache_entry())):
        changed = one.cache_entry()
        changed.codes[0].bypassed = True
        changed.codes[0].guarded_codes = []
        changed.system_info = SystemInfo("2.7", "0.1")
        (code,) = one.cache_entry().codes
        assert (code.bypassed, len(code.guarded_codes)) == (False, 1)
        one.cache_entry().check_versions()


def test_what_is_added_by_hand_serves(modules: Modules) -> None:
    module = modules()
    made = by_hand(module.add, scaled(10))
    before = dict(vars(module))
    made.install(made.cached_backends)
    assert torch.equal(called(module.add, vector()), vector() * 10)
    assert HAND in vars(module)
    made.uninstall()
    assert vars(module) == before
    assert not served(module.add)


def test_a_bypassed_compilation_is_left_out(modules: Modules) -> None:
    module = modules()
    made = CompilePackage(module.add)
    with made.code_context(module.add.__code__):
        made.add_backend_id(HAND, scaled(3))
        made.bypass_current_entry()
        made.add_guarded_code(NO_GUARDS, hand_code(module.add))
    (code,) = made.cache_entry().codes
    assert (code.bypassed, code.guarded_codes, code.backend_ids) == (True, [], [])
    assert code.bypass_reason
    made.install({})
    assert not served(module.add)
    made.uninstall()


def test_a_resume_function_by_hand(modules: Modules) -> None:
    module = modules()
    made = CompilePackage(module.add)
    made.add_resume_function(module.helper.__code__, module.__name__, "__resume_at_0")
    _, resume = made.cache_entry().codes
    assert (resume.install_to_global, resume.code_source, resume.has_compile_id) == (True, None, False)
    assert resume.python_module == module.__name__
    assert len(resume.function_names) == 1


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda p: p.add_backend_id("graph_0"), errors.InvalidArgumentError, "must start with '__compiled_fn_', got 'graph_0'"),
        (lambda p: p.add_backend_id(""), ValueError, "must start with '__compiled_fn_', got ''"),
        (lambda p: p.add_guarded_code(NO_GUARDS, 1), TypeError, "dynamo_code: a code object is expected, not int"),
        (lambda p: p.add_guarded_code(b"?", vector.__code__), errors.CorruptPackageError, "offset"),
    ],
)
def test_what_cannot_be_added(act: Any, kind: type[Exception], message: str, modules: Modules) -> None:
    module = modules()
    made = CompilePackage(module.add)
    with made.code_context(module.add.__code__), pytest.raises(kind, match=message):
        act(made)
    assert made.cache_entry().backend_ids == set()
    with pytest.raises(TypeError, match="a code object is expected, not function"), made.code_context(module.add):
        pass
    made.validate()


def test_compilations_do_not_nest(modules: Modules) -> None:
    module = modules()
    made = CompilePackage(module.add)
    outer = made.code_context(module.add.__code__)
    with outer, pytest.raises(AssertionError, match="_current_entry is already set"), made.code_context(module.add.__code__):
        pass
    made.validate()
    with made.code_context(module.add.__code__), CompilePackage(module.other).code_context(module.other.__code__):
        pass


def test_a_compilation_that_fails_leaves_nothing(modules: Modules) -> None:
    module = modules()
    made = CompilePackage(module.add)
    with pytest.raises(ZeroDivisionError), made.code_context(module.add.__code__):
        made.add_backend_id(HAND, scaled(3))
        made.add_guarded_code(NO_GUARDS, hand_code(module.add))
        raise ZeroDivisionError
    made.validate()
    assert made.cache_entry().backend_ids == set()

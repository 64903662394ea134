"""Scenarios of plain torch.compile under coldframe.package.install_as_torch_default(): loaded when it wraps, saved after each
compilation."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from scenario_support import counted, same, strict, vector
from torch._dynamo.utils import counters

import coldframe.package
from coldframe.package import DynamoCache, PrecompileContext

BACKENDS = ("eager", "inductor")


@contextmanager
def automatic(folder: Path) -> Iterator[None]:
    """Within it plain torch.compile has packages below `folder`, and nothing of before is left in memory."""
    before = os.environ["TORCHINDUCTOR_CACHE_DIR"]
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    torch._dynamo.reset()
    PrecompileContext.clear()
    counters.clear()
    coldframe.package.install_as_torch_default()
    try:
        with torch._dynamo.config.patch(caching_precompile=True):
            yield
    finally:
        coldframe.package.uninstall_as_torch_default()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = before


@contextmanager
def served(folder: Path) -> Iterator[None]:
    """As automatic, and nothing may compile."""
    with automatic(folder), torch.compiler.set_stance("fail_on_recompile"):
        yield


# Two functions, each with a package of its own, and several backends of one function.


def sine(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def cosine(x: torch.Tensor) -> torch.Tensor:
    y = x.cos()
    torch._dynamo.graph_break()
    return y.sin() + x


def first_two_functions(folder: Path) -> Any:
    outputs = {}
    with automatic(folder):
        for backend in BACKENDS:
            for fn in (sine, cosine):
                outputs[fn.__name__, backend] = torch.compile(fn, backend=backend)(vector())
        assert len(list(folder.rglob("*.cfp"))) == 2
    return outputs


def second_two_functions(folder: Path, made: Any) -> None:
    with served(folder), counted() as grown:
        for backend in BACKENDS:
            for fn in (sine, cosine):
                assert same(torch.compile(fn, backend=backend)(vector()), made[fn.__name__, backend])
        assert counters["dynamo_cache"]["dynamo_cache_hit"] == 4 and not counters["dynamo_cache"]["dynamo_cache_error"]
    assert grown["compiles"] == 0 and grown["hits"] == 6, grown


# A model that is trained: saved once more after its backward.


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))


def step(model: Any) -> Any:
    loss = model(vector()).sum()
    loss.backward()
    return loss.detach(), [parameter.grad for parameter in model.parameters()]


def first_training_step(folder: Path) -> Any:
    with automatic(folder):
        torch.compile(network(), backend="eager")
        return step(torch.compile(network()))


def second_training_step(folder: Path, made: Any) -> None:
    with served(folder):
        loss, gradients = step(torch.compile(network()))
    assert same(loss, made[0]) and all(map(same, gradients, made[1]))


# A function that is picked from a table: torch's packages drop the guard on which one it is.


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def hundredfold(x: torch.Tensor) -> torch.Tensor:
    return x * 200


TABLE = {"f": double}


def picked(x: torch.Tensor) -> torch.Tensor:
    return TABLE["f"](x)


def first_picked_function(folder: Path) -> None:
    with automatic(folder):
        compiled = torch.compile(picked, backend="eager")
        assert compiled(torch.ones(())) == 2
        TABLE["f"] = hundredfold
        assert compiled(torch.ones(())) == 200
        TABLE["f"] = double


def second_picked_function(folder: Path, made: Any) -> None:
    with served(folder):
        TABLE["f"] = hundredfold
        assert torch.compile(picked, backend="eager")(torch.ones(())) == 200
        TABLE["f"] = double
        assert torch.compile(picked, backend="eager")(torch.ones(())) == 2


# A backend of a resume function that is lost: that frame alone is compiled again, once, and the entry does not grow.


def broken(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    torch._dynamo.graph_break()
    return x.sin() + y


def cached(fn: Callable[..., Any]) -> Path:
    return DynamoCache.path(coldframe.package.CompilePackage.source_id_from_fn(fn))


def first_lost_backend(folder: Path) -> None:
    with automatic(folder):
        torch.compile(broken, backend="eager")(vector())
        (entry,) = PrecompileContext._dynamo_cache_entries.values()
        for code in entry.codes:
            if code.install_to_global:
                (lost,) = code.backend_ids
                del PrecompileContext._backend_artifacts_by_key[lost]
        cached(broken).unlink()
        found = PrecompileContext.save_to_dynamo_cache()
        assert len(found["dynamo"]) == 1 and len(found["backends"]) == 1
        codes = DynamoCache.load(broken).dynamo.codes
        assert {code.install_to_global: code.bypassed for code in codes} == {False: False, True: True}
        assert lost in codes[1].bypass_reason


def second_lost_backend(folder: Path, made: Any) -> None:
    sizes = []
    for compiled in (1, 0, 0):
        with automatic(folder), counted() as grown:
            assert same(torch.compile(broken, backend="eager")(vector()), broken(vector()))
            sizes.append(cached(broken).stat().st_size)
        assert grown["compiles"] == compiled
    assert len(set(sizes)) == 1


def third_lost_backend(folder: Path, made: Any) -> None:
    with served(folder):
        assert same(torch.compile(broken, backend="eager")(vector()), broken(vector()))


# A later variant that cannot be saved leaves the earlier one alone.

STATE: dict[str, Any] = {"f": double}


def stateful(x: torch.Tensor) -> torch.Tensor:
    return STATE["f"](x) + 1


def first_unsaveable_later(folder: Path) -> None:
    def local(x: torch.Tensor) -> torch.Tensor:
        return x * 3

    with automatic(folder):
        compiled = torch.compile(stateful, backend="eager")
        assert compiled(torch.ones(())) == 3
        STATE["f"] = type("Callable", (), {"__call__": lambda self, x: local(x)})()
        assert compiled(torch.ones(())) == 4
        (entry, *_) = DynamoCache.load(stateful).dynamo.codes
        assert len(entry.guarded_codes) == 1 and not entry.bypassed, entry.guarded_codes
        STATE["f"] = double


def second_unsaveable_later(folder: Path, made: Any) -> None:
    with served(folder):
        assert torch.compile(stateful, backend="eager")(torch.ones(())) == 3


# A helper in another module that is edited, and restored.

HELPER = "def helper(x):\n    return x {}\n"
CALLER = "import {0}_helper\n\ndef {0}_caller(x):\n    return {0}_helper.helper(x)\n"


def helpers(folder: Path, sign: str) -> ModuleType:
    (folder / "edited_helper.py").write_text(HELPER.format(sign))
    (folder / "edited.py").write_text(CALLER.format("edited"))
    sys.path.insert(0, str(folder))
    for name in ("edited", "edited_helper"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    try:
        return importlib.import_module("edited")
    finally:
        sys.path.remove(str(folder))


def first_edited_helper(folder: Path) -> None:
    caller = helpers(folder, "+ 1").edited_caller
    with automatic(folder):
        assert torch.compile(caller, backend="eager")(torch.ones(())) == 2


def second_edited_helper(folder: Path, made: Any) -> None:
    caller = helpers(folder, "+ 5").edited_caller
    with automatic(folder):
        entry = DynamoCache.load(caller)
        try:
            coldframe.package.CompilePackage(caller, entry.dynamo)
        except coldframe.SourceChangedError as error:
            assert "Source code changes detected" in str(error) and "edited_helper.helper" in str(error), error
            assert "lines 1 to 2" in str(error), error
        else:
            raise AssertionError("an edited helper was accepted")
        coldframe.package.CompilePackage(caller, entry.dynamo, ignore_inlined_sources=True)
        original = cached(caller).read_bytes()
    caller = helpers(folder, "+ 1").edited_caller
    with served(folder):
        assert torch.compile(caller, backend="eager")(torch.ones(())) == 2
        assert cached(caller).read_bytes() == original
    caller = helpers(folder, "+ 7").edited_caller
    with automatic(folder):
        assert torch.compile(caller, backend="eager")(torch.ones(())) == 8


# Whatever torch.compile takes runs, saved or not; an error of the cache is counted and said, and never reaches the program.


class AddsThree:
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x + 3


def targets() -> list[Callable[..., Any]]:
    text: dict[str, Any] = {"__name__": "nowhere"}
    exec("def generated(x):\n    return x * 4\n", text)
    return [torch.sin, functools.partial(double), AddsThree(), text["generated"], lambda x: x - 1, torch.nn.ReLU()]


def first_any_target(folder: Path) -> None:
    with automatic(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for target in targets():
            assert same(torch.compile(target, backend="eager")(vector()), target(vector())), target
    full = folder / "full"
    full.mkdir()
    (full / "dynamo").write_text("a file where the cache wants a folder")
    with strict("0"), automatic(full), counted() as grown, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert same(torch.compile(sine, backend="eager")(vector()), sine(vector()))
        assert counters["dynamo_cache"] == {"dynamo_cache_miss": 1, "dynamo_cache_error": 1}
    assert grown["errors"] == {"save: PackageIOError": 1} and grown["misses"] == {"not_found": 1}, grown
    assert sum("coldframe could not save" in str(warning.message) for warning in said) == 1


def second_any_target(folder: Path, made: Any) -> None:
    with automatic(folder):
        for target in targets():
            assert same(torch.compile(target, backend="eager")(vector()), target(vector())), target


# A backend without a name: another process cannot tell it from another one.


def graph_of(factor: float) -> Callable[..., Any]:
    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        return lambda *args: tuple(value * factor for value in graph(*args))

    return backend


def first_unnamed_backend(folder: Path) -> None:
    with automatic(folder):
        assert torch.compile(double, backend=graph_of(10))(torch.ones(())) == 20
        assert not list(folder.rglob("*.cfp"))
        passes = {"post_grad_custom_post_pass": lambda graph, folder=folder: None}
        compiled = coldframe.compile(double, options=passes)
        assert compiled(torch.ones(())) == 2
        try:
            coldframe.save(compiled, folder / "file")
        except coldframe.NotPortableError as error:
            assert "options: builtins.function has no name or content" in str(error), error
        else:
            raise AssertionError("saved with a pass that has no name")


def second_unnamed_backend(folder: Path, made: Any) -> None:
    with automatic(folder):
        assert torch.compile(double, backend=graph_of(3))(torch.ones(())) == 6


# One blob of bytes for an empty cache directory.


def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x.sin() @ y


CASES = [(dtype, dynamic) for dtype in (torch.float32, torch.bfloat16) for dynamic in (False, True)]


def operands(dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.rand(20, 20).to(dtype).requires_grad_() for _ in range(2)]


def multiply(compiled: Callable[..., torch.Tensor], dtype: torch.dtype) -> Any:
    x, y = operands(dtype)
    result = compiled(x, y)
    result.sum().backward()
    return result.detach(), x.grad, y.grad


def first_portable_blob(folder: Path) -> Any:
    made = {}
    for number, (dtype, dynamic) in enumerate(CASES):
        torch.compiler._cache.CacheArtifactManager.clear()
        with automatic(folder / str(number)):
            outputs = multiply(torch.compile(product, dynamic=dynamic), dtype)
            data, info = torch.compiler.save_cache_artifacts()
            assert len(info.precompile_dynamo_artifacts) == 1
            assert PrecompileContext.serialize()[1].artifacts.keys() == {"precompile_dynamo"}
        made[dtype, dynamic] = data, outputs
    return made


def second_portable_blob(folder: Path, made: Any) -> None:
    for (dtype, dynamic), (data, outputs) in made.items():
        empty = folder / f"empty-{dtype}-{dynamic}"
        with served(empty):
            info = torch.compiler.load_cache_artifacts(data)
            assert len(info.precompile_dynamo_artifacts) == 1
            assert all(map(same, multiply(torch.compile(product, dynamic=dynamic), dtype), outputs))
            assert counters["dynamo_cache"]["dynamo_cache_hit"] == 1

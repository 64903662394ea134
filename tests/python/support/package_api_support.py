"""Helpers of the tests of coldframe.package: programs, and how to tell whether a call is served."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch.compiler._cache import CacheArtifactManager

from coldframe import _core, package

PROGRAM = """
import torch


def helper(x):
    return x.cos() * 2


def add(x):
    return x.sin() + 1


def other(x):
    return x.sin() - 1


def calls(x):
    return helper(x) + 3


def empty(x):
    return x


def broken(x):
    x = x + 1
    torch._dynamo.graph_break()
    return x * 2
"""

HAND = "__compiled_fn_hand"
NO_GUARDS = _core.GuardProgram().to_bytes()

_names = (f"package_program_{n}" for n in itertools.count())


class ScaledArtifact(package.BackendCacheArtifact[Any]):
    """A backend of the user's own: `content` is a factor."""

    def after_deserialization(self) -> Any:
        return scaled(self.content)


class BrokenArtifact(package.BackendCacheArtifact[Any]):
    def after_deserialization(self) -> Any:
        raise RuntimeError(f"no luck with {self.key}")


def scaled(factor: float) -> Any:
    def run(x: torch.Tensor) -> Any:
        return (x * factor,)

    return run


class Modules:
    """Modules of given text, imported from a folder; forgotten at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: set[str] = set()

    def __call__(self, text: str = PROGRAM, name: str = "") -> ModuleType:
        """The text as a module, imported anew when it is there already."""
        name = name or next(_names)
        self.made.add(name)
        (self.folder / f"{name}.py").write_text(text)
        for cached in (self.folder / "__pycache__").glob(f"{name}.*"):
            cached.unlink()
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)


@contextlib.contextmanager
def fresh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    """Nothing compiled, recorded or counted so far; torch's cache directory in `folder`; nothing left behind."""
    _forget()
    programs = folder / "programs"
    programs.mkdir()
    monkeypatch.syspath_prepend(str(programs))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "cache"))
    modules = Modules(programs)
    try:
        yield modules
    finally:
        package.uninstall_as_torch_default()
        for name in modules.made:
            sys.modules.pop(name, None)
        _forget()


def _forget() -> None:
    torch._dynamo.reset()
    package.PrecompileContext.clear()
    CacheArtifactManager.clear()
    counters.clear()
    gc.collect()


def vector(n: int = 3) -> torch.Tensor:
    return torch.linspace(-1, 1, n)


def compiled(fn: Any, *args: Any, **options: Any) -> package.CompilePackage:
    """The package of `fn`, compiled for these arguments; Dynamo forgets about it afterwards."""
    made = package.CompilePackage(fn)
    torch._dynamo.optimize("eager", package=made, **options)(fn)(*(args or (vector(),)))
    torch._dynamo.reset()
    return made


def loaded(fn: Any, *args: Any, **options: Any) -> tuple[package.CompilePackage, dict[str, Any]]:
    """The same as another process would have it, and its backends."""
    store = package.InMemoryDynamoStore()
    store.save_package(compiled(fn, *args, **options), "key")
    return store.load_package(fn, "key")


def served(fn: Any, *args: Any) -> bool:
    """Returns whether a call is served without compiling. When it is, the result is right."""
    args = args or (vector(),)
    with torch.compiler.set_stance("fail_on_recompile"):
        try:
            out = torch.compile(fn, backend="eager")(*args)
        except RuntimeError as error:
            assert "fail_on_recompile" in str(error)
            return False
    assert torch.equal(out, fn(*args))
    return True


def hand_code(fn: Any, graph: str = HAND) -> CodeType:
    """Returns code that Dynamo could have made of a function of one tensor."""
    module = compile(f"def {fn.__name__}(x): return {graph}(x)[0]", "<hand>", "exec")
    return next(const for const in module.co_consts if isinstance(const, CodeType))


def by_hand(fn: Any, graph: Any = None) -> package.CompilePackage:
    """A package whose one compilation calls one graph, HAND."""
    made = package.CompilePackage(fn)
    with made.code_context(fn.__code__):
        made.add_backend_id(HAND, graph)
        made.add_guarded_code(NO_GUARDS, hand_code(fn))
    return made


def called(fn: Any, x: torch.Tensor) -> torch.Tensor:
    """Returns the result of a call that is served without compiling."""
    with torch.compiler.set_stance("fail_on_recompile"):
        out: torch.Tensor = torch.compile(fn, backend="eager")(x)
    return out


def counted() -> dict[str, int]:
    """Returns the counts of the cache."""
    return {name.removeprefix("dynamo_cache_"): count for name, count in counters["dynamo_cache"].items() if count}

"""The places in torch where backends listen: native kernels, compiled and loaded, and the compilation of a backward."""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ... import imports
from ...errors import PackageError
from ..fingerprint import overrides
from ..seam import aot, cxx
from ..seam.patches import Patches
from . import kernels

log = logging.getLogger(__name__)

_IMPORT = Patches("import of Inductor")
_KERNELS = Patches("kernels")
_BACKWARDS = Patches("backwards")
_waiting: dict[int, tuple[weakref.ref[Any], weakref.ref[Any]]] = {}  # id of torch's backward compiler -> it, who waits


class BackwardListener(Protocol):
    def backward_compiled(self, compiler: Any) -> None: ...


def install_kernel_listener(backend: object) -> None:
    """Idempotent. Imports Inductor only if `backend` is going to do so anyway, and listens when anything else does."""
    with _IMPORT.once() as needed:
        if needed:
            _IMPORT.add("sys.meta_path", functools.partial(imports.forget, aot.CODE_CACHE))
            imports.when_imported(aot.CODE_CACHE, _listen)
    name = getattr(backend, "compiler_name", backend)  # torch.compile wraps "inductor" in an object that knows its name
    if name == "inductor":
        with contextlib.suppress(PackageError):  # another torch: artifact_for will say what it lacks
            aot.code_cache()


def _listen() -> None:
    try:
        _listen_to_kernels()
    except PackageError:
        log.debug("kernels are not listened to", exc_info=True)


def when_backward_compiles(compiler: Any, listener: BackwardListener) -> None:
    """`listener.backward_compiled(compiler)` is called once, when torch has compiled that backward. Both are held weakly."""
    with _BACKWARDS.once() as needed:
        if needed:
            _listen_to_backwards()
    key = id(compiler)
    reference = weakref.ref(compiler, lambda _: _waiting.pop(key, None))
    _waiting[key] = (reference, weakref.ref(listener))


def _listen_to_kernels() -> None:
    """Notes what each kernel is compiled for, and keeps Inductor's caches of graphs and kernels apart by it: torch's keys say
    -march=native, and nothing of the CPU that this was, nor for how many lanes a graph was made. Nor do they say how a
    program lowers operators itself: such graphs are not cached."""
    code_cache, details = aot.code_cache(), aot.graph_cache_details()
    loader, builder = aot.kernel_cache(), aot.cpp_builder()
    write, load, describe = code_cache.write, loader._load_library_inner.__func__, details.__init__
    flags = builder._get_cpu_arch_cflags

    def written(content: Any, extension: str, extra: str = "", *args: Any, **kwargs: Any) -> Any:
        if extension not in ("main.cpp", "optimized.cpp"):
            return write(content, extension, extra, *args, **kwargs)
        result = write(content, extension, f"{extra} {kernels.host()}", *args, **kwargs)
        kernels.note_source(result[1])
        return result

    def _load_library_inner(cls: Any, path: str, key: str) -> Any:
        kernels.note_loaded(path)
        return load(cls, path, key)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        describe(self, *args, **kwargs)
        self.coldframe_host = kernels.host()
        if replaced := overrides.found():
            raise code_cache.BypassFxGraphCache(f"the program has put its own in the place of {next(iter(replaced))}")

    def _get_cpu_arch_cflags(compiler: str) -> list[str]:
        return [*flags(compiler), *kernels.forbidden_flags()]

    with _KERNELS.once() as needed:
        if needed:
            _KERNELS.wrap(code_cache, "write", lambda _: written)
            _KERNELS.wrap(details, "__init__", lambda _: __init__)
            _KERNELS.wrap(builder, "_get_cpu_arch_cflags", lambda _: _get_cpu_arch_cflags)
            _KERNELS.wrap(loader, "_load_library_inner", lambda _: classmethod(_load_library_inner))


def _listen_to_backwards() -> None:
    compiler_class = aot.runtime_wrappers()._AutogradBackwardCompiler
    original = compiler_class.get_or_compile

    def get_or_compile(self: Any, **kwargs: Any) -> Any:
        if self.compiled_bw is not None:
            return original(self, **kwargs)
        try:
            result = original(self, **kwargs)
        except Exception as error:
            if id(self) not in _waiting or not cxx.is_missing(error):
                raise
            cxx.note_missing()
            self.compiled_bw = _as_traced(self.lazy_backward_info.bw_module)
            return self.compiled_bw
        _notify(self)
        return result

    _BACKWARDS.wrap(compiler_class, "get_or_compile", lambda _: get_or_compile)


def _as_traced(graph: Any) -> Callable[[list[Any]], Any]:
    """A backward that runs its graph, and is not kept: as if it had never been compiled."""

    def run(args: list[Any]) -> Any:
        return graph(*args)

    run._boxed_call = True  # type: ignore[attr-defined]
    return run


def _notify(compiler: Any) -> None:
    waiting = _waiting.pop(id(compiler), None)
    listener = waiting[1]() if waiting is not None and waiting[0]() is compiler else None
    if listener is None:
        return
    try:
        listener.backward_compiled(compiler)
    except Exception:
        log.warning("the compiled backward could not be captured", exc_info=True)

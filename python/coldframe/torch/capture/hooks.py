"""The places in torch where coldframe listens.

`install` replaces, once per process, methods of torch's guard classes and a few functions of Dynamo by wrappers that call the
original and, when a frame of ours is being compiled on this thread, report to its `FrameCapture`. For everybody else a
wrapper is one thread-local read. Nothing here may change what torch does or let an error of ours reach it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from .. import _private, imports
from . import recorder, unguarded
from .deferred import DeferredBackend
from .premises import Premises

GUARDS_TOKEN = b"coldframe"  # what stands for torch's pickled guards, which do not take part


class Frame(Protocol):
    """What a wrapper reports to: the frame being compiled (see frame.FrameCapture)."""

    recording: recorder.Recording | None
    premises: Premises

    def guards_built(self, recording: recorder.Recording) -> None: ...
    def global_installed(self, name: str, value: Any) -> Any: ...
    def resume_installed(self, name: str, code: Any, namespace: dict[str, Any]) -> None: ...
    def bypass(self, reason: str) -> None: ...


class Running(Protocol):
    """A callable of ours (see package.CapturePackage)."""

    backend_key: Any
    used: set[str]  # names of the graphs that it ran, and of what it ran that has none
    repeated: set[str]  # names of those that ran more than once within a call


class _Local(threading.local):
    frames: list[Frame]
    recording: recorder.Recording | None
    optimize_package: Any
    compiling: int  # how many compilations of ours Dynamo is in
    running: list[Running]  # the callables of ours that are running, innermost last
    ran: list[set[str]]  # names of the graphs that ran in each of these calls

    def __init__(self) -> None:
        self.running = []
        self.ran = []
        self.frames = []
        self.compiling = 0
        self.recording = None
        self.optimize_package = None


local = _Local()
_calls: list[None] = []  # of our callables, on all threads: its length alone counts
_NOT_TRACED = ("api", "automatic", "backends", "capture", "package", "restore", "session", "stats")
_lock = threading.Lock()
_installed = False
after_reset: list[Callable[[], None]] = []  # hear of torch._dynamo.reset()
automatic: Callable[[], Any] | None = None  # makes the package of a plain torch.compile, under torch's caching_precompile


def enter(running: Running) -> None:
    """Hears of a call of a callable of ours, on this thread."""
    local.running.append(running)
    local.ran.append(set())
    _calls.append(None)


def leave() -> set[str]:
    """Names of the graphs that ran in the call, and of what it ran that has none."""
    _calls.pop()
    local.running.pop()
    return local.ran.pop()


def calls_running() -> bool:
    return bool(_calls)


def current() -> Frame | None:
    return local.frames[-1] if local.frames else None


def install() -> None:
    """Installs the wrappers, once."""
    global _installed
    with _lock:
        if _installed:
            return
        from . import guard_hooks

        _private.probe()
        # What compiles while a frame runs (a backward, say) must not be traced itself.
        for part in _NOT_TRACED:
            _private.module("torch._dynamo.trace_rules").add(f"coldframe.torch.{part}")
        guard_hooks.install()
        _wrap_output_graph()
        _wrap_compile()
        _wrap_imports()
        _wrap_clones()
        _wrap_store()
        _wrap_optimize()
        _wrap_reset()
        unguarded.install(wrap, lambda: frame.premises if (frame := current()) is not None else None)
        _installed = True


def wrap(owner: Any, name: str, make: Callable[[Any], Callable[..., Any]]) -> None:
    original = vars(owner)[name] if isinstance(owner, type) else getattr(owner, name)
    replacement = make(original)
    with suppress(AttributeError, TypeError):
        functools.update_wrapper(replacement, original)
    setattr(owner, name, replacement)


def _wrap_output_graph() -> None:
    graph = _private.module("torch._dynamo.output_graph").OutputGraph

    def install_global(original: Any) -> Callable[..., Any]:
        def install_global_unsafe(self: Any, name: str, value: Any) -> Any:
            frame = current()
            if frame is not None:
                value = frame.global_installed(name, value)
            return original(self, name, value)

        return install_global_unsafe

    def install_resume(original: Any) -> Callable[..., Any]:
        def install_resume_function_global(self: Any, name: str, code: Any, f_globals: dict[str, Any]) -> Any:
            frame = current()
            if frame is not None:
                frame.resume_installed(name, code, f_globals)
            return original(self, name, code, f_globals)

        return install_resume_function_global

    def bypass(original: Any) -> Callable[..., Any]:
        def bypass_package(self: Any, reason: str = "", **kwargs: Any) -> None:
            frame = current()
            if frame is None:
                original(self, reason, **kwargs)
            elif self.package is not None:
                frame.bypass(reason)
                self.package = None

        return bypass_package

    wrap(graph, "install_global_unsafe", install_global)
    wrap(graph, "install_resume_function_global", install_resume)
    wrap(graph, "bypass_package", bypass)


def _wrap_imports() -> None:
    def make(original: Any) -> Callable[..., Any]:
        def import_source(self: Any, module_name: str) -> Any:
            if current() is not None:
                imports.renew({imports.dynamo_alias(module_name): module_name}, self.output.global_scope)
            return original(self, module_name)

        return import_source

    wrap(_private.module("torch._dynamo.symbolic_convert").InstructionTranslatorBase, "import_source", make)


def _wrap_compile() -> None:
    convert = _private.module("torch._dynamo.convert_frame")
    config = _private.module("torch._dynamo.config")
    unsupported = _private.module("torch._dynamo.exc").Unsupported
    run_only = _private.module("torch._dynamo.types").FrameAction.RUN_ONLY

    def make(original: Any) -> Callable[..., Any]:
        def _compile(
            code: Any, namespace: dict[str, Any], frame_locals: Any, builtins: Any, closure: Any, *args: Any, **kwargs: Any
        ) -> Any:
            args = (builtins, closure, *args)
            package: Any = kwargs.get("package")
            if not getattr(package, "is_coldframe", False):
                if not local.frames:
                    return original(code, namespace, frame_locals, *args, **kwargs)
                with _hidden():  # a compilation of somebody else inside one of ours
                    return original(code, namespace, frame_locals, *args, **kwargs)
            instead = package.before_compile(code, namespace, frame_locals, closure)
            if instead is not None:
                return instead
            local.compiling += 1
            try:
                # With it, torch would drop identity guards from the live manager and bundle for packages of its own.
                with config.patch(caching_precompile=False):
                    return original(code, namespace, frame_locals, *args, **kwargs)
            except unsupported as error:
                if getattr(error.frame_exec_strategy, "cur_action", None) == run_only:
                    package.limit_reached(code)
                raise
            except Exception as error:
                if (instead := package.not_compiled(code, error)) is None:
                    raise
                return instead
            finally:
                local.compiling -= 1
                package.owner.compiled()

        return _compile

    wrap(convert, "_compile", make)


def _wrap_clones() -> None:
    """torch's DDPOptimizer compiles with a copy of the frame's compiler, which torch makes without the package."""
    convert = _private.module("torch._dynamo.convert_frame")

    def make(original: Any) -> Any:
        def clone_with_backend(self: Any) -> Callable[[Any], Any]:
            def clone(backend: Any) -> Any:
                made = original.fget(self)(backend)
                inner, copy = (getattr(each, "_inner_convert", each) for each in (self, made))
                if getattr(inner._package, "is_coldframe", False):
                    copy._package = inner._package
                return made

            return clone

        return property(clone_with_backend)

    wrap(convert.ConvertFrame, "_clone_with_backend", make)
    wrap(convert.ConvertFrameAssert, "_clone_with_backend", make)


@contextmanager
def _hidden() -> Iterator[None]:
    frames, recording = local.frames, local.recording
    local.frames, local.recording = [], None
    try:
        yield
    finally:
        local.frames, local.recording = frames, recording


def _wrap_store() -> None:
    store = _private.module("torch._dynamo.package").DynamoStore

    def make(original: Any) -> Callable[..., Any]:
        def record_package(self: Any, package: Any) -> None:
            if not getattr(package, "is_coldframe", False):
                original(self, package)

        return record_package

    wrap(store, "record_package", make)


def _wrap_optimize() -> None:
    dynamo = _private.module("torch._dynamo")
    config = _private.module("torch._dynamo.config")

    def make(original: Any) -> Callable[..., Any]:
        def optimize(*args: Any, **kwargs: Any) -> Any:
            package = kwargs.pop("package", None) or local.optimize_package
            if package is None and automatic is not None and config.caching_precompile:
                package = automatic()
            if not getattr(package, "is_coldframe", False):
                return original(*args, **kwargs) if package is None else original(*args, package=package, **kwargs)
            backend = args[0] if args else kwargs.pop("backend", "inductor")
            package.nopython = bool(kwargs.get("nopython", False))
            context = original(package.use_backend(backend), *args[1:], package=package, **kwargs)
            if hasattr(context, "enter_exit_hooks"):  # not what torch gives for disable=True
                package.optimize_context(context)
            return context

        return optimize

    def deferring(original: Any) -> Callable[..., Any]:
        def get_compiler_fn(backend: Any) -> Any:
            return DeferredBackend(backend, original) if getattr(backend, "is_coldframe", False) else original(backend)

        return get_compiler_fn

    wrap(dynamo, "optimize", make)
    wrap(_private.module("torch._dynamo.eval_frame"), "get_compiler_fn", deferring)


def _wrap_reset() -> None:
    def make(original: Any) -> Callable[..., Any]:
        def reset_code_caches() -> None:
            original()
            for hear in after_reset:
                hear()

        return reset_code_caches

    wrap(_private.module("torch._dynamo"), "reset_code_caches", make)


def noting(name: str, function: Any) -> Any:
    """`function`, a compiled graph, telling the running callable of ours that it was run. Dynamo does not look into it."""

    def run_graph(*args: Any, **kwargs: Any) -> Any:
        if local.running:
            running, ran = local.running[-1], local.ran[-1]
            running.used.add(name)
            if name in ran:
                running.repeated.add(name)
            ran.add(name)
        return function(*args, **kwargs)

    _private.module("torch._dynamo.eval_frame").skip_code(run_graph.__code__)
    run_graph.graph = getattr(function, "_torchdynamo_orig_callable", function)  # type: ignore[attr-defined]
    return run_graph


def note_hits(root: Any, name: str) -> None:
    """The same for a compilation without a graph: its guards tell when they hold."""

    def held(frame_locals: Any) -> bool:
        if local.running:
            local.running[-1].used.add(name)
            local.ran[-1].add(name)
        return True

    root.add_epilogue_lambda_guard(held, [], None)


@contextmanager
def injecting(package: Any) -> Iterator[None]:
    """Within it, torch.compile on this thread hands `package` to Dynamo."""
    previous, local.optimize_package = local.optimize_package, package
    try:
        yield
    finally:
        local.optimize_package = previous

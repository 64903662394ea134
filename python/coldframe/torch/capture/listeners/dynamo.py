"""Listeners in Dynamo: what is compiled, for which package, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from types import CellType
from typing import Any

from ...seam import cxx, imports, plain_compile, symbols
from ...seam.eager import run_eagerly
from ...seam.patches import Wrap
from .. import listening
from ..deferred_backend import DeferredBackend


def install(wrap: Wrap) -> None:
    """Installs the wrappers with `wrap`."""
    _wrap_output_graph(wrap)
    _wrap_compile(wrap)
    _wrap_imports(wrap)
    _wrap_clones(wrap)
    _wrap_store(wrap)
    _wrap_optimize(wrap)
    _wrap_reset(wrap)


def _wrap_output_graph(wrap: Wrap) -> None:
    graph = symbols.module("torch._dynamo.output_graph").OutputGraph

    def install_global(original: Any) -> Callable[..., Any]:
        def install_global_unsafe(self: Any, name: str, value: Any) -> Any:
            frame = listening.current()
            if frame is not None:
                value = frame.global_installed(name, value)
            return original(self, name, value)

        return install_global_unsafe

    def install_resume(original: Any) -> Callable[..., Any]:
        def install_resume_function_global(self: Any, name: str, code: Any, f_globals: dict[str, Any]) -> Any:
            frame = listening.current()
            if frame is not None:
                frame.resume_installed(name, code, f_globals)
            return original(self, name, code, f_globals)

        return install_resume_function_global

    def bypass(original: Any) -> Callable[..., Any]:
        def bypass_package(self: Any, reason: str = "", **kwargs: Any) -> None:
            frame = listening.current()
            if frame is None:
                original(self, reason, **kwargs)
            elif self.package is not None:
                frame.bypass(reason)
                self.package = None

        return bypass_package

    wrap(graph, "install_global_unsafe", install_global)
    wrap(graph, "install_resume_function_global", install_resume)
    wrap(graph, "bypass_package", bypass)


def _wrap_imports(wrap: Wrap) -> None:
    def make(original: Any) -> Callable[..., Any]:
        def import_source(self: Any, module_name: str) -> Any:
            if listening.current() is not None:
                imports.renew({imports.dynamo_alias(module_name): module_name}, self.output.global_scope)
            return original(self, module_name)

        return import_source

    wrap(symbols.module("torch._dynamo.symbolic_convert").InstructionTranslatorBase, "import_source", make)


def _wrap_compile(wrap: Wrap) -> None:
    convert = symbols.module("torch._dynamo.convert_frame")
    config = symbols.module("torch._dynamo.config")
    unsupported = symbols.module("torch._dynamo.exc").Unsupported
    run_only = symbols.module("torch._dynamo.types").FrameAction.RUN_ONLY
    given_up: dict[tuple[int, ...], Any] = {}

    def plainly(code: Any, closure: Any, compiles: Callable[[], Any]) -> Any:
        """Compiles what torch.compile alone serves; where that needs a C++ compiler and none works, it runs as it is."""
        cells = [cell.cell_contents for cell in closure or () if isinstance(cell, CellType)]  # torch has one code for many
        key = (id(code), *map(id, cells))
        if key not in given_up:
            try:
                return compiles()
            except Exception as error:
                if plain_compile.replaced is None or not cxx.is_missing(error):
                    raise
            given_up[key] = code, cells
            cxx.note_missing()
        return run_eagerly(cxx.REASON, inner_as_known=True)

    def make(original: Any) -> Callable[..., Any]:
        def _compile(
            code: Any, namespace: dict[str, Any], frame_locals: Any, builtins: Any, closure: Any, *args: Any, **kwargs: Any
        ) -> Any:
            args = (builtins, closure, *args)
            package: Any = kwargs.get("package")
            if not getattr(package, "is_coldframe", False):
                with listening.hidden():  # perhaps a compilation of somebody else inside one of ours
                    return plainly(code, closure, lambda: original(code, namespace, frame_locals, *args, **kwargs))
            instead = package.before_compile(code, namespace, frame_locals, closure)
            if instead is not None:
                return instead
            if "__name__" not in namespace:  # of a graph that compiled autograd made: torch asks for it where the graph breaks
                package.cannot_save(f"function {code.co_name!r} has globals that belong to no imported module")
                kwargs["package"] = None
            listening.local.compiling += 1
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
                listening.local.compiling -= 1
                package.owner.compiled()

        return _compile

    wrap(convert, "_compile", make)


def _wrap_clones(wrap: Wrap) -> None:
    """torch's DDPOptimizer compiles with a copy of the frame's compiler, which torch makes without the package."""
    convert = symbols.module("torch._dynamo.convert_frame")

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


def _wrap_store(wrap: Wrap) -> None:
    store = symbols.module("torch._dynamo.package").DynamoStore

    def make(original: Any) -> Callable[..., Any]:
        def record_package(self: Any, package: Any) -> None:
            if not getattr(package, "is_coldframe", False):
                original(self, package)

        return record_package

    wrap(store, "record_package", make)


def _wrap_optimize(wrap: Wrap) -> None:
    dynamo = symbols.module("torch._dynamo")
    config = symbols.module("torch._dynamo.config")

    def make(original: Any) -> Callable[..., Any]:
        def optimize(*args: Any, **kwargs: Any) -> Any:
            package = kwargs.pop("package", None) or listening.local.optimize_package
            if package is None and listening.automatic is not None and config.caching_precompile:
                package = listening.automatic()
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
    wrap(symbols.module("torch._dynamo.eval_frame"), "get_compiler_fn", deferring)


def _wrap_reset(wrap: Wrap) -> None:
    def make(original: Any) -> Callable[..., Any]:
        def reset_code_caches() -> None:
            original()
            for hear in listening.after_reset:
                hear()

        return reset_code_caches

    wrap(symbols.module("torch._dynamo"), "reset_code_caches", make)

"""Listeners in torch's guards: what is checked for a frame, and by which object."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...guards import record
from ...seam import symbols
from ...seam.patches import Wrap
from ..listening import GUARDS_TOKEN, current, local


def install(wrap: Wrap) -> None:
    """Installs the wrappers with `wrap`."""
    _wrap_guard_classes(wrap)
    _wrap_relations(wrap)
    _wrap_builder(wrap)
    _wrap_check_function_manager(wrap)


def _wrap_guard_classes(wrap: Wrap) -> None:
    guards = symbols.module("torch._C._dynamo.guards")

    def make(original: Any, name: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            recording = local.recording
            if recording is not None:
                recording.call(name, self, args, kwargs, result)
            return result

        return method

    for cls in (guards.GuardManager, guards.RootGuardManager, guards.DictGuardManager):
        for name in list(vars(cls)):
            if name in record.ACCESSORS or name.startswith("add_") or name.startswith("mark_"):
                wrap(cls, name, functools.partial(make, name=name))


def _wrap_relations(wrap: Wrap) -> None:
    dynamo = symbols.module("torch._dynamo.guards")

    def aliasing(original: Any) -> Callable[..., Any]:
        def install_object_aliasing_guard(a: Any, b: Any, verbose: Any, *rest: Any) -> Any:
            result = original(a, b, verbose, *rest)
            if local.recording is not None:
                local.recording.relation("object_aliasing", (a, b), (), verbose)
            return result

        return install_object_aliasing_guard

    def no_aliasing(original: Any) -> Callable[..., Any]:
        def install_no_tensor_aliasing_guard(managers: Any, names: Any, verbose: Any, *rest: Any) -> Any:
            result = original(managers, names, verbose, *rest)
            if local.recording is not None:
                local.recording.relation("no_tensor_aliasing", managers, (tuple(names),), verbose)
            return result

        return install_no_tensor_aliasing_guard

    def overlapping(original: Any) -> Callable[..., Any]:
        def install_storage_overlapping_guard(over: Any, other: Any, verbose: Any, *rest: Any) -> Any:
            result = original(over, other, verbose, *rest)
            if local.recording is not None:
                local.recording.relation("storage_overlapping", [*over, *other], (len(over),), verbose)
            return result

        return install_storage_overlapping_guard

    def symbolic(original: Any) -> Callable[..., Any]:
        def install_symbolic_shape_guard(managers: Any, ints: int, floats: int, function: Any, library: Any, *rest: Any) -> Any:
            result = original(managers, ints, floats, function, library, *rest)
            recording = local.recording
            if recording is not None:
                recording.symbolic_shapes(rest[0] if rest else ())
            return result

        return install_symbolic_shape_guard

    wrap(dynamo, "install_object_aliasing_guard", aliasing)
    wrap(dynamo, "install_no_tensor_aliasing_guard", no_aliasing)
    wrap(dynamo, "install_storage_overlapping_guard", overlapping)
    wrap(dynamo, "install_symbolic_shape_guard", symbolic)


def _wrap_builder(wrap: Wrap) -> None:
    builder = symbols.module("torch._dynamo.guards").GuardBuilder

    def from_source(original: Any) -> Callable[..., Any]:
        def get_guard_manager_from_source(self: Any, source: Any) -> Any:
            recording = local.recording
            if recording is None:
                return original(self, source)
            recording.sources.append(source)
            try:
                return original(self, source)
            finally:
                recording.sources.pop()

        return get_guard_manager_from_source

    def python_lambda(original: Any) -> Callable[..., Any]:
        def add_python_lambda_leaf_guard_to_root(self: Any, code_parts: Any, *args: Any, **kwargs: Any) -> Any:
            recording = local.recording
            if recording is None:
                return original(self, code_parts, *args, **kwargs)
            recording.code_parts = code_parts
            try:
                return original(self, code_parts, *args, **kwargs)
            finally:
                recording.code_parts = None

        return add_python_lambda_leaf_guard_to_root

    wrap(builder, "get_guard_manager_from_source", from_source)
    wrap(builder, "add_python_lambda_leaf_guard_to_root", python_lambda)


def _wrap_check_function_manager(wrap: Wrap) -> None:
    dynamo = symbols.module("torch._dynamo.guards")
    manager = dynamo.CheckFunctionManager

    def init(original: Any) -> Callable[..., Any]:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            if current() is None:
                return original(self, *args, **kwargs)
            try:
                return original(self, *args, **kwargs)
            finally:
                local.recording = None

        return __init__

    def build(original: Any) -> Callable[..., Any]:
        def build_guards(self: Any, guards: Any, *args: Any, **kwargs: Any) -> Any:
            frame = current()
            if frame is None:
                return original(self, guards, *args, **kwargs)
            # With a guard filter torch builds twice; the manager that it returns last is the one that counts.
            before = local.recording
            recording = local.recording = record.Recording(frame.premises, len(guards))
            if before is not None and before.guards > recording.guards:
                frame.bypass("its guard_filter_fn leaves out guards that tell one process from another")
            recording.shape_code_parts = lambda: self.shape_code_parts
            return original(self, guards, *args, **kwargs)

        return build_guards

    def id_ref(original: Any) -> Callable[..., Any]:
        def id_ref(self: Any, obj: object, text: str) -> Any:
            if local.recording is not None:
                local.recording.note_identity(obj)
            return original(self, obj, text)

        return id_ref

    def serialize(original: Any) -> Callable[..., Any]:
        def serialize_guards(self: Any, *args: Any, **kwargs: Any) -> Any:
            frame = current()
            if frame is None:
                return original(self, *args, **kwargs)
            recording, local.recording = local.recording, None
            if recording is not None:
                frame.guards_built(recording)
            return GUARDS_TOKEN

        return serialize_guards

    def root(original: Any) -> Callable[..., Any]:
        def make_root(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            if local.recording is not None:
                local.recording.set_root(made)
            return made

        return make_root

    wrap(manager, "__init__", init)
    wrap(manager, "build_guards", build)
    wrap(manager, "id_ref", id_ref)
    wrap(manager, "serialize_guards", serialize)
    wrap(dynamo, "RootGuardManager", root)

"""A training graph without importing AOTAutograd: its generated prologues and epilogues around a small autograd.Function.

The generated code (forward, backward prologue and epilogue, output transform) is torch's own and lies in the recipe; what is
written here is the frame around it that torch does not generate: saving for backward, double backward, donated buffers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..seam import generation, symbols
from ..seam.aot import hide_from_dynamo
from .kinds import BackwardNotCompiledError, wants_backward
from .restore_values import Decoder
from .stand_ins import mark_dynamo_propagated_dynamic_indices

_C = symbols.module("torch._C")
_autograd = symbols.module("torch._C._autograd")

_STREAMS = "torch._dynamo.graph_bytecode_inputs"
_DONATED = (
    "This backward function was compiled with non-empty donated buffers which requires create_graph=False and "
    "retain_graph=False. Please keep backward(create_graph=False, retain_graph=False) across all backward() function "
    "calls, or set torch._functorch.config.donated_buffer=False to disable donated buffer."
)


def native_autograd(decoder: Decoder, node: dict[str, Any]) -> Callable[..., Any]:
    """`apply` of an autograd.Function whose forward and backward are the package's."""
    compiled_forward = decoder.build(node["forward"])
    compiled_backward = _backward(decoder, node)
    run_forward, run_backward = decoder.build(node["run_forward"]), decoder.build(node["run_backward"])
    prologue, epilogue = decoder.build(node["prologue"]), decoder.build(node["epilogue"])
    transform = decoder.build(node["transform"])
    save = _saver(node)
    returns: int = node["returns"]
    disable_amp: bool = node["disable_amp"]
    donated = node["backward"] is not None and node["donated"] != []
    of_streams = generation.current().streams_of_backwards

    def finalize(ctx: Any, outputs: Sequence[Any]) -> tuple[Any, ...]:
        raw = list(outputs[:returns])
        ctx.mark_non_differentiable(*transform(raw))
        ctx._materialize_non_diff_grads = False
        if of_streams:
            _keep_streams(ctx)
        return tuple(raw)

    def backward_impl(ctx: Any, args: list[Any]) -> Any:
        ctx.maybe_clear_saved_tensors()
        if donated and _autograd._get_current_graph_task_keep_graph() and _donates_buffers():
            raise RuntimeError(_DONATED)
        if of_streams:
            _give_streams_back(ctx)
        if disable_amp:
            with _C._DisableAutocast():
                return _as_list(compiled_backward(args))
        return _as_list(compiled_backward(args))

    class CompiledFunction(torch.autograd.Function):
        boxed_grads_call = True

        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            return run_forward(ctx, args, None, save, finalize, compiled_forward)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return run_backward(grads, ctx, prologue, None, backward_impl, epilogue, _double_backward)

    hide_from_dynamo(CompiledFunction.backward)
    serve_compiled_autograd(CompiledFunction)
    apply: Callable[..., Any] = CompiledFunction.apply
    return apply


def _keep_streams(ctx: Any) -> None:
    """Keeps the streams and events that the forward's code knows by number, for its backward. None does where nothing has
    imported the table of them."""
    if (module := symbols.imported(_STREAMS)) is not None and (table := module.index_to_external_object_weakref):
        numbered = table.items() if isinstance(table, dict) else enumerate(table)  # a list since torch 2.15
        living = ((index, reference()) for index, reference in numbered)
        ctx._external_objects = {index: found for index, found in living if found is not None}


def _give_streams_back(ctx: Any) -> None:
    for index, kept in getattr(ctx, "_external_objects", {}).items():
        module = symbols.module(_STREAMS)
        if isinstance(module.index_to_external_object_weakref, dict):
            module.index_to_external_object_weakref[index] = weakref.ref(kept)
        else:
            module.set_external_object_by_index(index, kept)


def serve_compiled_autograd(function: Any) -> None:
    """Lets compiled autograd call the backward of `function` as it is. What has AOTAutograd's marks it compiles anew, from a
    graph that packages do not hold. It looks for them where nodes of the autograd graph find their backward, and passes the
    gradients one by one; the engine asks `function` itself, and so goes on to pass a list, which the backward empties."""

    class CalledBackward(torch.autograd.Function):
        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return function.backward(ctx, *(grads if isinstance(grads[0], list) else (list(grads),)))

    hide_from_dynamo(CalledBackward.backward)
    function._backward_cls._forward_cls = CalledBackward


def _saver(node: dict[str, Any]) -> Callable[[Any, Sequence[Any]], None]:
    """Returns what keeps the forward's extra outputs for the backward."""
    checked, unchecked, symints = node["saved"]
    dynamic: list[tuple[int, set[int]]] = node["dynamic_saved"]

    def save(ctx: Any, outputs: Sequence[Any]) -> None:
        tensors = [tensor.detach() if tensor._is_view() else tensor for tensor in outputs[checked]]
        others = [tensor.detach() if tensor._is_view() else tensor for tensor in outputs[unchecked]]
        for index, dims in dynamic:
            marked = tensors[index] if index < len(tensors) else others[index - len(tensors)]
            mark_dynamo_propagated_dynamic_indices(marked, dims)
        ctx.save_for_backward(*tensors)
        ctx._tensors_no_vc_check = others
        ctx.symints = outputs[symints]
        ctx.opaque_objects = outputs[0:0]

    return save


def _backward(decoder: Decoder, node: dict[str, Any]) -> Callable[[list[Any]], Any]:
    return decoder.build(node["backward"]) if node["backward"] is not None else uncompiled_backward(decoder, node)


def uncompiled_backward(decoder: Decoder, node: dict[str, Any]) -> Callable[[list[Any]], Any]:
    """For a package that was saved before the backward was compiled: run as it was traced. Where compiled autograd calls it,
    nobody hears of it, for it never is compiled by itself."""
    backend_id, missing = decoder.backend_id, decoder.context.missing_backward

    def backward(args: list[Any]) -> Any:
        if missing is not None:
            missing(backend_id)
        if node.get("traced") is None:
            raise BackwardNotCompiledError(backend_id)
        for hears in () if _is_compiled_autograd() else list(wants_backward):
            hears(backend_id)
        return decoder.build(node["traced"])(*args)

    return backward


def _double_backward(ctx: Any, impl: Callable[..., Any], args: list[Any]) -> Any:
    """Keeps the graph connected for create_graph=True, and refuses when the second backward runs, as torch does."""

    class CompiledFunctionBackward(torch.autograd.Function):
        @staticmethod
        def forward(double_ctx: Any, *unused: Any) -> Any:
            return impl(double_ctx)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            raise RuntimeError("torch.compile with aot_autograd does not currently support double backward")

    if not any(arg.requires_grad for arg in args if isinstance(arg, torch.Tensor)):
        args = [torch.empty(0, requires_grad=True), *args]
    return CompiledFunctionBackward.apply(*args)


def _donates_buffers() -> bool:
    config = symbols.imported("torch._functorch.config")
    return config is None or bool(config.donated_buffer)


def _is_compiled_autograd() -> bool:
    """Returns whether what runs is a backward that compiled autograd has compiled."""
    dynamo = symbols.imported("torch._dynamo.compiled_autograd")
    return dynamo is not None and bool(dynamo.in_compiled_autograd_region)


def _as_list(outputs: Any) -> list[Any]:
    if isinstance(outputs, tuple):
        return list(outputs)
    return outputs if isinstance(outputs, list) else [outputs]

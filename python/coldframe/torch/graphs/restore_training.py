"""A training graph: AOTAutograd's own autograd.Function, made again from its recorded metadata. Imports torch._functorch."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from ..seam import aot, symbols
from .autograd import serve_compiled_autograd, uncompiled_backward
from .restore_values import Decoder


def autograd(decoder: Decoder, node: dict[str, Any]) -> Callable[..., Any]:
    """`apply` of an autograd.Function whose forward and backward are the package's."""
    runtime = aot.runtime_wrappers()
    decoder.context.imported.add(runtime.__name__)
    spec = runtime.AOTDispatchAutogradCompileSpec(
        compiled_fw_func=decoder.build(node["forward"]),
        compiled_bw_func=_backward(decoder, node),
        maybe_subclass_meta=decoder.value(node["subclass_metadata"]),
        num_symints_saved_for_bw=node["symints_saved"],
        backward_state_indices=[],
        disable_amp=node["disable_amp"],
        indices_of_inps_to_detach=[],  # the recorded runtime wrapper detaches them
        lazy_backward_info=None,
        bw_compiler=None,
        aot_config=types.SimpleNamespace(aot_id=0),
        fw_metadata=decoder.value(node["metadata"]),
        try_save_cache_entry=None,
    )
    function = runtime._AOTDispatchAutogradFunctionFactory(spec).build()
    serve_compiled_autograd(function)
    apply: Callable[..., Any] = function.apply
    return apply


def hooks_disabled(decoder: Decoder, node: dict[str, Any]) -> Callable[..., Any]:
    """Without hooks of saved tensors, which torch has applied in the forward."""
    inner = decoder.build(node["inner"])
    disabled = aot.runtime_wrappers()._disable_saved_tensors_hooks

    def without_hooks(args: list[Any]) -> Any:
        with disabled():
            return inner(args)

    return without_hooks


def _backward(decoder: Decoder, node: dict[str, Any]) -> Callable[..., Any]:
    inner = decoder.build(node["backward"]) if node["backward"] is not None else uncompiled_backward(decoder, node)

    def backward(args: list[Any]) -> Any:
        return inner(args)

    wrapped: Callable[..., Any] = symbols.module("torch._dynamo").disable(
        backward, reason="do not trace generated backwards pass"
    )
    wrapped._boxed_call = True  # type: ignore[attr-defined]
    return wrapped

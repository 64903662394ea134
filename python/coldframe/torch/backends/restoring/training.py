"""A training graph: AOTAutograd's own autograd.Function, made again from its recorded metadata. Imports torch._functorch."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from .. import _torch_private
from .autograd import serve_compiled_autograd, uncompiled_backward
from .callables import build
from .values import Decoder


def build_autograd(decoder: Decoder, node: dict[str, Any]) -> Callable[..., Any]:
    """`apply` of an autograd.Function whose forward and backward are the package's."""
    runtime = _torch_private.runtime_wrappers()
    decoder.context.imported.add(runtime.__name__)
    spec = runtime.AOTDispatchAutogradCompileSpec(
        compiled_fw_func=build(decoder, node["forward"]),
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


def without_saved_tensor_hooks(inner: Callable[..., Any]) -> Callable[..., Any]:
    disabled = _torch_private.runtime_wrappers()._disable_saved_tensors_hooks

    def hooks_disabled(args: list[Any]) -> Any:
        with disabled():
            return inner(args)

    return hooks_disabled


def _backward(decoder: Decoder, node: dict[str, Any]) -> Callable[..., Any]:
    inner = build(decoder, node["backward"]) if node["backward"] is not None else uncompiled_backward(decoder, node)

    def backward(args: list[Any]) -> Any:
        return inner(args)

    import torch._dynamo

    wrapped: Callable[..., Any] = torch._dynamo.disable(backward, reason="do not trace generated backwards pass")
    wrapped._boxed_call = True  # type: ignore[attr-defined]
    return wrapped

"""Walks the closures that torch built around a compiled graph and writes down what each of them does.

What is written is what would run: a closure that is not recognised makes the graph not portable, never a guess.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from ...errors import NotPortableError
from ..seam import aot
from .record_code import cells, describe
from .record_fx import encode_graph_module, encode_nothing, is_graph_module, split_part
from .record_generated import encode_generated, is_generated
from .record_inductor import encode_graph
from .record_training import encode_autograd
from .record_values import Encoder

Node = dict[str, Any]


def encode_callable(encoder: Encoder, target: Any, where: str) -> Node:
    """The node of a recipe that describes `target`. NotPortableError."""
    if isinstance(target, types.FunctionType):
        if is_generated(target):
            return encode_generated(encoder, target, where)
        if aot.is_empty_graph(target):
            return encode_nothing()
        kind = aot.closure_kind(target.__code__)
        if kind is not None:
            return _CLOSURES[kind](encoder, cells(target), where)
    elif isinstance(target, (types.MethodType, types.BuiltinMethodType)):
        return _method(encoder, target, where)
    elif is_graph_module(target):
        return encode_graph_module(encoder, target, where)
    elif (part := split_part(target)) is not None:
        return {"node": "split_part", "inner": encode_callable(encoder, part[0], where), "first": part[1]}
    else:
        name = type(target).__name__
        if name == "SerializableCompiledFunction":
            return encode_callable(encoder, target.compiled_fn, where)
        if name == "CompiledFxGraph" and isinstance(target, aot.compiled_fx_graph()):
            return encode_graph(encoder, target, where)
        if name == "AOTEagerOutputCode" and isinstance(target, aot.aot_eager_output()):
            return encode_graph_module(encoder, target.gm, where)
    raise NotPortableError(f"{where}: {describe(target)} is not something of torch's that is known how to save")


def _method(encoder: Encoder, target: types.MethodType | types.BuiltinMethodType, where: str) -> Node:
    owner = target.__self__
    if isinstance(target, types.MethodType) and (kind := aot.closure_kind(target.__func__.__code__)) is not None:
        return _CLOSURES[kind](encoder, cells(target.__func__), where)
    if is_graph_module(owner) and target.__name__ in ("forward", "_lazy_forward"):
        return encode_graph_module(encoder, owner, where)
    if isinstance(owner, type) and target.__name__ == "apply":
        forward = getattr(owner, "forward", None)
        if isinstance(forward, types.FunctionType) and aot.closure_kind(forward.__code__) == "autograd":
            return encode_autograd(encoder, owner, where)
    raise NotPortableError(f"{where}: {describe(target)} is not something of torch's that is known how to save")


def _disabled(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    return encode_callable(encoder, closure["fn"], where)


def _forward(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    if closure["params_buffers_flat"]:
        raise NotPortableError(f"{where}: the values of parameters are part of the compiled code (freezing)")
    return {"node": "forward", "inner": encode_callable(encoder, closure["compiled_fn"], where)}


def _runtime_wrapper(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    return {
        "node": "runtime_wrapper",
        "generated": encode_callable(encoder, closure["_codegen_runtime_wrapper"], where),
        "inner": encode_callable(encoder, closure["_inner_compiled_fn"], where),
    }


def _hooks_disabled(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    return {"node": "hooks_disabled", "inner": encode_callable(encoder, closure["runtime_wrapper"], where)}


def _replay_aliases(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    return encode_callable(encoder, closure["_codegen_alias_fn"], where)


def _apply_mutations(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    return encode_callable(encoder, closure["codegen_apply_mutations"], where)


def _deduplicated(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    wrapper = closure["self"]
    return {
        "node": "deduplicated",
        "inner": encode_callable(encoder, closure["wrapped_compiled_fn"], where),
        "kept": [index for index, keep in enumerate(wrapper.keep_arg_mask) if keep],
        "places": [int(place) for place in wrapper.add_dupe_map],
    }


def _fakified(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    """Runs a split graph once while it is compiled: each part gives what the next is compiled for."""
    return encode_callable(encoder, closure["compiled_fn"], where)


def _boxed(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    return {"node": "boxed", "inner": encode_callable(encoder, closure["f"], where)}


def _aot_eager(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    return encode_graph_module(encoder, closure["fx_g"], where)


def _frozen(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    """With freezing, the compiled graph takes some of the arguments only: the rest was folded into it."""
    offsets, last = closure["unwrapped_args_offsets"], closure["max_offset_idx"]
    return {
        "node": "selected",
        "inner": encode_callable(encoder, closure["optimized_function"], where),
        "indices": [int(index - offsets[min(index, last)]) for index in closure["preserved_arg_indices"]],
    }


def _refused(encoder: Encoder, closure: dict[str, Any], where: str) -> Node:
    raise NotPortableError(f"{where}: inputs are copied to aligned memory, which graphs for the CPU do not need")


_CLOSURES: dict[str, Callable[[Encoder, dict[str, Any], str], Node]] = {
    "disabled": _disabled,
    "forward": _forward,
    "runtime_wrapper": _runtime_wrapper,
    "hooks_disabled": _hooks_disabled,
    "replay_aliases": _replay_aliases,
    "apply_mutations": _apply_mutations,
    "deduplicated": _deduplicated,
    "fakified": _fakified,
    "boxed": _boxed,
    "aot_eager": _aot_eager,
    "aligned": _refused,
    "frozen": _frozen,
    "autograd": _refused,
}

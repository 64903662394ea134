"""A training graph: what AOTAutograd's autograd.Function was made of. The backward comes when torch has compiled it.

Graphs on plain tensors become `native_autograd` nodes, whose frame coldframe has itself. Tensor subclasses, functionalized
random numbers and the like become `autograd` nodes, from which AOTAutograd makes its autograd.Function again.
"""

from __future__ import annotations

import logging
import operator
from typing import Any

import torch
import torch.fx

from ..._core import digest
from ...errors import NotPortableError
from ..seam import aot
from .record_code import cells
from .record_generated import encode_generated
from .record_values import Encoder
from .restore_values import TAG

log = logging.getLogger(__name__)


def encode_autograd(encoder: Encoder, function: Any, where: str) -> dict[str, Any]:
    """The node of a CompiledFunction. Where the backward is not compiled yet, `encoder.backwards` has who will."""
    closure = cells(function._backward_impl)
    if closure["backward_state_indices"]:
        raise NotPortableError(f"{where}: the graph uses backward hooks' state, which needs compiled autograd")
    compiler = closure["backward_compiler"]
    metadata = compiler.fw_metadata
    node: dict[str, Any] = {
        "forward": encoder.node(function.compiled_fw, f"{where}.forward"),
        "disable_amp": bool(closure["disable_amp"]),
    }
    if _is_plain(function, metadata):
        _encode_frame(encoder, node, function, metadata, where)
    else:
        node |= {
            "node": "autograd",
            "subclass_metadata": encoder.value(function.maybe_subclass_metadata, f"{where}.subclass_metadata"),
            "symints_saved": function.num_symints_saved_for_bw,
        }
        encoder.imports.add("torch._functorch._aot_autograd.runtime_wrappers")
    encoder.autograd_nodes.append(node)
    compiled = compiler.compiled_bw if compiler.compiled_bw is not None else function.compiled_bw
    set_backward(encoder, node, metadata, compiled, where)
    if compiled is None:
        encoder.backwards.append((compiler, node))
    return node


def set_backward(encoder: Encoder, node: dict[str, Any], metadata: Any, compiled: Any, where: str) -> None:
    """Writes the backward, or its absence, into the node, with the metadata as they are now: its compilation edits them."""
    backward = None if compiled is None else encoder.node(compiled, f"{where}.backward")
    if backward is not None and not getattr(compiled, "_boxed_call", False):  # of a backend that takes arguments one by one
        backward = {"node": "boxed", "inner": backward}
    if node["node"] == "native_autograd":
        node["donated"] = None if metadata.bw_donated_idxs is None else list(metadata.bw_donated_idxs)
    else:
        node["metadata"] = encoder.value(metadata, f"{where}.metadata")
    node["backward"] = backward
    node.pop("traced", None)


def add_traced_backward(encoder: Encoder, node: dict[str, Any], compiler: Any) -> None:
    """Until the backward is compiled, its graph as it was traced; where that can be written down."""
    try:
        node["traced"] = encoder.node(compiler.lazy_backward_info.bw_module, f"{encoder.backend_id}.traced")
    except NotPortableError as error:
        log.debug("%s: the traced backward is not kept: %s", encoder.backend_id, error)


def backward_identity(compiler: Any) -> bytes:
    """A digest of the backward's graph: graphs with one and the same forward may differ in their backward alone."""
    return digest(_graph_identity(compiler.lazy_backward_info.bw_module))


def _graph_identity(graph: torch.fx.GraphModule) -> tuple[Any, ...]:
    constants = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    return graph.code, [(name, _constant_identity(operator.attrgetter(name)(graph))) for name in sorted(constants)]


def _constant_identity(value: Any) -> Any:
    if isinstance(value, torch.fx.GraphModule):
        return _graph_identity(value)
    if type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout == torch.strided and value.device.type == "cpu":
        return str(value.dtype), tuple(value.shape), bytes(value.detach().contiguous().view(-1).view(torch.uint8).numpy())
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _is_plain(function: Any, metadata: Any) -> bool:
    return (
        function.maybe_subclass_metadata is None
        and not metadata.num_graphsafe_rng_states
        and not metadata.is_rng_op_functionalized
        and not metadata.num_opaque_objects_saved_for_bw
        and all(aot.is_plain_tensor_meta(meta) and meta.memory_format is not None for meta in metadata.subclass_tangent_meta)
    )


def _encode_frame(encoder: Encoder, node: dict[str, Any], function: Any, metadata: Any, where: str) -> None:
    epilogue = cells(function.forward)["forward_epilogue"]
    transform = cells(epilogue.finalize)["_codegen_transform_raw_returns"]
    prologue = {
        "_tangent_metas_": [_tangent(encoder, meta.memory_format, where) for meta in metadata.subclass_tangent_meta],
        "_tangent_descs_": [None] * len(metadata.subclass_tangent_meta),  # these three are for messages about subclasses
        "_stack_traces_": (),
        "_compile_id_": None,
    }
    node |= {
        "node": "native_autograd",
        "run_forward": encode_generated(encoder, function._fwd_fn, where),
        "run_backward": encode_generated(encoder, function._bwd_fn, where),
        "prologue": encode_generated(encoder, function._bw_prologue_fn, where, prologue),
        "epilogue": encode_generated(encoder, function._bw_epilogue_fn, where),
        "transform": encode_generated(encoder, transform, where),
        "returns": metadata.num_forward_returns,
        "saved": (
            metadata.tensors_saved_for_backwards_with_vc_check_slice,
            metadata.tensors_saved_for_backwards_no_vc_check_slice,
            metadata.symints_saved_for_backwards_slice,
        ),
        "dynamic_saved": sorted((index, set(dims)) for index, dims in metadata.dynamic_saved_tensors_idxs.items()),
    }


def _tangent(encoder: Encoder, expected: Any, where: str) -> dict[str, Any]:
    return {
        TAG: "tangent",
        "size": None if expected.size is None else tuple(expected.size),
        "stride": None if expected.stride is None else tuple(expected.stride),
        "memory_format": encoder.value(expected.memory_format, where),
    }

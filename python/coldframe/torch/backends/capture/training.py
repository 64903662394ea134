"""A training graph: what AOTAutograd's autograd.Function was made of. The backward comes when torch has compiled it."""

from __future__ import annotations

from typing import Any

from ....errors import NotPortableError
from .code import cells
from .values import Encoder


def encode_autograd(encoder: Encoder, function: Any, where: str) -> dict[str, Any]:
    """The node of a CompiledFunction. Where the backward is not compiled yet, `encoder.backward` says who will compile it."""
    closure = cells(function._backward_impl)
    if closure["backward_state_indices"]:
        raise NotPortableError(f"{where}: the graph uses backward hooks' state, which needs compiled autograd")
    compiler = closure["backward_compiler"]
    node = {
        "node": "autograd",
        "forward": encoder.node(function.compiled_fw, f"{where}.forward"),
        "subclass_metadata": encoder.value(function.maybe_subclass_metadata, f"{where}.subclass_metadata"),
        "symints_saved": function.num_symints_saved_for_bw,
        "disable_amp": bool(closure["disable_amp"]),
        "graph": function._aot_id,
    }
    encoder.imports.add("torch._functorch._aot_autograd.runtime_wrappers")
    if encoder.autograd_node is not None:
        raise NotPortableError(f"{where}: more than one autograd function in one graph")
    encoder.autograd_node = node
    compiled = compiler.compiled_bw if compiler.compiled_bw is not None else function.compiled_bw
    set_backward(encoder, node, compiler.fw_metadata, compiled, where)
    if compiled is None:
        encoder.backward_compiler = compiler
    return node


def set_backward(encoder: Encoder, node: dict[str, Any], metadata: Any, compiled: Any, where: str) -> None:
    """Writes the backward, or its absence, into the node, with the metadata as they are now: compiling a backward edits them."""
    backward = None if compiled is None else encoder.node(compiled, f"{where}.backward")
    node["metadata"] = encoder.value(metadata, f"{where}.metadata")
    node["backward"] = backward

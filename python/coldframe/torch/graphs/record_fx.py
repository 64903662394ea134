"""An FX graph that runs as it is (backends eager and aot_eager, graphs without work): its generated forward as code."""

from __future__ import annotations

import types
from typing import Any

import torch

from ...errors import NotPortableError
from ..seam import aot, symbols
from .record_code import portable_code, read_globals
from .record_values import Encoder

# Operators that interpret the graphs they are given node by node, or read what is noted of them.
_INTERPRETED = frozenset(["autograd_function_apply", "dynamo_bypassing_wrapper", "local_map_hop", "tag_activation_checkpoint"])


def split_part(target: Any) -> tuple[Any, bool] | None:
    """Returns the compiled part of a graph that torch's DDPOptimizer split, and whether only its first output counts."""
    cls = type(target)
    if cls.__name__ != "WrapperModule" or aot.closure_kind(cls.forward.__code__) != "split_part":
        return None
    return target.submod, target.unwrap_singleton_tuple


def is_split(target: Any) -> bool:
    owner = getattr(target, "__self__", target)
    return is_graph_module(owner) and any(split_part(part) is not None for part in owner.children())


def is_graph_module(target: object) -> bool:
    return isinstance(target, torch.fx.GraphModule)


def encode_graph_module(encoder: Encoder, module: Any, where: str) -> dict[str, Any]:
    """The node of a GraphModule: the code of its forward, what that reads, the constants and subgraphs of the module."""
    symbols.module("torch.fx._lazy_graph_module")._LazyGraphModule.force_recompile(module)
    called = {str(node.target) for node in module.graph.nodes if node.op == "call_function"}
    for name in sorted(_INTERPRETED & called):
        raise NotPortableError(f"{where}: {name}, whose graphs torch interprets node by node")
    targets = {node.target for node in module.graph.nodes if node.op in ("get_attr", "call_module")}
    attributes = {target: _attribute(module, target, where) for target in sorted(targets)}
    forward = type(module).forward
    if not isinstance(forward, types.FunctionType):
        raise NotPortableError(f"{where}: the graph's forward is {forward!r}")
    return {
        "node": "fx",
        "code": portable_code(forward.__code__, "<coldframe fx graph>"),
        "globals": [(name, encoder.value(value, f"{where}.{name}")) for name, value in read_globals(forward).items()],
        "attributes": [(name, encoder.value(value, f"{where}.{name}")) for name, value in attributes.items()],
    }


def encode_nothing() -> dict[str, Any]:
    """The node of a graph without outputs."""
    return {"node": "fx", "code": portable_code(_nothing.__code__, "<coldframe fx graph>"), "globals": [], "attributes": []}


def _nothing(self: Any, *args: Any) -> tuple[()]:
    return ()


def _attribute(module: Any, path: str, where: str) -> Any:
    found = module
    for part in path.split("."):
        found = getattr(found, part)
    if isinstance(found, torch.nn.Module) and not is_graph_module(found) and split_part(found) is None:
        raise NotPortableError(f"{where}.{path}: the graph calls a module of the model")
    return found

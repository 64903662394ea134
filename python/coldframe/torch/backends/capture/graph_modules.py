"""An FX graph that runs as it is (backends eager and aot_eager, graphs without work): its generated forward as code."""

from __future__ import annotations

import copy
import types
from typing import Any

import torch

from ....errors import NotPortableError
from .code import portable_code, read_globals
from .values import Encoder


def is_graph_module(target: object) -> bool:
    return isinstance(target, torch.fx.GraphModule)


def encode_graph_module(encoder: Encoder, module: Any, where: str) -> dict[str, Any]:
    """The node of a GraphModule: its code if it is self-contained, else torch's own pickle of it in a blob."""
    from torch.fx._lazy_graph_module import _LazyGraphModule

    _LazyGraphModule.force_recompile(module)
    targets = {node.target for node in module.graph.nodes if node.op in ("get_attr", "call_module")}
    attributes = {target: _attribute(module, target, where) for target in sorted(targets)}
    if any(isinstance(value, torch.nn.Module) for value in attributes.values()):
        return _pickled(encoder, module, where)
    forward = type(module).forward
    if not isinstance(forward, types.FunctionType):
        raise NotPortableError(f"{where}: the graph's forward is {forward!r}")
    return {
        "node": "fx",
        "code": portable_code(forward.__code__, "<coldframe fx graph>"),
        "globals": [(name, encoder.value(value, f"{where}.{name}")) for name, value in read_globals(forward).items()],
        "attributes": [(name, encoder.value(value, f"{where}.{name}")) for name, value in attributes.items()],
    }


def _attribute(module: Any, path: str, where: str) -> Any:
    found = module
    for part in path.split("."):
        found = getattr(found, part)
    if isinstance(found, torch.nn.Module) and not is_graph_module(found):
        raise NotPortableError(f"{where}.{path}: the graph calls a module of the model")
    return found


def _pickled(encoder: Encoder, module: Any, where: str) -> dict[str, Any]:
    """With subgraphs, operators of higher order want real GraphModules."""
    bare = _bare(module)
    parameters = [name for name, _ in bare.named_parameters()]
    if parameters:
        raise NotPortableError(f"{where}: the graph holds the parameters {', '.join(parameters)}")
    return {"node": "pickled_fx", "module": encoder.pickled_module(bare, where)}


def _bare(module: Any) -> Any:
    """A copy without metadata (which holds example values), subgraphs included."""
    graph = copy.copy(module.graph)
    bare = torch.fx.GraphModule(module, graph)
    for node in bare.graph.nodes:
        node.meta = {}
    bare.meta = {}
    for name, child in list(bare.named_children()):
        if is_graph_module(child):
            setattr(bare, name, _bare(child))
    return bare

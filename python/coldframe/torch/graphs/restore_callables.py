"""Nodes of a recipe to callables: one function for each closure of torch that record_callables.py recognises."""

from __future__ import annotations

import builtins
import types
from collections.abc import Callable
from typing import Any

import torch

from ...errors import InternalError
from ..seam import symbols
from ..seam.aot import hide_from_dynamo
from . import stand_ins
from .restore_values import Decoder

_C = symbols.module("torch._C")

Node = dict[str, Any]


def forward(decoder: Decoder, node: Node) -> Callable[..., Any]:
    inner = decoder.build(node["inner"])

    def forward(*args: Any) -> Any:
        return inner(list(args))

    hide_from_dynamo(forward)
    return forward


def torch_function_disabled(decoder: Decoder, node: Node) -> Callable[..., Any]:
    inner = decoder.build(node["inner"])

    def torch_function_disabled(*args: Any) -> Any:
        with _C.DisableTorchFunctionSubclass():
            return inner(*args)

    hide_from_dynamo(torch_function_disabled)
    return torch_function_disabled


def runtime_wrapper(decoder: Decoder, node: Node) -> Callable[..., Any]:
    generated = decoder.build(node["generated"])
    inner = decoder.build(node["inner"])
    no_context, nothing = stand_ins.no_context, stand_ins.nothing

    def runtime_wrapper(args: list[Any]) -> Any:
        return generated(inner, no_context, nothing, args)

    return runtime_wrapper


def _function(decoder: Decoder, node: Node, **more: Any) -> types.FunctionType:
    names = {name: decoder.value(value) for name, value in node["globals"]}
    # C code that imports something for a running function (a comparison with a number does, once) looks for its builtins.
    return types.FunctionType(_code(node["code"]), {**names, **more, "__builtins__": builtins})


def generated(decoder: Decoder, node: Node) -> Callable[..., Any]:
    return _function(decoder, node)


def deduplicated(decoder: Decoder, node: Node) -> Callable[..., Any]:
    inner = decoder.build(node["inner"])
    kept: list[int] = node["kept"]
    places: list[int] = node["places"]
    backend_id = decoder.backend_id

    def deduplicated(args: list[Any]) -> Any:
        unique = [args[index] for index in kept]
        for arg, place in zip(args, places, strict=True):
            if arg is not unique[place]:
                raise InternalError(f"{backend_id}: an argument that was a duplicate is not one in this call")
        return inner(args)

    return deduplicated


def boxed(decoder: Decoder, node: Node) -> Callable[..., Any]:
    inner = decoder.build(node["inner"])

    def boxed(args: list[Any]) -> Any:
        return inner(*args)

    return boxed


def selected(decoder: Decoder, node: Node) -> Callable[..., Any]:
    inner = decoder.build(node["inner"])
    indices: list[int] = node["indices"]

    def selected(args: list[Any]) -> Any:
        kept = [args[index] for index in indices]
        args.clear()
        return inner(kept)

    return selected


class _Module:
    """Stands for the graph module (or a part of it) that generated code calls `self`."""


def split_part(decoder: Decoder, node: Node) -> Callable[..., Any]:
    inner = decoder.build(node["inner"])

    def first(*args: Any) -> Any:
        outputs = inner(*args)
        return outputs[0] if isinstance(outputs, (tuple, list)) else outputs

    return first if node["first"] else inner


def fx(decoder: Decoder, node: Node) -> Callable[..., Any]:
    function = _function(decoder, node, torch=torch)
    root = _Module()
    for path, value in node["attributes"]:
        owner: Any = root
        *parents, last = path.split(".")
        for part in parents:
            if not hasattr(owner, part):
                setattr(owner, part, _Module())
            owner = getattr(owner, part)
        setattr(owner, last, decoder.value(value))

    def graph(*args: Any) -> Any:
        return function(root, *args)

    hide_from_dynamo(graph)
    return graph


def _code(value: Any) -> types.CodeType:
    code: types.CodeType = value if isinstance(value, types.CodeType) else value.to_code()
    return code

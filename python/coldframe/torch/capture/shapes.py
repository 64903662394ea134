"""Sizes of a frame's inputs that earlier processes have seen: Dynamo compiles for any size of what has differed.

Dynamo keeps it by code, in its profile (torch._dynamo.pgo). A process that loads variants and must compile their frame after
all tells Dynamo what their guards say, so that it goes on as the process that saved them would have.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ... import _core
from ..seam import symbols

Closure = tuple[types.CellType, ...] | None


def tell(code: types.CodeType, closure: Closure, programs: Iterable[_core.GuardProgram]) -> None:
    """Tells Dynamo of the variants of a frame that these guard programs belong to, in the order of their compilation."""
    pgo = symbols.module("torch._dynamo.pgo")
    state = pgo.get_code_state()[pgo.CodeId.make(code, closure)]
    for program in programs:
        for source, entry in _entries(program, pgo):
            state.automatic_dynamic[source] |= entry


def _entries(program: _core.GuardProgram, pgo: Any) -> Iterator[tuple[str, Any]]:
    sources: dict[int, str] = {}
    for op in program.ops:
        if op.result is not None:
            sources[op.result] = op.source
        elif op.kind == "tensor_match":
            size, stride = (tuple(op.operands[0][name]) for name in ("size", "stride"))
            # The strides of a tensor with a size that differs follow from its sizes.
            stride = pgo.auto_unset if None in size + stride else _inferred(size, stride, pgo)
            size = tuple(pgo.auto_dynamic if n is None else n for n in size)
            yield op.operands[0]["name"], pgo.FrameStateSizeEntry(pgo.auto_dynamic, size, stride)
        elif op.kind == "equals_match" and type(op.operands[0]) is int:
            yield sources[op.inputs[0]], pgo.FrameStateSizeEntry.make_scalar(op.operands[0])


def _inferred(size: Sequence[int], stride: Sequence[int], pgo: Any) -> tuple[Any, ...]:
    """Strides as Dynamo's profile has them: of those that follow from another dimension, which one it is."""
    found, following = list(stride), dict[int, Any]()
    for dimension in sorted(range(len(size)), key=lambda each: (stride[each], -each)):
        found[dimension] = following.get(stride[dimension], stride[dimension])
        following.setdefault(stride[dimension] * size[dimension], pgo.InferStride(dimension))
    return tuple(found)

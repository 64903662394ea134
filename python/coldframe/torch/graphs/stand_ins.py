"""Small functions of torch's compiler that compiled code calls at run time, so that restoring it need not import them.

Each does exactly what the function of torch named in `STAND_INS` does at run time. Nothing here imports more than torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from ..seam import symbols

_autograd = symbols.module("torch._C._autograd")
_guards = symbols.module("torch._C._dynamo.guards")
_functionalization = symbols.module("torch._C._functionalization")

_ALIGN_BYTES = 64
_NULL_CONTEXT = contextlib.nullcontext()


class ViewMetaSequence:
    """The views that lead from a base to an alias of it."""

    __slots__ = ("sequence",)

    def __init__(self, sequence: list[Any]) -> None:
        self.sequence = sequence


def no_context() -> contextlib.AbstractContextManager[None]:
    return _NULL_CONTEXT


def nothing() -> None:
    return None


def gen_alias_from_base(
    base: torch.Tensor,
    target: torch.Tensor,
    target_requires_grad: bool,
    views: ViewMetaSequence | None = None,
    *,
    replay_views: bool,
) -> torch.Tensor:
    """An alias of `base` with the metadata of `target`, by replaying its views where that is possible."""

    def patched(out: torch.Tensor) -> torch.Tensor:
        if base.requires_grad and not target_requires_grad:
            return out.detach()
        if not base.requires_grad and target_requires_grad:
            out.requires_grad_(True)
        return out

    if replay_views and views is not None and not any(view.has_symbolic_inputs for view in views.sequence):
        out: torch.Tensor | None = _functionalization.apply_view_meta_sequence(base, views.sequence)
        assert out is not None
        if out.shape != target.shape:
            raise AssertionError(
                f"incorrect out shape after application of ViewMeta sequence: {tuple(out.shape)} (actual) "
                f"vs {tuple(target.shape)} (expected)"
            )
        return patched(out)

    target_base = target._base
    if target_base is not None:
        same = base is target_base or (
            base.size() == target_base.size()
            and base.stride() == target_base.stride()
            and base.storage_offset() == target_base.storage_offset()
        )
        reshaped = base if same else base.as_strided(target_base.size(), target_base.stride(), target_base.storage_offset())
        out = target._view_func(reshaped)
        if out is not None and out.shape == target.shape:
            return patched(out)

    source = base
    if base.is_complex() and not target.is_complex():
        source = torch.view_as_real(base)
    elif target.is_complex() and not base.is_complex():
        source = torch.view_as_complex(base)
    offset = target.storage_offset()
    if base.untyped_storage()._cdata != target.untyped_storage()._cdata:  # of a copy: torch does so from 2.14 on
        offset += base.storage_offset()
    result = patched(source.as_strided(target.size(), target.stride(), offset))
    return result if result.dtype == target.dtype else result.view(target.dtype)


def mark_dynamo_propagated_dynamic_indices(tensor: Any, dims: set[int]) -> None:
    if hasattr(tensor, "_dynamo_propagated_dynamic_indices"):
        tensor._dynamo_propagated_dynamic_indices |= dims
    else:
        tensor._dynamo_propagated_dynamic_indices = dims.copy()


class TensorAlias:
    """Hides an output that aliases an input from autograd.Function."""

    __slots__ = ("alias",)

    def __init__(self, alias: torch.Tensor) -> None:
        self.alias = alias


def unwrap_alias(hidden: Any) -> torch.Tensor:
    alias: torch.Tensor = hidden.alias
    return alias


class TangentMeta:
    """The layout in memory that the compiled backward expects of one gradient."""

    __slots__ = ("memory_format", "size", "stride")

    def __init__(self, size: tuple[int, ...] | None, stride: tuple[int, ...] | None, memory_format: Any) -> None:
        self.size = size
        self.stride = stride
        self.memory_format = memory_format


def process_runtime_tangent(tangent: Any, meta: TangentMeta, index: int | None = None, *details: Any) -> tuple[Any, list[Any]]:
    """A gradient as the compiled backward expects it."""
    if not isinstance(tangent, torch.Tensor):
        return tangent, [tangent]
    if type(tangent) is not torch.Tensor:
        return _process_subclass_tangent(tangent, meta, index)
    if meta.memory_format is not None:
        if not tangent.is_contiguous(memory_format=meta.memory_format):
            tangent = tangent.contiguous(memory_format=meta.memory_format)
    elif tangent.shape != meta.size or tangent.stride() != meta.stride:
        assert meta.size is not None and meta.stride is not None
        restrided = torch.empty_strided(
            size=meta.size,
            stride=meta.stride,
            dtype=tangent.dtype,
            device=tangent.device,
            layout=tangent.layout,
            requires_grad=tangent.requires_grad,
        )
        restrided.copy_(tangent)
        tangent = restrided
    return tangent, [tangent]


def _process_subclass_tangent(tangent: torch.Tensor, meta: TangentMeta, index: int | None) -> tuple[Any, list[Any]]:
    """Returns what torch itself makes of a gradient of another type than the plain one that the compiler guessed."""
    from ..seam.aot import plain_tensor_meta, runtime_wrappers

    found: tuple[Any, list[Any]] = runtime_wrappers().AOTDispatchAutograd.process_runtime_tangent(
        tangent, plain_tensor_meta(meta.size, meta.stride, meta.memory_format), index
    )
    return found


def align(nbytes: int) -> int:
    return (nbytes + _ALIGN_BYTES - 1) & -_ALIGN_BYTES


def bias_addmm(
    inp: torch.Tensor, mat1: torch.Tensor, mat2: torch.Tensor, *, out: torch.Tensor | None = None, alpha: Any = 1, beta: Any = 1
) -> torch.Tensor:
    if (inp.stride(0) == 0 and inp.size(0) != 0) or inp.size(0) == 1:
        inp = inp[0]
    result: torch.Tensor = torch.addmm(inp, mat1, mat2, out=out, alpha=alpha, beta=beta)
    return result


def lower_version_count_by_1(x: torch.Tensor) -> torch.Tensor:
    """After `x.data = ...`, which counts as no change of `x`."""
    _autograd._unsafe_set_version_counter((x,), (max(x._version - 1, 0),))
    return x


_AOT = "torch._functorch._aot_autograd"
_SET_DATA = "SetAttrBuiltinVariable._call_setattr.<locals>._lower_version_count_by_1"


# (module, qualified name) in torch -> what stands for it.
def assert_tensor_metadata(tensor: Any, size: Any, stride: Any, dtype: torch.dtype, operator: str | None = None) -> None:
    """RuntimeError unless a tensor that an operator gave is what its fake kernel said. None is fine."""
    if tensor is None:
        return
    if tensor.dtype != dtype:
        raise RuntimeError(
            f"expected dtype {dtype} but got {tensor.dtype}{f' (operator {operator})' if operator else ''}: "
            "most often the fake kernel of a custom operator is wrong; torch.library.opcheck tests it"
        )
    _guards.assert_size_stride(tensor, size, stride, operator)


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    (f"{_AOT}.schemas", "TensorAlias"): TensorAlias,
    (f"{_AOT}.runtime_wrappers", "_unwrap_tensoralias"): unwrap_alias,
    (f"{_AOT}.runtime_wrappers", "AOTDispatchAutograd.process_runtime_tangent"): process_runtime_tangent,
    (f"{_AOT}.functional_utils", "gen_alias_from_base"): gen_alias_from_base,
    (f"{_AOT}.runtime_wrappers", "mark_dynamo_propagated_dynamic_indices"): mark_dynamo_propagated_dynamic_indices,
    ("torch._dynamo.variables.builtin", _SET_DATA): lower_version_count_by_1,
    ("torch._inductor.codegen.memory_planning", "_align"): align,
    ("torch._inductor.runtime.runtime_utils", "assert_tensor_metadata"): assert_tensor_metadata,
    ("torch._inductor.kernel.mm", "bias_addmm"): bias_addmm,
}

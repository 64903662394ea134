"""Kinds of guards that the native engine calls Python for: rare ones, whose exact meaning is torch's.

Nothing here imports Dynamo.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from ...errors import CorruptPackageError
from ..seam import symbols

_C = symbols.module("torch._C")
_guards = symbols.module("torch._C._dynamo.guards")
_torch = symbols.module("torch")

Read = Callable[[Any], Any]
Check = Callable[[Any], bool]

# Accessors.


def _tuple_iterator_item(index: int) -> Read:
    def get(iterator: Any) -> Any:
        _, (items, *_), *position = iterator.__reduce__()
        return items[index + (position[0] if position else 0)]

    return get


ACCESSORS: dict[str, Callable[..., Read]] = {
    "grad": lambda: lambda tensor: tensor.grad,
    "indexed": lambda index: lambda value: (index, value),
    "set_getitem": lambda index: lambda items: next(itertools.islice(items, index, None)),
    "tensor_size": lambda dimension: lambda tensor: tensor.size(dimension),
    "tensor_stride": lambda dimension: lambda tensor: tensor.stride(dimension),
    "tensor_storage_offset": lambda _: lambda tensor: tensor.storage_offset(),
    "tuple_iterator_getitem": _tuple_iterator_item,
}


def _from_numpy(value: Any) -> torch.Tensor:
    import numpy

    return torch.as_tensor(numpy.array(value) if isinstance(value, numpy.generic) else value)


def _collective_tensor(value: Any) -> Any:
    """The tensor that an asynchronous collective is going to give; any other value is itself."""
    collectives = symbols.imported("torch.distributed._functional_collectives")
    return value.elem if collectives is not None and type(value) is collectives.AsyncCollectiveTensor else value


def _list_of_reverse_iterator(iterator: Any) -> Any:
    return iterator.__reduce__()[1][0]


NAMED_ACCESSORS: dict[str, Callable[..., Read]] = {
    "as_tensor_fullprec": lambda: _torch._as_tensor_fullprec,
    "collective_tensor": lambda: _collective_tensor,
    "context_value": lambda *default: lambda variable: variable.get(*default),
    "current_stream": lambda device: lambda _: torch.accelerator.current_stream(device),
    "dataclass_fields": lambda: dataclasses.fields,
    "from_numpy": lambda: _from_numpy,
    "get_base": lambda: lambda value: value.get_base(),
    "int": lambda: int,
    "item": lambda: lambda value: value.item(),
    "list_of_reverse_iterator": lambda: _list_of_reverse_iterator,
    "namedtuple_fields": lambda: lambda value: value._fields,
    "obj_flatten": lambda: lambda value: value.__obj_flatten__(),
    "script_qualified_name": lambda: lambda value: value._type().qualified_name(),
    "tensor_flatten_attributes": lambda: lambda value: value.__tensor_flatten__()[0],
    "torch_function_mode_at": lambda index: lambda _: _C._get_function_stack_at(index),
}

# What expressions name, beside the frame and builtins.


def _of_shapes(name: str) -> Callable[..., Any]:
    """A function of torch's for symbolic shapes, which are not imported before it is called."""

    def call(*args: Any) -> Any:
        return symbols.module("torch.fx.experimental.symbolic_shapes").SYMPY_INTERP[name](*args)

    return call


FUNCTIONS: dict[str, Any] = {
    "IsNonOverlappingAndDenseIndicator": _of_shapes("IsNonOverlappingAndDenseIndicator"),
    "___as_tensor": _torch._as_tensor_fullprec,
    "___dataclass_fields": dataclasses.fields,
    "___dict_contains": lambda key, entries: dict.__contains__(entries, key),
    "___from_numpy": _from_numpy,
    "___get_current_stream": torch.accelerator.current_stream,
    "___get_torch_function_mode_stack_at": _C._get_function_stack_at,
    "___list_reverseiterator_backing_list": _list_of_reverse_iterator,
    "___list_reverseiterator_len": operator.length_hint,
    "___namedtuple_fields": operator.attrgetter("_fields"),
    "___odict_getitem": OrderedDict.__getitem__,
    "___tuple_iterator_getitem": lambda iterator, index: _tuple_iterator_item(index)(iterator),
    "___tuple_iterator_len": operator.length_hint,
    "__math_isnan": math.isnan,
    "cast_symbool_to_symint_guardless": _of_shapes("cast_symbool_to_symint_guardless"),
    "inf": math.inf,
    "math": math,
    "torch": torch,
}

# Checks.


def tuple_iterator(length: int, cls: type) -> Check:
    def check(value: Any) -> bool:
        return type(value) is cls and operator.length_hint(value) == length

    return check


def _left(iterator: Any) -> tuple[int, int, int]:
    """Start, stop and step of what an iterator of a range has yet to give."""
    _, (items,), *position = iterator.__reduce__()
    left = items[position[0] or 0 :] if position else items
    return left.start, left.stop, left.step


def range_iterator(start: int, stop: int, step: int, cls: type) -> Check:
    def check(value: Any) -> bool:
        return type(value) is cls and _left(value) == (start, stop, step)

    return check


def marking(marked: Mapping[str, set[int]], unmarked: Sequence[str], dependent: Mapping[str, tuple[Any, str]]) -> Check:
    """Returns whether what mark_dynamic and the like say of a tensor now is what the graph was compiled for, or less."""

    def check(tensor: Any) -> bool:
        if not hasattr(tensor, "_has_dynamo_dim_marking"):
            return True
        return (
            all(not hasattr(tensor, name) or getattr(tensor, name) <= known for name, known in marked.items())
            and not any(hasattr(tensor, name) for name in unmarked)
            and all(not hasattr(tensor, gate) or getattr(tensor, name, None) == v for name, (v, gate) in dependent.items())
        )

    return check


def dispatch_keys(expected: int) -> Check:
    return lambda value: isinstance(value, _C.DispatchKeySet) and value.raw_repr() == expected


def real_type(cls: type) -> Check:
    """A check of an object, or of the one that a fake script object stands for."""
    fake = symbols.module("torch._library.fake_class_registry").FakeScriptObject
    return lambda value: type(value.real_obj if isinstance(value, fake) else value) is cls


def function_modes(classes: Sequence[type]) -> Callable[[], bool]:
    """A check of the whole stack of torch function modes."""

    def check() -> bool:
        count = _C._len_torch_function_stack()
        return count == len(classes) and all(type(_C._get_function_stack_at(index)) is cls for index, cls in enumerate(classes))

    return check


def _functorch_stack(states: Any) -> Check:
    compare = symbols.module("torch._functorch.pyfunctorch").compare_functorch_state
    return lambda _: bool(compare(states))


CONSTANT_BASES = (int, float, str)  # Dynamo knows subclasses of no others


def _constant_subclass(base: type, expected: Any) -> Check:
    if base not in CONSTANT_BASES:
        raise CorruptPackageError(f"no type of constants: {base!r:.80}")
    return lambda value: bool(base(value) == expected)


def _opaque_object(expected: Any) -> Check:
    found = symbols.module("torch._library.opaque_object").get_opaque_obj_info

    def check(value: Any) -> bool:
        info = found(type(value))
        return expected is None or bool(info and info.guard_fn and info.guard_fn(value) == expected)

    return check


def _copy_on_write(expected: bool) -> Check:
    def check(value: Any) -> bool:
        plain = isinstance(value, torch.Tensor) and not _C._dispatch_keys(value).has(_C.DispatchKey.Python)
        return plain and bool(_C._is_cow_tensor(value)) == expected

    return check


def _count_iterator(cls: type, expected: tuple[Any, Any]) -> Check:
    text = repr(itertools.count(*expected))  # pickling, which says it as well, goes from itertools with Python 3.14

    def check(value: Any) -> bool:
        return type(value) is cls and repr(value) == text

    return check


def _subclass_metadata(expected: Any, cls: Any) -> Check:
    if cls is not None:
        return lambda value: bool(cls.__metadata_guard__(expected, value.__tensor_flatten__()[1]))
    return lambda value: bool(value.__tensor_flatten__()[1] == expected)


def _reverse_iterator(cls: type, length: int) -> Check:
    return lambda value: type(value) is cls and operator.length_hint(value) == length


def _same_bits(expected: Any) -> Check:
    bits = _bits(expected)
    return lambda value: type(value) is type(expected) and _bits(value) == bits


def _bits(value: Any) -> bytes:
    return struct.pack("dd", value.real, value.imag)


NAMED_CHECKS: dict[str, Callable[..., Check]] = {
    "constant_subclass": _constant_subclass,
    "copy_on_write": _copy_on_write,
    "count_iterator": _count_iterator,
    "functorch_stack": _functorch_stack,
    "opaque_object": _opaque_object,
    "reverse_iterator": _reverse_iterator,
    "same_bits": _same_bits,
    "subclass_metadata": _subclass_metadata,
}

# Tensors.


def tensor_checks(infos: Sequence[dict[str, Any]]) -> list[tuple[list[int], Callable[..., bool]]]:
    """torch's check of all these tensors at once: one for each group that differs in its dispatch keys from what tensors
    have by themselves, with the indices of its members."""
    groups: dict[tuple[int, int], list[int]] = {}
    examples = [_example(info) for info in infos]
    for index, (info, example) in enumerate(zip(infos, examples, strict=True)):
        own = _with_state(_C._dispatch_keys(example))
        wanted = _C.DispatchKeySet.from_raw_repr(info["dispatch_keys"])
        groups.setdefault(((wanted - own).raw_repr(), (own - wanted).raw_repr()), []).append(index)
    made = []
    for (included, excluded), members in groups.items():
        with _forced(included, excluded):
            guards = _guards.TensorGuards(
                *(examples[index] for index in members),
                dynamic_dims_sizes=[list(infos[index]["size"]) for index in members],
                dynamic_dims_strides=[list(infos[index]["stride"]) for index in members],
            )
        made.append((members, guards.check))
    return made


def overlapping(count: int) -> Callable[..., bool]:
    """Returns whether of these tensors the first `count` share memory with one another, and no others with any."""

    def check(*tensors: torch.Tensor) -> bool:
        found = _guards.compute_overlapping_tensors(tensors, symbolic=False)
        return bool(found == set(range(count)))

    return check


def _with_state(keys: Any) -> Any:
    return (keys | _C._dispatch_tls_local_include_set()) - _C._dispatch_tls_local_exclude_set()


def _forced(included: int, excluded: int) -> Any:
    """The thread's dispatch keys with these more and those less."""
    if not included and not excluded:
        return nullcontext()
    more, less = (_C.DispatchKeySet.from_raw_repr(raw) for raw in (included, excluded))
    include = _C._dispatch_tls_local_include_set()
    exclude = _C._dispatch_tls_local_exclude_set()
    return _C._ForceDispatchKeyGuard((include | more) - less, (exclude | less) - more)


def _example(info: dict[str, Any]) -> torch.Tensor:
    """A tensor of the recorded type, whose sizes and values do not matter."""
    shape = (0,) if info["size"] else ()
    example: torch.Tensor = torch.empty(shape, dtype=info["dtype"], device=info["device"])
    if info["pytype"] is torch.nn.Parameter:
        return torch.nn.Parameter(example, requires_grad=info["requires_grad"])
    if info["pytype"] is not torch.Tensor:
        return torch.Tensor._make_subclass(info["pytype"], example, info["requires_grad"])
    return example.requires_grad_() if info["requires_grad"] else example

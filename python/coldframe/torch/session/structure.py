"""The structure of a call, by which of hundreds of packages for one function the right one is found by its name.

A *structure* is two digests over the target and the arguments of a call. The exact one holds types, dtypes, sizes, constants
and the parameters of a module; the general one leaves out sizes and values. It is no more than a name: whether a package
serves a call is for its guards to say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch.nn.parallel import DistributedDataParallel

from ... import _core

_DEPTH = 8
_ITEMS = 10_000  # of arguments; what lies beyond does not count


class Structure(NamedTuple):
    exact: bytes
    general: bytes


def structure_of(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Structure:
    """The structure of `target(*args, **kwargs)`, under the present grad mode and in the forward of the present DDP."""
    found = _Found()
    found.add(torch.is_grad_enabled())
    found.add(torch.is_inference_mode_enabled())
    # torch splits what it compiles there where the buckets end: other graphs would serve, but not send gradients early.
    found.add(_bucket_size(DistributedDataParallel._get_active_ddp_module()))
    owner = getattr(target, "__self__", target)
    if isinstance(owner, torch.nn.Module):
        found.module(owner)
    found.value(args, 0)
    found.value(dict(sorted(kwargs.items())), 0)
    general = _core.digest(tuple(found.general))
    return Structure(_core.digest((general, tuple(found.exact))), general)


class _Found:
    def __init__(self) -> None:
        self.general: list[Any] = []
        self.exact: list[Any] = []

    def add(self, value: Any) -> None:
        self.general.append(value)

    def module(self, module: torch.nn.Module) -> None:
        # Parameters that are shared count once: which ones are is left to the guards.
        for child in module.modules():
            self.add(_type(child))
            self.add(child.training)
            self.add(_bucket_size(child))
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            self.exact.append(name)
            self._sizes(tensor)
            self.exact.append((str(tensor.dtype), tensor.device.type, tensor.requires_grad))

    def value(self, value: Any, depth: int) -> None:
        if depth > _DEPTH or len(self.general) > _ITEMS:
            return
        self.add(_type(value))
        if isinstance(value, torch.Tensor):
            self.add((str(value.dtype), value.device.type, value.dim(), value.requires_grad, str(value.layout)))
            self._sizes(value)
        elif isinstance(value, torch.nn.Module):
            self.module(value)
        elif isinstance(value, (bool, int, float, complex, str, bytes)):
            self.exact.append(_plain(value))
        elif isinstance(value, Mapping):
            self.add(len(value))
            for key, item in value.items():
                self.value(key, depth + 1)
                self.value(item, depth + 1)
        elif isinstance(value, (tuple, list)):
            self.add(len(value))
            for item in value:
                self.value(item, depth + 1)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            for field in dataclasses.fields(value):
                self.value(getattr(value, field.name, None), depth + 1)

    def _sizes(self, tensor: torch.Tensor) -> None:
        # Parameters of modules that are not built yet, and tensors of some subclasses, have none.
        try:
            self.exact.append(tuple(int(size) for size in tensor.shape))
        except (RuntimeError, TypeError, ValueError):
            self.exact.append(None)


def _bucket_size(module: torch.nn.Module | None) -> int | None:
    return int(module.bucket_bytes_cap) if isinstance(module, DistributedDataParallel) else None


def _type(value: Any) -> str:
    cls = type(value)
    return f"{cls.__module__}.{cls.__qualname__}"


def _plain(value: Any) -> Any:
    """Returns the value of an instance of a subclass: of an enum, say."""
    kinds: tuple[Any, ...] = (bool, int, float, complex, str, bytes)
    return next(kind(value) for kind in kinds if isinstance(value, kind))

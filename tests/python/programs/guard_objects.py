"""Objects of every sort that torch's guards look at, and ways to change them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from guard_kit import Locals
from torch import nn
from torch._dynamo import guards
from torch.overrides import TorchFunctionMode


class Box:
    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


class Veiled(Box):
    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "veil") if name == "a" else object.__getattribute__(self, name)


class Plain:
    a = 1
    b = 2


class Other:
    a = 9
    b = 2


class Derived(Plain):
    pass


class Rederived(Other):
    pass


class Pair(collections.namedtuple("Pair", ("a", "b"))):
    pass


class Swapped(collections.namedtuple("Swapped", ("b", "a"))):
    pass


@dataclasses.dataclass
class Fields:
    a: int = 1


@dataclasses.dataclass
class MoreFields(Fields):
    b: int = 2


class Mode(TorchFunctionMode):
    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class Proxy:
    """As the attribute proxies of torch.fx."""

    def __init__(self, base: Any) -> None:
        self.base = base

    def get_base(self) -> Any:
        return self.base


class Script:
    """As a torch.classes object: what guards read of one."""

    def __init__(self, name: str, *state: Any) -> None:
        self.name = name
        self.state = state

    def __obj_flatten__(self) -> tuple[Any, ...]:
        return self.state

    def _type(self) -> Script:
        return self

    def qualified_name(self) -> str:
        return self.name


class Flattened:
    """As a traceable tensor subclass: the names of its inner tensors."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return self.names, None


switch = {"on": 1}


def read_switch() -> int:
    return switch["on"]


BY_BITS = hasattr(guards.GuardBuilder, "LIST_REVERSEITERATOR_LEN")  # since torch 2.15 guards tell one NaN from another


@contextmanager
def current_stream(stream: Box) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name in ((torch.accelerator, "current_stream"), (guards, "get_current_stream")):
            stack.enter_context(mock.patch.object(owner, name, lambda device: stream))
        yield


@contextmanager
def patched(namespace: Locals, **values: Any) -> Iterator[None]:
    before = dict(namespace)
    namespace.update(values)
    try:
        yield
    finally:
        namespace.clear()
        namespace.update(before)


def function(a: int = 1, *, b: int = 2) -> int:
    return a + b


def other_default(a: int = 5, *, b: int = 7) -> int:
    return a + b


def closing_over(value: Any) -> Any:
    def inner() -> Any:
        return value

    return inner


def module(**members: Any) -> nn.Module:
    made = nn.Linear(2, 2)
    made.__dict__.update(members)
    return made

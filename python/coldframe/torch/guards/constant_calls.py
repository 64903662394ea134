"""The functions whose results Dynamo takes for constants: a premise of what it compiled is what they gave.

A package says which were called, and they are called again to find out whether it may be used. So it can only be these: what
the program has marked itself, and a closed list of torch's and of Python's own, which say what the process is like.
"""

from __future__ import annotations

import functools
import re
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from ..fingerprint import state

_OF_TORCH = (
    "torch._C._get_cudnn_sdp_enabled",
    "torch._C._get_flash_sdp_enabled",
    "torch._C._get_math_sdp_enabled",
    "torch._C._get_mem_efficient_sdp_enabled",
    "torch._C._get_overrideable_sdp_enabled",
    "torch._C._get_privateuse1_backend_name",
    "torch.accelerator.is_available",
    "torch.cuda.is_available",
    "torch.distributed.get_rank",
    "torch.distributed.get_world_size",
    "torch.distributed.is_available",
    "torch.distributed.is_initialized",
    "torch.get_autocast_dtype",
    "torch.get_autocast_gpu_dtype",
    "torch.xpu.is_available",
)
# What decides within operators, and context managers, of these names: what Dynamo asks itself says nothing of it.
_OF_AUTOCAST = tuple(("torch.get_autocast_dtype", (device,)) for device in ("cpu", "cuda"))
DECIDING = {
    "_enter_autocast": _OF_AUTOCAST,  # in a graph
    "autocast": _OF_AUTOCAST,
    "get_autocast_dtype": _OF_AUTOCAST,
    "scaled_dot_product_attention": tuple((name, ()) for name in _OF_TORCH if name.endswith("_sdp_enabled")),
}


def warnings_raised() -> tuple[str, ...]:
    """The kinds of warnings that are raised as errors."""
    kinds: Iterator[Any] = (category for action, _, category, *_ in warnings.filters if action == "error")
    return tuple(map(str, kinds))


# Dynamo has polyfills for them, but for the last.
OF_PYTHON = frozenset([sys.getrecursionlimit, sys.get_int_max_str_digits, sys.set_int_max_str_digits, warnings_raised])


# Functions that say, without being given anything, what the process is like, by their names: code that runs while a frame is
# compiled may have asked.
_ASKED = re.compile(r"_?(get|has|is)[a-z_\d]*|initial_seed|\w+_enabled")
_DEVICES = frozenset(["cuda", "mps", "mtia", "xpu"])  # which asking initialises
_HAVING = frozenset(["decimal", "gc", "numpy", "sys", "torch"])


def says_what_the_process_is_like(function: Any) -> bool:
    """Returns whether `function` is one of those: public, or one of torch's in C, and of no device."""
    if not isinstance(function, (types.FunctionType, types.BuiltinFunctionType)):
        return False
    top, *rest = str(function.__module__).split(".")
    if function.__module__ != "torch._C" and any(part.startswith("_") for part in (*rest, function.__name__)):
        return False
    return top in _HAVING and _DEVICES.isdisjoint(rest[:1]) and _ASKED.fullmatch(function.__name__) is not None


def outcome(function: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Returns what a call gives, or {"raises": the name of the class of what it raises}."""
    try:
        return function(*args, **(kwargs or {}))
    except Exception as error:
        return {"raises": state.key_of(type(error))}


def of_torch() -> Iterator[Any]:
    """Those that Dynamo calls while it traces."""
    for name in _OF_TORCH:
        if (found := find(name)) is not None:
            yield found


def find(name: str) -> Any:
    """The function of torch at a dotted path; None where this torch has none."""
    return functools.reduce(lambda value, part: getattr(value, part, None), name.split(".")[1:], torch)


def gives_constant(function: Any, args: Any = (), kwargs: Any = None) -> bool:
    """Returns whether this call of `function` may be made to see what it gives."""
    if isinstance(function, (types.FunctionType, types.MethodType)) and getattr(function, "_dynamo_marked_constant", False):
        return True
    if says_what_the_process_is_like(function) and not args and not kwargs:
        return True
    return any(function is each for each in (*OF_PYTHON, *of_torch()))

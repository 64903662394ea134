"""Steps for the guard engine beside a guard program's: what must hold around a call before any variant may serve it."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.modules.module as module_hooks

from ... import _core
from ..seam import symbols
from .callable import CALLS, GLOBAL_HOOKS, HOOKS

_C = symbols.module("torch._C")

EVAL_FRAME = "torch._dynamo.eval_frame"


class Conditions:
    """They use the first value numbers, which a program uses anew."""

    def __init__(self) -> None:
        self.steps: list[_core.Step] = []

    def item(self, namespace: dict[str, Any], key: str, expected: Any) -> None:
        self._add("constant", (), namespace, 1)
        self._add("dict_getitem", (1,), key, 1)
        self._add("id_match", (1,), expected)

    def lacks(self, namespace: dict[str, Any], key: str) -> None:
        self._add("constant", (), namespace, 1)
        self._add("dict_lacks", (1,), key)

    def contains(self, items: set[Any], item: Any) -> None:
        self._add("constant", (), items, 1)
        self._add("set_contains", (1,), item)

    def imported(self, aliases: dict[str, str], namespace: dict[str, Any]) -> None:
        """Adds that what a program imports by these names is what compiled code takes for it: these globals."""
        for alias, name in aliases.items():
            for value, (found, key) in enumerate(((sys.modules, name), (namespace, alias)), start=1):
                self._add("constant", (), found, value)
                self._add("dict_getitem", (value,), key, value)
            self._add("same", (1, 2))

    def gives(self, function: Callable[[], Any], expected: Any) -> None:
        self._add("call", (), function, 1)
        self._add("id_match", (1,), expected)

    def called_plainly(self, module: torch.nn.Module, forward: Any, *, directly: bool) -> None:
        """No hooks and no other forward: a call of the module is a call of this function. directly: past what
        module.compile() has put in its place."""
        self._add("constant", (), vars(module_hooks), 1)
        for name in GLOBAL_HOOKS:
            self._empty(1, name)
        self._add("constant", (), module, 1)
        self._add("type", (1,), result=2)
        for name, expected in (("forward", forward), *((name, getattr(torch.nn.Module, name)) for name in CALLS)):
            self._add("getattr", (2,), name, 3)
            self._add("id_match", (3,), expected)
        self._add("generic_dict", (1,), result=2)
        for name in ("forward", "_call_impl"):
            self._add("dict_lacks", (2,), name)
        for name in HOOKS:
            self._empty(2, name)
        if not directly:
            self._add("getattr", (1,), "_compiled_call_impl", 3)
            self._add("none_match", (3,))

    def _empty(self, namespace: int, name: str) -> None:
        self._add("dict_getitem", (namespace,), name, 3)
        self._add("dict_length", (3,))

    def _add(self, operation: str, inputs: tuple[int, ...], operand: Any = None, result: int = 0) -> None:
        self.steps.append((operation, inputs, result, operand, 0))


def of_the_process(lazy: set[str]) -> Conditions:
    """Nobody traces or exports, and what a plan takes for granted of Dynamo is so. lazy: modules that are not imported."""
    made = Conditions()
    made.item(vars(torch.compiler), "_is_exporting_flag", False)
    if (symbolic := symbols.imported("torch.fx._symbolic_trace")) is not None:
        if (of_thread := getattr(symbolic, "_is_fx_tracing_tls", None)) is not None:
            made.gives(functools.partial(getattr, of_thread, "flag", False), False)
        else:
            made.item(vars(symbolic), "_is_fx_tracing_flag", False)
    for name in sorted(lazy):
        made.lacks(sys.modules, name)
    made.gives(_C._get_tracing_state, None)
    if (eval_frame := symbols.imported(EVAL_FRAME)) is None:
        made.lacks(sys.modules, EVAL_FRAME)
    else:
        made.item(vars(eval_frame), "_stance", default_stance() or object())  # under no other stance
        frames = symbols.module("torch._C._dynamo.eval_frame")
        made.gives(frames.get_eval_frame_callback, None)  # Dynamo has its own way with what it traces
    return made


def not_reset(dynamo_code: types.CodeType) -> list[_core.Step]:
    """Returns what was compiled in this process is gone after torch._dynamo.reset()."""
    made = Conditions()
    made.contains(symbols.module("torch._dynamo.convert_frame").output_codes.seen_ids, id(dynamo_code))
    return made.steps


def default_stance() -> Any:
    """Dynamo's stance, when it is the default one."""
    stance = symbols.module(EVAL_FRAME)._stance
    plain = stance.stance == "default" and stance.backend is None and not stance.skip_guard_eval_unsafe
    return stance if plain else None


def state_of_the_process(lazy: set[str]) -> tuple[Any, ...]:
    """Returns what a plan depends on: which modules of torch's compiler are imported, and Dynamo's stance."""
    stance = default_stance() if (imported := symbols.imported(EVAL_FRAME) is not None) else None
    return imported, stance, {name for name in lazy if symbols.imported(name) is not None}

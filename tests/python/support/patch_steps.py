"""Replacements in torch, as seen from outside: each attribute of its modules and classes, before and after."""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import torch

# All modules in which anything is replaced are imported before the first look, so that looking sees the same ones.
_MODULES = ("torch._dynamo", "torch._inductor.compile_fx", "torch._inductor.select_algorithm", "torch._functorch.aot_autograd")


def _attributes() -> Iterator[tuple[str, Any]]:
    seen = set()
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] != "torch" or module is None:
            continue
        for name, value in list(vars(module).items()):
            yield f"{module_name}.{name}", value
            if isinstance(value, type) and str(value.__module__).split(".")[0] == "torch" and value not in seen:
                seen.add(value)
                for attribute, member in list(vars(value).items()):
                    yield f"{value.__module__}.{value.__qualname__}.{attribute}", member


def _look() -> dict[str, Any]:
    for name in _MODULES:
        importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # attributes that warn when they are read
        return {name: value for name, value in _attributes() if type(value) is not int}  # those count


def _differ(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of what is another object now, or gone, and of methods that a class did not have. What modules imported meanwhile
    have does not count, nor do the attributes of a class that has been replaced itself."""
    classes = {f"{value.__module__}.{value.__qualname__}" for value in before.values() if isinstance(value, type)}
    other = {name for name in before if before[name] is not after.get(name)}
    new = (name for name in after.keys() - before.keys() if isinstance(after[name], types.FunctionType))
    other |= {name for name in new if name.rpartition(".")[0] in classes}
    return sorted(name for name in other if name.rpartition(".")[0] not in other)


def _compile() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: x.sin(), backend="aot_eager")
    compiled(torch.ones(2, requires_grad=True)).sum().backward()


def patched() -> dict[str, list[str]]:
    """{"drift": what a compilation by plain torch changes, "replaced": what differs while all is installed, "listed": what
    coldframe says of that, "left": what differs when all is undone, "still_listed"}."""
    _compile()
    plain = _look()
    _compile()
    before = _look()
    listener, listeners, patches, default, enabled = (
        importlib.import_module(f"coldframe.torch.{name}")
        for name in ("graphs.listener", "capture.listeners", "seam.patches", "package.default", "automatic")
    )
    listeners.install()
    default.install_as_torch_default()
    enabled.install(None, read_only=False, single_flight=False, on_miss="compile")
    listener.install_kernel_listener("inductor")
    _compile()
    within, listed = _look(), [patch.name for patch in patches.installed()]
    default.uninstall_as_torch_default()
    enabled.uninstall()
    patches.undo_all()
    _compile()
    return {
        "drift": _differ(plain, before),
        "replaced": _differ(before, within),
        "listed": listed,
        "left": _differ(before, _look()),
        "still_listed": [patch.name for patch in patches.installed()],
    }


def half_installed() -> dict[str, list[str]]:
    """Returns what is left of an installation that fails because this torch lacks something: as `patched`, and the error."""
    listeners = importlib.import_module("coldframe.torch.capture.listeners")
    builtin = importlib.import_module("torch._dynamo.variables.builtin").BuiltinVariable
    before, call_id = _look(), builtin.call_id
    del builtin.call_id
    try:
        listeners.install()
        error = ""
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    builtin.call_id = call_id
    left = _differ(before, _look())
    listeners.install()
    return {"left": left, "error": [error], "replaced": _differ(before, _look())}

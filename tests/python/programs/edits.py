"""One program in two forms: a module's text with a gap, and what stands in the gap before and after an edit.

A module has `f`, or `make` that makes the target, and may have `args`, that makes the arguments, `done`, that takes back what
it did to the process, and `backend`. Each process imports the module anew from a folder of its own form.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import coldframe

HEAD = "import collections, dataclasses, enum, functools, os, sys, typing\nimport torch\nfrom torch import nn\n"
# Runs `g` without tracing it.
ALLOWED = """
@torch.compiler.allow_in_graph
def h(x):
    return g(x) + 1
def f(x):
    return h(x).sin()
"""
GAP = "@@"
BEFORE, AFTER = "before", "after"


def executed(before: str, read: str) -> str:
    """The text of a module whose `g` multiplies by what it reads, and is not traced."""
    return f"{before}\ndef g(x):\n    return x * {read}" + ALLOWED + 'backend = "aot_eager"\n'


@dataclass(frozen=True)
class Edit:
    text: str
    before: str
    after: str
    other: tuple[str, str] | None = None  # texts of a second module, imported as `other`

    def write(self, folder: Path, number: int) -> None:
        """The forms of module `edited_<number>`, each in its folder."""
        for form, filling, other in zip((BEFORE, AFTER), (self.before, self.after), self.other or ("", ""), strict=True):
            place = folder / form
            place.mkdir(parents=True, exist_ok=True)
            text = HEAD + self.text.replace(GAP, filling).replace("OTHER", f"other_{number}")
            (place / f"edited_{number}.py").write_text(text)
            if self.other is not None:
                (place / f"other_{number}.py").write_text(other)


_ELSEWHERE = """
import OTHER
for name in {"args", "backend", "done"} & vars(OTHER).keys():
    globals()[name] = vars(OTHER)[name]
def f(*args):
    return OTHER.f(*args)
"""


def elsewhere(edit: Edit) -> Edit | None:
    """The edit in a second module, whose `f` the first one calls. None for a program that has one, or that makes its target."""
    if edit.other is not None or "\ndef f(" not in f"\n{edit.text}" or "def make(" in edit.text:
        return None
    text = HEAD + edit.text.replace("edited_", "elsewhere_")  # of operators
    before, after = (text.replace(GAP, filling) for filling in (edit.before, edit.after))
    return Edit(_ELSEWHERE, "", "", (before, after))


def visit(folder: Path, form: str, number: int) -> tuple[ModuleType, Any, tuple[Any, ...]]:
    """(the module, the target, its arguments)."""
    place = str(folder / form)
    if place not in sys.path:
        sys.path.insert(0, place)
    module = importlib.import_module(f"edited_{number}")
    torch.manual_seed(0)
    target = module.make() if hasattr(module, "make") else module.f
    args = module.args() if hasattr(module, "args") else (torch.arange(6.0).reshape(2, 3),)
    return module, target, args


def result(function: Any, args: tuple[Any, ...]) -> list[torch.Tensor]:
    """The output, and the gradient of the first argument where it has one."""
    output = function(*args)
    gradients = torch.autograd.grad(output.sum(), args[0]) if output.requires_grad and args[0].requires_grad else ()
    return [output.detach(), *gradients]


def leave(module: ModuleType) -> None:
    if hasattr(module, "done"):
        module.done()


def save(folder: Path, number: int) -> None:
    module, target, args = visit(folder, BEFORE, number)
    torch._dynamo.reset()
    compiled = coldframe.compile(target, backend=getattr(module, "backend", "eager"))
    try:
        result(compiled, args)
        coldframe.save(compiled, folder / f"{number}.cfp")
    finally:
        leave(module)


def refuse(text: str, folder: Path, number: int) -> str:
    """Returns why no package is made of a module of this text."""
    Edit(text, "", "").write(folder, number)
    try:
        save(folder, number)
    except coldframe.NotPortableError as error:
        return str(error)
    return "saved"


def serve(folder: Path, number: int, form: str) -> dict[str, Any]:
    """{"output", "misses"}, or {"refused"} with the message when the package cannot be loaded."""
    module, target, args = visit(folder, form, number)
    try:
        loaded = coldframe.load(folder / f"{number}.cfp", target)
    except coldframe.IncompatiblePackageError as error:
        return {"refused": str(error)}
    else:
        output = result(loaded, args)
        return {"output": output, "misses": [str(miss) for miss in coldframe.explain(loaded).misses]}
    finally:
        leave(module)


def plain(folder: Path, number: int) -> Any:
    """Returns the result of torch.compile alone after the edit."""
    module, target, args = visit(folder, AFTER, number)
    torch._dynamo.reset()
    output = result(torch.compile(target, backend=getattr(module, "backend", "eager")), args)
    leave(module)
    return output


def save_modules(folder: Path, names: list[str]) -> None:
    """Compiles and saves `f` of each module in `folder`."""
    sys.path.insert(0, str(folder))
    for name in names:
        compiled = coldframe.compile(importlib.import_module(name).f, backend="eager")
        compiled(torch.ones(()))
        coldframe.save(compiled, folder / f"{name}.cfp")


def serve_modules(folder: Path, names: list[str], package: str | None = None) -> dict[str, float]:
    """Returns `f(1)` of each module, served from its package, or from that of another."""
    sys.path.insert(0, str(folder))
    targets = {name: importlib.import_module(name).f for name in names}
    loaded = {name: coldframe.load(folder / f"{package or name}.cfp", f, on_miss="error") for name, f in targets.items()}
    return {name: loaded[name](torch.ones(())).item() for name in names}

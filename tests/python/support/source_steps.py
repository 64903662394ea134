"""The two processes of the tests on sources: each has the program's modules in a folder of its own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import torch

import coldframe


def targets(folder: Path, form: str, number: str) -> dict[str, Any]:
    place = str(folder / form)
    if place not in sys.path:
        sys.path.insert(0, place)
    module = importlib.import_module(f"source_program_{number}")
    return {"entry": module.entry, "net": module.Net()}


def save(folder: Path, form: str, number: str) -> None:
    for name, target in targets(folder, form, number).items():
        compiled = coldframe.compile(target, backend="eager")
        compiled(torch.arange(6.0))
        coldframe.save(compiled, folder / f"{number}.{name}.cfp")


def serve(folder: Path, form: str, number: str, ignore: bool = False, replace: str = "") -> dict[str, Any]:
    """Per target: its output, and that of eager under "<target> eager"; (class, message) of the error that loading raised.

    replace: the name of a function of the program in whose place another one is put first.
    """
    answer: dict[str, Any] = {}
    made = targets(folder, form, number)
    if replace:
        owner: Any = sys.modules[f"source_program_{number}"]
        *parents, last = replace.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, last, lambda *args: args[-1])
    x = torch.arange(6.0)
    for name, target in made.items():
        try:
            path = folder / f"{number}.{name}.cfp"
            loaded = coldframe.load(path, target, ignore_inlined_sources=ignore, on_miss="error")
        except coldframe.PackageError as error:
            answer[name] = (type(error).__name__, str(error))
        else:
            answer[name] = loaded(x)
            answer[f"{name} eager"] = target(x)
    return answer

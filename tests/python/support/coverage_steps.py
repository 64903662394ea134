"""The processes of a coverage program: one compiles and saves, one loads and serves, one runs without coldframe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import steps
import torch
from coverage_kit import printed

import coldframe


def prepared(case: str, backend: str) -> steps.Program:
    """The program, with that backend unless it is "own". Programs share code of torch.nn, and torch limits how often
    it compiles a code: what others left is thrown away."""
    torch._dynamo.reset()
    made = steps.program(case)
    if backend != "own":
        made.options = {**made.options, "backend": backend}
    return made


def wrapped(compile_: Callable[..., Any], made: steps.Program) -> Any:
    """Returns a callable each call of which refuses what torch.compile refuses when it wraps, so that it can be compared."""
    try:
        return compile_(made.target, **made.options)
    except Exception as error:
        refusal = error

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise refusal

        return refuse


def run(made: steps.Program, call: Any) -> Any:
    with printed() as text:
        outputs = steps.use(made, call)
    return {"outputs": outputs, "printed": text()}


def make(case: str, backend: str, path: Path) -> Any:
    """Compiles, runs and saves. {"run", "report", "refusal"}."""
    made = prepared(case, backend)
    compiled = wrapped(coldframe.compile, made)
    answer: dict[str, Any] = {"run": run(made, compiled), "report": None, "refusal": ""}
    try:
        answer["report"] = dataclasses.asdict(coldframe.save(compiled, path))
    except coldframe.PackageError as error:
        answer["refusal"] = f"{type(error).__name__}: {error}"
    return answer


def serve(case: str, path: Path, on_miss: str = "error") -> Any:
    """Loads and runs. {"run", "hosted", "imports", "explanation"}; None when there is no package."""
    if not path.exists():
        return None
    made = steps.program(case)
    loaded = coldframe.load(path, made.target, on_miss=on_miss)
    ran = run(made, loaded)
    explanation = coldframe.explain(loaded)
    return {
        "run": ran,
        "hosted": explanation.hosted_because,
        "imports": explanation.imports,
        "explanation": str(explanation),
    }


def plain(case: str, backend: str) -> Any:
    """Runs without coldframe. {"eager", "compiled"}."""
    made = prepared(case, backend)
    eager = run(made, made.target)
    again = prepared(case, backend)
    return {"eager": eager, "compiled": run(again, wrapped(torch.compile, again))}

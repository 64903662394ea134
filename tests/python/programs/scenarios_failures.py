"""Scenarios of defects: an error of the cache is counted and said, and the program runs as with plain torch.compile."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from scenario_support import EAGER, counted, same, strict, vector

import coldframe


def waved(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    torch._dynamo.graph_break()
    return y + 1


# Where a defect may sit; each of these raises.
PLACES = (
    "coldframe.torch.serve.native.Native._plan",
    "coldframe.torch.session.session.install",
    "coldframe.torch.fingerprint.acceptance.environment.check",
    "coldframe.torch.fingerprint.acceptance.sources.validate",
    "coldframe.torch.session.session.build",
    "coldframe.torch.capture.registry.Registry.view",
    "coldframe.torch.capture.package.shapes.tell",
    "coldframe.torch.capture.package.locate.find",
    "coldframe.torch.capture.frame.referenced_names",
    "coldframe.torch.capture.frame.Variant",
    "coldframe.torch.capture.listening.note_hits",
    "coldframe.torch.guards.record.Recording.finish",
    "coldframe.torch.guards.premises.Premises.add_to",
    "coldframe.torch.graphs.artifact_for",
    "coldframe.torch.graphs.restore",
    "coldframe.torch.capture.build.alone",
)
OF_CAPTURE = ("coldframe.torch.capture.", "coldframe.torch.graphs.artifact_for")


@contextlib.contextmanager
def broken(place: str) -> Iterator[mock.Mock]:
    fails = mock.Mock(side_effect=ZeroDivisionError(f"a defect in {place}"))
    with mock.patch(place, fails):
        yield fails


def use(path: Path) -> list[torch.Tensor]:
    torch._dynamo.reset()
    compiled = coldframe.compile(waved, package=path, **EAGER)
    return [compiled(vector(size)) for size in (6, 7, 6)]


def first_defects(folder: Path) -> None:
    use(folder / "good")
    for number, place in enumerate(PLACES):
        with strict("0"), broken(place), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fresh(use, folder / f"new-{number}")


def second_defects(folder: Path, made: Any) -> None:
    for place in PLACES:
        with strict("0"), broken(place) as defect, warnings.catch_warnings(), counted() as counts:
            warnings.simplefilter("ignore")
            fresh(use, folder / "good")
        assert counts["errors"] or counts["bypasses"] or counts["misses"] or not defect.called, place
    for number, _ in enumerate(PLACES):
        fresh(use, folder / f"new-{number}")


def fresh(use: Callable[[Path], list[torch.Tensor]], path: Path) -> None:
    outputs = use(path)
    for output, size in zip(outputs, (6, 7, 6), strict=True):
        assert same(output, waved(vector(size)))


def third_defects(folder: Path, made: Any) -> None:
    with strict("1"), broken("coldframe.torch.session.session.install"), broken(PLACES[0]), pytest.raises(ZeroDivisionError):
        use(folder / "good")
    for number, place in enumerate(place for place in PLACES if place.startswith(OF_CAPTURE)):
        raised = ""
        with strict("1"), broken(place) as defect:
            try:
                use(folder / f"strict-{number}")
            except Exception as error:
                raised = str(error)
        assert f"a defect in {place}" in raised or not defect.called, (place, raised)

"""Packages put together, and taken apart, for one process."""

from __future__ import annotations

import copy

from ... import _core
from .. import graphs
from ..capture.build import merge


def without(package: _core.Package, graph: str) -> _core.Package:
    """The package less the variants that call this graph, if it lacks its backward."""
    if not any(each.backend_id == graph and graphs.lacks_backward(each) for each in package.artifacts):
        return package
    new = copy.copy(package)
    codes = []
    for entry in package.codes:
        kept = copy.copy(entry)
        kept.guarded_codes = [guarded for guarded in entry.guarded_codes if graph not in guarded.backend_ids]
        codes.append(kept)
    new.codes = codes
    new.artifacts = [artifact for artifact in package.artifacts if artifact.backend_id != graph]
    return new


def for_other_calls(package: _core.Package) -> _core.Package:
    """The package less what it says of calls just like those that made it: that torch found nothing to compile in them."""
    new = copy.copy(package)
    new.codes = [
        each for each in package.codes if each.role == "resume" or each.guarded_codes or each.bypassed or not each.skipped
    ]
    return new


def beside(new: _core.Package, older: _core.Package) -> _core.Package:
    """Both in one, for this process, which each fits: one may be for another device. It demands all that either does."""
    both, first, second = copy.copy(new), new.environment, older.environment
    features = sorted({*first["cpu_features"], *second["cpu_features"]})
    both.environment = {**(first if second["device_type"] == "cpu" else second), "cpu_features": features}
    older = copy.copy(older)
    older.environment = both.environment
    merge(both, older)
    return both


def without_structure(package: _core.Package) -> _core.Package:
    given = package.environment
    settings = {name: value for name, value in given["settings"].items() if name != "structure"}
    package.environment = {**given, "settings": settings}
    return package

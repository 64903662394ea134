"""The compilations of this process, by code object.

Dynamo caches by code object, so the second callable of a function sees no compilation at all. Captures therefore go into one
registry; a package is a view of it. Records are keyed by the identity of the code object (code objects of equal text over
different globals compare equal) and keep it alive; they hold no function, module or tensor.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ... import _core
from ..fingerprint.sources import SourceSet
from ..seam.process import Lock

BackendKey = Any  # hashable: backend and options


@dataclass(eq=False)
class Caller:
    """A callable, as the one that compiled something."""

    codes: set[int] = field(default_factory=set)  # ids of what it compiled


@dataclass(eq=False)
class Variant:
    """One compilation of one code object, under the names that torch gave."""

    name: str  # tells it apart from others of this process
    dynamo_code: types.CodeType
    program: _core.GuardProgram
    backend: BackendKey
    caller: Caller
    backends: dict[str, Graph]  # by the name that torch gave
    resumes: dict[str, ResumeFunction]
    imports: dict[str, str]  # alias -> module
    recipes: dict[str, Any]  # installed global -> recipe
    sources: SourceSet
    device_type: str
    compile_seconds: float
    settings: dict[str, dict[str, Any]]  # of the compiler, under which it was made

    def graphs(self, record: CodeRecord) -> dict[str, Any]:
        """Returns what runs its graphs in this process, by their name in packages."""
        namespace = vars(sys.modules[record.module])
        return {graph.name: namespace[name].graph for name, graph in self.backends.items() if name in namespace}


@dataclass
class Graph:
    """A backend's form of a graph: an artifact, a pending one, or nothing that can be kept, for a reason."""

    name: str  # in packages
    artifact: Any
    reason: str = ""


@dataclass
class ResumeFunction:
    code: types.CodeType
    module: str
    skipped: bool = False  # torch never compiles it


@dataclass(eq=False)
class Bypass:
    """A compilation that cannot be kept."""

    reason: str
    backend: BackendKey
    caller: Caller
    names: frozenset[str]  # of its graphs, and its own


@dataclass
class CodeRecord:
    code: types.CodeType
    module: str
    role: str  # entry, resume or user_function
    variants: list[Variant] = field(default_factory=list)
    trivial: bool = False  # compiled to nothing: torch skips the code from now on, under whatever backend
    bypasses: list[Bypass] = field(default_factory=list)

    @property
    def portable_code(self) -> _core.CodeObject:
        return _core.CodeObject.portable(self.code)

    def bypassed(self, caller: Caller, used: set[str], backend: BackendKey) -> list[str]:
        """Returns the reasons why compilations of it that one callable made or ran (see Registry.view) are in no package."""
        own = (each for each in self.bypasses if each.backend == backend)
        return [each.reason for each in own if each.caller is caller or not used.isdisjoint(each.names)]


class Registry:
    """Thread-safe. `version` grows with every change, so that a view knows when it is stale."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._records: dict[int, CodeRecord] = {}
        self.version = 0

    def record(self, code: types.CodeType, module: str, role: str) -> CodeRecord:
        with self._lock:
            found = self._records.get(id(code))
            if found is None:
                found = self._records[id(code)] = CodeRecord(code, module, role)
            return found

    def find(self, code: types.CodeType) -> CodeRecord | None:
        return self._records.get(id(code))

    def changed(self) -> None:
        with self._lock:
            self.version += 1

    def changes(self, codes: set[int]) -> int:
        """Returns the number of records of these codes so far."""
        found = (self._records.get(key) for key in codes)
        return sum(len(r.variants) + r.trivial + len(r.bypasses) for r in found if r is not None)

    def view(self, caller: Caller, used: set[str], backend: BackendKey) -> Iterator[tuple[CodeRecord, list[Variant]]]:
        """Returns the variants that one callable compiled (`caller`) or hit (`used`: the names of the graphs, and of
        the variants without a graph, that it ran). A code object may serve many functions: a decorator's wrapper, say."""
        with self._lock:
            variants = [(key, v) for key, record in self._records.items() for v in record.variants if v.backend == backend]
            chosen: dict[int, list[Variant]] = {}
            reached = set(caller.codes)
            for key, variant in variants:
                if variant.caller is caller or not used.isdisjoint((variant.name, *variant.backends)):
                    chosen.setdefault(key, []).append(variant)
                    reached.update(id(resume.code) for resume in variant.resumes.values())
                    reached.update(k for k in variant.caller.codes if self._records[k].trivial)
            found = [(record, chosen.get(key, [])) for key, record in self._records.items() if key in reached or key in chosen]
        yield from found


registry = Registry()

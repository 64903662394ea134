"""What this process has compiled, by code object.

Dynamo caches by code object, so the second callable of a function sees no compilation at all. Captures therefore go into one
registry; a package is a view of it. Records are keyed by the identity of the code object (code objects of equal text over
different globals compare equal) and keep it alive; they hold no function, module or tensor.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ... import _core
from ..sources import SourceSet

BackendKey = Any  # hashable: backend and options


@dataclass
class Variant:
    """One compilation of one code object, under the names that torch gave."""

    dynamo_code: types.CodeType
    program: _core.GuardProgram
    backend: BackendKey
    backends: dict[str, Any]  # name -> backends.Captured
    resumes: dict[str, ResumeFunction]
    imports: dict[str, str]  # alias -> module
    recipes: dict[str, Any]  # installed global -> recipe
    sources: SourceSet
    device_type: str
    compile_seconds: float


@dataclass
class ResumeFunction:
    code: types.CodeType
    module: str
    skipped: bool = False  # torch never compiles it


@dataclass
class CodeRecord:
    code: types.CodeType
    module: str
    role: str  # entry, resume or user_function
    code_source: str
    variants: list[Variant] = field(default_factory=list)
    trivial: set[BackendKey] = field(default_factory=set)  # compiled under these, to nothing
    bypasses: list[str] = field(default_factory=list)


class Registry:
    """Thread-safe. `version` grows with every change, so that a view knows when it is stale."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._records: dict[int, CodeRecord] = {}
        self._groups: list[tuple[BackendKey, set[int]]] = []
        self.version = 0

    def record(self, code: types.CodeType, module: str, role: str, code_source: str) -> CodeRecord:
        with self._lock:
            found = self._records.get(id(code))
            if found is None:
                found = self._records[id(code)] = CodeRecord(code, module, role, code_source)
            return found

    def find(self, code: types.CodeType) -> CodeRecord | None:
        return self._records.get(id(code))

    def new_group(self, backend: BackendKey) -> set[int]:
        """The codes that one callable compiles (ids); the caller adds to it."""
        group: set[int] = set()
        with self._lock:
            self._groups.append((backend, group))
        return group

    def changed(self) -> None:
        with self._lock:
            self.version += 1

    def reachable(self, codes: set[int], backend: BackendKey) -> Iterator[CodeRecord]:
        """The records of `codes` and of whatever any callable with this backend compiled together with them."""
        with self._lock:
            reached = set(codes)
            grown = True
            while grown:
                grown = False
                for other, group in self._groups:
                    if other == backend and group & reached and not group <= reached:
                        reached |= group
                        grown = True
            records = [record for key, record in self._records.items() if key in reached]
        yield from records


registry = Registry()

"""A package's record of its sources and of the system that made it."""

from __future__ import annotations

import linecache
import platform
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from ... import _core
from ...errors import IncompatiblePackageError
from ..fingerprint.sources import SourceSet
from ..seam import symbols

_CHANGED = "Compile package was created with a different"


@dataclass(frozen=True)
class InlinedSource:
    """A function that was compiled into a package: its module, its lines then, and the semantic digest of its code in hex,
    which comments and moved lines do not change. `content` is the text of its module's file as it is now, if it is there."""

    module: str
    firstlineno: int
    lastlineno: int
    checksum: str
    content: str = field(default="", compare=False, repr=False)
    qualname: str = ""


def _text(module: str) -> str:
    file = getattr(sys.modules.get(module), "__file__", None)
    return "".join(linecache.getlines(file)) if isinstance(file, str) else ""


class SourceInfo:
    """The functions that were compiled into a package. `inlined_sources` is a set of InlinedSource."""

    def __init__(self, inlined_sources: Iterable[InlinedSource] = (), *, files: Iterable[_core.SourceFile] = ()) -> None:
        self._files = list(files)
        self._given = set(inlined_sources)
        self._added = SourceSet()

    def add_code(self, code: types.CodeType) -> None:
        """Adds the function of this code object; one without a file has no source to compare, and is left out."""
        if not isinstance(code, types.CodeType):
            raise TypeError(f"a code object is expected, not {type(code).__name__}")
        self._added.add(code)

    @property
    def files(self) -> list[_core.SourceFile]:
        return self._files + self._added.files()

    @property
    def inlined_sources(self) -> set[InlinedSource]:
        found = set(self._given)
        for file in self.files:
            for qualname, digest, first, last in file.functions:
                found.add(InlinedSource(file.module, first, last, digest.hex(), _text(file.module), qualname))
        return found

    def __eq__(self, other: object) -> bool:
        return self.inlined_sources == other.inlined_sources if isinstance(other, SourceInfo) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class SystemInfo:
    """The Python, torch and GPU of a system."""

    python_version: str
    torch_version: str
    toolkit_version: str | None = None
    triton_version: tuple[int, int] | None = None
    gpu_name: str | None = None

    CHECK_GPUS = ("cuda", "xpu")

    @classmethod
    def current(cls) -> SystemInfo:
        """Returns that of this process."""
        for device_type in cls.CHECK_GPUS:
            device = getattr(torch, device_type)
            if device.is_available():
                toolkit = getattr(torch.version, device_type)
                return cls(platform.python_version(), torch.__version__, toolkit, _triton(), device.get_device_name())
        return cls(platform.python_version(), str(torch.__version__), None, _triton(), None)

    @classmethod
    def of(cls, recorded: dict[str, Any]) -> SystemInfo:
        """Returns that of a package's environment."""
        device = recorded["device"]
        return cls(recorded["python_version"], recorded["torch_version"], device.get("toolkit"), _triton(), device.get("name"))

    def check_compatibility(self, other: SystemInfo, device_type: str = "cpu") -> None:
        """Raises IncompatiblePackageError when a package of this system may not run on `other`, naming the field and both
        values. The GPU counts only for packages of a GPU."""
        self._same("Python version", self.python_version, other.python_version)
        self._same("PyTorch version", self.torch_version, other.torch_version)
        if device_type not in self.CHECK_GPUS:
            return
        if not getattr(torch, device_type).is_available():
            raise IncompatiblePackageError(f"{device_type} is not available here, and the package was made for it")
        self._same("toolkit version", self.toolkit_version, other.toolkit_version)
        if other.triton_version not in (None, (0, 0)):
            self._same("Triton version", self.triton_version, other.triton_version)
        if other.gpu_name is not None:
            self._same("GPU", self.gpu_name, other.gpu_name)

    @staticmethod
    def _same(what: str, recorded: object, present: object) -> None:
        if recorded != present:
            raise IncompatiblePackageError(f"{_CHANGED} {what}: {recorded}; here it is {present}: compile again")


def _triton() -> tuple[int, int]:
    return tuple(symbols.module("torch.utils._triton").get_triton_version((0, 0)))[:2]

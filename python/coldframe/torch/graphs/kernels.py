"""Native kernels: the bytes that were loaded, and what they ask of the CPU.

The digest of each shared object is taken when Inductor loads it; what is packed must still have it, so a file that is changed
between the two is never saved. What a kernel asks of the CPU is noted when its source is written, under a key of which the host
is a part (`host`): whoever compiled it was allowed to use the same. Of any other kernel it is not known, and it is not packed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..._core import cpu_features, portable_library
from ...errors import NotPortableError
from ..fingerprint.environment import usable_cpu_features
from ..seam import aot
from ..seam.process import Lock


@dataclass(frozen=True)
class Target:
    """The vector ISA that Inductor picked, and every CPU feature that its compiler was allowed to use."""

    vec_isa: str
    features: frozenset[str]


_lock = Lock()
_loaded: dict[str, bytes] = {}  # path -> SHA-256 when it was loaded
_targets: dict[str, Target] = {}  # path without its suffix -> what it is compiled for

# What gcc -march=native uses by itself in code like Inductor's, by the kernel's names of it.
_COMPILER_USES = re.compile(
    r"^(pni|ssse3|sse4_1|sse4_2|sse4a|popcnt|abm|movbe|avx|avx2|avx_\w+|avx512\w*|f16c|fma|fma4|xop|tbm|bmi1|bmi2|gfni"
    r"|asimd\w*|sve\w*|bf16|i8mm|fp16|fphp|atomics|fcma)$"
)
_LEVELS = {
    "x86-64": "",
    "x86-64-v2": "cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3",
    "x86-64-v3": "cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3 abm avx avx2 bmi1 bmi2 f16c fma movbe",
    "x86-64-v4": "cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3 abm avx avx2 bmi1 bmi2 f16c fma movbe "
    "avx512f avx512bw avx512cd avx512dq avx512vl",
}
_FLAG_FEATURES = {"avx512bf16": "avx512_bf16", "avx512vnni": "avx512_vnni", "amx-tile": "amx_tile", "amx-int8": "amx_int8"}
_FLAG_FEATURES |= {"amx-bf16": "amx_bf16", "amx-fp16": "amx_fp16"}
_ISA_FLAGS = {"avx2": "-mavx2 -mfma -mf16c", "avx512": "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma"}


@dataclass
class KernelReport:
    """Facts about the kernels of one artifact."""

    count: int = 0
    uses_openmp: bool = False
    vec_isa: str = "none"
    features: set[str] = field(default_factory=set)

    def add(self, source: str, target: Target) -> None:
        self.count += 1
        self.uses_openmp = self.uses_openmp or "#pragma omp" in source
        self.vec_isa = target.vec_isa
        self.features |= target.features


def host() -> str:
    """Returns the facts that decide here which instructions -march=native and Inductor's choice of a vector ISA stand for."""
    usable = sorted(filter(_COMPILER_USES.match, cpu_features()))
    return f"{platform.machine()} {os.environ.get('ATEN_CPU_CAPABILITY', '')} {' '.join(usable)}"


def forbidden_flags() -> list[str]:
    """Returns the flags that rule out the instructions that ATEN_CPU_CAPABILITY does: -march=native knows nothing of it."""
    forbidden = set(cpu_features()) - usable_cpu_features()
    if sys.modules["torch._inductor.config"].cpp.march is not None or not forbidden:
        return []
    return ["mno-avx" if "avx" in forbidden else "mno-avx512f"]


def note_source(path: str) -> None:
    """Called when Inductor has written the source of a kernel, to compile it or to find it compiled."""
    target = _target()
    with _lock:
        _targets[os.path.splitext(path)[0]] = target


def note_loaded(path: str) -> None:
    """Called when Inductor loads a kernel. Never raises."""
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError:
        return
    with _lock:
        _loaded[path] = digest


def kernel_bytes(function: Any, where: str) -> tuple[bytes, str, Target]:
    """The shared object that a loaded kernel comes from, verified, without paths of this host, the name of its entry, and what
    it was compiled for."""
    module = getattr(function, "__self__", None)
    path, entry = getattr(module, "__file__", None), getattr(function, "__name__", "")
    if path is None or not entry:
        raise NotPortableError(f"{where}: not a native kernel but {function!r}")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise NotPortableError(f"{where}: the kernel's shared object is gone: {error}") from error
    with _lock:
        expected, target = _loaded.get(path), _targets.get(os.path.splitext(path)[0])
    if expected is None or target is None:
        raise NotPortableError(f"{where}: {path} was compiled before coldframe was there: for which CPUs is not known")
    if hashlib.sha256(data).digest() != expected:
        raise NotPortableError(f"{where}: {path} is not the file that was loaded any more")
    return without_paths(data, path), entry, target


def without_paths(library: bytes, path: str) -> bytes:
    """A kernel without debug info, and without the folders of sources whose assertions name their file: its own lies beside
    it."""
    headers = [os.path.dirname(torch.__file__), sysconfig.get_path("include"), "/usr/include", "/usr/lib"]
    return portable_library(library, [os.path.dirname(path), *headers])


def _target() -> Target:
    isa_module = aot.vec_isa()
    if isa_module.valid_vec_isa_list.cache_info().currsize:
        isa = isa_module.pick_vec_isa()
        picked, flags = (str(isa), isa.build_arch_flags()) if isa.bit_width() else ("none", "")
    else:  # asking Inductor would start a compiler: take what this CPU has
        picked = torch.backends.cpu.get_cpu_capability().lower()
        picked, flags = (picked, _ISA_FLAGS[picked]) if picked in _ISA_FLAGS else ("none", "")
    config = sys.modules["torch._inductor.config"]
    features = frozenset(_FLAG_FEATURES.get(flag, flag) for flag in re.findall(r"-m([\w-]+)(?=\s|$)", flags))
    if platform.machine() == "aarch64" and picked != "none":
        features = frozenset(picked.split())
    return Target(picked, features | _march_features(config.cpp.march))


def _march_features(march: str | None) -> frozenset[str]:
    if march == "":
        return frozenset()
    if march in _LEVELS:
        return frozenset(_LEVELS[march].split())
    return frozenset(filter(_COMPILER_USES.match, usable_cpu_features()))

"""Packages that coldframe._core makes without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import CodeType
from typing import Any

import coldframe
from coldframe import _core

CODE_DIGEST = hashlib.sha256(b"code").digest()
KERNEL = bytes(range(256)) * 64

ENVIRONMENT: dict[str, Any] = {
    "python_implementation": "cpython",
    "python_version": "3.11.7",
    "python_magic": "a70d0d0a",
    "soabi": "cpython-311-x86_64-linux-gnu",
    "torch_version": "2.13.0+cpu",
    "torch_git": "abc123",
    "device_type": "cpu",
    "machine": "x86_64",
    "libc": "glibc 2.36",
    "cpu_features": ["avx2", "fma"],
    "device": {},
    "settings": {"inductor.freezing": False},
}


def forward(x: int) -> Any:
    return lambda y: x + y


def code_of(function: Callable[..., Any]) -> CodeType:
    return function.__code__


def sample_package() -> _core.Package:
    guards = _core.GuardProgram()
    x = guards.add("framelocals", [0], ("x", 0), "L['x']")
    assert x is not None
    guards.add("type_match", [x], (_core.ImportRef("builtins", "int"),), "L['x']", ["type(L['x']) is int"])
    guards.add("equals_match", [x], ("\x1b[2J",), "L['x']", ["L['x'] == '\x1b[2J'"])
    code = _core.CodeObject.from_code(code_of(forward))
    entry = _core.CodeEntry(code, __name__, "entry")
    entry.function_names = ["forward"]
    entry.import_sources = {"__import_torch": "torch"}
    entry.installed_globals = {"__consts_0": _core.ImportRef("math", "pi")}
    entry.backend_ids = ["graph_0"]
    entry.guarded_codes = [_core.GuardedCode(guards, code, ["graph_0"], 1.5)]
    package = _core.Package()
    package.key = (__name__, "forward", CODE_DIGEST, CODE_DIGEST)
    package.environment = ENVIRONMENT
    package.sources = [_core.SourceFile(__name__, __file__, CODE_DIGEST, [("forward", CODE_DIGEST, 1, 2)])]
    package.codes = [entry]
    package.artifacts = [_core.Artifact("graph_0", "inductor_native", {"entry": "call"}, [_core.Blob("kernel.so", KERNEL)])]
    package.producer = f"coldframe {coldframe.__version__}"
    package.created = 1_700_000_000
    package.compile_seconds = 1.5
    return package


def package_named(name: str) -> _core.Package:
    package = sample_package()
    package.key = (package.key[0], name, *package.key[2:])
    noise = b"".join(hashlib.sha256(f"{name}{i}".encode()).digest() for i in range(400))
    package.artifacts = [*package.artifacts, _core.Artifact("graph_1", "inductor_native", None, [_core.Blob("k.so", noise)])]
    return package

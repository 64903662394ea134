"""The parts of a package under the names of the field: views of the core's objects, which hold the state."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ... import _core
from ...errors import InvalidArgumentError
from ..capture.build import PRODUCER
from ..fingerprint import environment
from .artifacts import BackendCacheArtifact, CompiledArtifact, as_artifact, log
from .code import SerializedCode
from .info import SourceInfo, SystemInfo


def _is(value: object, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{what}: {kind.__name__} is expected, not {type(value).__name__}")
    return value


class GuardedCodeCacheEntry:
    """One compilation of one code object: `guards_state`, the guard program in its canonical bytes, and `dynamo_code`.

    backend_ids: the graphs that the code calls; those that it names, when not given.
    """

    def __init__(
        self,
        guards_state: bytes,
        dynamo_code: SerializedCode,
        backend_ids: Iterable[str] | None = None,
        compile_seconds: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        program = _core.GuardProgram.from_bytes(_is(guards_state, bytes, "guards_state"))
        code = _is(dynamo_code, SerializedCode, "dynamo_code").core
        if backend_ids is None:
            backend_ids = [name for name in dynamo_code.co_names if name.startswith("__compiled_fn_")]
        self.core = _core.GuardedCode(program, code, list(backend_ids), compile_seconds, details)

    @classmethod
    def of(cls, core: _core.GuardedCode) -> GuardedCodeCacheEntry:
        made = cls.__new__(cls)
        made.core = core
        return made

    @property
    def guards_state(self) -> bytes:
        return self.core.guards.to_bytes()

    @property
    def dynamo_code(self) -> SerializedCode:
        return SerializedCode.of(self.core.dynamo_code)

    def __reduce__(self) -> Any:
        core = self.core
        state = (self.guards_state, self.dynamo_code, core.backend_ids, core.compile_seconds, core.details)
        return GuardedCodeCacheEntry, state


class DynamoCodeCacheEntry:
    """One code object that Dynamo compiled. Attributes may be assigned; lists are copies: assign a whole one to change it.

    install_to_global: a resume function, installed under `function_names`. has_compile_id: Dynamo has compiled it.
    code_source: how the code is found again ("target.forward.__code__"); None for resume functions.
    """

    def __init__(self, core: _core.CodeEntry) -> None:
        self.core = _is(core, _core.CodeEntry, "core")

    @property
    def python_code(self) -> SerializedCode:
        return SerializedCode.of(self.core.python_code)

    @property
    def python_module(self) -> str:
        return self.core.module

    @property
    def function_names(self) -> list[str]:
        if self.core.role == "user_function":
            return [self.python_code.co_qualname]
        return self.core.function_names

    @function_names.setter
    def function_names(self, names: list[str]) -> None:
        self.core.function_names = names

    @property
    def guarded_codes(self) -> list[GuardedCodeCacheEntry]:
        return [GuardedCodeCacheEntry.of(code) for code in self.core.guarded_codes]

    @guarded_codes.setter
    def guarded_codes(self, codes: Iterable[GuardedCodeCacheEntry]) -> None:
        self.core.guarded_codes = [code.core for code in codes]

    @property
    def import_sources(self) -> dict[str, str]:
        return self.core.import_sources

    @property
    def backend_ids(self) -> list[str]:
        return self.core.backend_ids

    @property
    def code_source(self) -> str | None:
        return self.core.code_source or None

    @property
    def install_to_global(self) -> bool:
        return self.core.role == "resume"

    @property
    def has_compile_id(self) -> bool:
        return bool(self.core.guarded_codes) or self.core.skipped or self.core.bypassed

    @property
    def bypassed(self) -> bool:
        return self.core.bypassed

    @bypassed.setter
    def bypassed(self, bypassed: bool) -> None:
        self.core.bypassed = bypassed

    @property
    def bypass_reason(self) -> str:
        return self.core.bypass_reason

    def without(self, missing: set[str]) -> _core.CodeEntry:
        """The entry less the compilations that need one of these backends; bypassed when none is left."""
        core = copy.copy(self.core)
        missing = missing & set(core.backend_ids)
        kept = [code for code in core.guarded_codes if missing.isdisjoint(code.backend_ids)]
        if len(kept) < len(core.guarded_codes):
            core.guarded_codes = kept
            core.backend_ids = [name for name in core.backend_ids if name not in missing]
            if not kept:
                core.bypassed = True
                core.bypass_reason = f"Backend {', '.join(sorted(missing))} is not found in the given backends"
        return core

    def __reduce__(self) -> Any:
        package = _core.Package()
        package.codes = [self.core]
        return _code_from_bytes, (package.to_bytes(),)


class DynamoCacheEntry:
    """All that Dynamo contributed to a package, without the backends. `package` is the core's object, which holds it."""

    def __init__(self, package: _core.Package) -> None:
        self.package = _is(package, _core.Package, "package")
        self._system_info: SystemInfo | None = None

    @property
    def codes(self) -> list[DynamoCodeCacheEntry]:
        """The function itself first."""
        return [DynamoCodeCacheEntry(core) for core in self.package.codes]

    @property
    def source_info(self) -> SourceInfo:
        return SourceInfo(files=self.package.sources)

    @property
    def device_type(self) -> str:
        return str(self.package.environment["device_type"])

    @property
    def system_info(self) -> SystemInfo:
        return self._system_info or SystemInfo.of(self.package.environment)

    @system_info.setter
    def system_info(self, info: SystemInfo) -> None:
        self._system_info = _is(info, SystemInfo, "system_info")
        versions = {"python_version": info.python_version, "torch_version": info.torch_version}
        self.package.environment = {**self.package.environment, **versions}

    @property
    def fn_name(self) -> str:
        return self.package.key[1]

    @property
    def fn_first_lineno(self) -> int | None:
        codes = self.codes
        return codes[0].python_code.co_firstlineno if codes else None

    @property
    def backend_ids(self) -> set[str]:
        return {name for code in self.codes for name in code.backend_ids}

    def check_versions(self) -> None:
        """Raises IncompatiblePackageError when the entry was made by another Python or torch, for instruction sets that this
        CPU lacks, or under other settings."""
        self.system_info.check_compatibility(SystemInfo.current(), self.device_type)
        environment.check(self.package.environment)

    def debug_info(self) -> dict[str, Any]:
        return {
            "num_codes": str(len(self.package.codes)),
            "fn_name": self.fn_name,
            "fn_first_lineno": self.fn_first_lineno,
            "device_type": self.device_type,
            "backend_ids": sorted(self.backend_ids),
        }

    def __reduce__(self) -> Any:
        return _from_bytes, (self.package.to_bytes(), self._system_info)


def _code_from_bytes(data: bytes) -> DynamoCodeCacheEntry:
    return DynamoCodeCacheEntry(_core.Package.from_bytes(data, "a pickled DynamoCodeCacheEntry").codes[0])


def _package_from_bytes(data: bytes) -> PrecompileCacheEntry:
    return PrecompileCacheEntry.of(_core.Package.from_bytes(data, "a pickled PrecompileCacheEntry"))


def copied(package: _core.Package) -> _core.Package:
    """A copy whose codes can be changed without changing those of the original."""
    copy_of = copy.copy(package)
    copy_of.codes = [copy.copy(code) for code in package.codes]
    return copy_of


def _from_bytes(data: bytes, system_info: SystemInfo | None) -> DynamoCacheEntry:
    entry = DynamoCacheEntry(_core.Package.from_bytes(data, "a pickled DynamoCacheEntry"))
    entry._system_info = system_info
    return entry


class PrecompileCacheEntry:
    """A whole package: `dynamo`, a DynamoCacheEntry, and `backends`, a BackendCacheArtifact for each backend id.

    Unpacks into the two.
    """

    def __init__(self, dynamo: DynamoCacheEntry, backends: Mapping[str, BackendCacheArtifact[Any]]) -> None:
        self.dynamo = _is(dynamo, DynamoCacheEntry, "dynamo")
        self.backends = dict(backends)

    @staticmethod
    def from_cache_entry(
        cache_entry: DynamoCacheEntry, backends: Mapping[str, BackendCacheArtifact[Any]]
    ) -> PrecompileCacheEntry:
        """The entry with those of `backends` that it needs. A compilation whose backend is missing is left out, and its code
        bypassed when no other is left; the rest of the entry serves."""
        missing = cache_entry.backend_ids - backends.keys()
        if missing:
            log.warning("%s: backends not found: %s", cache_entry.fn_name, ", ".join(sorted(missing)))
            cache_entry.package.codes = [code.without(missing) for code in cache_entry.codes]
        return PrecompileCacheEntry(cache_entry, {name: backends[name] for name in sorted(cache_entry.backend_ids)})

    @property
    def source_id(self) -> str:
        """The id of the function that it is of: see CompilePackage.source_id."""
        return _core.digest(self.dynamo.package.key[:3]).hex()

    def __iter__(self) -> Iterator[Any]:
        yield self.dynamo
        yield self.backends

    def __reduce__(self) -> Any:
        return _package_from_bytes, (self.to_package().to_bytes(),)

    def to_package(self) -> _core.Package:
        """As one package of the core, backends included. NotPortableError for a backend that cannot be written down;
        InvalidArgumentError for one that is missing."""
        package = copied(self.dynamo.package)
        for name in sorted(self.dynamo.backend_ids - self.backends.keys()):
            raise InvalidArgumentError(f"Backend {name} is not found in the given backends")
        package.artifacts = [as_artifact(self.backends[name]) for name in sorted(self.dynamo.backend_ids)]
        package.producer = package.producer or PRODUCER
        return package

    @staticmethod
    def of(package: _core.Package) -> PrecompileCacheEntry:
        """The view of a package of the core."""
        dynamo = copied(package)
        dynamo.artifacts = []
        backends = {artifact.backend_id: CompiledArtifact(artifact.backend_id, artifact) for artifact in package.artifacts}
        return PrecompileCacheEntry(DynamoCacheEntry(dynamo), backends)

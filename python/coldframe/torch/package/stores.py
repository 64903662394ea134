"""Stores of packages by key: in memory, or as .cfp files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ... import _core
from ...errors import (
    CorruptPackageError,
    IncompatiblePackageError,
    InvalidArgumentError,
    PackageError,
    PackageIOError,
    PackageNotFoundError,
)
from ..capture.build import merge
from ..capture.files import alone
from ..capture.package import CapturePackage
from ..seam import symbols
from ..seam.stats import stats
from . import megacache
from .artifacts import EagerCacheArtifact, log
from .compile_package import CompilePackage, check_function, source_id_from_fn
from .context import PrecompileContext
from .entries import DynamoCacheEntry, PrecompileCacheEntry

SUFFIX = ".cfp"


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Errors of the file system as PackageIOError, which says what was to be done."""
    try:
        yield
    except PackageError:
        raise
    except OSError as error:
        raise PackageIOError(f"cannot {what}: {error}") from error


class DynamoStore(ABC):
    """Stores packages by key. Subclasses give `write`, `read` and `clear`."""

    def record_package(self, package: CompilePackage) -> None:
        """Records what `package` has compiled to PrecompileContext, under its source id."""
        if not isinstance(package, CapturePackage):
            raise TypeError(f"a CompilePackage is expected, not {type(package).__name__}")
        if isinstance(package, CompilePackage) and not package.saves_itself:  # torch calls this after each compilation
            self._record(package)

    def _record(self, package: CompilePackage) -> None:
        PrecompileContext.record_dynamo_cache_entry(package.cache_entry(), package.source_id)

    def record_eager_backend(self, backend_id: str, backend: Any) -> None:
        """Records a graph, or any callable that can be found by name, as the backend of this id."""
        PrecompileContext.record_artifact(EagerCacheArtifact(backend_id, backend))

    def save_package(self, package: CompilePackage, key: str) -> None:
        """Records `package` and writes it under `key`, with its backends from PrecompileContext."""
        if not isinstance(package, CompilePackage):
            raise TypeError(f"a CompilePackage is expected, not {type(package).__name__}")
        self._record(package)
        self.save_cache_entry(package.cache_entry(), key)

    def save_cache_entry(self, cache_entry: DynamoCacheEntry, key: str) -> None:
        """Writes an entry with its backends from PrecompileContext. InvalidArgumentError when one was not recorded."""
        backends = {}
        for name in sorted(cache_entry.backend_ids):
            artifact = PrecompileContext.serialize_artifact_by_key(name)
            if artifact is None:
                raise InvalidArgumentError(f"Backend {name} is not found in the given backends")
            backends[name] = artifact
        self.write(PrecompileCacheEntry(cache_entry, backends), key)

    def load_cache_entry(self, key: str) -> PrecompileCacheEntry:
        """The package of this key; its backends are recorded to PrecompileContext. PackageNotFoundError."""
        entry = self.read(key)
        for artifact in entry.backends.values():
            PrecompileContext.record_artifact(artifact)
        return entry

    def load_package(self, fn: Any, key: str) -> tuple[CompilePackage, dict[str, Any]]:
        """The package of this key for `fn`, not yet installed, and the backends to install it with."""
        entry = self.load_cache_entry(key)
        return CompilePackage(fn, entry.dynamo), entry.backends

    @abstractmethod
    def clear(self) -> None:
        """Forgets every package."""

    @abstractmethod
    def write(self, cache_entry: PrecompileCacheEntry, path: str) -> None:
        """Puts a package under the key `path`."""

    @abstractmethod
    def read(self, path: str) -> PrecompileCacheEntry:
        """The package under the key `path`. PackageNotFoundError when there is none."""


class InMemoryDynamoStore(DynamoStore):
    """Packages in memory, in `packages` by key."""

    def __init__(self) -> None:
        self.packages: dict[str, PrecompileCacheEntry] = {}

    def clear(self) -> None:
        self.packages.clear()

    def write(self, cache_entry: PrecompileCacheEntry, path: str) -> None:
        self.packages[path] = PrecompileCacheEntry.of(cache_entry.to_package())

    def read(self, path: str) -> PrecompileCacheEntry:
        if path not in self.packages:
            raise PackageNotFoundError(f"No package found with key {path}")
        return self.packages[path]


class DiskDynamoStore(DynamoStore):
    """Packages as files, one `<key>.cfp` each under `path_prefix`: written atomically, merged when the key is there already.

    Without a prefix, a key is a path.
    """

    def __init__(self, path_prefix: str | os.PathLike[str] = "") -> None:
        self._path_prefix = os.fspath(path_prefix)

    def path_prefix(self) -> str:
        return self._path_prefix

    def path(self, key: str) -> Path:
        """The file of this key. InvalidArgumentError for a key that leads out of the prefix."""
        if not isinstance(key, (str, os.PathLike)):
            raise TypeError(f"key: a str is expected, not {type(key).__name__}")
        prefix, name = self.path_prefix(), os.fspath(key)
        if not name or "\0" in name or (prefix and (os.path.isabs(name) or ".." in Path(name).parts)):
            raise InvalidArgumentError(f"{name!r} is no key of a package in {prefix or 'the file system'!r}")
        return Path(prefix, name.removesuffix(SUFFIX) + SUFFIX)

    def clear(self) -> None:
        """Removes every package below the prefix, and nothing else. Without a prefix it does nothing."""
        if self.path_prefix():
            for file in Path(self.path_prefix()).rglob(f"*{SUFFIX}"):
                if not file.is_dir():
                    file.unlink(missing_ok=True)

    def write(self, cache_entry: PrecompileCacheEntry, path: str) -> None:
        """Also hands the package to torch.compiler.save_cache_artifacts. What is there and does not fit any more (damaged, or
        of another torch or source) is replaced. PackageIOError, NoSpaceError: what was there is intact."""
        self.put(cache_entry, path)
        megacache.record(cache_entry.source_id, self.path(path).read_bytes())

    def put(self, cache_entry: PrecompileCacheEntry, path: str) -> None:
        """As write, for this store alone."""
        file, package = self.path(path), cache_entry.to_package()
        with _explained(f"write {file}"):
            file.parent.mkdir(parents=True, exist_ok=True)
            with alone(file):
                if file.exists():
                    try:
                        merge(package, _core.Package.open(file))
                    except (CorruptPackageError, IncompatiblePackageError, InvalidArgumentError) as error:
                        log.info("%s is replaced: %s", file, error)
                package.write(file)
        stats.add(saves=1)

    def read(self, path: str) -> PrecompileCacheEntry:
        """CorruptPackageError, UntrustedPackageError and the like when the file must not be used."""
        file = self.path(path)
        with _explained(f"read {file}"):
            found = file.exists()
        if not found:
            raise PackageNotFoundError(f"No package found with key {os.fspath(path)}: there is no {file}")
        package = _core.Package.open(file)
        package.verify()
        return PrecompileCacheEntry.of(package)


class DiskDynamoCache(DiskDynamoStore):
    """A DiskDynamoStore that finds packages by their function. Counts hits, misses and errors in torch's
    `counters["dynamo_cache"]` and in coldframe.stats()."""

    def path_prefix(self) -> str:
        """The folder that was given, or `dynamo` in torch's cache directory as it is now."""
        if self._path_prefix:
            return self._path_prefix
        return os.path.join(symbols.module("torch._inductor.runtime.cache_dir_utils").cache_dir(), "dynamo")

    def save(self, package: CompilePackage) -> None:
        """Writes `package` under its source id. A frame whose backend was not recorded is bypassed."""
        self._record(package)
        entry = PrecompileCacheEntry.from_cache_entry(package.cache_entry(), PrecompileContext._backend_artifacts_by_key)
        self.write(entry, package.source_id)

    def load(self, fn: Callable[..., Any]) -> PrecompileCacheEntry | None:
        """The package of this function; None when there is none, or none that may be used: that is counted and logged."""
        counters = symbols.module("torch._dynamo.utils").counters["dynamo_cache"]
        try:
            key = source_id_from_fn(fn)
            entry = self.load_cache_entry(key)
            entry.dynamo.check_versions()
            check_function(fn, entry.dynamo.package)
        except PackageNotFoundError:
            counters["dynamo_cache_miss"] += 1
            stats.count_miss("not_found")
            return None
        except (PackageError, OSError) as error:
            counters["dynamo_cache_error"] += 1
            stats.count_miss(getattr(error, "code", "io"))
            log.warning("the package of %s is not used: %s", getattr(fn, "__qualname__", fn), error)
            return None
        counters["dynamo_cache_hit"] += 1
        PrecompileContext.record_dynamo_cache_entry(entry.dynamo, key)  # torch.compiler.save_cache_artifacts has it, too
        return entry

    def load_and_install_package(self, fn: Callable[..., Any]) -> CompilePackage | None:
        """Loads and installs the package of `fn`, for as long as the result or `fn` lives; None as in `load`.

        SourceChangedError when a function that was compiled into it has changed.
        """
        entry = self.load(fn)
        if entry is None:
            return None
        package = CompilePackage(fn, entry.dynamo)
        package.install(entry.backends)
        package.keep_with(fn)
        return package


DynamoCache = DiskDynamoCache()
PrecompileContext.cache = megacache.PackageCacheArtifact.cache = DynamoCache

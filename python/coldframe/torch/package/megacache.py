"""Packages in the byte blobs of torch.compiler.save_cache_artifacts and load_cache_artifacts."""

from __future__ import annotations

from typing import Any, ClassVar

from torch.compiler import _cache

from ... import _core
from ..seam import symbols
from ..seam.patches import Patches
from .artifacts import log
from .entries import PrecompileCacheEntry


class PackageCacheArtifact(_cache.CacheArtifact):
    """One package: `content` is a whole .cfp file, `key` its key in DynamoCache."""

    cache: ClassVar[Any] = None  # DynamoCache, once that is made

    @staticmethod
    def type() -> str:
        return "precompile_dynamo"

    def populate_cache(self) -> None:
        """Puts the package into DynamoCache, beside what is there already. A damaged one is logged and left out."""
        try:
            package = _core.Package.from_bytes(self.content, f"package {self.key}")
            package.verify()
            self.cache.put(PrecompileCacheEntry.of(package), self.key)
        except Exception:
            log.warning("the package %s was not loaded", self.key, exc_info=True)


# torch's own packages are filed under another name. Where torch says what a blob carries, ours are packages, too.
_TORCHS = symbols.module("torch._dynamo.package").PrecompileCacheArtifact.type()
_patches = Patches("megacache")


def _packages(info: _cache.CacheInfo) -> list[str]:
    return [key for kind in (_TORCHS, PackageCacheArtifact.type()) for key in info.artifacts.get(kind, ())]


def install() -> None:
    """Makes torch know packages among its cache artifacts; once."""
    with _patches.once() as needed:
        if needed:
            kind = PackageCacheArtifact.type()
            _patches.replace(_cache.CacheInfo, f"{_TORCHS}_artifacts", property(_packages))
            _patches.replace(_cache.CacheInfo, f"{kind}_artifacts", property(lambda info: info.artifacts[kind]))
            known = _cache.CacheArtifactFactory._artifact_types
            known[kind] = PackageCacheArtifact
            _patches.add(f"torch.compiler._cache.CacheArtifactFactory._artifact_types[{kind!r}]", lambda: known.pop(kind))


def record(key: str, data: bytes) -> None:
    """Makes torch.compiler.save_cache_artifacts carry this package, in place of an earlier one of this key."""
    manager = _cache.CacheArtifactManager
    kind = PackageCacheArtifact.type()
    fresh = manager._new_cache_artifacts
    fresh[kind] = [artifact for artifact in fresh[kind] if artifact.key != key]
    for artifact in [a for a in manager._seen_artifacts if a.type() == kind and a.key == key]:
        manager._seen_artifacts.discard(artifact)
    manager.record_artifact(kind, key, data)


def serialize(packages: dict[str, bytes]) -> tuple[bytes, Any] | None:
    manager = _cache.CacheArtifactManager
    with manager.with_fresh_cache():
        for key, data in packages.items():
            manager.record_artifact(PackageCacheArtifact.type(), key, data)
        return manager.serialize()


install()

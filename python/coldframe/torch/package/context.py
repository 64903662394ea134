"""PrecompileContext: the compilations of this process for packages."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

from ...errors import InvalidArgumentError
from . import megacache
from .artifacts import BackendCacheArtifact, CompiledArtifact, log
from .entries import DynamoCacheEntry, PrecompileCacheEntry


class PrecompileContext:
    """The Dynamo entries and the backends that this process has recorded, until they are stitched together and saved.

    Class methods alone: there is one context a process. Guarded by Dynamo's compile lock, as torch's is.
    """

    _backend_artifacts_by_key: ClassVar[dict[str, BackendCacheArtifact[Any]]] = {}
    _dynamo_cache_entries: ClassVar[dict[str, DynamoCacheEntry]] = {}
    cache: ClassVar[Any] = None  # DynamoCache, once that is made

    @classmethod
    def clear(cls) -> None:
        cls._backend_artifacts_by_key.clear()
        cls._dynamo_cache_entries.clear()

    @classmethod
    def record_artifact(cls, artifact: BackendCacheArtifact[Any]) -> None:
        """Records a backend by its key: later changes of the artifact's object do not show. TypeError for anything else."""
        if not isinstance(getattr(artifact, "key", None), str) or not hasattr(artifact, "after_deserialization"):
            raise TypeError(f"a BackendCacheArtifact is expected, not {type(artifact).__name__}")
        cls._backend_artifacts_by_key[artifact.key] = (
            copy.copy(artifact) if isinstance(artifact, CompiledArtifact) else copy.deepcopy(artifact)
        )

    @classmethod
    def record_dynamo_cache_entry(cls, cache_entry: DynamoCacheEntry, key: str) -> None:
        if not isinstance(cache_entry, DynamoCacheEntry):
            raise TypeError(f"a DynamoCacheEntry is expected, not {type(cache_entry).__name__}")
        cls._dynamo_cache_entries[key] = cache_entry

    @classmethod
    def edit_artifact(cls, key: str, edit_fn: Callable[..., Any]) -> None:
        """Replaces the content of the artifact `key` by edit_fn(content). InvalidArgumentError when there is none."""
        if key not in cls._backend_artifacts_by_key:
            raise InvalidArgumentError(f"Key {key} not found in artifacts")
        cls._backend_artifacts_by_key[key].edit_contents(edit_fn)

    @classmethod
    def serialize_artifact_by_key(cls, key: str) -> BackendCacheArtifact[Any] | None:
        """The backend artifact with this key; None when there is none."""
        return cls._backend_artifacts_by_key.get(key)

    @classmethod
    def create_cache_entries(cls) -> tuple[dict[str, PrecompileCacheEntry], dict[str, Any]]:
        """Every recorded Dynamo entry with its backends, by key, and what they are for people: `dynamo`, a dict for each entry,
        and `backends`, the ids. A frame whose backend was not recorded is bypassed."""
        debug = cls.dump_debug_info(cls._dynamo_cache_entries, cls._backend_artifacts_by_key)
        made = {}
        for key, entry in cls._dynamo_cache_entries.items():
            try:
                made[key] = PrecompileCacheEntry.from_cache_entry(entry, cls._backend_artifacts_by_key)
            except Exception:
                log.warning("no package could be made of %s", key, exc_info=True)
        return made, debug

    @staticmethod
    def dump_debug_info(
        dynamo_entries: dict[str, DynamoCacheEntry], backend_artifacts: dict[str, BackendCacheArtifact[Any]]
    ) -> dict[str, Any]:
        info: dict[str, Any] = {"dynamo": [], "backends": list(backend_artifacts)}
        for key, entry in dynamo_entries.items():
            info["dynamo"].append({**entry.debug_info(), "key": key})
        return info

    @classmethod
    def save_to_dynamo_cache(cls) -> dict[str, Any]:
        """Writes every entry to DynamoCache; what create_cache_entries says of them. One that cannot be written is logged and
        left out; `failed` has the error by its key."""
        made, debug = cls.create_cache_entries()
        for key, entry in made.items():
            try:
                cls.cache.write(entry, key)
            except Exception as error:
                debug.setdefault("failed", {})[key] = str(error)
                log.warning("the package of %s could not be saved", key, exc_info=True)
        return debug

    @classmethod
    def serialize(cls) -> tuple[bytes, Any] | None:
        """Every entry as bytes for torch.compiler.load_cache_artifacts, and torch's CacheInfo of them; None without any. One
        that cannot be written is logged and left out."""
        packages = {}
        for key, entry in cls.create_cache_entries()[0].items():
            try:
                packages[key] = entry.to_package().to_bytes()
            except Exception:
                log.warning("the package of %s cannot be written", key, exc_info=True)
        return megacache.serialize(packages)

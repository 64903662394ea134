"""The compile-package API of the field under its own names, on coldframe's packages.

Code written against `torch._dynamo.package` and `torch._dynamo.precompile_context` runs on coldframe by changing the import:

    from coldframe.package import CompilePackage, DiskDynamoStore

    package = CompilePackage(fn)
    torch._dynamo.optimize("inductor", package=package)(fn)(x)
    DiskDynamoStore("packages").save_package(package, "fn")

    package, backends = DiskDynamoStore("packages").load_package(fn, "fn")       # in another process
    package.install(backends)

What differs: no guard is dropped, every byte is verified, and errors are classes of coldframe.errors, all RuntimeErrors.
"""

from __future__ import annotations

from .torch.package.artifacts import BackendCacheArtifact, EagerCacheArtifact
from .torch.package.code import SerializedCode
from .torch.package.compile_package import CompilePackage
from .torch.package.context import PrecompileContext
from .torch.package.default import install_as_torch_default, uninstall_as_torch_default
from .torch.package.entries import (
    DynamoCacheEntry,
    DynamoCodeCacheEntry,
    GuardedCodeCacheEntry,
    PrecompileCacheEntry,
)
from .torch.package.entries import DynamoCacheEntry as _DynamoCacheEntry
from .torch.package.entries import DynamoCodeCacheEntry as _DynamoCodeCacheEntry
from .torch.package.entries import GuardedCodeCacheEntry as _GuardedCodeCacheEntry
from .torch.package.info import InlinedSource, SourceInfo, SystemInfo
from .torch.package.megacache import PackageCacheArtifact
from .torch.package.megacache import PackageCacheArtifact as PrecompileCacheArtifact
from .torch.package.stores import DiskDynamoCache, DiskDynamoStore, DynamoCache, DynamoStore, InMemoryDynamoStore

__all__ = [
    "BackendCacheArtifact",
    "CompilePackage",
    "DiskDynamoCache",
    "DiskDynamoStore",
    "DynamoCache",
    "DynamoCacheEntry",
    "DynamoCodeCacheEntry",
    "DynamoStore",
    "EagerCacheArtifact",
    "GuardedCodeCacheEntry",
    "InMemoryDynamoStore",
    "InlinedSource",
    "PackageCacheArtifact",
    "PrecompileCacheArtifact",
    "PrecompileCacheEntry",
    "PrecompileContext",
    "SerializedCode",
    "SourceInfo",
    "SystemInfo",
    "_DynamoCacheEntry",
    "_DynamoCodeCacheEntry",
    "_GuardedCodeCacheEntry",
    "install_as_torch_default",
    "uninstall_as_torch_default",
]

"""Backends of a package: what each graph was compiled to, by backend id."""

from __future__ import annotations

import logging
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ... import _core
from ...errors import CorruptPackageError, InvalidArgumentError, NotPortableError
from .. import graphs

T = TypeVar("T")
log = logging.getLogger("coldframe.package")

TORCH_ARTIFACT = "torch_backend_artifact"  # an artifact of another class, which only pickle can write


class BackendCacheArtifact(ABC, Generic[T]):
    """The compiled form of one graph. `key` is its backend id; `content` depends on the class.

    Subclasses give `after_deserialization`: the compiled callable. An artifact of a class of your own goes into a package by
    pickle; those of coldframe do not.
    """

    def __init__(self, key: str, content: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"key: a str is expected, not {type(key).__name__}")
        self.key = key
        self.content = content

    @abstractmethod
    def after_deserialization(self) -> T:
        """Returns what the Dynamo bytecode calls."""

    def edit_contents(self, edit_fn: Callable[..., Any]) -> None:
        """Replaces the content by `edit_fn(content)`."""
        self.content = edit_fn(self.content)

    def to_artifact(self) -> _core.Artifact:
        """As the core keeps it. NotPortableError when it cannot be written down."""
        return pickled(self.key, self)


class CompiledArtifact(BackendCacheArtifact[Callable[..., Any]]):
    """The artifact of a backend of coldframe's: Inductor's kernels and wrapper, for example. `content` is the core's Artifact
    as it is now; that of a training graph grows when its backward is compiled."""

    def __init__(self, key: str, content: Any) -> None:
        super().__init__(key, content)

    def after_deserialization(self) -> Callable[..., Any]:
        artifact = self.to_artifact()
        if artifact.kind == TORCH_ARTIFACT:
            (blob,) = artifact.blobs
            made: Callable[..., Any] = pickle.loads(blob.read()).after_deserialization()
            return made
        return graphs.restore(artifact)

    def edit_contents(self, edit_fn: Callable[..., Any]) -> None:
        self.content = edit_fn(self.to_artifact())

    def to_artifact(self) -> _core.Artifact:
        content = self.content
        if isinstance(content, graphs.Pending):
            content = content.snapshot()
        if not isinstance(content, _core.Artifact):
            raise InvalidArgumentError(f"{self.key}: an Artifact is expected, not {type(content).__name__}")
        return _core.Artifact(self.key, content.kind, content.recipe, content.blobs)

    def __copy__(self) -> CompiledArtifact:
        return CompiledArtifact(self.key, self.content)

    def __reduce__(self) -> Any:
        package = _core.Package()
        package.artifacts = [self.to_artifact()]
        return _from_bytes, (self.key, package.to_bytes())

    @property
    def lacks_backward(self) -> bool:
        return graphs.lacks_backward(self.to_artifact())


class EagerCacheArtifact(BackendCacheArtifact[Any]):
    """The graph itself, as the backends `eager` and `aot_eager` leave it, or any callable that can be found by name."""

    @staticmethod
    def type() -> str:
        return "precompile_eager"

    def after_deserialization(self) -> Any:
        return self.content

    def to_artifact(self) -> _core.Artifact:
        made = graphs.artifact_for(self.key, self.content, "eager")
        return made.snapshot() if isinstance(made, graphs.Pending) else made


def _from_bytes(key: str, data: bytes) -> CompiledArtifact:
    return CompiledArtifact(key, _core.Package.from_bytes(data, "a pickled CompiledArtifact").artifacts[0])


def as_artifact(artifact: Any) -> _core.Artifact:
    """Returns what the core keeps of a backend artifact, of coldframe's classes or of torch's. NotPortableError."""
    made = artifact.to_artifact() if isinstance(artifact, BackendCacheArtifact) else pickled(artifact.key, artifact)
    assert isinstance(made, _core.Artifact)
    return made


def pickled(key: str, artifact: Any) -> _core.Artifact:
    """An artifact of a class that coldframe does not know, by pickle."""
    try:
        data = pickle.dumps(artifact)
        if not callable(getattr(pickle.loads(data), "after_deserialization", None)):
            raise CorruptPackageError("it has no after_deserialization() when it is read back")
    except Exception as error:
        raise NotPortableError(f"backend {key}: {type(artifact).__qualname__} cannot be pickled: {error}") from error
    return _core.Artifact(key, TORCH_ARTIFACT, {"format": 1}, [_core.Blob(f"{key}.pickle", data)])

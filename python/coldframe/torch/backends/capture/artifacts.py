"""The artifact of one graph, complete at once or, for a training graph, growing when its backward is compiled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ...._core import Artifact, digest
from ....errors import NotPortableError
from ..kinds import AOT_AUTOGRAD_BUNDLE, INDUCTOR_NATIVE, PRECOMPILE_EAGER, RECIPE_FORMAT, find_kind_for_backend
from .callables import encode_callable
from .hooks import when_backward_compiles
from .training import add_traced_backward, backward_identity, set_backward
from .values import Encoder


class Pending:
    """A training graph whose backward torch compiles when backward() first runs.

    `pending` until then; `failure` says why a backward that was compiled could not be captured; `snapshot()` gives the artifact
    as it is now, without the backward or with it; `identity` does not change with it. `on_backward` is called when the backward
    was compiled. Thread-safe: the backward is compiled on a thread of autograd's.
    """

    def __init__(self, encoder: Encoder, root: dict[str, Any], backward: bytes) -> None:
        self.backend_id = encoder.backend_id
        self.pending = True
        self.failure: str | None = None
        self._encoder = encoder
        self._root = root
        self._lock = threading.Lock()
        self.identity = digest((identity(self.snapshot()), backward))
        self.on_backward: Callable[[], None] | None = None

    def snapshot(self) -> Artifact:
        with self._lock:
            return _artifact(self._encoder, self._root)

    def backward_compiled(self, compiler: Any) -> None:
        """Called by the listener in torch, with torch's compiler of this graph's backward."""
        with self._lock:
            self.pending = False
            node = self._encoder.autograd_node
            assert node is not None
            try:
                set_backward(self._encoder, node, compiler.fw_metadata, compiler.compiled_bw, self.backend_id)
            except NotPortableError as error:
                self.failure = str(error)
        if self.on_backward is not None:
            self.on_backward()


def identity(captured: Artifact | Pending) -> bytes:
    """A digest of what was compiled: equal in every process that compiles the same."""
    if isinstance(captured, Pending):
        return captured.identity
    return digest((captured.kind, captured.recipe, [blob.digest for blob in captured.blobs]))


def artifact_for(backend_id: str, compiled_fn: object, backend: str | Callable[..., Any]) -> Artifact | Pending:
    kind = find_kind_for_backend(backend)
    if kind is not None:
        recipe, blobs = kind.serialize(backend_id, compiled_fn)
        return Artifact(backend_id, kind.name, recipe, blobs)
    encoder = Encoder(backend_id, encode_callable)
    try:
        root = encoder.node(compiled_fn, backend_id)
    except NotPortableError:
        raise
    except Exception as error:
        raise NotPortableError(f"{backend_id}: {type(error).__name__} while capturing: {error}") from error
    compiler = encoder.backward_compiler
    if compiler is None:
        return _artifact(encoder, root)
    encoder.backward_compiler = None
    pending = Pending(encoder, root, backward_identity(compiler))
    add_traced_backward(encoder, compiler)
    when_backward_compiles(compiler, pending)
    return pending


def _artifact(encoder: Encoder, root: dict[str, Any]) -> Artifact:
    kernels, node = encoder.kernels, encoder.autograd_node
    report = {
        "uses_openmp": kernels.uses_openmp,
        "cpu_features": sorted(kernels.features),
        "vec_isa": kernels.vec_isa,
        "device_type": "cpu" if encoder.uses_inductor else "any",
        "kernels": kernels.count,
        "imports": sorted(encoder.imports),
        "backward": "none" if node is None else "missing" if node["backward"] is None else "compiled",
        "opaque": list(encoder.opaque),
    }
    recipe = {"format": RECIPE_FORMAT, "root": root, "report": report}
    return Artifact(encoder.backend_id, _kind(encoder), recipe, list(encoder.blobs.values()))


def _kind(encoder: Encoder) -> str:
    if not encoder.uses_inductor:
        return PRECOMPILE_EAGER
    return AOT_AUTOGRAD_BUNDLE if encoder.opaque else INDUCTOR_NATIVE

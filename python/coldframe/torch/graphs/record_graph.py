"""The artifact of one graph, complete at once or, for a training graph, growing when its backward is compiled.

A recipe is {"format": 1, "root": node, "report": facts}, in Values only; bytes lie in blobs that it names.

A *node* is a dict that describes one callable, `node["node"]` saying which: a wrapper around another node (`forward`,
`runtime_wrapper`, `hooks_disabled`, `deduplicated`, `boxed`, `selected`, `torch_function_disabled`), code that AOTAutograd
generated (`generated`: code and globals), a compiled graph (`inductor`: code, kernels, constants; `fx`: code and attributes)
or a training graph (`native_autograd`, `autograd`: nodes of forward and backward, the latter None until it has been
compiled).

A *value* inside a node is written as itself where a Value can hold it; what cannot is a dict with a tag under "$": `dict`,
`tensor` (a blob), `callable` (a node), `stand_in` (a function of torch that stand_ins.py has too), `view_sequence`, `tangent`,
`state` (a dataclass of AOTAutograd) and, last, `pickle` (a blob, opened once its digest is verified).

Blobs: `kernel.*` the shared objects, `tensor.*`, `pickle.*`, and `source.*`, the wrapper with its C++ kernels, for readers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._core import Artifact, digest
from ...errors import NotPortableError
from ..seam.process import Lock
from .kinds import AOT_AUTOGRAD_BUNDLE, INDUCTOR_NATIVE, PRECOMPILE_EAGER, RECIPE_FORMAT, find_kind_for_backend
from .listener import when_backward_compiles
from .record_callables import encode_callable
from .record_fx import is_split
from .record_training import add_traced_backward, backward_identity, set_backward
from .record_values import Encoder


class Pending:
    """A training graph whose backward torch compiles when backward() first runs; a split one has a backward for each part.

    `pending` until all are compiled; `failure` says why one that was compiled could not be captured; `snapshot()` gives the
    artifact as it is now, without the backward or with it; `identity` does not change with it. `on_backward` is called when the
    last was compiled. Thread-safe: the backward is compiled on a thread of autograd's.
    """

    def __init__(self, encoder: Encoder, root: dict[str, Any]) -> None:
        self.backend_id = encoder.backend_id
        self.failure: str | None = None
        self._encoder = encoder
        self._root = root
        self._lock = Lock()
        self.identity = digest((identity(self.snapshot()), *(backward_identity(compiler) for compiler, _ in encoder.backwards)))
        self.on_backward: Callable[[], None] | None = None
        self._missing = {id(compiler): node for compiler, node in encoder.backwards}
        for compiler, node in encoder.backwards:
            add_traced_backward(encoder, node, compiler)
            when_backward_compiles(compiler, self)
        encoder.backwards.clear()

    @property
    def pending(self) -> bool:
        return bool(self._missing)

    def snapshot(self) -> Artifact:
        with self._lock:
            return _artifact(self._encoder, self._root)

    def backward_compiled(self, compiler: Any) -> None:
        """Called by the listener in torch, with torch's compiler of this graph's backward."""
        with self._lock:
            try:
                node = self._missing[id(compiler)]
                set_backward(self._encoder, node, compiler.fw_metadata, compiler.compiled_bw, self.backend_id)
            except NotPortableError as error:
                self.failure = str(error)
            del self._missing[id(compiler)]
        if self.on_backward is not None and not self.pending:
            self.on_backward()


def identity(captured: Artifact | Pending) -> bytes:
    """A digest of what was compiled: equal in every process that compiles the same."""
    if isinstance(captured, Pending):
        return captured.identity
    return digest((captured.kind, captured.recipe, [blob.digest for blob in captured.blobs]))


def artifact_for(backend_id: str, compiled_fn: object, backend: str | Callable[..., Any]) -> Artifact | Pending:
    kind = find_kind_for_backend(backend)
    if kind is not None:
        if is_split(compiled_fn):
            raise NotPortableError(f"{backend_id}: torch's DDPOptimizer split it, and {kind.name!r} saves whole graphs")
        recipe, blobs = kind.serialize(backend_id, compiled_fn)
        return Artifact(backend_id, kind.name, recipe, blobs)
    encoder = Encoder(backend_id, encode_callable)
    try:
        root = encoder.node(compiled_fn, backend_id)
    except NotPortableError:
        raise
    except Exception as error:
        raise NotPortableError(f"{backend_id}: {type(error).__name__} while capturing: {error}") from error
    return Pending(encoder, root) if encoder.backwards else _artifact(encoder, root)


def without_torch_function(captured: Artifact | Pending | None) -> Artifact:
    if not isinstance(captured, Artifact) or not isinstance(captured.recipe, dict) or "root" not in captured.recipe:
        raise NotPortableError("a graph over tensor subclasses with __torch_function__ and a backward, or of a foreign kind")
    root = {"node": "torch_function_disabled", "inner": captured.recipe["root"]}
    return Artifact(captured.backend_id, captured.kind, {**captured.recipe, "root": root}, captured.blobs)


def _artifact(encoder: Encoder, root: dict[str, Any]) -> Artifact:
    kernels, nodes = encoder.kernels, encoder.autograd_nodes
    missing = any(node["backward"] is None for node in nodes)
    report = {
        "uses_openmp": kernels.uses_openmp,
        "cpu_features": sorted(kernels.features),
        "vec_isa": kernels.vec_isa,
        "device_type": "cpu" if encoder.uses_inductor else "any",
        "kernels": kernels.count,
        "imports": sorted(encoder.imports),
        "backward": "missing" if missing else "compiled" if nodes else "none",
        "opaque": list(encoder.opaque),
    }
    recipe = {"format": RECIPE_FORMAT, "root": root, "report": report}
    return Artifact(encoder.backend_id, _kind(encoder), recipe, list(encoder.blobs.values()))


def _kind(encoder: Encoder) -> str:
    if not encoder.uses_inductor:
        return PRECOMPILE_EAGER
    return AOT_AUTOGRAD_BUNDLE if encoder.opaque else INDUCTOR_NATIVE

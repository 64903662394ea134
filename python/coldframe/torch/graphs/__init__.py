"""Backends: what a graph was compiled to, as an artifact, and back to a callable in another process.

    with capturing():
        ...                                                     # Dynamo compiles, and in CompilePackage.add_backend_id:
        captured = artifact_for(backend_id, compiled_fn, "inductor")
    artifact = captured.snapshot() if isinstance(captured, Pending) else captured
    compiled_fn = restore(artifact)                             # in another process: no compiler, no cache directory

Capture reads the closures that torch built around the compiled graph and writes down what each one does; nothing of torch's
compilation is changed. Restore imports neither Dynamo nor Inductor for inference; `describe` says what an artifact needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .kinds import BackwardNotCompiledError, RestoreContext, register_artifact_kind, unregister_artifact_kind

if TYPE_CHECKING:
    from ..._core import Artifact
    from .record_graph import Pending

__all__ = [
    "BackwardNotCompiledError",
    "Pending",
    "RestoreContext",
    "artifact_for",
    "capturing",
    "describe",
    "identity",
    "is_named_by_content",
    "lacks_backward",
    "name_by_content",
    "register_artifact_kind",
    "restore",
    "unregister_artifact_kind",
    "without_torch_function",
]


@contextlib.contextmanager
def capturing(backend: str | Callable[..., Any] = "inductor") -> Iterator[None]:
    """Around a compilation by `backend` whose graphs will be captured. Installs the listeners on first use; they stay, and
    cost a hash for each native kernel that is loaded and nothing else."""
    from . import listener

    listener.install_kernel_listener(backend)
    yield


def artifact_for(backend_id: str, compiled_fn: object, backend: str | Callable[..., Any]) -> Artifact | Pending:
    """Returns the artifact of `compiled_fn`, as Dynamo hands it to add_backend_id. Holds no tensor, module or graph of it.

    A Pending, instead of an Artifact, for a training graph whose backward torch will compile when it first runs.
    NotPortableError with the reason when it cannot be written down.
    """
    from . import record_graph

    return record_graph.artifact_for(backend_id, compiled_fn, backend)


def identity(captured: Artifact | Pending) -> bytes:
    """A digest of what was compiled: the same in every process that compiles it, and before and after its backward is."""
    from . import record_graph

    return record_graph.identity(captured)


def without_torch_function(captured: Artifact | Pending | None) -> Artifact:
    """The same graph, run with __torch_function__ of tensor subclasses disabled: Dynamo has looked into it. NotPortableError
    for a training graph, and for one that is not kept as a recipe of ours."""
    from . import record_graph

    return record_graph.without_torch_function(captured)


_BY_CONTENT = "__compiled_fn_cf_"


def name_by_content(captured: Artifact | Pending) -> str:
    """The backend id that a graph has in packages: the same in every process."""
    return _BY_CONTENT + identity(captured).hex()[:24]


def is_named_by_content(backend_id: str) -> bool:
    return backend_id.startswith(_BY_CONTENT)


def restore(artifact: Artifact, context: RestoreContext | None = None) -> Callable[..., Any]:
    """The callable that the Dynamo bytecode calls by its backend id: positional arguments, a sequence of outputs.

    Blobs are read, and so verified, as they are needed. Errors: CorruptPackageError, IncompatiblePackageError. The hosted
    executor wraps the result in torch._dynamo.disable, as Dynamo does with what it compiles.
    """
    from . import restore_graph

    return restore_graph.restore(artifact, context or RestoreContext())


def describe(artifact: Artifact) -> dict[str, Any]:
    """Returns the needs and contents of an artifact.

    `kind`; `backward`: "none", "missing" or "compiled"; `kernels`: how many native; `uses_openmp`: some kernel was made for
    the thread count; `cpu_features`: what the CPU must have, by the kernel's names; `vec_isa`: what Inductor vectorised for
    ("avx512 avx512_vnni", "avx2", "none"), to hold against ATEN_CPU_CAPABILITY; `device_type`: "cpu", or "any" without kernels;
    `imports`: modules of torch's compiler that restoring imports; `opaque`: what is pickled.
    """
    recipe = artifact.recipe
    report = recipe.get("report", {}) if isinstance(recipe, dict) else {}
    return {"kind": artifact.kind, **report}


def lacks_backward(artifact: Artifact) -> bool:
    """Returns whether it is a training graph whose backward had not been compiled when the artifact was made."""
    return describe(artifact).get("backward") == "missing"


def __getattr__(name: str) -> Any:
    if name == "Pending":
        from .record_graph import Pending

        return Pending
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

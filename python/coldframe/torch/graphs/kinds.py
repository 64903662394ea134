"""The agreement of both sides of a backend artifact: names, the registry of artifact kinds, the context of a restore.

    register_artifact_kind("my_kind", serialize=to_recipe, restore=from_recipe, backends=["mine"])

Thread-safety: the registry is locked; a RestoreContext belongs to one restore at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import InvalidArgumentError, MissError
from ..seam.process import Lock

if TYPE_CHECKING:
    from ..._core import Artifact, Blob

RECIPE_FORMAT = 1

INDUCTOR_NATIVE = "inductor_native"
AOT_AUTOGRAD_BUNDLE = "aot_autograd_bundle"
PRECOMPILE_EAGER = "precompile_eager"
BUILT_IN = frozenset({INDUCTOR_NATIVE, AOT_AUTOGRAD_BUNDLE, PRECOMPILE_EAGER})

# (backend id, compiled callable) -> (recipe of Values, blobs). NotPortableError when it cannot.
Serialize = Callable[[str, Any], "tuple[Any, list[Blob]]"]
Restore = Callable[["Artifact", "RestoreContext"], Callable[..., Any]]


class BackwardNotCompiledError(MissError):
    """backward() of a graph whose backward had not been compiled when its package was saved."""

    def __init__(self, backend_id: str) -> None:
        super().__init__(
            f"{backend_id}: the package holds this graph's forward only, because backward() had not run when it was saved. "
            "Save after the first backward(), or call it under torch.no_grad()"
        )
        self.backend_id = backend_id


# Who hears, by backend id, that a backward is wanted which had not been compiled: it is about to be run operator by operator,
# as it was traced, unless one of these raises.
wants_backward: list[Callable[[str], None]] = []


@dataclass
class RestoreContext:
    """The needs of a restore from its caller, and what it tells back.

    `missing_backward` is called with the backend id when a backward is wanted that the package lacks; it may raise. If it
    returns, the backward is run as it was traced.
    """

    missing_backward: Callable[[str], None] | None = None
    imported: set[str] = field(default_factory=set)  # private modules of torch that restoring had to import
    kernels: int = 0  # native kernels that restoring loaded


@dataclass(frozen=True)
class ArtifactKind:
    name: str
    serialize: Serialize
    restore: Restore
    backends: tuple[Any, ...]


_lock = Lock()
_kinds: dict[str, ArtifactKind] = {}


def register_artifact_kind(
    kind: str, *, serialize: Serialize, restore: Restore, backends: Iterable[str | Callable[..., Any]] = ()
) -> None:
    """Lets the graphs of `backends` (names or callables, as given to torch.compile) be saved as artifacts of `kind`.

    `serialize(backend_id, compiled)` gives a recipe of Values and its blobs while the graph is compiled, and raises
    NotPortableError when it cannot; `restore(artifact, context)` gives back the callable. InvalidArgumentError for a kind
    that is taken.
    """
    with _lock:
        if kind in BUILT_IN or kind in _kinds:
            raise InvalidArgumentError(f"the artifact kind {kind!r} is registered already")
        _kinds[kind] = ArtifactKind(kind, serialize, restore, tuple(backends))


def unregister_artifact_kind(kind: str) -> None:
    with _lock:
        _kinds.pop(kind, None)


def find_kind(kind: str) -> ArtifactKind | None:
    return _kinds.get(kind)


def find_kind_for_backend(backend: object) -> ArtifactKind | None:
    for kind in list(_kinds.values()):
        if any(backend is known or (isinstance(known, str) and backend == known) for known in kind.backends):
            return kind
    return None

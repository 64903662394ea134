"""An artifact back to the callable that Dynamo's bytecode calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._core import Artifact
from ...errors import UnsupportedPackageError
from .kinds import BUILT_IN, RECIPE_FORMAT, RestoreContext, find_kind
from .restore_values import Decoder


def restore(artifact: Artifact, context: RestoreContext) -> Callable[..., Any]:
    if artifact.kind not in BUILT_IN:
        kind = find_kind(artifact.kind)
        if kind is None:
            raise UnsupportedPackageError(
                f"{artifact.backend_id}: nothing here restores artifacts of kind {artifact.kind!r}; import the library that "
                "registers it (register_artifact_kind)"
            )
        return kind.restore(artifact, context)
    recipe: dict[str, Any] = artifact.recipe
    if recipe.get("format") != RECIPE_FORMAT:
        raise UnsupportedPackageError(
            f"{artifact.backend_id}: recipe format {recipe.get('format')!r}; this coldframe reads {RECIPE_FORMAT}"
        )
    return Decoder(artifact.backend_id, artifact.blobs, context).build(recipe["root"])

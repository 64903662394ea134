"""Bytes on disk: a package, against what torch keeps for the same model; and a package of eight variants against one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

Values = dict[str, Any]
VARIANTS = 8


def of_torch(cache: Path) -> Values:
    """Returns the sizes of what torch wrote to a cache directory for one compilation: entries and kernels' shared objects."""

    def total(pattern: str) -> int:
        return sum(path.stat().st_size for path in cache.glob(pattern) if path.is_file())

    return {
        "precompile": total("dynamo/**/entry"),
        "aotautograd": total("aotautograd/**/*"),
        "fxgraph": total("fxgraph/**/*"),
        "kernels": total("**/*.main.so"),  # without the probes for vector instructions
    }


def save_variants(job: Values) -> Values:
    """Packages of the MLP for one batch size and for eight, each specialised on its size."""
    import coldframe

    from . import models

    model, _, _ = models.make("mlp")
    compiled = coldframe.compile(model, dynamic=False)
    sizes = []
    with torch.no_grad():
        for index in range(VARIANTS):
            compiled(torch.randn(8 * (index + 1), 64))
            if index in (0, VARIANTS - 1):
                report = coldframe.save(compiled, job["package"])
                sizes.append(os.path.getsize(job["package"]))
    return {"one": sizes[0], "eight": sizes[1], "variants": report.variants}

"""Programs that change torch's settings between wrapping, calling and saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch._functorch.config

import coldframe
from coldframe.torch.fingerprint import environment


def doubled(x: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    return x * sizes.item()


def squared(x: torch.Tensor) -> torch.Tensor:
    return (x.sin() * x.cos()).square()


def compiled_under_a_patch(path: Path) -> None:
    compiled = coldframe.compile(doubled, backend="eager")
    with torch._dynamo.config.patch(capture_scalar_outputs=True):
        compiled(torch.ones(2), torch.tensor(3))
    coldframe.save(compiled, path)


def called(path: Path, patched: bool) -> dict[str, Any]:
    """The stats that a call adds, under the patch or not."""
    loaded = coldframe.load(path, doubled)
    with torch._dynamo.config.patch(capture_scalar_outputs=patched):
        assert torch.equal(loaded(torch.ones(2), torch.tensor(3)), torch.full((2,), 3.0))
    return coldframe.stats()


def reset_before_the_end(path: Path) -> dict[str, Any]:
    """A training program that takes a setting back when it is done."""
    torch._functorch.config.activation_memory_budget = 0.5
    compiled = coldframe.compile(squared, package=path, backend="aot_eager")
    x = torch.ones(2, requires_grad=True)
    compiled(x).sum().backward()
    torch._functorch.config.activation_memory_budget = 1.0
    return coldframe.stats()


def sinh(x: torch.Tensor) -> torch.Tensor:
    return x.sinh()


def served_with(path: Path, replaced: bool) -> list[float]:
    """Returns the answer of a program that gives an operator of torch's another kernel, or does not."""
    library = torch.library.Library("aten", "IMPL")
    if replaced:
        library.impl("sinh", lambda x: x * 7, "AutogradCPU")
    found: list[float] = coldframe.compile(sinh, package=path, backend="aot_eager")(torch.ones(2)).tolist()
    return found


def lowered_by(factor: int, path: Path) -> list[float]:
    """Returns the answer of a program whose own lowering calls another function of its."""
    from torch._inductor import lowering

    namespace: dict[str, Any] = {"mul": lowering.mul, "__name__": "program"}
    exec(f"def factor(): return {factor}.0", namespace)
    exec("def times(x): return mul(x, factor())", namespace)
    lowering.register_lowering(torch.ops.aten.sinh.default, type_promotion_kind=None)(namespace["times"])
    found: list[float] = coldframe.compile(sinh, package=path, backend="inductor")(torch.ones(2)).tolist()
    return found


def what_is_told_of_tables(factor: int) -> dict[str, str]:
    """Returns what a program with a decomposition, a lowering and a pattern of its own tells of them."""
    from torch._inductor import decomposition, lowering, pattern_matcher
    from torch._inductor.fx_passes import post_grad

    namespace: dict[str, Any] = {"mul": lowering.mul, "__name__": "program"}
    exec(f"def times(x): return mul(x, {factor})", namespace)
    decomposition.decompositions[torch.ops.aten.erf.default] = namespace["times"]
    lowering.register_lowering(torch.ops.aten.sinh.default, type_promotion_kind=None)(namespace["times"])
    pattern = pattern_matcher.CallFunction(torch.ops.aten.cosh.default, pattern_matcher.KeywordArg("x"))
    pattern_matcher.register_graph_pattern(pattern, pass_dict=post_grad.pass_patterns[1])(namespace["times"])
    return environment.settings()["torch.library"]

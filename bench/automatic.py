"""Automatic mode: finding one package among many, and what being listened to costs a step."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from . import models
from .process import Place
from .sections import Plan
from .tables import table

Values = dict[str, Any]
MANY = 500
STEP_SECONDS = 2.0


def many_sizes(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def _first_call(size: int) -> float:
    compiled = torch.compile(many_sizes, backend="eager", dynamic=False)
    x = torch.ones(size)
    begin = time.perf_counter()
    compiled(x)
    return time.perf_counter() - begin


def stored_variants(job: Values) -> Values:
    """Puts packages for that many sizes into the store."""
    import coldframe

    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 2 * MANY
    coldframe.enable(job["store"])
    for size in range(1, job["count"] + 1):
        _first_call(size)
    assert coldframe.flush(600)
    return {"saves": coldframe.stats()["saves"]}


def stored_load(job: Values) -> Values:
    import coldframe

    coldframe.enable(job["store"])
    seconds = _first_call(job["size"])
    stats = coldframe.stats()
    if stats["compiles"]:
        raise RuntimeError("it was compiled")
    return {"milliseconds": seconds * 1e3, "variants": stats["installed_variants"]}


def steps(job: Values) -> Values:
    """Microseconds of a step after the first, the median of many."""
    if job["way"] == "coldframe":
        import coldframe

        coldframe.enable(job["store"])
    model, args, kwargs = models.make(job["model"])
    compiled = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def serve() -> None:
        with torch.no_grad():
            compiled(*args, **kwargs)

    def train() -> None:
        optimizer.zero_grad()
        outputs = compiled(*args, **kwargs)
        tensor = outputs if isinstance(outputs, torch.Tensor) else next(iter(outputs.values()))
        tensor.square().mean().backward()
        optimizer.step()

    step = train if job["training"] else serve
    for _ in range(3):
        step()
    taken = []
    end = time.perf_counter() + STEP_SECONDS
    while time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begin)
    return {"microseconds": statistics.median(taken) * 1e6}


def automatic(plan: Plan) -> str:
    """(g) A store with many packages of one function, and steps with and without it."""
    return f"{_many(plan)}\n\n{_steps(plan)}"


def _many(plan: Plan) -> str:
    place, counts = Place(plan.cache("many", "coldframe")), (1, 20 if plan.quick else MANY)
    loads: dict[int, list[Values]] = {count: [] for count in counts}
    for count in counts:
        job = {"do": "stored_variants", "store": str(plan.folder / f"store-{count}"), "count": count}
        plan.run(f"coldframe stores {count} packages", job, place)
    for _ in range(plan.repeats):
        for count, found in loads.items():
            job = {"do": "stored_load", "store": str(plan.folder / f"store-{count}"), "size": (count + 1) // 2}
            values = plan.run(f"coldframe finds one of {count}", job, place)
            found.extend([values] if "milliseconds" in values else [])
    if not all(loads.values()):
        return "fails"
    times = [statistics.median(values["milliseconds"] for values in found) for found in loads.values()]
    rows = [
        [str(count), f"{took:.1f}", f"{took / times[0]:.2f} x", str(loads[count][0]["variants"])]
        for count, took in zip(counts, times, strict=True)
    ]
    return table(["packages of one function", "first call, ms", "ratio", "variants loaded"], rows)


def _steps(plan: Plan) -> str:
    rows = []
    for model in plan.models:
        place = Place(plan.cache(model, "torch"))
        for training in (False, True):
            found: dict[str, list[float]] = {"torch": [], "coldframe": []}
            for _ in range(max(1, plan.repeats // 2 + 1)):
                for way, taken in found.items():
                    job = {"do": "steps", "model": model, "way": way, "training": training, "store": str(plan.folder / "steps")}
                    values = plan.run(f"{model}: steps of {way}", job, place)
                    taken.extend([values["microseconds"]] if "microseconds" in values else [])
            if not all(found.values()):
                rows.append([model, "training" if training else "serving", "fails", "fails", "-"])
                continue
            torchs, ours = (statistics.median(taken) for taken in found.values())
            kind = "training" if training else "serving"
            rows.append([model, kind, f"{torchs:.0f}", f"{ours:.0f}", f"{ours / torchs:.3f} x"])
    return table(["model", "step", "torch.compile, us", "enabled, us", "ratio"], rows)

"""The sections of the report: each runs its processes and returns Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import process, sizes
from .calls import FUNCTION
from .process import Place, Values
from .tables import size, spread, table

PRECOMPILE = {"TORCH_CACHING_PRECOMPILE": "1"}
TOLERANCE = 1e-5

COLD = "torch.compile, cold"
WARM = "torch.compile, warm"
TORCH_PACKAGE = "caching_precompile"
SAME_HOST = "coldframe"
NEW_HOST = "coldframe, new host"
WAYS = ("eager", COLD, WARM, TORCH_PACKAGE, SAME_HOST, NEW_HOST)
AGAINST_EAGER = ("eager", SAME_HOST, NEW_HOST)
_JOB_WAYS = {"eager": "eager", WARM: "compile", TORCH_PACKAGE: "precompile", SAME_HOST: "coldframe", NEW_HOST: "coldframe"}


def _file_name(model: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in model)


@dataclass
class Plan:
    """The selection of measurements, the folder for their files, and the listener."""

    models: Sequence[str]
    repeats: int
    folder: Path
    quick: bool = False
    ways: Sequence[str] = WAYS  # of section a
    say: Callable[[str], None] = lambda text: None
    compiled: dict[str, Values] = field(default_factory=dict)  # of save_coldframe, by model
    errors: list[str] = field(default_factory=list)  # what may not happen: coldframe failed or was wrong

    def package(self, model: str) -> str:
        return str(self.folder / f"{_file_name(model)}.cfp")

    def cache(self, model: str, owner: str) -> Path:
        path = self.folder / f"{_file_name(model)}-{owner}"
        path.mkdir(exist_ok=True)
        return path

    def run(self, label: str, job: Values, place: Place, *, extra: dict[str, str] | None = None) -> Values:
        self.say(label)
        values = process.run(job, place, extra=extra)
        if "error" in values and "coldframe" in label:
            self.errors.append(f"{label}: {values['error']}")
        return values

    def compile(self, model: str) -> Values:
        """Compiles and saves the package of a model, once a run."""
        if model not in self.compiled:
            job = {"do": "save_coldframe", "model": model, "package": self.package(model)}
            owner = "torch" if self.quick else "coldframe"  # in a hurry Inductor's own cache may help
            self.compiled[model] = self.run(f"{model}: coldframe compiles", job, Place(self.cache(model, owner)))
        return self.compiled[model]

    def host(self, model: str, way: str) -> Place:
        return Place(self.cache(model, "coldframe")) if way == SAME_HOST else self.empty()

    def empty(self) -> Place:
        """A new host: an empty cache directory, and no compiler."""
        count = len(list(self.folder.glob("empty-*")))
        place = Place(self.folder / f"empty-{count}", compiler=False)
        place.cache.mkdir()
        return place


def first_output(plan: Plan) -> str:
    """(a) Time to the first output, over eager."""
    columns = {model: _first_outputs(plan, model, plan.ways) for model in plan.models}
    notes: list[str] = []
    rows = [[way, *(_first_cell(columns[model], way, model, notes) for model in plan.models)] for way in plan.ways]
    spreads = [spread(times) for column in columns.values() for times in _seconds(column).values() if len(times) > 1]
    lines = [
        table(["process start to first output, s (over eager)", *plan.models], rows),
        f"Median of {plan.repeats} fresh processes a cell ({COLD}: one), interleaved; half the range of the repeats is at "
        f"most {max(spreads, default=0.0):.0%} of their median. *New host*: an empty Inductor cache directory, and no "
        "compiler on PATH.",
        "\n".join(notes),
    ]
    return "\n\n".join(line for line in lines if line)


def ways(plan: Plan, model: str) -> tuple[str, list[str]]:
    """The same for one model, a row a way, and what is to be said of them. The package is there; a new host loads it."""
    shown = [way for way in WAYS if way != SAME_HOST]
    column = _first_outputs(plan, model, shown)
    notes: list[str] = []
    rows = [[way, _first_cell(column, way, model, notes)] for way in shown]
    return table(["way", "process start to first output, s (over eager)"], rows), notes


def _first_outputs(plan: Plan, model: str, ways: Sequence[str]) -> dict[str, list[Values]]:
    """Per way, the values of each repeat."""
    compiling, precompiling = Place(plan.cache(model, "torch")), Place(plan.cache(model, "precompile"))
    found: dict[str, list[Values]] = {way: [] for way in ways}
    job = {"do": "first_output", "model": model, "package": plan.package(model)}
    if COLD in ways:
        found[COLD].append(plan.run(f"{model}: {COLD}", {**job, "way": "compile"}, compiling))
    saved: Values = {}
    if TORCH_PACKAGE in ways:
        save = {"do": "save_precompile", "model": model, "cache": str(precompiling.cache)}
        saved = plan.run(f"{model}: {TORCH_PACKAGE} saves", save, precompiling, extra=PRECOMPILE)
    if "error" in saved:
        found[TORCH_PACKAGE].append({**saved, "when": "when saved"})
    plan.compile(model)
    for repeat in range(plan.repeats):
        for way in ways:
            if way == COLD or (way == TORCH_PACKAGE and "error" in saved):
                continue
            place = {WARM: compiling, TORCH_PACKAGE: precompiling}.get(way) or plan.host(model, way)
            extra = PRECOMPILE if way == TORCH_PACKAGE else None
            label = f"{model}: {way}, {repeat + 1} of {plan.repeats}"
            found[way].append(plan.run(label, {**job, "way": _JOB_WAYS[way]}, place, extra=extra))
    for way in (SAME_HOST, NEW_HOST):
        plan.errors.extend(f"{model}: {way}: {text}" for text in {wrong(values) for values in found.get(way, ())} if text)
    return found


def wrong(values: Values) -> str:
    """Returns what is wrong with a row of coldframe's; empty when nothing is."""
    if "error" in values:
        return ""  # said already
    if values["compiled"] or not values["served"]:
        return f"{values['compiled']} frames were compiled"
    if values["started_processes"]:
        return "processes were started"
    return "" if values["difference"] <= TOLERANCE else f"the output differs from eager by {values['difference']:.1e}"


def _seconds(column: dict[str, list[Values]]) -> dict[str, list[float]]:
    times = {way: [values["seconds"] for values in repeats if "seconds" in values] for way, repeats in column.items()}
    return {way: seconds for way, seconds in times.items() if seconds}


def _first_cell(column: dict[str, list[Values]], way: str, model: str, notes: list[str]) -> str:
    for values in column[way]:
        if "error" in values:
            notes.append(f"- {model}, {way}: fails {values.get('when', 'when loaded')}: `{values['error']}`")
            return "fails"
    seconds = _seconds(column)
    cell = f"{statistics.median(seconds[way]):.2f}"
    if "eager" in seconds:
        cell += f" ({statistics.median(seconds[way]) / statistics.median(seconds['eager']):.2f} x)"
    remark = _remark(way, column[way][-1])
    if remark:
        notes.append(f"- {model}, {way}: {remark}")
        cell += " *"
    return cell


def _remark(way: str, values: Values) -> str:
    remarks = []
    if way == WARM and not values["served"]:
        remarks.append("nothing came from the FX graph cache")
    if way == TORCH_PACKAGE and values["compiled"]:
        remarks.append(f"compiled {values['compiled']} frames again")
    if "logged" in values:
        remarks.append(f"torch logged `{values['logged']}`")
    if values["difference"] > TOLERANCE:
        remarks.append(f"the output differs from eager by {values['difference']:.1e}")
    return "; ".join(remarks)


def load_phases(plan: Plan) -> str:
    """(b) Where a load spends its time."""
    columns: dict[str, dict[str, float]] = {}
    for model in plan.models:
        plan.compile(model)
        job = {"do": "load_phases", "model": model, "package": plan.package(model)}
        found = [plan.run(f"{model}: coldframe loads, by phase", job, plan.empty()) for _ in range(plan.repeats)]
        found = [values for values in found if "error" not in values]
        columns[model] = {phase: statistics.median(v.get(phase, 0.0) for v in found) for phase in found[0]} if found else {}
    phases = list(dict.fromkeys(phase for column in columns.values() for phase in column))
    rows = [[phase, *(_number(columns[model].get(phase)) for model in plan.models)] for phase in phases]
    return (
        table(["ms", *plan.models], rows)
        + "\n\nThe import comes first and is timed apart. The rows from *open* to *the rest* add up to *coldframe.load()*."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def save_overhead(plan: Plan) -> str:
    """(c) What listening and saving add to a compilation."""
    rows = []
    for model in plan.models:
        values = plan.compile(model)
        if "error" in values:
            rows.append([model, "fails", "", "", "", ""])
            continue
        added = (values["listen"] + values["save"]) / values["compile"]
        listening = f"{1000 * values['listen']:.0f} ({values['calls']} calls)"
        rows.append([model, f"{values['compile']:.1f}", listening, f"{1000 * values['save']:.0f}", f"{added:.2%}", "2 %"])
    compiling = "warm" if plan.quick else "cold"
    return (
        table(["model", f"{compiling} compile, s", "listening, ms", "save(), ms", "added", "budget"], rows)
        + "\n\nTimed inside coldframe's own functions in the compiling process; imports are in neither."
    )


def package_size(plan: Plan) -> str:
    """(d) Bytes of a package, of torch's entry and kernels; eight variants against one."""
    rows = []
    for model in plan.models:
        ours = plan.compile(model).get("bytes", 0)
        torchs, base = sizes.of_torch(plan.cache(model, "precompile")), "caching_precompile"
        entry = torchs["precompile"]
        if not entry:
            torchs, base = sizes.of_torch(plan.cache(model, "torch")), "AOTAutograd and FX graph cache"
            entry = torchs["aotautograd"] + torchs["fxgraph"]
        total = entry + torchs["kernels"]
        ratio = f"{ours / total:.2f} x" if total and ours else "-"
        rows.append([model, size(ours), size(entry), base, size(torchs["kernels"]), ratio, "0.5 x"])
    header = ["model", "package", "torch's entry", "which is of", "its kernels", "package over both", "budget"]
    text = table(header, rows)
    if plan.quick:
        return text
    job = {"do": "save_variants", "package": plan.package("variants")}
    values = plan.run("coldframe compiles eight variants", job, Place(plan.cache("mlp", "variants")))
    if "error" in values:
        return text
    return (
        f"{text}\n\n{values['variants']} variants of the MLP, each specialised on another batch size: {size(values['eight'])} "
        f"against {size(values['one'])} for one, {values['eight'] / values['one']:.2f} x (budget 2 x)."
    )


def call_cost(plan: Plan) -> str:
    """(e) What a call costs beyond the graph."""
    rows = []
    for model in [*plan.models, FUNCTION]:
        package = plan.folder / f"{len(rows)}-calls.cfp"
        job: dict[str, Any] = {"do": "calls", "model": model, "package": str(package)}
        place = Place(plan.cache(model, "torch"))
        saved = plan.run(f"{model}: coldframe saves for calls", {**job, "way": "save"}, place)
        found: dict[str, list[Values]] = {"torch": [], "coldframe": []}
        for _ in range(0 if "error" in saved else max(1, plan.repeats // 2 + 1)):
            for way, runs in found.items():
                values = plan.run(f"{model}: calls of {way}", {**job, "way": way}, place)
                runs.extend([values] if "microseconds" in values else [])
        if not all(found.values()):
            rows.append([model, "fails", "fails", "-", "0.2 x", "-"])
            continue
        torchs, ours = (statistics.median(run["microseconds"] for run in runs) for runs in found.values())
        cold_torchs, cold_ours = (statistics.median(run["cold"] for run in runs) for runs in found.values())
        cold = f"{cold_ours:.0f} of {cold_torchs:.0f} us, {cold_ours / cold_torchs:.2f} x"
        rows.append([model, f"{torchs:.1f}", f"{ours:.1f}", f"{ours / torchs:.2f} x", "0.2 x", cold])
    return (
        table(["model", "torch.compile, us", "coldframe, us", "ratio", "budget", "with cold CPU caches"], rows)
        + "\n\nThe graph is compiled by a backend that returns prepared outputs: nothing but guards and bytecode is left. "
        "Cold: single calls, before each of which 64 MiB of other data were written."
    )

"""From what the registry holds to a package: renamed, portable, with the artifacts of its backends."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import _core
from ...errors import CorruptPackageError, NotPortableError, SourceChangedError
from .. import graphs
from ..fingerprint import environment, locate
from ..fingerprint.keys import Key
from ..fingerprint.sources import SourceSet
from ..guards.premises import NAME
from ..seam.stats import stats
from . import names as naming
from .files import alone
from .package import NO_MORE, CapturePackage
from .registry import CodeRecord, Variant, registry

PRODUCER = f"coldframe {_core.__version__}"


@dataclass
class Built:
    """A package and what is to be said of it."""

    package: _core.Package
    pending: list[str] = field(default_factory=list)  # frames saved forward-only: their backward has not been compiled
    pending_artifacts: list[Any] = field(default_factory=list)
    bypasses: list[str] = field(default_factory=list)
    compiled: list[tuple[_core.GuardedCode, CodeRecord, Variant]] = field(default_factory=list)  # in this process


@dataclass
class _Parts:
    artifacts: dict[str, _core.Artifact] = field(default_factory=dict)
    features: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    sources: SourceSet = field(default_factory=SourceSet)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # under which the callable was made
    details: dict[str, Any] = field(default_factory=dict)


def build(capture: CapturePackage, key: Key, options: dict[str, Any], details: dict[str, Any] | None = None) -> Built:
    """The package of one callable: everything that it, or any callable that shares its code, has compiled.

    details: what every variant is to note beside its own.
    """
    built = Built(_core.Package())
    built.bypasses.extend(capture.unrecorded)
    settings = environment.settings() if capture.made_under is None else capture.made_under
    parts = _Parts(details=details or {}, settings=settings)
    entries = []
    for record, variants in _records(capture):
        entry = _entry(record, variants, capture, parts, built)
        if entry is not None:
            entries.append(entry)
    package = built.package
    package.key = key
    package.codes = entries
    package.artifacts = [parts.artifacts[name] for name in sorted(parts.artifacts)]
    package.sources = parts.sources.files()
    package.environment = environment.describe(parts.devices or {"cpu"}, parts.features, options, parts.settings)
    package.producer = PRODUCER
    package.created = int(time.time())
    package.compile_seconds = sum(g.compile_seconds for entry in entries for g in entry.guarded_codes)
    return built


def _records(capture: CapturePackage) -> Iterable[tuple[CodeRecord, list[Variant]]]:
    """Dynamo makes the code of a resume function anew for each variant of the frame before it: equal ones are one."""
    found: dict[Any, tuple[CodeRecord, list[Variant]]] = {}
    for record, variants in registry.view(capture.caller, capture.used, capture.backend_key):
        key = _resume_name(record) if record.role == "resume" else id(record)
        if key in found:
            first, known = found[key]
            both = first.trivial and record.trivial, first.bypasses + record.bypasses
            record, variants = dataclasses.replace(first, trivial=both[0], bypasses=both[1]), known + variants
        found[key] = record, variants
    return found.values()


def _entry(
    record: CodeRecord, variants: list[Variant], capture: CapturePackage, parts: _Parts, built: Built
) -> _core.CodeEntry | None:
    name = locate.frame_name(record.code, record.module, capture.target)
    bypasses = record.bypassed(capture.caller, capture.used, capture.backend_key)
    built.bypasses.extend(f"{name}: {reason}" for reason in bypasses)
    limited = id(record.code) in capture.limited
    if not variants and not record.trivial and not bypasses and not limited and record.role != "resume":
        return None
    entry = _core.CodeEntry(record.portable_code, record.module, record.role)
    if record.role != "resume":
        try:
            entry.code_source = locate.find(record.code, record.module, capture.target)
        except NotPortableError as error:
            built.bypasses.append(f"{name}: {error}")
            return None
    if record.role == "resume":
        entry.function_names = [_resume_name(record)]
    entry.bypassed = not variants and (bool(bypasses) or (limited and not record.trivial))
    entry.bypass_reason = NO_MORE if limited else bypasses[0] if entry.bypassed else ""
    entry.skipped = record.trivial or limited
    imports: dict[str, str] = {}
    recipes: dict[str, Any] = {}
    ids: list[str] = []
    for variant in variants:
        try:
            guarded, own = _guarded_code(variant, parts, built, record, capture)
        except NotPortableError as error:
            stats.count_bypass(str(error))
            built.bypasses.append(f"{name}: {error}")
            continue
        entry.add_guarded_code(guarded)
        built.compiled.append((guarded, record, variant))
        imports.update({f"__coldframe{alias.removeprefix('_')}": module for alias, module in variant.imports.items()})
        recipes.update(own)
        ids.extend(name for name in guarded.backend_ids if name not in ids)
        parts.devices.add(variant.device_type)
        parts.sources.update(variant.sources)
    entry.import_sources = imports
    entry.installed_globals = recipes
    entry.backend_ids = ids
    return entry


def _resume_name(record: CodeRecord) -> str:
    digest = _core.digest((record.module, record.portable_code.digest))
    return f"__resume_cf_{digest.hex()[:24]}"


def _guarded_code(
    variant: Variant, parts: _Parts, built: Built, record: CodeRecord, capture: CapturePackage
) -> tuple[_core.GuardedCode, dict[str, Any]]:
    # torch would take an alias of its own spelling for its own, and miss it when the package is gone.
    names = {alias: f"__coldframe{alias.removeprefix('_')}" for alias in variant.imports}
    recipes: dict[str, Any] = {}
    for name, resume in variant.resumes.items():
        found = registry.find(resume.code)
        if found is None:
            found = registry.record(resume.code, resume.module, "resume")
        names[name] = _resume_name(found)
        if resume.skipped:
            code = naming.rename_code(resume.code, {})
            recipes[names[name]] = {"function": code.to_code(), "module": resume.module}
    for name, recipe in variant.recipes.items():
        if "object" in recipe and isinstance(recipe["object"], _core.ImportRef):
            ref = recipe["object"]
            new = "__coldframe_" + f"{ref.module}.{ref.qualname}".replace(".", "_dot_").strip("_")
        else:
            new = "__coldframe_builtins" if recipe == {"builtins": True} else f"__coldframe_{_core.digest(recipe).hex()[:24]}"
        names[name] = new
        recipes[new] = recipe
    threads = pending = False
    for name, graph in variant.backends.items():
        names[name] = graph.name
        artifact = graph.artifact
        if isinstance(artifact, graphs.Pending):
            pending = pending or artifact.pending
            if artifact.pending:
                built.pending_artifacts.append(artifact)
            artifact = artifact.snapshot()
        needs = graphs.describe(artifact) if artifact is not None else {}
        if artifact is not None:
            parts.artifacts[graph.name] = _core.Artifact(graph.name, artifact.kind, artifact.recipe, artifact.blobs)
        parts.features.update(needs.get("cpu_features", ()))
        threads = threads or bool(needs.get("uses_openmp", True))
    if pending:
        built.pending.append(locate.frame_name(record.code, record.module, capture.target))
    reentered = record.role == "entry" and (capture.reentered or not capture.repeated.isdisjoint(variant.backends))
    program = variant.program.renamed(names)
    under = environment.while_compiling(variant.settings)
    if under != environment.while_compiling(parts.settings):
        program.add("named_check", (0,), (NAME, ({"settings": under},)), "", ["torch's settings are the same"])
    guarded = _core.GuardedCode(
        program,
        naming.rename_code(variant.dynamo_code, names),
        sorted(graph.name for graph in variant.backends.values()),
        variant.compile_seconds,
        {"threads_matter": threads, **({"reentered": True} if reentered else {}), **parts.details},
    )
    return guarded, recipes


def merge(package: _core.Package, older: _core.Package) -> None:
    """Adds to `package` what `older` has. Of a graph that both hold, the one whose backward is compiled stays.

    IncompatiblePackageError when they do not go together: a name that is not made from the content may stand for two graphs.
    """
    held = {artifact.backend_id: artifact for artifact in older.artifacts}
    package.artifacts = [held.get(a.backend_id, a) if graphs.lacks_backward(a) else a for a in package.artifacts]
    mine = {a.backend_id: a for a in package.artifacts if graphs.is_named_by_content(a.backend_id)}
    other = copy.copy(older)
    other.artifacts = [mine.get(a.backend_id, a) for a in other.artifacts]
    package.merge(other)


def add_to_file(path: str, package: _core.Package, check: Callable[[_core.Package], None]) -> None:
    """Writes `package`, with what the file at `path` has for the same callable: `check` raises where it is for another. What
    was compiled under other settings does not go together: IncompatiblePackageError."""
    with alone(path):
        if Path(path).exists():
            try:
                present = _core.Package.open(path)
                check(present)
                environment.check_settings(present.environment, package.environment["settings"])
                merge(package, present)
            except (CorruptPackageError, SourceChangedError):
                pass  # of no use to anybody any more: replaced
        package.write(path)

"""Scenarios of packages: files that make themselves, misses, explanations, loading again, wrong arguments, decorators."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from scenario_support import EAGER, counted, same, strict, vector
from torch import nn

import coldframe

# `package=`: the file makes itself.


def kept(x: torch.Tensor) -> torch.Tensor:
    return x * 7 + x.shape[0]


def first_package_file(folder: Path) -> Any:
    path = folder / "kept.cfp"
    compiled = coldframe.compile(kept, package=path, dynamic=False, **EAGER)
    assert not path.exists()
    with counted() as counts:
        compiled(vector(4))
    assert path.exists() and counts["saves"] == 1 and counts["compiles"] == 1
    written = path.stat()
    with counted() as counts:
        compiled(vector(4))
    assert counts["saves"] == 0 and path.stat() == written, "a call that compiled nothing wrote"
    assert sorted(os.listdir(folder)) == ["kept.cfp"]


def second_package_file(folder: Path, made: Any) -> Any:
    path = folder / "kept.cfp"
    with counted() as counts:
        compiled = coldframe.compile(kept, package=path, dynamic=False, **EAGER)
        assert same(compiled(vector(4)), kept(vector(4)))
    assert counts["compiles"] == 0 and counts["hits"] == 1 and counts["misses"] == {} and counts["saves"] == 0
    before = path.read_bytes()
    with counted() as counts:
        assert same(compiled(vector(5)), kept(vector(5)))
    assert counts["misses"] == {"guard": 1} and counts["compiles"] == 1 and counts["saves"] == 1
    assert path.read_bytes() != before and os.listdir(folder) == ["kept.cfp"]
    return str(path)


def third_package_file(folder: Path, made: Any) -> None:
    path = folder / "kept.cfp"
    strict = coldframe.compile(kept, package=path, dynamic=False, on_miss="error", **EAGER)
    with counted() as counts:
        assert same(strict(vector(4)), kept(vector(4)))
        assert same(strict(vector(5)), kept(vector(5)))
    assert counts["compiles"] == 0 and counts["hits"] == 2
    try:
        strict(vector(6))
    except coldframe.MissError as error:
        assert "kept" in str(error) and "size" in str(error), error
    else:
        raise AssertionError("a shape that the package does not have was served")
    assert same(strict(vector(4)), kept(vector(4)))


def damaged(x: torch.Tensor) -> torch.Tensor:
    return x - 3


def first_damaged_file(folder: Path) -> None:
    path = folder / "damaged.cfp"
    path.write_bytes(b"not a package at all")
    with warnings.catch_warnings(record=True) as said, counted() as counts:
        warnings.simplefilter("always")
        compiled = coldframe.compile(damaged, package=path, **EAGER)
        assert same(compiled(vector()), damaged(vector()))
    ours = [str(w.message) for w in said if "coldframe" in str(w.message)]
    assert len(ours) == 1 and "damaged.cfp" in ours[0], ours
    assert counts["misses"] == {"corrupt": 1} and counts["compiles"] == 1
    path.write_bytes(b"not a package at all")
    try:
        coldframe.compile(damaged, package=path, on_miss="error", **EAGER)
    except coldframe.CorruptPackageError:
        pass
    else:
        raise AssertionError("on_miss='error' accepted a damaged file")
    compiled = coldframe.compile(damaged, package=folder / "again.cfp", **EAGER)
    compiled(vector())
    try:
        coldframe.compile(damaged, package=folder / "absent.cfp", on_miss="error", **EAGER)
    except coldframe.PackageNotFoundError:
        pass
    else:
        raise AssertionError("on_miss='error' accepted an absent file")


def second_damaged_file(folder: Path, made: Any) -> None:
    loaded = coldframe.compile(damaged, package=folder / "again.cfp", on_miss="error", **EAGER)
    assert same(loaded(vector()), damaged(vector()))


# A file that cannot be written never stops the program.


def unsaved(x: torch.Tensor) -> torch.Tensor:
    return x / 3


def first_unwritable(folder: Path) -> None:
    with strict("0"), warnings.catch_warnings(record=True) as said, counted() as counts:
        warnings.simplefilter("always")
        compiled = coldframe.compile(unsaved, package=folder / "no" / "such" / "folder.cfp", **EAGER)
        assert same(compiled(vector()), unsaved(vector()))
        assert same(compiled(vector()), unsaved(vector()))
    ours = [str(w.message) for w in said if "coldframe" in str(w.message)]
    assert len(ours) == 1 and "folder.cfp" in ours[0], ours
    assert sum(counts["errors"].values()) == 1 and counts["saves"] == 0


def second_unwritable(folder: Path, made: Any) -> None:
    assert os.listdir(folder) == []


# What a package does not serve.


def refused(x: torch.Tensor, k: int) -> torch.Tensor:
    return x + k


def first_misses(folder: Path) -> None:
    compiled = coldframe.compile(refused, dynamic=False, **EAGER)
    compiled(vector(), 2)
    coldframe.save(compiled, folder / "package")


def second_misses(folder: Path, made: Any) -> None:
    strict = coldframe.load(folder / "package", refused, on_miss="error")
    try:
        strict(vector().double(), 2)
    except coldframe.MissError as error:
        assert "x" in str(error) and "dtype" in str(error), error
    else:
        raise AssertionError("another dtype was served")
    assert same(strict(vector(), 2), vector() + 2)
    with counted() as counts:
        eager = coldframe.load(folder / "package", refused, on_miss="eager")
        assert same(eager(vector(), 3), vector() + 3)
        assert same(eager(vector(), 2), vector() + 2)
    assert counts["misses"] == {"guard": 1} and counts["compiles"] == 0
    with counted() as counts:
        lenient = coldframe.load(folder / "package", refused)
        assert same(lenient(vector(), 4), vector() + 4)
        assert same(lenient(vector(), 4), vector() + 4)
        assert same(lenient(vector(), 2), vector() + 2)
    assert counts["misses"] == {"guard": 1} and counts["compiles"] == 1
    report = coldframe.save(lenient, folder / "more")
    assert report.variants == 2
    explanation = coldframe.explain(lenient)
    assert len(explanation.misses) == 1 and "k" in str(explanation.misses[0]), explanation
    assert "4" not in str(explanation.misses[0]).split(":")[0]


def third_misses(folder: Path, made: Any) -> None:
    both = coldframe.load(folder / "more", refused, on_miss="error")
    assert same(both(vector(), 2), vector() + 2) and same(both(vector(), 4), vector() + 4)


# explain and stats.


def explained(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    print("a break")
    return y.cos()


def first_explained(folder: Path) -> None:
    compiled = coldframe.compile(explained, **EAGER)
    assert str(coldframe.explain(compiled)) == "nothing compiled or loaded yet"
    with counted() as counts:
        compiled(vector())
    assert counts["compiles"] == 2 and counts["loads"] == counts["hits"] == counts["saves"] == 0
    frames = coldframe.explain(compiled).frames
    assert [(f.role, f.loaded, f.compiled) for f in frames] == [("entry", 0, 1), ("resume", 0, 1)], frames
    assert frames[0].name == "scenarios_files.explained"
    with counted() as counts:
        report = coldframe.save(compiled, folder / "package")
    assert counts["saves"] == 1
    assert (report.frames, report.variants, report.artifacts) == (2, 2, 2)
    assert report.size == (folder / "package").stat().st_size and report.path == str(folder / "package")
    assert report.compile_seconds > 0 and report.pending == () and report.bypasses == ()


def second_explained(folder: Path, made: Any) -> None:
    with counted() as counts:
        loaded = coldframe.load(folder / "package", explained)
    assert counts["loads"] == 1 and counts["installed_variants"] == 2 and counts["hits"] == 0
    with counted() as counts:
        loaded(vector())
        loaded(vector())
    assert counts["hits"] == 2 and counts["seconds_saved"] > 0 and counts["compiles"] == 0
    explanation = coldframe.explain(loaded)
    assert sum(f.loaded for f in explanation.frames) == 2 and explanation.misses == ()
    loaded(vector(2))
    explanation = coldframe.explain(loaded)
    assert explanation.misses[0].frame == "scenarios_files.explained"
    assert "size mismatch" in str(explanation), explanation
    assert sum(f.compiled for f in explanation.frames) == 2
    for stranger in (explained, torch.compile(explained), 3):
        try:
            coldframe.explain(stranger)
        except coldframe.InvalidArgumentError:
            continue
        raise AssertionError(f"explained {stranger!r}, which is not coldframe's")


# The same file more than once, and again.


def reloaded(x: torch.Tensor) -> torch.Tensor:
    y = x * 11
    torch._dynamo.graph_break()
    return y + 1


def first_reload(folder: Path) -> None:
    compiled = coldframe.compile(reloaded, **EAGER)
    compiled(vector())
    coldframe.save(compiled, folder / "package")


def second_reload(folder: Path, made: Any) -> None:
    names = set(globals())
    with counted() as counts:
        for _ in range(3):
            loaded = coldframe.load(folder / "package", reloaded, on_miss="error")
            assert same(loaded(vector()), reloaded(vector()))
        again = coldframe.load(folder / "package", reloaded, on_miss="error")
        assert same(again(vector()), loaded(vector()))
    assert counts["compiles"] == 0 and counts["loads"] == 4 and counts["misses"] == {}
    assert coldframe.save(again, folder / "copy").variants == 2
    assert all("cf" in name or "coldframe" in name for name in set(globals()) - names), set(globals()) - names


def third_reload(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "copy", reloaded, on_miss="error")
    assert same(loaded(vector()), reloaded(vector()))
    torch._dynamo.reset()
    loaded = coldframe.load(folder / "package", reloaded, on_miss="error")
    assert same(loaded(vector()), reloaded(vector()))


# Wrong arguments.


def first_arguments(folder: Path) -> None:
    compiled = coldframe.compile(refused, **EAGER)
    for call in (
        lambda: coldframe.save(compiled, folder / "package"),  # nothing compiled yet
        lambda: coldframe.save(refused, folder / "package"),
        lambda: coldframe.compile(refused, on_miss="never", **EAGER),
    ):
        try:
            call()
        except coldframe.InvalidArgumentError as error:
            assert isinstance(error, ValueError) and str(error)
        else:
            raise AssertionError("accepted")
    compiled(vector(), 9)
    coldframe.save(compiled, folder / "package")


def second_arguments(folder: Path, made: Any) -> None:
    for function in (damaged, nn.Linear(6, 6)):
        try:
            coldframe.load(folder / "package", function)
        except coldframe.IncompatiblePackageError as error:
            assert "scenarios_files.refused" in str(error) and "package" in str(error), error
        else:
            raise AssertionError("a package was loaded for another function")
    try:
        coldframe.load(folder / "absent", refused)
    except coldframe.PackageNotFoundError as error:
        assert isinstance(error, FileNotFoundError) and "absent" in str(error)
    else:
        raise AssertionError("loaded a file that is not there")


# The decorator, with the path given when the module is imported.


def first_decorator(folder: Path) -> Any:
    os.environ["SERVED_BY_DECORATOR"] = str(folder / "decorated.cfp")
    import decorated

    output = decorated.function(vector(), 2)
    assert decorated.function.__name__ == "function" and (folder / "decorated.cfp").exists()
    explicit = decorated.plain(vector())
    coldframe.save(decorated.plain, folder / "plain.cfp")
    return output, explicit


def second_decorator(folder: Path, made: Any) -> None:
    os.environ["SERVED_BY_DECORATOR"] = str(folder / "decorated.cfp")
    with counted() as counts:
        import decorated

        assert same(decorated.function(vector(), 2), made[0])
    assert counts["compiles"] == 0 and counts["hits"] == 1
    with counted() as counts:
        loaded = coldframe.load(folder / "plain.cfp", decorated.plain, on_miss="error")
        assert same(loaded(vector()), made[1])
    assert counts["compiles"] == 0 and counts["hits"] == 1

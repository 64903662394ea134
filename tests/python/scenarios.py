"""Stories of two processes: `first_x` runs in one and leaves packages in a folder, `second_x` runs in another.

What the first gives, the second gets. Each asserts for itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import child
import torch
from torch import nn

import coldframe

EAGER: dict[str, Any] = {"backend": "eager"}


@contextlib.contextmanager
def counted() -> Iterator[dict[str, Any]]:
    """What coldframe.stats() grows by within it, known at its end."""
    before = coldframe.stats()
    grown: dict[str, Any] = {}
    yield grown
    grown.update(child.growth(coldframe.stats(), before))


def vector(n: int = 6) -> torch.Tensor:
    return torch.linspace(-1, 1, n)


def same(a: Any, b: Any) -> bool:
    return bool(torch.equal(a, b))


# Two callables of one function: Dynamo compiles for the first, and the second hits its cache.


def shared_by_two(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def first_two_callables(folder: Path) -> None:
    one, two = coldframe.compile(shared_by_two, **EAGER), coldframe.compile(shared_by_two, **EAGER)
    one(vector()), two(vector())
    for name, compiled in (("one", one), ("two", two)):
        assert coldframe.save(compiled, folder / name).variants == 1


def second_two_callables(folder: Path, made: Any) -> None:
    for name in ("two", "one"):
        loaded = coldframe.load(folder / name, shared_by_two, on_miss="error")
        assert same(loaded(vector()), shared_by_two(vector()))


# Blocks of one class, each compiled and saved by itself.


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.linear(x).relu()


def blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Block(), Block(), Block())


def first_three_blocks(folder: Path) -> Any:
    model = blocks()
    for index, block in enumerate(model):
        model[index] = coldframe.compile(block)
    with torch.no_grad():
        output = model(vector())
    for index, block in enumerate(model):
        report = coldframe.save(block, folder / f"block-{index}")
        assert report.variants == 1 and report.artifacts == 1
    return output


def second_three_blocks(folder: Path, made: Any) -> None:
    model = blocks()
    with counted() as counts, torch.no_grad():
        for index, block in enumerate(model):
            model[index] = coldframe.load(folder / f"block-{index}", block, on_miss="error")
        output = model(vector())
        expected = blocks()(vector())
    assert counts["compiles"] == 0 and counts["hits"] >= 1 and counts["loads"] == 3
    assert same(output, made)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)


# A function that plain torch.compile had compiled before.


def known_to_torch(x: torch.Tensor) -> torch.Tensor:
    return x.cos() * 2


def first_compiled_before(folder: Path) -> None:
    torch.compile(known_to_torch, **EAGER)(vector())
    compiled = coldframe.compile(known_to_torch, **EAGER)
    compiled(vector())
    assert coldframe.save(compiled, folder / "package").variants == 1


def second_compiled_before(folder: Path, made: Any) -> None:
    torch.compile(known_to_torch, **EAGER)(vector(3))
    with counted() as counts:
        loaded = coldframe.load(folder / "package", known_to_torch, on_miss="error")
        assert same(loaded(vector()), known_to_torch(vector()))
    assert counts["compiles"] == 0 and counts["hits"] == 1


# What plain torch.compile does beside a loaded package is its own business.


def served_and_compiled(x: torch.Tensor) -> torch.Tensor:
    return x.tanh() + 2


def first_other_backend(folder: Path) -> None:
    compiled = coldframe.compile(served_and_compiled, **EAGER)
    compiled(vector())
    coldframe.save(compiled, folder / "package")


def second_other_backend(folder: Path, made: Any) -> None:
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    loaded = coldframe.load(folder / "package", served_and_compiled, on_miss="error")
    assert same(loaded(vector()), served_and_compiled(vector()))
    assert same(torch.compile(served_and_compiled, backend=backend)(vector()), served_and_compiled(vector()))
    assert len(graphs) == 1, "a package served a callable that it was not loaded for"
    assert same(coldframe.compile(served_and_compiled, backend=backend)(vector()), served_and_compiled(vector()))
    assert len(graphs) == 2


# A module comes back as a module.


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 2)
        self.register_buffer("offset", torch.ones(2))
        self.label = "net"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.offset


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def check_module(module: Any, original: Net) -> None:
    assert isinstance(module, nn.Module) and isinstance(module, torch._dynamo.OptimizedModule)
    assert module.label == "net" and module.linear is original.linear
    assert list(module.state_dict()) == list(torch.compile(net()).state_dict())
    module.load_state_dict(torch.compile(net()).state_dict())
    assert [id(p) for p in module.parameters()] == [id(p) for p in original.parameters()]
    assert module.training is False
    module.label = "other"
    assert original.label == "other"
    original.label = "net"


def first_module(folder: Path) -> None:
    original = net()
    compiled = coldframe.compile(original, **EAGER)
    with torch.no_grad():
        compiled(vector())
    check_module(compiled, original)
    coldframe.save(compiled, folder / "package")


def second_module(folder: Path, made: Any) -> None:
    original = net()
    loaded = coldframe.load(folder / "package", original, on_miss="error")
    check_module(loaded, original)
    with torch.no_grad():
        assert same(loaded(vector()), net()(vector()))
        original.offset.fill_(5)  # served, with what the buffer holds now
        assert same(loaded(vector()), original(vector()))
    outer = nn.Sequential(nn.Identity(), loaded)
    with torch.no_grad():
        assert same(outer(vector()), original(vector()))


# A forward under grad mode whose backward never ran.


def first_forward_only(folder: Path) -> Any:
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh())
    compiled = coldframe.compile(module)
    output = compiled(vector())
    report = coldframe.save(compiled, folder / "forward")
    assert len(report.pending) == 1 and "forward" in report.pending[0], report.pending
    output.sum().backward()
    assert coldframe.save(compiled, folder / "both").pending == ()
    weight = module[0].weight
    return {"state": module.state_dict(), "output": output.detach(), "gradient": weight.grad}


def second_forward_only(folder: Path, made: Any) -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh())
    module.load_state_dict(made["state"])
    loaded = coldframe.load(folder / "forward", module, on_miss="error")
    output = loaded(vector())
    assert output.requires_grad and same(output.detach(), made["output"])
    try:
        output.sum().backward()
    except coldframe.PackageError as error:
        assert "backward" in str(error), error
    else:
        raise AssertionError("a backward that was never compiled ran")
    both = nn.Sequential(nn.Linear(6, 5), nn.Tanh())
    both.load_state_dict(made["state"])
    torch._dynamo.reset()
    loaded = coldframe.load(folder / "both", both, on_miss="error")
    loaded(vector()).sum().backward()
    assert same(both[0].weight.grad, made["gradient"])


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
    with warnings.catch_warnings(record=True) as said, counted() as counts:
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
    assert frames[0].name == "scenarios.explained"
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
    assert explanation.misses[0].frame == "scenarios.explained"
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


# Two packages whose callables call one function that became a frame of its own.


def common(x: torch.Tensor) -> torch.Tensor:
    y = x + 5
    print("a break in what both call")
    return y * 2


def caller_one(x: torch.Tensor) -> torch.Tensor:
    return common(x.sin()) + 1


def caller_two(x: torch.Tensor) -> torch.Tensor:
    return common(x.cos()) - 1


def first_sharing(folder: Path) -> None:
    for function in (caller_one, caller_two):
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector())
        coldframe.save(compiled, folder / function.__name__)


def second_sharing(folder: Path, made: Any) -> None:
    for function in (caller_two, caller_one):
        loaded = coldframe.load(folder / function.__name__, function, on_miss="error")
        assert same(loaded(vector()), function(vector()))


# torch._dynamo.reset() after a load.


def forgotten(x: torch.Tensor) -> torch.Tensor:
    y = x * 13
    torch._dynamo.graph_break()
    return y.exp()


def first_reset(folder: Path) -> None:
    compiled = coldframe.compile(forgotten, **EAGER)
    compiled(vector())
    coldframe.save(compiled, folder / "package")


def second_reset(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "package", forgotten)
    assert same(loaded(vector()), forgotten(vector()))
    torch._dynamo.reset()
    assert same(loaded(vector()), forgotten(vector()))
    assert same(loaded(vector(3)), forgotten(vector(3)))
    strict = coldframe.load(folder / "package", forgotten, on_miss="error")
    with counted() as counts:
        assert same(strict(vector()), forgotten(vector()))
    assert counts["compiles"] == 0 and counts["misses"] == {}


# First calls from several threads at once.


def threaded(x: torch.Tensor) -> torch.Tensor:
    y = x.exp()
    torch._dynamo.graph_break()
    return y + 3


def first_threads(folder: Path) -> None:
    compiled = coldframe.compile(threaded, **EAGER)
    compiled(vector())
    coldframe.save(compiled, folder / "package")


def second_threads(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "package", threaded, on_miss="error")
    wrong: list[Any] = []

    def work() -> None:
        try:
            for _ in range(20):
                if not same(loaded(vector()), threaded(vector())):
                    wrong.append("another answer")
        except Exception as error:
            wrong.append(repr(error))

    workers = [threading.Thread(target=work) for _ in range(4)]
    with counted() as counts:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not wrong, wrong[:3]
    assert counts["compiles"] == 0 and counts["hits"] == 2


# A loaded callable inside something else that is compiled.


def outer(x: torch.Tensor) -> torch.Tensor:
    return middle(x * 2) + 1


def middle(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


def first_nested(folder: Path) -> None:
    for function in (outer, middle):
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector())
        coldframe.save(compiled, folder / function.__name__)


def second_nested(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "middle", middle, on_miss="error")
    assert same(torch.compile(lambda x: loaded(x) + 1, **EAGER)(vector()), middle(vector()) + 1)
    assert same(loaded(vector()), middle(vector()))
    entire = coldframe.load(folder / "outer", outer, on_miss="error")
    assert same(entire(vector()), outer(vector())) and same(loaded(vector()), middle(vector()))


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
    for function in (middle, net()):
        try:
            coldframe.load(folder / "package", function)
        except coldframe.IncompatiblePackageError as error:
            assert "scenarios.refused" in str(error) and "package" in str(error), error
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


NAMES = [name.removeprefix("first_") for name in list(globals()) if name.startswith("first_")]
STAGES = ("first", "second", "third")


def act(stage: str, name: str, folder: Path) -> None:
    """One stage of a story, when it has that stage; what an earlier one returned lies in a file."""
    function = globals().get(f"{stage}_{name}")
    if function is None:
        return
    place, notes = folder / "files", folder / "notes"
    place.mkdir(parents=True, exist_ok=True)
    result = function(place) if stage == "first" else function(place, torch.load(notes, weights_only=False))
    torch.save(result, notes)

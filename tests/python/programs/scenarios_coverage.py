"""Scenarios of coverage that need more than one callable, or plain torch.compile with packages of its own."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from scenario_support import EAGER, counted, same, vector
from scenarios_default import automatic, served
from torch import nn

import coldframe

# A helper that breaks at once, shared by two callables.


def notes(value: str) -> None:
    torch._dynamo.graph_break()
    NOTES.append(value)


NOTES: list[str] = []


def helper(x: torch.Tensor) -> torch.Tensor:
    z = x * 2
    notes("helper")
    return z.cos()


def uses_notes(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    notes("first")
    return y + 1


def uses_helper(x: torch.Tensor) -> torch.Tensor:
    return helper(x.sin()) + 1


def first_shared_helper(folder: Path) -> None:
    for function in (uses_notes, uses_helper):
        compiled = coldframe.compile(function, **EAGER)
        compiled(vector())
        coldframe.save(compiled, folder / function.__name__)


def second_shared_helper(folder: Path, made: Any) -> None:
    NOTES.clear()
    loaded = coldframe.load(folder / "uses_helper", uses_helper, on_miss="error")
    assert same(loaded(vector()), (vector().sin() * 2).cos() + 1) and NOTES == ["helper"]


# The registry of pytree nodes, to which any library may add.


class Node:
    pass


def chooses(x: torch.Tensor) -> torch.Tensor:
    return torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (x,))


def first_registered_nodes(folder: Path) -> None:
    torch.utils._pytree.register_pytree_node(Node, lambda node: ([], None), lambda leaves, context: Node())
    compiled = coldframe.compile(chooses, **EAGER)
    compiled(vector() + 1)
    coldframe.save(compiled, folder / "package")


def second_registered_nodes(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "package", chooses, on_miss="error")
    assert same(loaded(vector() + 1), (vector() + 1).sin())


# What cannot be saved of one model is no matter of another, though they share code of torch.nn.


def first_foreign_bypasses(folder: Path) -> None:
    changed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 6)))
    for model in (changed, nn.Sequential(nn.Linear(6, 6))):
        compiled = coldframe.compile(model.eval(), **EAGER)
        with torch.no_grad():
            compiled(vector())
    report = coldframe.save(compiled, folder / "package")
    assert report.bypasses == (), report.bypasses


# Functions of one name in two modules, and twice in one.

TEXT = "import torch\n\nFACTOR = {}\n\ndef f(x):\n    return x * FACTOR\n\ndef calls(x):\n    return f(x) + 1\n"


def modules(folder: Path) -> list[ModuleType]:
    sys.path.insert(0, str(folder))
    try:
        for name, factor in (("same_name_one", 2), ("same_name_two", 30)):
            (folder / f"{name}.py").write_text(TEXT.format(factor))
        importlib.invalidate_caches()
        return [importlib.import_module(name) for name in ("same_name_one", "same_name_two")]
    finally:
        sys.path.remove(str(folder))


def twice() -> list[Callable[[torch.Tensor], torch.Tensor]]:
    def f(x: torch.Tensor) -> torch.Tensor:
        return x * 5

    first = f

    def f(x: torch.Tensor) -> torch.Tensor:  # type: ignore[no-redef]
        return x * 7

    return [first, f]


def same_names(folder: Path) -> dict[str, Any]:
    one, two = modules(folder)
    return {"one": one.f, "two": two.f, "calls-one": one.calls, "calls-two": two.calls}


def first_same_names(folder: Path) -> None:
    for name, function in same_names(folder).items():
        compiled = coldframe.compile(function, **EAGER)
        assert same(compiled(vector()), function(vector()))
        coldframe.save(compiled, folder / f"{name}.cfp")
    for index, function in enumerate(twice()):
        compiled = coldframe.compile(function, **EAGER)
        assert same(compiled(vector()), function(vector()))
        coldframe.save(compiled, folder / f"twice-{index}.cfp")


def second_same_names(folder: Path, made: Any) -> None:
    functions = same_names(folder)
    for name, function in reversed(functions.items()):
        assert same(coldframe.load(folder / f"{name}.cfp", function, on_miss="error")(vector()), function(vector()))
    for index, function in enumerate(twice()):
        loaded = coldframe.load(folder / f"twice-{index}.cfp", function, on_miss="error")
        assert same(loaded(vector()), function(vector()))
        try:
            coldframe.load(folder / f"twice-{1 - index}.cfp", function, on_miss="error")
        except coldframe.PackageError as error:
            assert "changed" in str(error), error
        else:
            raise AssertionError("the other function of the same name was accepted")


# module.compile(), torch.compile as a decorator of functions, methods and classes.


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu()


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def run_compiled_module() -> torch.Tensor:
    model = net()
    model.compile(backend="eager")
    with torch.no_grad():
        return model(vector()) + model(vector())


def first_module_compile(folder: Path) -> Any:
    with automatic(folder):
        return run_compiled_module()


def second_module_compile(folder: Path, made: Any) -> None:
    with served(folder), counted() as grown:
        assert same(run_compiled_module(), made)
    assert grown["compiles"] == 0 and grown["hits"] >= 1, grown


def decorated() -> list[Any]:
    """Made here, for a decorator loads its package when it wraps."""

    @torch.compile(backend="eager")
    def function(x: torch.Tensor) -> torch.Tensor:
        return x.cos() + 3

    @torch.compile(backend="eager", dynamic=True)
    def sized(x: torch.Tensor) -> torch.Tensor:
        return x * x.shape[0]

    return [function(vector()), sized(vector(3)), sized(vector(7))]


def first_decorators(folder: Path) -> Any:
    with automatic(folder):
        return decorated(), importlib.import_module("decorated_methods").run()


def second_decorators(folder: Path, made: Any) -> None:
    with served(folder), counted() as grown:
        found = decorated(), importlib.import_module("decorated_methods").run()
    assert all(map(same, found[0] + found[1], made[0] + made[1]))
    assert grown["compiles"] == 0, grown


# Regional compilation: many blocks of one class, one package, one graph each.


class Blocks(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([kind() for _ in range(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x) + x
        return x


def regional(compile_block: Callable[[nn.Module], Any], kind: type[nn.Module] = Net) -> torch.Tensor:
    torch.manual_seed(0)
    model = Blocks(kind).eval()
    compile_block(model)
    with torch.no_grad():
        return model(vector())


def compile_blocks(model: Any) -> None:
    for block in model.blocks:
        block.compile()


def first_regional(folder: Path) -> Any:
    with automatic(folder), counted() as grown:
        output = regional(compile_blocks)
        assert len(list(folder.rglob("*.cfp"))) == 1
    assert grown["compiles"] == 1, grown
    return output


def second_regional(folder: Path, made: Any) -> None:
    with served(folder), counted() as grown:
        assert same(regional(compile_blocks), made)
    assert grown["compiles"] == 0, grown


class Region(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).tanh()


def load_blocks(path: Path) -> Callable[[Any], None]:
    def each(model: Any) -> None:
        for index, block in enumerate(model.blocks):
            model.blocks[index] = coldframe.load(path, block, on_miss="error")

    return each


def first_regional_file(folder: Path) -> Any:
    def each(model: Any) -> None:
        for index, block in enumerate(model.blocks):
            model.blocks[index] = coldframe.compile(block, package=folder / "block.cfp")

    with counted() as grown:
        output = regional(each, Region)
    assert grown["compiles"] == 1 and len(list(folder.iterdir())) == 1, grown
    return output


def second_regional_file(folder: Path, made: Any) -> None:
    with counted() as grown:
        assert same(regional(load_blocks(folder / "block.cfp"), Region), made)
    assert grown["compiles"] == 0 and grown["misses"] == {}, grown


# Automatic dynamic shapes: what was seen before the save counts for a miss after the load.


def automatic_size(x: torch.Tensor) -> torch.Tensor:
    return (x * x.shape[0]).cos()


def automatic_number(x: torch.Tensor, k: int) -> torch.Tensor:
    return x * k


def first_dynamic_after_load(folder: Path) -> None:
    compiled = coldframe.compile(automatic_size, **EAGER)
    compiled(vector(4))
    coldframe.save(compiled, folder / "size.cfp")
    compiled = coldframe.compile(automatic_number, **EAGER)
    compiled(vector(), 3)
    coldframe.save(compiled, folder / "number.cfp")


def second_dynamic_after_load(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "size.cfp", automatic_size)
    with counted() as grown:
        for n in (4, 5, 6, 7):
            assert same(loaded(vector(n)), automatic_size(vector(n)))
    assert grown["compiles"] == 1, grown  # 5 differs from the 4 of the package: dynamic at once
    loaded = coldframe.load(folder / "number.cfp", automatic_number)
    with counted() as grown:
        for k in (3, 4, 5, 6):
            assert same(loaded(vector(), k), automatic_number(vector(), k))
    assert grown["compiles"] == 1, grown


# Recompiles appended, and packages merged that two processes made at the same time.


def several(x: torch.Tensor, flag: bool = False) -> torch.Tensor:
    y = x + 1
    torch._dynamo.graph_break()
    return y.sin() if flag else y * 2


def first_merged(folder: Path) -> None:
    compiled = coldframe.compile(several, package=folder / "package", **EAGER)
    compiled(vector())
    compiled(vector(), True)
    shutil.copy(folder / "package", folder / "first")


def second_merged(folder: Path, made: Any) -> None:
    (folder / "package").unlink()  # as if this process had started before the first one saved
    compiled = coldframe.compile(several, package=folder / "package", **EAGER)
    shutil.copy(folder / "first", folder / "package")
    compiled(vector().double())
    again = coldframe.compile(several, package=folder / "package", **EAGER)
    with counted() as grown:
        again(vector())
        again(vector().int(), True)
    assert grown["compiles"] == 2, grown


def third_merged(folder: Path, made: Any) -> None:
    loaded = coldframe.load(folder / "package", several, on_miss="error")
    with counted() as grown:
        for dtype in (torch.float32, torch.float64):
            assert same(loaded(vector().to(dtype)), (vector().to(dtype) + 1) * 2)
        assert same(loaded(vector(), True), (vector() + 1).sin())
        assert same(loaded(vector().int(), True), (vector().int() + 1).sin())
    assert grown["compiles"] == 0 and grown["misses"] == {}, grown

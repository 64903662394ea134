"""Scenarios of callables: how they share compiled code, and what they are after loading."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from scenario_support import EAGER, counted, same, vector
from torch import nn

import coldframe

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


# Blocks that begin with a graph break: what they share has no graph of its own.


class Talking(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((6,), factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("a break before anything else")
        return x.sin() * self.weight


def first_breaking_blocks(folder: Path) -> None:
    compiled = [coldframe.compile(Talking(float(i)), **EAGER) for i in range(3)]
    for index, block in enumerate(compiled):
        block(vector())
        coldframe.save(block, folder / f"block-{index}")


def second_breaking_blocks(folder: Path, made: Any) -> None:
    with counted() as counts:
        last = coldframe.load(folder / "block-2", Talking(2.0), on_miss="error")
        assert same(last(vector()), Talking(2.0)(vector()))
    assert counts["compiles"] == 0 and counts["misses"] == {}


# A package holds what its callable needs, not what others of the same code object do.


class Quiet(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp()


def first_strangers(folder: Path) -> None:
    models = [nn.Sequential(nn.ReLU(), Quiet()), nn.Sequential(nn.Tanh()), nn.Sequential(Block())]
    compiled = [coldframe.compile(model, **EAGER) for model in models]
    for model in compiled:
        model(vector())
    for index, model in enumerate(compiled):
        assert coldframe.save(model, folder / str(index)).variants == 1


def second_strangers(folder: Path, made: Any) -> None:
    model = nn.Sequential(nn.Tanh())
    assert same(coldframe.load(folder / "1", model, on_miss="error")(vector()), vector().tanh())


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
    both = coldframe.save(compiled, folder / "both")
    assert both.pending == () and both.variants == report.variants == 1, both
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


# A forward that was saved without its backward is trained with: the backward runs as it was traced, then is compiled and saved.


def _trained_once(folder: Path, made: Any, **how: Any) -> Any:
    module = nn.Sequential(nn.Linear(6, 2), nn.Tanh())
    module.load_state_dict(made["state"])
    compiled = coldframe.compile(module, package=folder / "module", backend="aot_eager", **how)
    with counted() as counts:
        for _ in range(3):  # the third call saves what the second has compiled
            module.zero_grad()
            output = compiled(vector())
            output.sum().backward()
            assert torch.allclose(module[0].weight.grad, made["gradient"], atol=1e-6)
    return counts


def first_backward_wanted(folder: Path) -> Any:
    module = nn.Sequential(nn.Linear(6, 2), nn.Tanh())
    compiled = coldframe.compile(module, package=folder / "module", backend="aot_eager")
    compiled(vector())
    module(vector()).sum().backward()
    return {"state": module.state_dict(), "gradient": module[0].weight.grad}


def second_backward_wanted(folder: Path, made: Any) -> Any:
    eager = _trained_once(folder, made, on_miss="eager")
    assert eager["compiles"] == 0 and eager["misses"] == {"backward": 3}, eager
    compiled = _trained_once(folder, made, on_miss="compile")
    assert compiled["compiles"] == 1 and compiled["misses"]["backward"] == 1, compiled
    return made


def third_backward_wanted(folder: Path, made: Any) -> None:
    served = _trained_once(folder, made, on_miss="error")
    assert served["compiles"] == 0 and served["misses"] == {}, served


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


def forgotten_hosted(x: torch.Tensor) -> torch.Tensor:
    torch._dynamo.graph_break()
    return x.exp()


def first_reset(folder: Path) -> None:
    for function in (forgotten, forgotten_hosted):
        compiled = coldframe.compile(function, **EAGER, dynamic=False)
        compiled(vector())
        coldframe.save(compiled, folder / function.__name__)


def second_reset(folder: Path, made: Any) -> None:
    for function in (forgotten, forgotten_hosted):
        loaded = coldframe.load(folder / function.__name__, function)
        assert same(loaded(vector()), function(vector()))
        torch._dynamo.reset()
        assert same(loaded(vector()), function(vector()))
        assert same(loaded(vector(3)), function(vector(3)))
        torch._dynamo.reset()  # of code objects that were compiled here
        strict = coldframe.load(folder / function.__name__, function, on_miss="error")
        with counted() as counts:
            assert same(loaded(vector()), function(vector()))
            assert same(strict(vector()), function(vector()))
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

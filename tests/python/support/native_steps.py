"""Steps of the tests of the native path: each runs in a process of its own and answers what it saw."""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import resource
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import torch
import zoo
from torch import nn

import coldframe
from coldframe.torch.session.sessions import session_of

COMPILER = ("torch._dynamo", "torch._inductor.compile_fx", "torch._functorch.aot_autograd")


def imported() -> set[str]:
    return {name for name in COMPILER if name in sys.modules}


def memory() -> int:
    """The most that this process has held, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def eager(name: str) -> Any:
    """The modules that the model's own imports bring, and the memory that it takes."""
    module, args, kwargs = zoo.make(name)
    with torch.no_grad():
        module(*args, **kwargs)
    return imported(), memory()


def native(name: str, path: Path) -> Any:
    """The same from a package, with the outputs and why it was not native, if it was not."""
    module, args, kwargs = zoo.make(name)
    with torch.no_grad():
        loaded = coldframe.load(path, module, on_miss="error")
        outputs = zoo.tensors(loaded(*args, **kwargs))
    serving = session_of(loaded).serving
    why = serving.hosted_because if serving.native is None else "a miss" if serving.hosted is not None else ""
    return imported(), memory(), outputs, why


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.scales = [1.0, 2.0]
        self.table = {"bias": 1.0}
        self.flag = True

    def forward(self, x: torch.Tensor, *, shift: float = 0.0) -> torch.Tensor:
        y = self.linear(x) * self.scales[1] + self.table["bias"] + shift
        return y.relu() if self.flag else y


def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def x() -> torch.Tensor:
    return torch.linspace(-1, 1, 8).reshape(2, 4)


def make(folder: Path) -> None:
    """Packages of a module and of a function, and one whose graph breaks."""
    with torch.no_grad():
        targets = {"net": net(), "function": function, "helped": helped, "whole": Whole(), "by_code": by_code}
        for name, target in targets.items():
            compiled = coldframe.compile(target, backend="eager")
            compiled(x())
            coldframe.save(compiled, folder / name)


def function(x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
    """Is doubled."""
    return x.sin() * scale


def load_net(folder: Path, **options: Any) -> Any:
    return coldframe.load(folder / "net", net(), **options)


def is_native(loaded: Any) -> bool:
    session = session_of(loaded)
    return session.serving.native is not None and session.serving.hosted is None


def reduction(loaded: Any) -> Any:
    """To what the guards of its one variant are reduced."""
    (found,) = session_of(loaded).serving.native.dispatcher.reductions
    return found


def changed(folder: Path) -> dict[str, str]:
    """Each change to the module, by whatever route, and what became of a call after it: the text of the miss, or "served"."""

    class Other(Net):
        pass

    def hook(module: Any, args: Any, output: Any) -> Any:
        return output * 10

    def set_class(m: Net) -> None:
        m.__class__ = Other

    def replace_dict(m: Net) -> None:
        object.__setattr__(m, "__dict__", {**m.__dict__, "flag": False})

    changes = {
        "nothing": lambda m: None,
        "attribute": lambda m: setattr(m, "flag", False),
        "dict": lambda m: m.__dict__.__setitem__("flag", False),
        "replaced dict": replace_dict,
        "class attribute that the instance hides": lambda m: setattr(Net, "flag", False),
        "list item": lambda m: m.scales.__setitem__(1, 3.0),
        "list": lambda m: setattr(m, "scales", [1.0, 3.0]),
        "dict item": lambda m: m.table.update(bias=5.0),
        "parameter of one shape": lambda m: setattr(m.linear, "weight", nn.Parameter(torch.ones(3, 4))),
        "value of a parameter": lambda m: m.linear.weight.fill_(2.0),
        "data of a parameter": lambda m: setattr(m.linear.weight, "data", torch.ones(3, 4)),
        "requires_grad": lambda m: m.linear.weight.requires_grad_(False),
        "dtype": lambda m: m.double(),
        "submodule": lambda m: setattr(m, "linear", nn.Linear(4, 3, bias=False)),
        "class": set_class,
        "hook on the module": lambda m: m.register_forward_hook(hook),
        "hook on a submodule": lambda m: m.linear.register_forward_hook(hook),
        "forward": lambda m: setattr(m, "forward", lambda x: x * 7),
    }
    found = {}
    for name, change in changes.items():
        with torch.no_grad():
            torch._dynamo.reset()
            module = net()
            loaded = coldframe.load(folder / "net", module)
            for _ in range(3):
                loaded(x())
            assert is_native(loaded), name
            words, _, bound = reduction(loaded)
            assert words > 30 and bound, name
            change(module)
            given = x().double() if name == "dtype" else x()
            for _ in range(4):
                if name != "hook on a submodule":
                    torch.testing.assert_close(loaded(given), module(given), msg=lambda text, name=name: f"{name}: {text}")
            misses = [reason for miss in coldframe.explain(loaded).misses for reason in miss.reasons]
            found[name] = " ".join(misses) or "served"
            if name == "class attribute that the instance hides":
                del Net.flag
    return found


def redefined(folder: Path) -> None:
    """Globals named anew after a load are not served by what was compiled for the old ones, with Dynamo imported or not."""
    module = sys.modules[__name__]
    kept = {name: vars(module)[name] for name in ("helper", "Part", "by_code")}
    for import_dynamo in (False, True):
        for change in ("helper", "Part", "by_code"):
            vars(module).update(kept)
            by_code.__code__ = ORIGINAL_CODE
            with torch.no_grad():
                whole = Whole()
                loaded = {
                    name: coldframe.load(folder / name, target)
                    for name, target in (("helped", helped), ("whole", whole), ("by_code", by_code))
                }
                for name, target in (("helped", helped), ("whole", whole), ("by_code", by_code)):
                    torch.testing.assert_close(loaded[name](x()), target(x()))
                    assert is_native(loaded[name]), name
                if import_dynamo:
                    importlib.import_module("torch._dynamo")
                if change == "helper":
                    vars(module)["helper"] = lambda x: x * 100
                elif change == "Part":
                    vars(module)["Part"] = type("Part", (), {"__module__": __name__, "apply": lambda self, x: x * 100})
                    whole.part = Part()
                else:
                    by_code.__code__ = (lambda x: x * 100).__code__
                for name, target in (("helped", helped), ("whole", whole), ("by_code", by_code)):
                    torch.testing.assert_close(loaded[name](x()), target(x()), msg=lambda text, c=change: f"{c}: {text}")


def helper(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def helped(x: torch.Tensor) -> torch.Tensor:
    return helper(x).sin()


class Part:
    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x + 2


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = Part()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part.apply(x).cos()


def by_code(x: torch.Tensor) -> torch.Tensor:
    return x - 3


ORIGINAL_CODE = by_code.__code__


def saved_after_a_change(folder: Path) -> None:
    """Variants that do not fit any more are not saved again."""
    module = sys.modules[__name__]
    with torch.no_grad():
        loaded = coldframe.load(folder / "helped", helped)
        loaded(x())
        vars(module)["helper"] = lambda x: x * 100
        torch.testing.assert_close(loaded(x()), helped(x()))
        report = coldframe.save(loaded, folder / "saved")
    assert report.variants == 1, report


def surroundings(folder: Path) -> None:
    """The native path honours around a call all that torch.compile honours."""
    module = net()
    loaded = coldframe.load(folder / "net", module)
    expected = module(x()).detach()
    with torch.no_grad():
        torch.testing.assert_close(loaded(x()), expected)
        assert is_native(loaded) and not imported()
    torch.testing.assert_close(loaded(x()), expected)  # under grad mode: a miss, compiled with a backward
    loaded(x()).sum().backward()
    assert module.linear.weight.grad is not None
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x()), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loaded(x()).dtype == module(x()).dtype
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        before = coldframe.stats()["hits"]
        torch.testing.assert_close(loaded(x()), expected)
        assert coldframe.stats()["hits"] == before
    strict = coldframe.load(folder / "net", net())
    with torch.no_grad():
        with torch.compiler.set_stance("fail_on_recompile"):
            torch.testing.assert_close(strict(x()), expected)
            try:
                strict(x()[:1])
            except RuntimeError as error:
                assert "fail_on_recompile" in str(error)
            else:
                raise AssertionError("compiled under fail_on_recompile")
        torch._dynamo.reset()
        torch.testing.assert_close(strict(x()), expected)
        traced = torch.compile(lambda x: strict(x) + 1, backend="eager", fullgraph=True)
        torch.testing.assert_close(traced(x()), expected + 1)
        outer = torch.compile(lambda x: torch._dynamo.graph_break() or strict(x) + 1, backend="eager")
        torch.testing.assert_close(outer(x()), expected + 1)
        served = coldframe.load(folder / "function", function)
        for trace in (torch.jit.trace, lambda call, args: torch.fx.symbolic_trace(lambda x: call(x))):
            try:
                trace(served, (x(),))
            except RuntimeError as error:
                assert "trace a dynamo-optimized function" in str(error), error
            else:
                raise AssertionError("traced")
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as flops:
            torch.testing.assert_close(strict(x()), expected)
        assert flops.get_total_flops() > 0
        disabled = torch.compiler.disable(lambda x: strict(x))
        torch.testing.assert_close(disabled(x()), expected)


def mirrors(folder: Path) -> None:
    """The module that comes back is a module as torch.compile's is."""
    module = net()
    loaded = load_net(folder)
    assert isinstance(loaded, nn.Module) and not imported()
    loaded = coldframe.load(folder / "net", module)
    assert loaded._orig_mod is module and loaded.linear is module.linear and loaded.scales is module.scales
    assert list(loaded.state_dict()) == [f"_orig_mod.{name}" for name in module.state_dict()]
    assert [p is q for p, q in zip(loaded.parameters(), module.parameters(), strict=True)] == [True, True]
    loaded.flag = False
    assert module.flag is False
    del loaded.flag
    assert not hasattr(module, "flag")
    loaded.train()
    assert module.training and loaded.training
    loaded.training = False
    assert not module.training
    assert "linear" in dir(loaded) and "forward" in dir(loaded)
    import torch._dynamo

    assert isinstance(loaded, torch._dynamo.OptimizedModule)
    plain = torch.compile(module, backend="eager")
    assert repr(loaded) == repr(plain)
    served = coldframe.load(folder / "function", function)
    assert served.__name__ == "function" and served.__doc__ == "Is doubled." and served.__wrapped__ is function
    again = coldframe.compile(served, backend="eager")
    torch.testing.assert_close(again(x()), function(x()))


def copies(folder: Path) -> None:
    loaded = load_net(folder, on_miss="error")
    with torch.no_grad():
        loaded(x())
        copied = copy.deepcopy(loaded)
        assert copied._orig_mod is not loaded._orig_mod
        copied.linear.weight.fill_(1.0)
        torch.testing.assert_close(copied(x()), copied._orig_mod(x()))
        torch.testing.assert_close(loaded(x()), loaded._orig_mod(x()))
    assert is_native(copied) and is_native(loaded)
    try:
        pickle.dumps(loaded)
    except TypeError as error:
        assert "_orig_mod" in str(error)
    else:
        raise AssertionError("pickled")
    compiled = pickle.loads(pickle.dumps(coldframe.compile(net(), backend="eager")))
    with torch.no_grad():
        torch.testing.assert_close(compiled(x()), net()(x()))
    assert coldframe.stats()["compiles"] == 1


def functions(folder: Path) -> None:
    loaded = coldframe.load(folder / "function", function, on_miss="error")
    with torch.no_grad():
        torch.testing.assert_close(loaded(x()), function(x()))
        torch.testing.assert_close(loaded(x=x()), function(x()))
        torch.testing.assert_close(loaded(x(), scale=2.0), function(x()))
        assert is_native(loaded) and not imported()
        try:
            loaded(x(), 3.0)
        except coldframe.MissError as error:
            assert "L['scale'] == 2.0" in str(error), error
        else:
            raise AssertionError("served another scale")
        try:
            loaded()
        except TypeError as error:
            assert "missing 1 required positional argument: 'x'" in str(error), error


def threads(folder: Path) -> None:
    module = net()
    loaded = coldframe.load(folder / "net", module, on_miss="error")
    expected = module(x()).detach()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with torch.no_grad():
                for _ in range(300):
                    torch.testing.assert_close(loaded(x()), expected)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures


def loads(folder: Path) -> None:
    """Loading and dropping leaves nothing behind."""
    module = net()
    namespace = dict(vars(sys.modules[Net.__module__]))
    with torch.no_grad():
        for _ in range(3):
            coldframe.load(folder / "net", net(), on_miss="error")(x())
        gc.collect()
        count, gone = len(gc.get_objects()), []
        for _ in range(20):
            model = net()
            loaded = coldframe.load(folder / "net", model, on_miss="error")
            loaded(x())
            gone.append(weakref.ref(model))
            del loaded, model
        gc.collect()
    assert all(reference() is None for reference in gone)
    assert len(gc.get_objects()) < count + 200
    assert vars(sys.modules[Net.__module__]).keys() == namespace.keys()
    assert not imported() and module is not None

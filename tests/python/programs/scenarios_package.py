"""Scenarios of coldframe.package: what torch's own tests of its packages do, in two processes and with guards kept.

In each, a call before the package is loaded must raise, because nothing may be compiled in the second process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from scenario_support import same, vector

from coldframe.package import CompilePackage, DiskDynamoStore

BACKENDS = ("eager", "inductor")
Call = tuple[Any, ...]


def save(store: DiskDynamoStore, key: str, fn: Callable[..., Any], calls: Sequence[Call], backend: str) -> list[Any]:
    package = CompilePackage(fn)
    compiled = torch._dynamo.optimize(backend, package=package)(fn)
    outputs = [compiled(*call) for call in calls]
    store.save_package(package, key)
    return outputs


@contextmanager
def loaded(store: DiskDynamoStore, key: str, fn: Callable[..., Any], refused: Call) -> Iterator[Any]:
    """`fn` as the package serves it, where nothing may compile. Before it is installed, and after, even a call that it
    serves must raise."""
    with torch.compiler.set_stance("fail_on_recompile"):
        must_recompile(torch._dynamo.optimize("eager")(fn), *refused)
        package, backends = store.load_package(fn, key)
        package.install(backends)
        compiled = torch._dynamo.optimize(package=package)(fn)
        yield compiled
        package.uninstall()
        must_recompile(compiled, *refused)


def must_recompile(compiled: Any, *args: Any) -> None:
    try:
        compiled(*args)
    except RuntimeError as error:
        assert "Detected recompile when torch.compile stance is 'fail_on_recompile'" in str(error), error
    else:
        raise AssertionError("something was compiled, or served that should not be")


# One graph.


def plain(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def first_plain_function(folder: Path) -> Any:
    store = DiskDynamoStore(folder)
    return {backend: save(store, backend, plain, [(vector(),)], backend) for backend in BACKENDS}


def second_plain_function(folder: Path, made: Any) -> None:
    for backend, (output,) in made.items():
        with loaded(DiskDynamoStore(folder), backend, plain, (vector(),)) as compiled:
            assert same(compiled(vector()), output)
            must_recompile(compiled, vector().double())


# Two variants of one function: static, then automatic dynamic, which serves sizes never seen.


def sized(x: torch.Tensor) -> torch.Tensor:
    return x.cos() * x.shape[0]


def first_automatic_dynamic(folder: Path) -> Any:
    store = DiskDynamoStore(folder)
    return {backend: save(store, backend, sized, [(vector(3),), (vector(4),)], backend) for backend in BACKENDS}


def second_automatic_dynamic(folder: Path, made: Any) -> None:
    for backend, outputs in made.items():
        with loaded(DiskDynamoStore(folder), backend, sized, (vector(3),)) as compiled:
            assert same(compiled(vector(3)), outputs[0]) and same(compiled(vector(4)), outputs[1])
            torch.testing.assert_close(compiled(vector(9)), sized(vector(9)))


# A dimension that is marked dynamic within bounds.


def bounded(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + x.shape[0]


def marked(size: int) -> torch.Tensor:
    x = vector(size)
    torch._dynamo.mark_dynamic(x, 0, min=3, max=5)
    return x


def first_bounds(folder: Path) -> None:
    for backend in BACKENDS:
        save(DiskDynamoStore(folder), backend, bounded, [(marked(3),)], backend)


def second_bounds(folder: Path, made: Any) -> None:
    for backend in BACKENDS:
        with loaded(DiskDynamoStore(folder), backend, bounded, (vector(3),)) as compiled:
            torch.testing.assert_close(compiled(vector(5)), bounded(vector(5)))
            must_recompile(compiled, vector(7))


# A recursive function whose path depends on the data: many graphs, and a resume function for each way on.


def search(x: torch.Tensor, low: int, high: int) -> torch.Tensor:
    if low > high:
        return x.sum()
    middle = (low + high) // 2
    if x.sum() == middle:
        return x.sum()
    if x.sum() < middle:
        return search(x, low, middle)
    return search(x, middle + 1, high)


PATHS = 10


def first_recursion(folder: Path) -> Any:
    calls = [(torch.tensor(n), 0, PATHS - 1) for n in range(PATHS)]
    for backend in BACKENDS:
        save(DiskDynamoStore(folder), backend, search, calls, backend)
    entry = DiskDynamoStore(folder).read("eager").dynamo
    resumes = [code for code in entry.codes if code.install_to_global]
    assert len(entry.backend_ids) >= 7 and len(resumes) >= 4, (entry.backend_ids, resumes)


def second_recursion(folder: Path, made: Any) -> None:
    for backend in BACKENDS:
        with loaded(DiskDynamoStore(folder), backend, search, (torch.tensor(0), 0, PATHS - 1)) as compiled:
            for n in range(PATHS):
                assert compiled(torch.tensor(n), 0, PATHS - 1) == n
            must_recompile(compiled, torch.tensor(PATHS), 0, PATHS - 1)


# Training.


def squared(x: torch.Tensor) -> torch.Tensor:
    return (x.sin() * x).sum()


def backward_inside(x: torch.Tensor) -> torch.Tensor:
    loss = (x.sin() * x).sum()
    loss.backward()
    return loss


def leaf() -> torch.Tensor:
    return vector().requires_grad_()


def first_training(folder: Path) -> Any:
    gradients = {}
    for backend in BACKENDS:
        for fn in (squared, backward_inside):
            package = CompilePackage(fn)
            x = leaf()
            output = torch._dynamo.optimize(backend, package=package)(fn)(x)
            if fn is squared:
                output.backward()
            DiskDynamoStore(folder).save_package(package, f"{fn.__name__}-{backend}")
            gradients[fn.__name__, backend] = x.grad
    return gradients


def second_training(folder: Path, made: Any) -> None:
    for backend in BACKENDS:
        for fn in (squared, backward_inside):
            with loaded(DiskDynamoStore(folder), f"{fn.__name__}-{backend}", fn, (leaf(),)) as compiled:
                x = leaf()
                output = compiled(x)
                if fn is squared:
                    output.backward()
                assert same(x.grad, made[fn.__name__, backend])


# Frames that are made on the way, and functions that lie in classes.


def generator(x: torch.Tensor) -> torch.Tensor:
    y = x + 1
    torch._dynamo.graph_break()
    return y + sum(n * x for n in range(3))


class Holder:
    factor = 3

    def method(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor

    @classmethod
    def of_class(cls, x: torch.Tensor) -> torch.Tensor:
        y = x * cls.factor
        torch._dynamo.graph_break()
        return y + 1

    class Inner:
        def method(self, x: torch.Tensor) -> torch.Tensor:
            y = x.sin()
            torch._dynamo.graph_break()
            return y + x

        @staticmethod
        def plain(x: torch.Tensor) -> torch.Tensor:
            return x - 1


def outer(x: torch.Tensor) -> torch.Tensor:
    """Calls functions that break the graph, which makes frames of them."""
    return Holder.Inner().method(x) + Holder.of_class(x)


def functions() -> dict[str, Callable[..., Any]]:
    return {
        "generator": generator,
        "method": Holder().method,
        "classmethod": Holder.of_class,
        "inner method": Holder.Inner().method,
        "static": Holder.Inner.plain,
        "outer": outer,
    }


def first_frames(folder: Path) -> Any:
    store, outputs = DiskDynamoStore(folder), {}
    for name, fn in functions().items():
        for backend in BACKENDS:
            outputs[name, backend] = save(store, f"{name}-{backend}", fn, [(vector(),)], backend)[0]
            torch._dynamo.reset()
    return outputs


def second_frames(folder: Path, made: Any) -> None:
    for name, fn in functions().items():
        for backend in BACKENDS:
            with loaded(DiskDynamoStore(folder), f"{name}-{backend}", fn, (vector(),)) as compiled:
                assert same(compiled(vector()), made[name, backend]), name


# Keys in one file: what a second save adds, and what a later variant that cannot be saved leaves alone.


def typed(x: torch.Tensor) -> torch.Tensor:
    return x + 2


def first_second_save(folder: Path) -> None:
    store = DiskDynamoStore(folder)
    save(store, "key", typed, [(vector(),)], "eager")
    torch._dynamo.reset()
    save(store, "key", typed, [(vector().double(),)], "eager")
    size = store.path("key").stat().st_size
    torch._dynamo.reset()
    save(store, "key", typed, [(vector().double(),)], "eager")
    assert store.path("key").stat().st_size == size
    assert len(store.read("key").dynamo.codes[0].guarded_codes) == 2


def second_second_save(folder: Path, made: Any) -> None:
    with loaded(DiskDynamoStore(folder), "key", typed, (vector(),)) as compiled:
        assert compiled(vector()).dtype == torch.float32 and compiled(vector().double()).dtype == torch.float64

"""Coverage: random numbers, autocast, inference and grad modes."""

from __future__ import annotations

from typing import Any

import torch
from coverage_kit import Table, attempt, matrix, vector
from steps import Program

RANDOM = "random numbers (same stream as torch.compile under a seed)"
MODES = "autocast; inference mode"
TABLE = Table()
covers = TABLE.covers


# Random numbers, autocast, inference mode.


def draws(x: torch.Tensor) -> Any:
    return torch.rand(3) + x[:3], torch.randn_like(x), torch.randint(0, 10, (2,)), torch.dropout(x, 0.5, True)


@covers(
    RANDOM,
    "rand, randn_like, randint and dropout",
    not_as_eager="Inductor draws other numbers than eager",
    backends=("inductor",),
)
def random_inductor() -> Program:
    return Program(draws, lambda f: [f(vector()), f(vector()), torch.rand(2)])


@covers(RANDOM, "rand, randn_like, randint and dropout", backends=("eager",))
def random_eager() -> Program:
    return Program(draws, lambda f: [f(vector()), f(vector()), torch.rand(2)])


@covers(RANDOM, "with fallback_random Inductor draws eager's numbers", backends=("inductor",))
def random_fallback() -> Program:
    return Program(draws, lambda f: [f(vector()), f(vector()), torch.rand(2)], {"options": {"fallback_random": True}})


def python_random(x: torch.Tensor) -> Any:
    import random

    return x * random.random() + random.randint(1, 5)


@covers(RANDOM, "Python's random module")
def random_of_python() -> Program:
    def use(f: Any) -> Any:
        import random

        random.seed(3)
        return [f(vector()), f(vector()), random.random()]

    return Program(python_random, use)


def with_generator(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return x + torch.rand(6, generator=generator)


@covers(RANDOM, "a generator as argument")
def random_generator() -> Program:
    def use(f: Any) -> Any:
        generator = torch.Generator().manual_seed(5)
        return [attempt(f, vector(), generator), attempt(f, vector(), generator)]

    return Program(with_generator, use)


def seeds(x: torch.Tensor) -> Any:
    torch.manual_seed(7)
    return x + torch.rand(6)


@covers(RANDOM, "manual_seed inside the function", not_as_eager="Inductor draws other numbers than eager")
def random_seeded() -> Program:
    return Program(seeds, lambda f: [f(vector()), torch.rand(1)])


def multiplies(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x @ y).sin()


@covers(MODES, "autocast on, off, with another dtype, nested, around one program", not_as_eager="bfloat16 is rounded elsewhere")
def autocast_around() -> Program:
    def use(f: Any) -> Any:
        x, y = matrix(), matrix(4, 3)
        outputs = [f(x, y)]
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", dtype=dtype):
                outputs.append(f(x, y))
                with torch.autocast("cpu", enabled=False):
                    outputs.append(f(x, y))
        return [*outputs, f(x, y)]

    return Program(multiplies, use)


def autocast_inside(x: torch.Tensor, y: torch.Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = x @ y
        with torch.autocast("cpu", enabled=False):
            w = x @ y
    return z, w


@torch.autocast("cpu", dtype=torch.bfloat16)
def autocast_decorated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x @ y


@covers(MODES, "autocast inside the function, nested", not_as_eager="bfloat16 is rounded elsewhere")
def autocast_within() -> Program:
    return Program(autocast_inside, lambda f: f(matrix(), matrix(4, 3)))


@covers(MODES, "autocast as a decorator", not_as_eager="bfloat16 is rounded elsewhere")
def autocast_as_decorator() -> Program:
    return Program(autocast_decorated, lambda f: f(matrix(), matrix(4, 3)))


def makes_inference(x: torch.Tensor) -> Any:
    with torch.inference_mode():
        y = x * 2
    return y + 0, y.is_inference(), torch.is_inference_mode_enabled()


@covers(MODES, "inference mode around the call, off again, and inference tensors as inputs")
def inference_around() -> Program:
    def use(f: Any) -> Any:
        outputs = [f(matrix(), matrix(4, 3))]
        with torch.inference_mode():
            x = matrix()
            outputs.append(f(x, matrix(4, 3)).clone())
        outputs.append(f(x, matrix(4, 3)))
        return [*outputs, f(matrix(), matrix(4, 3))]

    return Program(multiplies, use)


@covers(MODES, "inference mode inside the function")
def inference_within() -> Program:
    return Program(makes_inference, lambda f: attempt(f, vector()))


def reports_mode(x: torch.Tensor) -> Any:
    return (x * 2) if torch.is_grad_enabled() else (x * 3), torch.is_grad_enabled()


@covers(MODES, "grad modes around the call: no_grad, enable_grad, set_grad_enabled")
def grad_modes_around() -> Program:
    def use(f: Any) -> Any:
        x = vector().requires_grad_()
        outputs = []
        for mode in (torch.no_grad(), torch.enable_grad(), torch.set_grad_enabled(False), torch.enable_grad()):
            with mode:
                y, enabled = f(x)
                outputs.append([y, enabled, y.requires_grad])
        return outputs

    return Program(reports_mode, use)

"""Coverage: ways of being a callable, and decorators."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch
from coverage_functions import changed_default, every_kind
from coverage_kit import Table, attempt, vector
from steps import Program

CALLABLES = "lambdas, partials, callable objects, methods, class methods, static methods, properties"
DECORATED = "decorated functions, functools.wraps"
TABLE = Table()
covers = TABLE.covers
Function = Callable[..., Any]


# Ways of being a callable.


class Scale:
    factor = 2.0

    def __init__(self, shift: float = 1.0) -> None:
        self._shift = shift

    @property
    def shift(self) -> float:
        return self._shift * 2

    @functools.cached_property
    def table(self) -> torch.Tensor:
        return vector() * self._shift

    def __call__(self, x: torch.Tensor, *, twice: bool = False) -> torch.Tensor:
        return x * self.factor + self.shift if twice else x * self.factor

    def method(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.shift + self.table

    @classmethod
    def of_class(cls, x: torch.Tensor) -> torch.Tensor:
        return x * cls.factor

    @staticmethod
    def of_nobody(x: torch.Tensor, k: int = 2) -> torch.Tensor:
        return x**k


class Doubled(Scale):
    factor = 4.0

    def method(self, x: torch.Tensor) -> torch.Tensor:
        return super().method(x) * 2


@covers(CALLABLES, "a partial of a partial, with keywords that the call overrides")
def partials() -> Program:
    partial = functools.partial(functools.partial(every_kind, vector(), d=2), 3, e=1)
    return Program(partial, lambda f: [f(), f(4), f(4, 5.0, d=7, z=1)])


def applies(function: Function, x: torch.Tensor) -> torch.Tensor:
    return function(x)


@covers(CALLABLES, "a partial, a lambda, a builtin, an object and a method as arguments")
def callables_as_arguments() -> Program:
    scale = Scale(2.0)
    functions = [functools.partial(changed_default, k=3.0), torch.cos, scale, scale.method, Scale.of_class, Scale.of_nobody]
    return Program(applies, lambda f: [attempt(f, function, vector()) for function in functions])


def picks_lambda(x: torch.Tensor) -> torch.Tensor:
    functions = {"a": lambda y: y.sin(), "b": lambda y, k=3: y * k}
    return functions["a"](x) + functions["b"](x)


@covers(CALLABLES, "lambdas in a dict")
def lambdas_in_dict() -> Program:
    return Program(picks_lambda, lambda f: f(vector()))


@covers(CALLABLES, "a callable object whose attribute changes between calls")
def object_changes() -> Program:
    scale = Scale(1.0)

    def use(f: Any) -> Any:
        outputs = [f(vector()), f(vector(), twice=True)]
        scale._shift = 5.0
        outputs.append(f(vector(), twice=True))
        scale.factor = 9.0  # shadows the class's
        outputs.append(f(vector(), twice=True))
        return outputs

    return Program(scale, use)


@covers(CALLABLES, "a method that reads a property and a cached property, and its override with super()")
def inherited_method() -> Program:
    first = Doubled(3.0)
    return Program(first.method, lambda f: [f(vector()), f(vector()), list(vars(first))])


@covers(CALLABLES, "a class method of a subclass, the class's attribute changing between calls")
def class_method_changes() -> Program:
    def use(f: Any) -> Any:
        try:
            outputs = [f(vector())]
            Doubled.factor = 8.0
            outputs.append(f(vector()))
        finally:
            Doubled.factor = 4.0
        return [*outputs, f(vector())]

    return Program(Doubled.of_class, use)


def uses_properties(x: torch.Tensor, scale: Scale) -> torch.Tensor:
    y = x * scale.shift + scale.table + Scale.of_nobody(x, 3) + scale.of_class(x)
    return operator.methodcaller("sin")(y) + operator.attrgetter("_shift")(scale)


@covers(CALLABLES, "properties, static and class methods of an argument; operator.attrgetter")
def properties_of_argument() -> Program:
    return Program(uses_properties, lambda f: [f(vector(), Scale(2.0)), f(vector(), Doubled(2.0)), f(vector(), Scale(2.0))])


# Decorated functions.


def logged(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        wrapper.calls += 1  # type: ignore[attr-defined]
        return function(*args, **kwargs) + 1

    wrapper.calls = 0  # type: ignore[attr-defined]
    return wrapper


def repeated(times: int) -> Function:
    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wrapper(x: torch.Tensor) -> torch.Tensor:
            for _ in range(times):
                x = function(x)
            return x

        return wrapper

    return decorate


def unwrapped(function: Function) -> Function:
    def wrapper(*args: Any) -> Any:
        return function(*args) * 10

    return wrapper


@logged
def counted(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


@logged
@repeated(2)
@torch.no_grad()
def stacked(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@repeated(3)
def first_repeated(x: torch.Tensor) -> torch.Tensor:
    return x + 1


@repeated(2)
def second_repeated(x: torch.Tensor) -> torch.Tensor:
    return x * 3


@unwrapped
def lost_name(x: torch.Tensor) -> torch.Tensor:
    return x.cos()


@functools.cache
def powers(n: int) -> tuple[int, ...]:
    return tuple(2**i for i in range(n))


@functools.singledispatch
def shown(value: Any, x: torch.Tensor) -> torch.Tensor:
    return x


@shown.register
def _(value: int, x: torch.Tensor) -> torch.Tensor:
    return x * value


@covers(DECORATED, "a wrapper that counts its calls in an attribute of itself")
def counting_wrapper() -> Program:
    counted.calls = 0  # type: ignore[attr-defined]
    return Program(counted, lambda f: [f(vector()), f(vector()), f(vector()), counted.calls])  # type: ignore[attr-defined]


@covers(DECORATED, "three decorators, one of them torch.no_grad")
def stacked_decorators() -> Program:
    return Program(stacked, lambda f: f(vector().requires_grad_()).requires_grad)


def calls_both(x: torch.Tensor) -> torch.Tensor:
    return first_repeated(x) - second_repeated(x)


@covers(DECORATED, "two functions of one decorator: the wrappers share their code")
def shared_wrapper_code() -> Program:
    return Program(calls_both, lambda f: f(vector()))


@covers(DECORATED, "the wrapper that a decorator of two functions made, as target")
def wrapper_as_target() -> Program:
    return Program(second_repeated, lambda f: [f(vector()), first_repeated(vector())])


@covers(DECORATED, "a decorator without functools.wraps")
def without_wraps() -> Program:
    return Program(lost_name, lambda f: [f(vector()), f(vector())])


def calls_cached(x: torch.Tensor, n: int) -> torch.Tensor:
    return x * powers(n)[-1] + shown(n, x) + shown("text", x)


@covers(DECORATED, "functools.lru_cache and functools.singledispatch")
def cached_and_dispatched() -> Program:
    return Program(calls_cached, lambda f: [f(vector(), 2), f(vector(), 3)])

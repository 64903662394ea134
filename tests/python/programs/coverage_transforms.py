"""Coverage: tensor subclasses, FX modules, transforms, higher-order operators, attention, complex and quantized operators."""

from __future__ import annotations

from typing import Any

import torch
from coverage_kit import Table, attempt, matrix, vector
from steps import Program
from torch import nn

SUBCLASSES = "tensor subclasses and FX-wrapped modules where torch.compile has them"
FUNC = "torch.func transforms"
TABLE = Table()
covers = TABLE.covers


# Tensor subclasses.


class Tagged(torch.Tensor):
    """Only a type."""


class Counted(torch.Tensor):
    """With a __torch_function__ that changes results."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs or {})
        return result + 1 if func is torch.Tensor.sin else result


class Scaled(torch.Tensor):
    """A wrapper with a tensor and a number inside."""

    inner: torch.Tensor
    scale: float

    @staticmethod
    def __new__(cls, inner: torch.Tensor, scale: float) -> Scaled:
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, device=inner.device)

    def __init__(self, inner: torch.Tensor, scale: float) -> None:
        self.inner, self.scale = inner, scale

    def __tensor_flatten__(self) -> Any:
        return ["inner"], self.scale

    @staticmethod
    def __tensor_unflatten__(tensors: Any, scale: float, size: Any, stride: Any) -> Scaled:
        return Scaled(tensors["inner"], scale)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def plain(value: Any) -> Any:
            return value.inner if isinstance(value, Scaled) else value

        scales = [a.scale for a in torch.utils._pytree.tree_leaves(args) if isinstance(a, Scaled)]
        args, kwargs = torch.utils._pytree.tree_map(plain, (args, kwargs or {}))
        out = func(*args, **kwargs)
        return torch.utils._pytree.tree_map_only(torch.Tensor, lambda t: Scaled(t, scales[0]), out)


def arithmetic(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * 2 + 1


def with_tagged(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * 2 + 1


def with_counted(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * 2 + 1


def with_wrapper(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * 2 + 1


@covers(SUBCLASSES, "a subclass that is only a type")
def subclass_type() -> Program:
    def use(f: Any) -> Any:
        result = f(vector().as_subclass(Tagged))
        return [type(result).__name__, result.as_subclass(torch.Tensor), f(vector())]

    return Program(with_tagged, use)


@covers(SUBCLASSES, "a subclass with a __torch_function__", not_as_eager="torch.compile loses the type")
def subclass_function() -> Program:
    def use(f: Any) -> Any:
        result = f(vector().as_subclass(Counted))
        return [type(result).__name__, result.as_subclass(torch.Tensor), f(vector())]

    return Program(with_counted, use)


@covers(SUBCLASSES, "a traceable wrapper subclass, with other metadata in a later call")
def subclass_wrapper() -> Program:
    def use(f: Any) -> Any:
        outputs = []
        for scale in (2.0, 3.0, 2.0):
            result = f(Scaled(vector(), scale))
            outputs.append([type(result).__name__, result.inner, result.scale])
        return outputs

    return Program(with_wrapper, use)


def makes_subclass(x: torch.Tensor) -> torch.Tensor:
    return Scaled(x * 2, 3.0).inner + 1


@covers(SUBCLASSES, "a wrapper subclass made inside the function")
def subclass_made() -> Program:
    return Program(makes_subclass, lambda f: f(vector()))


def doubles_mode(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x) + 1


class Doubling(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result * 2 if func is torch.sin else result


@covers(SUBCLASSES, "a TorchFunctionMode around the call, and not", not_as_eager="torch.compile applies the mode twice")
def function_mode() -> Program:
    def use(f: Any) -> Any:
        outputs = [f(vector())]
        with Doubling():
            outputs.append(f(vector()))
        return [*outputs, f(vector())]

    return Program(doubles_mode, use)


class Traceable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu() + 1


@covers(SUBCLASSES, "a module of torch.fx.symbolic_trace", bypass="no")
def fx_module() -> Program:
    return Program(torch.fx.symbolic_trace(Traceable().eval()), lambda f: [f(matrix()), f(matrix())])


class Outer(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * 2


@covers(
    SUBCLASSES,
    "a module that contains a traced one",
    bypass="GraphModuleImpl",
)
def fx_submodule() -> Program:
    return Program(Outer(torch.fx.symbolic_trace(Traceable().eval())), lambda f: [f(matrix()), f(matrix())])


@covers(SUBCLASSES, "the module of an exported program", bypass="no imported module")
def exported_module() -> Program:
    exported = torch.export.export(Traceable().eval(), (matrix(),))
    return Program(exported.module(), lambda f: f(matrix()))


# Transforms.


def square_sum(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x * x * y).sum()


def transformed(x: torch.Tensor, y: torch.Tensor) -> Any:
    gradient, value = torch.func.grad_and_value(square_sum, argnums=(0, 1))(x, y)
    return gradient, value, torch.func.vmap(square_sum, in_dims=(0, None))(x.reshape(2, 3), y[:3])


@covers(FUNC, "grad_and_value with two arguments, vmap with in_dims")
def grad_and_vmap() -> Program:
    return Program(transformed, lambda f: f(vector(), vector() + 1))


def jacobians(x: torch.Tensor) -> Any:
    return torch.func.jacrev(torch.sin)(x), torch.func.jacfwd(torch.cos)(x), torch.func.hessian(lambda y: (y**3).sum())(x)


@covers(FUNC, "jacrev, jacfwd and hessian")
def jacobian() -> Program:
    return Program(jacobians, lambda f: f(vector(3)))


def products(x: torch.Tensor, v: torch.Tensor) -> Any:
    out, vjp = torch.func.vjp(torch.sin, x)
    return out, vjp(v), torch.func.jvp(torch.cos, (x,), (v,)), torch.func.vmap(torch.func.grad(lambda y: y.sin() * y))(x)


@covers(FUNC, "vjp, jvp, and vmap over grad")
def vector_products() -> Program:
    return Program(products, lambda f: f(vector(), vector() + 1))


@covers(FUNC, "a compiled function inside torch.func.vmap and grad of the caller", backends=("eager",))
def transform_outside() -> Program:
    def use(f: Any) -> Any:
        return [
            f(vector()),
            attempt(lambda: torch.func.vmap(f)(matrix())),
            attempt(lambda: torch.func.grad(lambda x: f(x).sum())(vector())),
            f(vector()),
        ]

    return Program(arithmetic, use)

"""Coverage: dynamic shapes, dtypes and devices."""

from __future__ import annotations

from typing import Any

import torch
from coverage_kit import Table, attempt, matrix, vector
from steps import Program

SHAPES = "dynamic shapes"
DTYPES = "several dtypes and devices (cpu, meta)"
TABLE = Table()
covers = TABLE.covers


def scaled(x: torch.Tensor) -> torch.Tensor:
    return (x * x.shape[0]).sin()


@covers(SHAPES, "automatic: the second size makes the dimension dynamic, then 0, 1 and strides")
def automatic() -> Program:
    def use(f: Any) -> Any:
        return [f(vector(n)) for n in (4, 5, 9, 1, 0, 2)] + [f(vector(8)[::2]), f(vector(12)[::3])]

    return Program(scaled, use)


def two_dimensions(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x.sum(0, keepdim=True) + y[: x.shape[0]].sum()


@covers(SHAPES, "automatic, one dimension after another, of two inputs")
def automatic_two() -> Program:
    sizes = [(3, 4, 5), (4, 4, 5), (5, 6, 7), (6, 8, 9)]
    return Program(two_dimensions, lambda f: [f(matrix(a, b), vector(c)) for a, b, c in sizes])


def with_int(x: torch.Tensor, n: int, k: float) -> torch.Tensor:
    return x * n + k


@covers(SHAPES, "integers and floats that change become symbols")
def changing_scalars() -> Program:
    return Program(with_int, lambda f: [f(vector(), n, n / 3) for n in (2, 3, 7, 0, 1, -4)])


def counts(x: torch.Tensor, times: int) -> torch.Tensor:
    for i in range(times):
        x = x + i
    return x


@covers(SHAPES, "an integer that is a loop bound stays specialised")
def loop_bound() -> Program:
    return Program(counts, lambda f: [f(vector(), n) for n in (1, 2, 3, 2)])


@covers(SHAPES, "dynamic=True from the first call, also for size 1")
def dynamic_true() -> Program:
    return Program(scaled, lambda f: [f(vector(n)) for n in (4, 7, 2, 1)], {"dynamic": True})


@covers(SHAPES, "dynamic=False: a variant for each size")
def dynamic_false() -> Program:
    return Program(scaled, lambda f: [f(vector(n)) for n in (4, 7, 4)], {"dynamic": False})


def with_guards(x: torch.Tensor) -> torch.Tensor:
    if x.shape[0] % 2 == 0 and x.shape[0] + 2 > x.shape[1]:
        return x.reshape(x.shape[0] // 2, -1) * 2
    return x.flatten() + x.shape[1]


@covers(SHAPES, "symbolic guards: modulo, comparison of two sizes, floor division")
def symbolic_guards() -> Program:
    sizes = [(4, 3), (6, 5), (5, 3), (7, 9), (2, 9)]
    return Program(with_guards, lambda f: [f(matrix(a, b)) for a, b in sizes], {"dynamic": True})


@covers(SHAPES, "mark_dynamic with bounds")
def marked_with_bounds() -> Program:
    def use(f: Any) -> Any:
        outputs = []
        for n in (4, 8, 16):
            x = vector(n)
            torch._dynamo.mark_dynamic(x, 0, min=2, max=32)
            outputs.append(f(x))
        return outputs

    return Program(scaled, use)


@covers(SHAPES, "maybe_mark_dynamic and mark_static")
def marked_static() -> Program:
    def use(f: Any) -> Any:
        outputs = []
        for n in (4, 6):
            x = matrix(n, 3)
            torch._dynamo.maybe_mark_dynamic(x, 0)
            outputs.append(f(x))
        for n in (5, 6):
            x = matrix(3, n)
            torch._dynamo.mark_static(x, 1)
            outputs.append(f(x))
        return outputs

    return Program(scaled, use)


def constrained(x: torch.Tensor) -> torch.Tensor:
    return x + torch.ones(4)


@covers(SHAPES, "a dimension marked dynamic that the program specialises", refused="ConstraintViolationError")
def marked_but_specialised() -> Program:
    def use(f: Any) -> Any:
        x = vector(4)
        torch._dynamo.mark_dynamic(x, 0)
        answer = attempt(f, x)
        return answer[:2] if isinstance(answer, list) else "ConstraintViolationError was not raised"

    return Program(constrained, use)


def unbacked(x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    n = count.item()
    torch._check(n >= 1)
    torch._check(n <= 6)
    return torch.full((n,), 2.0) * x.sum()


@covers(SHAPES, "an unbacked size from .item(), with capture_scalar_outputs")
def unbacked_item() -> Program:
    def use(f: Any) -> Any:
        with torch._dynamo.config.patch(capture_scalar_outputs=True):
            return [f(vector(), torch.tensor(n)) for n in (3, 5, 1)]

    return Program(unbacked, use)


def nonzero(x: torch.Tensor) -> torch.Tensor:
    return x.nonzero().float() * 2


@covers(SHAPES, "an unbacked size from nonzero(), with capture_dynamic_output_shape_ops")
def unbacked_nonzero() -> Program:
    def use(f: Any) -> Any:
        with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
            return [f(vector()), f(torch.tensor([0.0, 1.0, 0.0])), f(torch.zeros(4))]

    return Program(nonzero, use)


@covers(SHAPES, "mark_unbacked: one variant for every size, 0 and 1 too")
def marked_unbacked() -> Program:
    def use(f: Any) -> Any:
        outputs = []
        for n in (4, 1, 0, 9):
            x = vector(n)
            torch._dynamo.decorators.mark_unbacked(x, 0)
            outputs.append(f(x))
        return outputs

    return Program(doubled, use)


def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1


def shape_results(x: torch.Tensor) -> Any:
    return x.shape, x.shape[0] * 2, x.numel(), list(x.stride()), x.size(-1) // 2, x * 2


@covers(SHAPES, "sizes, products of sizes and strides as outputs")
def sizes_as_outputs() -> Program:
    return Program(shape_results, lambda f: [f(matrix(n, 4)) for n in (3, 5, 8)], {"dynamic": True})


def breaks_with_size(x: torch.Tensor) -> torch.Tensor:
    y = x.sin()
    torch._dynamo.graph_break()
    return y.reshape(-1, 2) * y.shape[0]


@covers(SHAPES, "dynamic sizes in a resume function")
def dynamic_after_break() -> Program:
    return Program(breaks_with_size, lambda f: [f(vector(n)) for n in (4, 6, 10)])


def float_in_object(x: torch.Tensor, settings: dict[str, Any]) -> torch.Tensor:
    return x * settings["scale"] + settings["steps"]


@covers(SHAPES, "numbers inside a dict argument that change at each call")
def numbers_in_dict() -> Program:
    return Program(float_in_object, lambda f: [f(vector(), {"scale": s, "steps": int(s)}) for s in (1.5, 2.5, 3.5, 4.5)])


# Dtypes and devices.


def arithmetic(x: torch.Tensor) -> torch.Tensor:
    return (x * 2 + x).abs().sum(-1, keepdim=True) + x


@covers(DTYPES, "one function with ten dtypes")
def all_dtypes() -> Program:
    dtypes = (
        *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8),
        *(torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool),
    )

    def use(f: Any) -> Any:
        with torch._dynamo.config.patch(recompile_limit=16):
            return [attempt(f, torch.arange(4).to(dtype)) for dtype in dtypes]

    return Program(arithmetic, use)


def eights(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.float32) * 2


@covers(DTYPES, "float8 inputs")
def float8() -> Program:
    return Program(eights, lambda f: [f(vector().to(torch.float8_e4m3fn)), f(vector().to(torch.float8_e5m2))])


def typed(x: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return x.to(dtype) + torch.zeros(3, dtype=dtype, device=device)


@covers(DTYPES, "dtypes and devices as arguments")
def dtype_arguments() -> Program:
    device = torch.device("cpu")
    return Program(typed, lambda f: [f(vector(3), dtype, device) for dtype in (torch.float32, torch.float64)])


def described(x: torch.Tensor) -> Any:
    y = x @ x.mT
    return [tuple(y.shape), y.stride(), str(y.dtype), y.device.type]


@covers(DTYPES, "meta tensors: shapes are computed")
def meta_shapes() -> Program:
    return Program(described, lambda f: [f(torch.empty(3, 4, device="meta")), f(torch.empty(5, 4, device="meta"))])


def meta_sum(x: torch.Tensor) -> torch.Tensor:
    return (x * 2).sum(0)


@covers(DTYPES, "a meta tensor as output")
def meta_output() -> Program:
    def use(f: Any) -> Any:
        y = f(torch.empty(3, 4, device="meta"))
        return [tuple(y.shape), str(y.device), f(matrix())]

    return Program(meta_sum, use)


def with_default_device(x: torch.Tensor) -> Any:
    return torch.ones(3).device.type, x + 1


@covers(DTYPES, "torch.set_default_device and `with torch.device`")
def default_device() -> Program:
    def use(f: Any) -> Any:
        outputs = [f(vector())]
        with torch.device("meta"):
            outputs.append(attempt(f, torch.ones(3, device="cpu"))[0])
        return [*outputs, f(vector())]

    return Program(with_default_device, use)

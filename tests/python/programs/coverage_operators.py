"""Coverage: attention, higher-order operators, complex and quantized operators."""

from __future__ import annotations

from typing import Any

import torch
from coverage_kit import Table, attempt, matrix, vector
from steps import Program
from torch import nn
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

FLEX = "flex attention"
HIGHER = "scan/cond higher-order operators"
COMPLEX = "complex and quantized operators on CPU"
TABLE = Table()
covers = TABLE.covers


# Attention.


def biased(score: torch.Tensor, b: Any, h: Any, q: Any, kv: Any) -> torch.Tensor:
    return score + (q - kv) * 0.5


def causal(b: Any, h: Any, q: Any, kv: Any) -> Any:
    return q >= kv


def heads(n: int = 4) -> list[torch.Tensor]:
    return [torch.linspace(-1, 1, 2 * n * 8).reshape(1, 2, n, 8) * k for k in (1, 2, 3)]


def attends(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return flex_attention(q, k, v, score_mod=biased)


@covers(FLEX, "a score_mod")
def flex_score() -> Program:
    return Program(attends, lambda f: f(*heads(16)))


def attends_masked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Any) -> torch.Tensor:
    return flex_attention(q, k, v, block_mask=mask)


@covers(FLEX, "a block mask as argument")
def flex_mask() -> Program:
    def use(f: Any) -> Any:
        mask = create_block_mask(causal, None, None, 16, 16, device="cpu")
        return attempt(f, *heads(16), mask)

    return Program(attends_masked, use)


def sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


@covers(FLEX, "scaled_dot_product_attention, with the backend chosen around the call")
def dot_product_attention() -> Program:
    def use(f: Any) -> Any:
        outputs = [f(*heads())]
        with sdpa_kernel(SDPBackend.MATH):
            outputs.append(f(*heads()))
        return outputs

    return Program(sdpa, use)


# Higher-order operators.


def conditional(x: torch.Tensor, k: float) -> Any:
    def true(y: torch.Tensor, z: torch.Tensor) -> Any:
        return y.sin() * k, z + 1

    def false(y: torch.Tensor, z: torch.Tensor) -> Any:
        return y.cos(), z - 1

    return torch.cond(x.sum() > 0, true, false, (x, x * 2))


@covers(HIGHER, "cond with two operands and a free variable: both ways")
def cond_both_ways() -> Program:
    return Program(conditional, lambda f: [f(vector() + 1, 2.0), f(vector() - 1, 2.0)])


def nested_cond(x: torch.Tensor) -> torch.Tensor:
    def true(y: torch.Tensor) -> torch.Tensor:
        return torch.cond(y.max() > 5, lambda z: z * 2, lambda z: z * 3, (y,))

    return torch.cond(x.sum() > 0, true, lambda y: -y, (x,))


@covers(HIGHER, "cond in cond")
def cond_nested() -> Program:
    return Program(nested_cond, lambda f: [f(vector() + k) for k in (1, 10, -10)])


def cumulates(x: torch.Tensor) -> Any:
    def combine(carry: torch.Tensor, row: torch.Tensor) -> Any:
        new = carry * 0.5 + row
        return new, new.sin()

    return scan(combine, torch.zeros(4), x)


@covers(HIGHER, "scan")
def scan_rows() -> Program:
    return Program(cumulates, lambda f: attempt(f, matrix()))


def loops(x: torch.Tensor) -> Any:
    return while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, y * 2 + 1), (torch.tensor(0), x))


@covers(HIGHER, "while_loop")
def loop_until() -> Program:
    return Program(loops, lambda f: attempt(f, vector()))


def mapped(x: torch.Tensor) -> Any:
    from torch._higher_order_ops.map import map as map_rows

    return map_rows(lambda row, k: row.sin() + k, x, torch.ones(4))


@covers(HIGHER, "map over rows")
def map_rows() -> Program:
    return Program(mapped, lambda f: attempt(f, matrix()))


# Complex and quantized.


def rotates(x: torch.Tensor, angle: torch.Tensor) -> Any:
    z = torch.polar(torch.ones_like(angle), angle) * torch.view_as_complex(x.reshape(-1, 2))
    return torch.view_as_real(z), z.abs(), z.conj(), z.conj().imag


@covers(COMPLEX, "polar, view_as_complex, conj and imag")
def complex_rotation() -> Program:
    return Program(rotates, lambda f: f(vector(), vector(3)))


def transforms(x: torch.Tensor) -> Any:
    z = torch.fft.rfft(x)
    return z, torch.fft.irfft(z * z.conj(), n=x.shape[-1])


@covers(COMPLEX, "fft, with complex inputs and a conjugated one")
def fft() -> Program:
    return Program(transforms, lambda f: f(vector(8)))


def with_complex(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * 2 + 1


@covers(COMPLEX, "complex inputs: a plain one, a conjugated one, complex128")
def complex_inputs() -> Program:
    def use(f: Any) -> Any:
        z = torch.complex(vector(), vector() + 1)
        return [f(z), f(z.conj()), f(z.to(torch.complex128)), f(vector())]

    return Program(with_complex, use)


def quantizes(x: torch.Tensor) -> Any:
    q = torch.quantize_per_tensor(x, 0.1, 3, torch.quint8)
    return q.dequantize(), q.int_repr()


@covers(COMPLEX, "quantize_per_tensor and dequantize")
def quantized() -> Program:
    return Program(quantizes, lambda f: attempt(f, vector()))


@covers(COMPLEX, "a dynamically quantized linear module")
def quantized_module() -> Program:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval(), dtype=torch.qint8)
    return Program(model, lambda f: attempt(f, matrix()))


def fake_quantizes(x: torch.Tensor) -> torch.Tensor:
    q = torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)
    return torch.ops.quantized_decomposed.dequantize_per_tensor(q, 0.1, 0, -128, 127, torch.int8)


@covers(COMPLEX, "quantized_decomposed operators, as exported quantized models have them")
def decomposed_quantized() -> Program:
    import torch.ao.quantization.fx._decomposed  # noqa: F401

    return Program(fake_quantizes, lambda f: f(vector()))


def int_products(x: torch.Tensor, y: torch.Tensor) -> Any:
    return torch._int_mm(x, y)


@covers(COMPLEX, "an int8 matrix product with int32 results")
def int8_product() -> Program:
    x = torch.arange(32 * 32).reshape(32, 32).remainder(5).to(torch.int8)
    return Program(int_products, lambda f: attempt(f, x, x))

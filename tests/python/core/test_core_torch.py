"""Values of torch: recognised without importing it, and never by the core itself."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from core_support import named

from coldframe import _core, errors
from coldframe._core import Construct, ImportRef


@pytest.mark.parametrize(
    ("value", "qualname"),
    [
        (torch.float32, "float32"),
        (torch.bfloat16, "bfloat16"),
        (torch.qint8, "qint8"),
        (torch.strided, "strided"),
        (torch.sparse_coo, "sparse_coo"),
        (torch.contiguous_format, "contiguous_format"),
        (torch.channels_last, "channels_last"),
        (torch.per_tensor_affine, "per_tensor_affine"),
        (torch.add, "add"),
        (torch.relu, "relu"),
        (torch.ops.aten, "ops.aten"),
        (torch.ops.aten.add, "ops.aten.add"),
        (torch.ops.aten.add.Tensor, "ops.aten.add.Tensor"),
        (torch.ops.aten.relu.default, "ops.aten.relu.default"),
        (torch.ops.higher_order.cond, "ops.higher_order.cond"),
    ],
    ids=named,
)
def test_what_torch_names(value: Any, qualname: str) -> None:
    assert _core.import_ref(value) == ImportRef("torch", qualname)
    assert _core.portable([value], resolve=True)[0] is value


@pytest.mark.parametrize(
    "value",
    [
        torch,
        torch.nn.functional,
        torch.ops,
        torch.backends.cudnn,
        torch.nn.Linear,
        torch.Tensor,
        torch.Tensor.add,
        torch.Tensor.shape,
        torch.Tensor.__add__,
        torch.nn.functional.gelu,
        torch.nn.functional.relu,
        torch.nn.functional.scaled_dot_product_attention,
        torch._C._nn.gelu,
        torch.nn.Module.__call__,
        type(torch._C.DispatchKeySet),
        torch._C.DispatchKeySet.__base__,
        torch.nn.Module.forward,
        torch.nn.Linear.forward.__code__,
        torch.no_grad,
        torch.return_types.max,
        type(torch.ops.aten.add),
        type(torch.float32),
    ],
    ids=named,
)
def test_importable_objects_of_torch(value: Any) -> None:
    assert _core.import_ref(value).resolve() is value


@pytest.mark.parametrize(
    ("value", "callee", "args"),
    [
        (torch.device("cpu"), "device", ("cpu",)),
        (torch.device("cuda"), "device", ("cuda",)),
        (torch.device("cuda:1"), "device", ("cuda:1",)),
        (torch.Size([]), "Size", ((),)),
        (torch.Size([2, 3]), "Size", ((2, 3),)),
        (torch.finfo(torch.float16), "finfo", (ImportRef("torch", "float16"),)),
        (torch.iinfo(torch.int8), "iinfo", (ImportRef("torch", "int8"),)),
    ],
    ids=named,
)
def test_what_a_call_of_torch_makes(value: Any, callee: str, args: tuple[Any, ...]) -> None:
    assert _core.portable(value) == Construct(ImportRef("torch", callee), args)
    back = _core.portable({"k": value}, resolve=True)["k"]
    assert type(back) is type(value)
    assert back == value


def test_a_named_tuple_of_torch() -> None:
    value = torch.return_types.max((1, 2))
    back = _core.portable(value, resolve=True)
    assert type(back) is type(value)
    assert tuple(back) == (1, 2)


@pytest.mark.parametrize("value", [torch.ones(2), torch.nn.Linear(2, 2), torch.Generator()], ids=lambda v: type(v).__name__)
def test_what_is_not_portable(value: Any) -> None:
    with pytest.raises(errors.NotPortableError, match=type(value).__name__):
        _core.encode([value])


def test_asking_an_operator_namespace_makes_no_operators() -> None:
    before = set(vars(torch.ops)), set(vars(torch.ops.aten))
    _core.import_ref(torch.ops.aten)
    _core.import_ref(torch.ops)
    assert before == (set(vars(torch.ops)), set(vars(torch.ops.aten)))


def test_the_core_does_not_import_torch() -> None:
    script = "import sys; from coldframe import _core; _core.portable([int, {'a': 1.0}]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

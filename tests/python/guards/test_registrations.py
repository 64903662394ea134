"""Registrations for an operator of the program decide what a graph that calls it does."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

from coldframe.torch.guards import registrations

SOURCE = """
#include <ATen/ATen.h>
#include <torch/library.h>
at::Tensor scaled(const at::Tensor& x) { return x * FACTOR; }
TORCH_LIBRARY(NAME, m) { m.def("scaled(Tensor x) -> Tensor", scaled); }
"""


def test_an_effect_counts() -> None:
    @torch.library.custom_op("test_registrations::op", mutates_args=())
    def op(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    before = registrations.of("test_registrations::op")
    assert registrations.of("test_registrations::op") == before
    torch.fx.node.has_side_effect(op._opoverload)
    kept = registrations.of("test_registrations::op")
    op.register_effect(torch.library.EffectType.ORDERED)
    assert len({before, kept, registrations.of("test_registrations::op")}) == 3


def build(folder: Path, name: str, factor: int) -> Path:
    """A library whose operator is made of others."""
    source, made = folder / f"{name}.cpp", folder / f"{name}.so"
    source.write_text(SOURCE)
    includes = [f"-I{path}" for path in [*cpp_extension.include_paths(), sysconfig.get_path("include")]]
    flags = ["-std=c++20", "-shared", "-fPIC", "-O0", "-g0", f"-DNAME={name}", f"-DFACTOR={factor}"]
    libraries = [*(f"-L{path}" for path in cpp_extension.library_paths()), "-ltorch_cpu", "-lc10"]
    subprocess.run(["g++", *flags, *includes, str(source), "-o", str(made), *libraries], check=True)
    return made


def test_the_library_of_a_composite_kernel_counts(tmp_path: Path) -> None:
    names = {"test_kernels_one": 2, "test_kernels_two": 3}
    for name, factor in names.items():
        torch.ops.load_library(build(tmp_path, name, factor))
    found = {name: registrations.of(f"{name}::scaled") for name in names}
    digests = [next(each for each in said if len(each) == 64) for said in found.values()]
    assert len(set(digests)) == 2
    assert registrations.of("test_kernels_one::scaled") == found["test_kernels_one"]


@pytest.mark.parametrize("operator", ["aten::sin", "aten::linear"])
def test_kernels_of_torch_are_known_by_its_version(operator: str) -> None:
    assert not any(len(each) == 64 for each in registrations.of(operator))

"""Kernels ask for the instruction sets that they were compiled for, whatever else lies in Inductor's cache."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import target_steps
import torch
from harness import Processes

import coldframe
from coldframe.torch.graphs import kernels

LIMITED = {"ATEN_CPU_CAPABILITY": "avx2"}


def test_hosts_of_two_kinds_share_a_cache_of_inductor(processes: Processes, tmp_path: Path) -> None:
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
    assert processes.run(target_steps.by_torch_alone, env=cache).get()
    everything = processes.run(target_steps.captured, path=tmp_path / "everything.cfp", env=cache).get()
    limited = processes.run(target_steps.captured, path=tmp_path / "limited.cfp", env=cache | LIMITED).get()
    assert everything["right"] and limited["right"]
    assert limited["isa"] in ("avx2", "none") and not [name for name in limited["features"] if name.startswith("avx512")]
    assert set(limited["features"]) <= set(everything["features"])
    assert processes.run(target_steps.served, path=tmp_path / "limited.cfp", sealed=True, env=LIMITED).get()
    assert processes.run(target_steps.served, path=tmp_path / "everything.cfp", sealed=True).get()


def test_a_backend_may_import_inductor_when_it_compiles(processes: Processes, tmp_path: Path) -> None:
    assert processes.run(target_steps.by_a_backend_that_imports_inductor, path=tmp_path / "package.cfp").get() == []


def test_of_other_kernels_it_is_not_known_what_they_ask_for() -> None:
    found = types.SimpleNamespace(__self__=types.SimpleNamespace(__file__=torch._C.__file__), __name__="kernel")
    with pytest.raises(coldframe.NotPortableError, match="compiled before coldframe was there: for which CPUs is not known"):
        kernels.kernel_bytes(found, "here")

"""Promises of backends beyond equal results: errors, growth, what is held, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path

import backend_rules
import pytest
from harness import Processes

from coldframe.errors import NotPortableError
from coldframe.torch.graphs.wrapper_source import reduce_wrapper


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One Inductor cache for this module: the headers are compiled once."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path_factory.mktemp("inductor"))}


def test_backward_that_was_never_compiled(processes: Processes, tmp_path: Path) -> None:
    answer = processes.run(backend_rules.missing_backward, folder=tmp_path).get()
    assert answer["same"]
    assert answer["asked"] == [answer["id"]]


def test_artifact_grows_when_its_backward_is_compiled(processes: Processes, tmp_path: Path) -> None:
    answer = processes.run(backend_rules.growing, folder=tmp_path).get()
    assert answer["states"] == [(True, "missing"), (False, "compiled")]
    assert answer["failure"] is None
    assert answer["error"] <= 1e-6


def test_restored_graph_refuses_what_torch_refuses(processes: Processes, tmp_path: Path) -> None:
    answer = processes.run(backend_rules.refused_autograd_uses, folder=tmp_path).get()
    for use, (compiled, restored) in answer.items():
        assert compiled == restored, use
    assert "double backward" in answer["twice_backward"][0]
    assert "use_deterministic_algorithms" in answer["deterministic"][0]
    assert "modified by an inplace operation" in answer["mutated"][0]


def test_gradients_in_another_layout(processes: Processes, tmp_path: Path) -> None:
    errors = processes.run(backend_rules.tangents, folder=tmp_path).get()
    assert len(errors) == 4 and max(errors.values()) <= 1e-6


def test_backend_of_a_third_party(processes: Processes) -> None:
    answer = processes.run(backend_rules.third_party).get()
    assert len(answer["unknown"]) == 1 and "compiler.<locals>.compiled" in answer["unknown"][0]
    assert answer["again"].startswith("InvalidArgumentError")
    assert answer["kind"] == "tests_square" and answer["same"]
    assert answer["unregistered"].startswith("UnsupportedPackageError")


def test_capture_holds_nothing(processes: Processes, tmp_path: Path) -> None:
    answer = processes.run(backend_rules.nothing_is_held, folder=tmp_path).get()
    assert answer["captured"] == 1 and answer["alive"] == [False] * 3


def test_dynamo_does_not_look_into_restored_graphs(processes: Processes, tmp_path: Path) -> None:
    answer = processes.run(backend_rules.hidden_from_dynamo, folder=tmp_path).get()
    assert answer["error"] <= 1e-6 and answer["traced"] == []


def test_kernels_are_those_that_were_loaded(processes: Processes, tmp_path: Path, cache: dict[str, str]) -> None:
    answer = processes.run(backend_rules.kernels, folder=tmp_path, env=cache).get()
    assert answer["loaded"] == 1
    assert answer["changed"].startswith("NotPortableError") and "is not the file that was loaded" in answer["changed"]
    assert answer["gone"].startswith("NotPortableError") and "is gone" in answer["gone"]
    assert answer["source"] and not answer["code"]


def test_flipped_byte_is_never_run(processes: Processes, tmp_path: Path, cache: dict[str, str]) -> None:
    """Wherever a blob of the package is damaged, restoring says so; nothing of it is loaded."""
    answer = processes.run(backend_rules.damaged, folder=tmp_path, env=cache).get()
    assert answer["sound"] == ""
    assert answer["damaged"] and all(error.startswith("CorruptPackageError") for error in answer["damaged"])


def test_missing_blob(processes: Processes, cache: dict[str, str]) -> None:
    error = processes.run(backend_rules.missing_blob, env=cache).get()
    assert error.startswith("CorruptPackageError") and "kernel." in error


def test_frozen_parameters_are_not_portable(processes: Processes, cache: dict[str, str]) -> None:
    (reason,) = processes.run(backend_rules.frozen, env=cache).get()
    assert "values of parameters" in reason


def test_openmp_is_reported(processes: Processes, cache: dict[str, str]) -> None:
    assert processes.run(backend_rules.threads, env=cache | {"OMP_NUM_THREADS": "2"}).get()["uses_openmp"] is True


@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_instruction_set_is_reported(processes: Processes, tmp_path: Path, capability: str) -> None:
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "ATEN_CPU_CAPABILITY": capability}
    report = processes.run(backend_rules.capability, env=cache).get()
    assert report["vec_isa"] == ("none" if capability == "default" else capability)
    if capability == "avx2":
        assert {"avx2", "fma", "f16c"} <= set(report["cpu_features"])


def test_unknown_operator(processes: Processes, tmp_path: Path, cache: dict[str, str]) -> None:
    assert processes.run(backend_rules.unknown_operator, folder=tmp_path, env=cache).get() == ""
    error = processes.run(backend_rules.restored, folder=tmp_path, sealed=True).get()
    assert error.startswith("IncompatiblePackageError") and "torch.ops.coldframe_missing.double" in error


def test_recipe_of_another_format(processes: Processes) -> None:
    assert processes.run(backend_rules.another_format).get().startswith("UnsupportedPackageError")


def test_error_while_capturing_is_a_reason(processes: Processes) -> None:
    (reason,) = processes.run(backend_rules.broken_capture).get()
    assert "ZeroDivisionError while capturing: a defect" in reason


def test_eager_needs_no_inductor(processes: Processes) -> None:
    assert processes.run(backend_rules.eager_imports_no_inductor, compiler=False).get()


def test_reasons_name_what_cannot_be_saved(processes: Processes) -> None:
    (reason,) = processes.run(backend_rules.not_portable).get()
    assert reason.startswith("graph_0: ") and "closure.<locals>.<lambda>" in reason


WRAPPER = """
from ctypes import c_void_p
import torch
from torch._inductor.utils import maybe_profile
from torch._inductor.codegen.memory_planning import _align as align
from torch._inductor.async_compile import AsyncCompile
from torch._inductor.select_algorithm import extern_kernels
aten = torch.ops.aten
async_compile = AsyncCompile()
cpp_used = async_compile.cpp_pybinding(['float*'], r'''used source''')
cpp_unused = async_compile.cpp_pybinding(['float*'], '''unused source''')
async_compile.wait(globals())
del async_compile

def call(args):
    x, = args
    cpp_used(x)
    extern_kernels.mm(x, x, out=x)
    torch.ops.mylib.twice.default(x)
    aten.relu(x)
    return x + folded, align(3)

def get_args():
    return []

if __name__ == "__main__":
    get_args()
"""
ALIGN = ("torch._inductor.codegen.memory_planning", "_align")


class TestReducedWrapper:
    def test_keeps_what_a_call_needs(self) -> None:
        reduced = reduce_wrapper(WRAPPER, "<graph>", {ALIGN})
        assert reduced.kernels == {"cpp_used": "used source"}
        assert reduced.bindings == {"align": ALIGN}
        assert reduced.extern == {"mm"}
        assert reduced.operators == {"ops.mylib.twice.default"}
        assert reduced.free == {"folded"}
        assert reduced.imports == set()
        assert {"torch", "aten", "call"} <= set(reduced.code.co_names)
        assert not {"async_compile", "get_args", "maybe_profile", "c_void_p"} & set(reduced.code.co_names)

    def test_notes_what_it_still_imports(self) -> None:
        reduced = reduce_wrapper(WRAPPER.replace("aten.relu(x)", "maybe_profile(False)"), "<graph>", {ALIGN})
        assert reduced.imports == {"torch._inductor.utils"}

    @pytest.mark.parametrize(
        "statement",
        [
            "cpp_used = async_compile.triton('name', '''source''')",
            "other = CUDACodeCache.load('source')\ncall2 = other",
            "async_compile.metal('name', 'source')",
        ],
    )
    def test_refuses_other_compilers(self, statement: str) -> None:
        source = WRAPPER.replace("async_compile.wait", f"{statement}\nasync_compile.wait", 1)
        if "other" in statement:
            source = source.replace("aten.relu(x)", "other(x)")
        with pytest.raises(NotPortableError, match="a kernel is built by"):
            reduce_wrapper(source, "<graph>", {ALIGN})

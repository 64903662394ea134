"""The demands of a package on the place that runs it: each refusal names the field, the recorded and the present value."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import environment_steps
import pytest
import torch
import torch._functorch.config
import torch._inductor.config
from child import Answer
from harness import Processes

import coldframe
from coldframe import _core
from coldframe.torch.fingerprint import environment


def program(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("environment") / "package.cfp"
    torch._dynamo.reset()
    compiled = coldframe.compile(program, backend="eager")
    compiled(torch.ones(2))
    coldframe.save(compiled, path)
    return path


def rewritten(package: Path, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    read = _core.Package.open(package)
    recorded = read.environment
    change(recorded)
    read.environment = recorded
    read.write(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(coldframe.IncompatiblePackageError) as caught:
        coldframe.load(path, program)
    assert type(caught.value) is coldframe.IncompatiblePackageError
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_as_it_was_made_it_is_served(package: Path) -> None:
    loaded = coldframe.load(package, program, on_miss="error")
    assert torch.equal(loaded(torch.ones(2)), torch.full((2,), 2.0))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("python_implementation", "pypy"),
        ("python_version", "3.10.1"),
        ("python_magic", "00000000"),
        ("soabi", "cpython-310-x86_64-linux-gnu"),
        ("torch_version", "2.12.0"),
        ("torch_git", "0" * 40),
        ("machine", "aarch64"),
    ],
)
def test_another_build_is_refused_with_both_values(package: Path, tmp_path: Path, field: str, value: str) -> None:
    present = _core.Package.open(package).environment[field]
    message = refusal(rewritten(package, tmp_path / "other.cfp", lambda recorded: recorded.update({field: value})))
    assert f"{field}: the package was made with {value!r}, here it is {present!r}" in message


def test_every_field_is_recorded(package: Path) -> None:
    recorded = _core.Package.open(package).environment
    assert set(environment._EXACT) < recorded.keys()
    assert recorded["device_type"] == "cpu" and recorded["libc"] == _core.libc_version()
    assert recorded["cpu_features"] == []  # nothing native in it


def test_an_instruction_set_that_this_cpu_lacks_is_named(package: Path, tmp_path: Path) -> None:
    message = refusal(
        rewritten(package, tmp_path / "other.cfp", lambda recorded: recorded.update(cpu_features=["avx1024", "sse2"]))
    )
    assert "cpu_features: the kernels need avx1024" in message


@pytest.mark.parametrize(
    ("limit", "features", "refused"),
    [
        ("avx2", ["avx512f", "avx512vl"], ["avx512f", "avx512vl"]),
        ("avx2", ["amx_bf16", "avx2"], ["amx_bf16"]),
        ("AVX2", ["avx512f"], ["avx512f"]),
        ("avx2", ["avx2", "fma"], []),
        ("default", ["avx2", "fma"], ["avx2", "fma"]),
        ("avx512", ["avx512f"], []),
        ("", ["avx512f"], []),
    ],
)
def test_aten_cpu_capability_narrows_what_may_be_used(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, features: list[str], refused: list[str]
) -> None:
    """Whatever the CPU of this machine has: it is taken for one that has it all."""
    every = ["amx_bf16", "avx", "avx2", "avx512f", "avx512vl", "fma", "sse2"]
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", limit)
    other = rewritten(package, tmp_path / "other.cfp", lambda recorded: recorded.update(cpu_features=features))
    with mock.patch.object(environment._core, "cpu_features", lambda: every):
        if refused:
            message = refusal(other)
            assert f"the kernels need {', '.join(refused)}, which may not be used here" in message
            assert f"(ATEN_CPU_CAPABILITY={limit})" in message
        else:
            coldframe.load(other, program, on_miss="error")


def test_another_gpu_is_refused(package: Path, tmp_path: Path) -> None:
    def change(recorded: dict[str, Any]) -> None:
        recorded["device_type"] = "cuda"
        recorded["device"] = {"name": "NVIDIA H100"}

    assert "device.name: the package was made with 'NVIDIA H100', here it is None" in refusal(
        rewritten(package, tmp_path / "other.cfp", change)
    )


SETTINGS: list[tuple[Any, str, Any]] = [
    (torch._dynamo.config, "assume_static_by_default", False),
    (torch._dynamo.config, "specialize_int", True),
    (torch._functorch.config, "functionalize_rng_ops", True),
    (torch._inductor.config, "epilogue_fusion", False),
    (torch._inductor.config, "cpp.simdlen", 256),
    (torch._inductor.config, "freezing", True),
]


@pytest.mark.parametrize(("config", "name", "value"), SETTINGS, ids=lambda item: item if isinstance(item, str) else None)
def test_a_setting_that_changes_code_is_part_of_it(package: Path, tmp_path: Path, config: Any, name: str, value: Any) -> None:
    field = f"{config.__name__}.{name}"
    with config.patch({name: value}):
        assert f"{field}: the package was made with 'the default', here it is {value!r}" in refusal(package)
    other = rewritten(
        package, tmp_path / "other.cfp", lambda recorded: recorded["settings"].update({config.__name__: {name: value}})
    )
    assert f"{field}: the package was made with {value!r}, here it is 'the default'" in refusal(other)
    with config.patch({name: value}):
        coldframe.load(other, program)


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (torch._dynamo.config, "verbose", True),
        (torch._dynamo.config, "recompile_limit", 99),
        (torch._dynamo.config, "suppress_errors", True),
        (torch._inductor.config, "compile_threads", 3),
        (torch._inductor.config, "fx_graph_cache", False),
        (torch._inductor.config, "trace.enabled", True),
    ],
    ids=lambda item: item if isinstance(item, str) else None,
)
def test_a_setting_that_changes_no_code_does_not_matter(package: Path, config: Any, name: str, value: Any) -> None:
    with config.patch({name: value}):
        coldframe.load(package, program, on_miss="error")


def test_another_function_and_other_options_are_refused(package: Path) -> None:
    with pytest.raises(coldframe.IncompatiblePackageError, match=r"made for test_environment\.program, not for .*pointwise"):
        coldframe.load(package, environment_steps.pointwise)
    with pytest.raises(coldframe.IncompatiblePackageError, match="options: the package was made with"):
        coldframe.compile(program, backend="eager", dynamic=True, package=package, on_miss="error")


def test_on_the_automatic_path_a_refusal_is_a_counted_miss(package: Path, tmp_path: Path) -> None:
    other = rewritten(package, tmp_path / "other.cfp", lambda recorded: recorded.update(torch_version="2.12.0"))
    before = coldframe.stats()["misses"].get("incompatible", 0)
    torch._dynamo.reset()
    with pytest.warns(RuntimeWarning, match="torch_version: the package was made with '2.12.0'"):
        compiled = coldframe.compile(program, backend="eager", package=other)
    with pytest.warns(RuntimeWarning, match="could not save"):  # nor is a package of another torch overwritten
        assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 2.0))
    assert _core.Package.open(other).environment["torch_version"] == "2.12.0"
    assert coldframe.stats()["misses"]["incompatible"] == before + 1


# In fresh processes: kernels of Inductor, thread counts, and the instruction sets of this CPU.


@pytest.fixture(scope="module")
def made(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Answer]]:
    """name -> (package, what its making answered)."""
    folder = tmp_path_factory.mktemp("kernels")
    jobs: dict[str, dict[str, Any]] = {
        "kernel, 1 thread": {"name": "pointwise", "threads": 1},
        "eager, 1 thread": {"name": "pointwise", "threads": 1, "backend": "eager"},
        "eager, 2 threads": {"name": "pointwise", "threads": 2, "backend": "eager"},
        "parallel, 2 threads": {"name": "parallel", "threads": 2},
    }
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # for the compiler's precompiled headers

    def make(name: str) -> tuple[Path, Answer]:
        # A process each: what is compiled in one serves every thread count that it was compiled for.
        path = folder / f"{name}.cfp"
        return path, processes.run(environment_steps.make, **jobs[name], path=path, env=cache)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(jobs, pool.map(make, jobs), strict=True))


@pytest.mark.parametrize(
    ("name", "matter", "threads", "served"),
    [
        ("kernel, 1 thread", False, 2, True),
        ("eager, 1 thread", False, 2, True),
        ("eager, 2 threads", False, 1, True),
        ("parallel, 2 threads", True, 2, True),
        ("parallel, 2 threads", True, 1, False),
        ("parallel, 2 threads", True, 3, False),
    ],
)
def test_thread_count_matters_only_to_kernels_that_depend_on_it(
    processes: Processes, made: dict[str, tuple[Path, Answer]], name: str, matter: bool, threads: int, served: bool
) -> None:
    path, answer = made[name]
    assert answer.get()["matter"] is matter
    target = "parallel" if name.startswith("parallel") else "pointwise"
    result = processes.run(environment_steps.serve, name=target, path=path, threads=threads).get()
    assert result["right"]
    if served:
        assert result["misses"] == []
    else:
        assert "GLOBAL_STATE changed: num_threads" in result["misses"][0]


def test_thread_count_that_changes_after_loading_is_a_miss_as_ever(
    processes: Processes, made: dict[str, tuple[Path, Answer]]
) -> None:
    path, _ = made["eager, 1 thread"]
    result = processes.run(environment_steps.serve, name="pointwise", path=path, threads=2, later=1).get()
    assert result["right"] and result["misses"] == []
    assert "num_threads" in result["later"][0]


def test_kernels_with_avx512_are_refused_where_only_avx2_is_allowed(
    processes: Processes, made: dict[str, tuple[Path, Answer]], tmp_path: Path
) -> None:
    path, answer = made["kernel, 1 thread"]
    features = answer.get()["features"]
    assert ("avx512f" in features) is ("avx512f" in _core.cpu_features())
    if "avx512f" not in features:  # a CPU without it: as if the package came from another one
        path = rewritten(path, tmp_path / "other.cfp", lambda recorded: recorded.update(cpu_features=[*features, "avx512f"]))
    limited = processes.run(
        environment_steps.serve, name="pointwise", path=path, threads=1, env={"ATEN_CPU_CAPABILITY": "avx2"}
    ).get()
    kind, message = limited["refused"]
    assert kind == "IncompatiblePackageError"
    assert "avx512f" in message and "ATEN_CPU_CAPABILITY=avx2" in message

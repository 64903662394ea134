"""A package knows under which settings of torch each variant was compiled, whenever it is saved."""

from __future__ import annotations

from pathlib import Path

import settings_steps
from harness import Processes


def test_what_was_compiled_under_a_patch_serves_under_it_alone(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "patched.cfp"
    processes.run(settings_steps.compiled_under_a_patch, path=path).get()
    under = processes.run(settings_steps.called, path=path, patched=True).get()
    assert under["compiles"] == 0 and under["hits"] == 1
    outside = processes.run(settings_steps.called, path=path, patched=False).get()
    assert outside["hits"] == 0 and outside["misses"]["guard"] == 1


def test_a_setting_that_is_taken_back_before_the_end_loses_no_backward(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "reset.cfp"
    first = processes.run(settings_steps.reset_before_the_end, path=path).get()
    assert first["compiles"] == 1
    second = processes.run(settings_steps.reset_before_the_end, path=path)
    assert second.error is None and second.stats["compiles"] == 0 and second.stats["misses"] == {}


def test_a_kernel_of_torch_that_the_program_replaces_is_a_setting(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "sinh.cfp"
    plain = processes.run(settings_steps.served_with, path=path, replaced=False).get()
    again = processes.run(settings_steps.served_with, path=path, replaced=False)
    assert again.get() == plain and again.stats["compiles"] == 0
    other = processes.run(settings_steps.served_with, path=path, replaced=True, env={"COLDFRAME_STRICT": "0"})
    assert other.get() == [7.0, 7.0]
    assert other.stats["misses"]["incompatible"] == 1


def test_decompositions_lowerings_and_patterns_of_the_program_are_settings(processes: Processes) -> None:
    two, again, three = (processes.run(settings_steps.what_is_told_of_tables, factor=n).get() for n in (2, 2, 3))
    assert {"aten.erf.default", "aten.sinh.default"} < two.keys() and len(two) == 3
    assert two == again and all(two[name] != three[name] for name in two)


def test_what_the_program_lowers_itself_is_not_taken_from_the_cache_of_inductor(processes: Processes, tmp_path: Path) -> None:
    # What exec() made in a namespace of its own is not saved.
    shared = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"), "COLDFRAME_STRICT": "0"}
    for factor in (2, 3):  # the first one fills the cache, and writes its package elsewhere
        answer = processes.run(settings_steps.lowered_by, factor=factor, path=tmp_path / f"{factor}.cfp", env=shared)
        assert answer.get() == [factor, factor] and answer.stats["compiles"] == 1

"""Automatic mode: programs that know nothing of coldframe, in processes that share a store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import automatic_steps
import coverage_table
import pytest
from harness import PROGRAMS, Processes, _bits, compare
from runner import HERD, Runner, compiled
from sample_packages import package_named

from coldframe import _core

FULL = os.environ.get("COLDFRAME_FULL") == "1"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    yield Runner(tmp_path)


@pytest.mark.parametrize(
    "name", ["decorated", "model", "wrapped", "kernels", "in_place", "blocks", "train", "recursion", "explicitly"]
)
def test_the_second_process_compiles_nothing(runner: Runner, name: str) -> None:
    first, second = runner.run(name), runner.run(name)
    assert first["stats"]["saves"] and compiled(first)
    assert second["answer"] == first["answer"]
    assert compiled(second) == 0 and second["stats"]["misses"] == {} and second["stats"]["hits"]
    if name in ("decorated", "model", "kernels"):
        assert not second["dynamo"], "what is served natively imports no compiler"
    assert runner.run(name, COLDFRAME="0")["answer"] == first["answer"]


def test_regional_compilation_is_one_compilation(runner: Runner) -> None:
    assert compiled(runner.run("blocks")) == 1


def test_a_backward_that_was_never_compiled_is_compiled_when_it_is_wanted(runner: Runner) -> None:
    runner.run("forward_alone")
    again = runner.run("forward_alone")
    assert compiled(again) == 0 and again["stats"]["hits"] == 1
    plain = runner.run("train", COLDFRAME="0")["answer"]
    first, second = runner.run("train"), runner.run("train")
    assert first["stats"]["misses"].get("backward") == 1 and compiled(first) == 1
    assert compiled(second) == 0 and second["stats"]["misses"] == {}
    assert first["answer"] == pytest.approx(plain) and second["answer"] == pytest.approx(plain)


def test_of_many_packages_the_right_one_is_loaded(runner: Runner) -> None:
    for start in range(10, 40, 6):
        assert compiled(runner.run("shapes", TEST_SIZES=" ".join(map(str, range(start, start + 6))))) == 6
    found = runner.run("shapes", TEST_SIZES="23")
    assert compiled(found) == 0 and found["stats"]["installed_variants"] == 1
    both = runner.run("shapes", TEST_SIZES="12 37 23")
    assert compiled(both) == 0 and both["stats"]["installed_variants"] == 3


def test_what_holds_for_any_size_is_found_by_another_size(runner: Runner) -> None:
    assert compiled(runner.run("growing")) == 2
    found = runner.run("growing")
    assert compiled(found) == 0 and found["stats"]["misses"] == {}
    other = runner.run("shapes", TEST_SIZES="3")
    assert compiled(other) == 1, "dynamic=False is another key"


def test_children_of_every_kind_are_served(runner: Runner) -> None:
    own, started, spawned, forked = runner.run("child")["answer"]
    assert started["answer"] == spawned["answer"] == own
    assert compiled(started) == 0 and started["stats"]["hits"] == 1
    assert compiled(spawned) == 0 and spawned["stats"]["hits"] == 1
    assert forked["stats"]["saves"] == 2, "a forked child goes on counting, and saves what it compiles"
    assert compiled(runner.run("model")) == 0


def test_what_is_compiled_is_saved_before_the_process_ends(runner: Runner) -> None:
    process = runner.start("killed_at_once")
    out, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    assert json.loads(out.splitlines()[-1])["stats"]["saves"] == 1
    assert compiled(runner.run("decorated")) == 0


def test_processes_that_come_together_compile_once(runner: Runner) -> None:
    compiling = {"TEST_COMPILE_SECONDS": "3", "TEST_STARTED": str(runner.folder / "started")}
    found = [runner.result(each) for each in [runner.start("herd", **compiling) for _ in range(HERD)]]
    assert len({each["answer"] for each in found}) == 1
    assert sum(map(compiled, found)) == 1
    assert sum(each["stats"]["hits"] for each in found) == HERD - 1
    assert len((runner.folder / "started").read_text().split()) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_leader_that_dies_or_is_stopped_holds_nobody_up(runner: Runner, number: signal.Signals) -> None:
    started = runner.folder / "started"
    leader = runner.start("herd", TEST_COMPILE_SECONDS="600", TEST_STARTED=str(started))
    try:
        runner.wait_for(started)
        others = [runner.start("herd") for _ in range(3)]
        time.sleep(1)
        leader.send_signal(number)
        found = [runner.result(each) for each in others]
    finally:
        leader.kill()
        leader.communicate()
    assert sum(map(compiled, found)) == 1, "one of those who waited takes its place"


def test_a_wrapper_around_torch_compile_outlives_being_disabled(runner: Runner) -> None:
    found = runner.run("rewrapped")
    assert found["answer"] == [[1, 1], [1, 0], [1, 1], [1, 0], [0, 1]], "one session when enabled, none when not"
    assert compiled(found) == 2


@pytest.mark.skipif(not FULL, reason="takes the half minute after which a leader is taken to hang")
def test_a_leader_whose_compiler_hangs_holds_nobody_up(runner: Runner) -> None:
    started = runner.folder / "started"
    leader = runner.start("herd", TEST_COMPILE_SECONDS="600", TEST_STARTED=str(started))
    try:
        runner.wait_for(started)
        begun = time.monotonic()
        found = runner.run("herd")
        assert time.monotonic() - begun < 300, "it waits for 600 seconds at most"
    finally:
        leader.kill()
        leader.communicate()
    assert compiled(found) == 1


def test_without_single_flight_nobody_waits(runner: Runner) -> None:
    started = runner.folder / "started"
    leader = runner.start("herd", TEST_COMPILE_SECONDS="600", TEST_STARTED=str(started))
    try:
        runner.wait_for(started)
        assert compiled(runner.run("herd", COLDFRAME_SINGLE_FLIGHT="0")) == 1
        waited = time.monotonic()
        shutil.rmtree(runner.store / "act")
        assert compiled(runner.run("herd", COLDFRAME_WAIT="1")) == 1
        assert time.monotonic() - waited < 120
    finally:
        leader.kill()
        leader.communicate()


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_store_for_reading_is_not_written(runner: Runner) -> None:
    runner.run("decorated")
    before = listing(runner.store)
    assert compiled(runner.run("decorated", COLDFRAME_READ_ONLY="1")) == 0
    assert compiled(runner.run("model", COLDFRAME_READ_ONLY="1")) == 1
    assert listing(runner.store) == before


def test_damage_is_a_miss_and_is_healed(runner: Runner) -> None:
    first = runner.run("kernels")
    files = [path for folder in ("act", "obj") for path in (runner.store / folder).rglob("*") if path.is_file()]
    for path in files:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
        path.chmod(0o444)
    again, healed = runner.run("kernels"), runner.run("kernels")
    assert again["answer"] == healed["answer"] == first["answer"]
    assert compiled(again) == 1 and again["stats"]["misses"].get("corrupt")
    last, first_miss = _core.Store.open(runner.store).misses()
    assert last["function"] == first_miss["function"] == "__main__.Net.forward"
    assert any(reason.startswith("corrupt: ") for reason in last["reasons"])
    assert first_miss["reasons"] == ["absent: no package was stored for a call like this"]
    assert _core.Store.open(runner.store).stats()["compiled_damaged"] == 1
    assert compiled(healed) == 0 and healed["stats"]["misses"] == {}


def test_a_miss_says_what_differs(runner: Runner) -> None:
    runner.run("by_factor")
    assert compiled(runner.run("by_factor", TEST_FACTOR="3")) == 1
    [reason] = _core.Store.open(runner.store).misses()[0]["reasons"]
    assert "G['FACTOR'] == 2 (here: 3)" in reason
    assert compiled(runner.run("by_factor", TEST_DETERMINISTIC="1")) == 1
    counted = _core.Store.open(runner.store).stats()
    assert [counted[f"compiled_{why}"] for why in ("absent", "guard", "environment", "damaged")] == [1, 1, 1, 0]


def test_a_store_that_cannot_be_used_is_said_once_and_the_program_runs(runner: Runner) -> None:
    runner.store.mkdir()
    runner.store.chmod(0o777)
    process = runner.start("decorated")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err.count("coldframe is not enabled") == 1 and str(runner.store) in err
    assert json.loads(out.splitlines()[-1])["answer"] == 3.0
    assert list(runner.store.iterdir()) == []


@pytest.mark.parametrize("how", ["silent", "closed"])
def test_a_remote_that_does_not_work_holds_nobody_up(runner: Runner, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # connections succeed, and nobody ever answers
        url = f"http://127.0.0.1:{server.getsockname()[1]}/cache"
        if how == "closed":
            server.close()
        begun = time.monotonic()
        found = runner.run("decorated", COLDFRAME_REMOTE=url, TEST_FLUSH_SECONDS="5")
        waited = time.monotonic() - begun
        if how == "silent":
            server.settimeout(0)
            server.accept()[0].close()  # it was asked
    assert found["answer"] == 3.0 and compiled(found) == 1 and found["stats"]["saves"] == 1
    assert waited < 60
    assert compiled(runner.run("decorated")) == 0, "the local store has it nonetheless"


@pytest.mark.parametrize("how", ["command", "module"])
def test_run(runner: Runner, how: str) -> None:
    environment = {name: value for name, value in runner.environment().items() if name not in ("COLDFRAME", "COLDFRAME_DIR")}
    if how == "command":
        beside = Path(sys.executable).with_name("coldframe")
        found = str(beside) if beside.exists() else shutil.which("coldframe")
        assert found, "the coldframe command is not installed"
        command = [found, "run", "--store", str(runner.store), "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "coldframe.run"]
        environment["COLDFRAME_DIR"] = str(runner.store)
    for expected in (1, 0):
        decorated = [*command, str(PROGRAMS / "automatic_program.py"), "decorated"]
        done = subprocess.run(decorated, env=environment, capture_output=True, text=True, timeout=120, check=True)
        assert compiled(json.loads(done.stdout.splitlines()[-1])) == expected
    done = subprocess.run([*command, "-c", "import sys; sys.exit(7)"], env=environment, timeout=120)
    assert done.returncode == 7


def cases() -> list[tuple[str, str]]:
    found = [(case, backend) for case, backend in coverage_table.lives() if backend != "inductor"]
    return found if FULL else found[::4]


def test_coverage_programs(processes: Processes, tmp_path: Path) -> None:
    """The programs of the coverage table by plain torch.compile: the second process gives the same and compiles nothing."""
    jobs = [
        (automatic_steps.program, {"case": case, "backend": backend, "store": tmp_path / f"store{number}"})
        for number, (case, backend) in enumerate(cases())
    ]
    wrong = []
    for (case, backend), made, served in zip(
        cases(), processes.run_all(jobs), processes.run_all(jobs, sealed=True), strict=True
    ):
        entry = coverage_table.ENTRIES[case]
        if difference := compare(made.get(), served.get(), lambda x, y: _bits(x) == _bits(y)):
            wrong.append(f"{case} {backend}: {difference}")
        served_all = not (entry.bypass or entry.refused or entry.nothing or entry.failing)
        if served_all and served.stats["compiles"]:
            wrong.append(f"{case} {backend}: {served.stats}")
        if made.stats["errors"] or served.stats["errors"]:
            wrong.append(f"{case} {backend}: {made.stats['errors']} {served.stats['errors']}")
    assert not wrong, "\n".join(wrong)


def test_packages_that_are_served_together_demand_what_each_does() -> None:
    from coldframe.torch.session.packages import beside

    first, second = package_named("f"), package_named("f")
    first.environment = {**first.environment, "cpu_features": ["avx512f"], "device_type": "meta"}
    second.environment = {**second.environment, "cpu_features": ["avx2"], "device_type": "cpu"}
    for one, other in ((first, second), (second, first)):
        both = beside(one, other).environment
        assert both["cpu_features"] == ["avx2", "avx512f"] and both["device_type"] == "meta"
    assert first.environment["cpu_features"] == ["avx512f"] and second.environment["cpu_features"] == ["avx2"]

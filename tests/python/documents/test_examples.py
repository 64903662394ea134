"""The examples: each run twice, by fresh processes that share a store. The second run compiles nothing and says the same."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT

EXAMPLES = ROOT / "examples"
TIMEOUT = 300


@dataclasses.dataclass
class Shell:
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "COLDFRAME_DIR": str(self.folder / "store"),
            "COLDFRAME_STRICT": "1",
            "OMP_NUM_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            **more,
        }

    def without_compiler(self) -> dict[str, str]:
        made = self.environment(PATH=str(self.folder / "nothing"), TORCHINDUCTOR_CACHE_DIR=str(self.folder / "nothing"))
        return {name: value for name, value in made.items() if name not in ("CC", "CXX")}

    def python(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=env or self.environment(), capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path)


def example(name: str) -> str:
    return str(EXAMPLES / name)


def compiled(output: str) -> int:
    return int(re.search(r"compiled: (\d+)", output)[1])  # type: ignore[index]


def answer(output: str) -> str:
    """All but the number of compilations."""
    return re.sub(r"compiled: \d+", "", output)


def test_generate(shell: Shell) -> None:
    first = shell.python(example("generate.py"), "eager")
    second = shell.python(example("generate.py"), "eager")
    assert compiled(first) > 0 and compiled(second) == 0
    assert answer(first) == answer(second)
    tokens = json.loads(first.splitlines()[0].removeprefix("tokens: "))
    assert tokens[:5] == [5, 17, 42, 3, 8] and len(tokens) == 13


def test_regional(shell: Shell) -> None:
    first = shell.python(example("regional.py"))
    second = shell.python(example("regional.py"), env=shell.without_compiler())
    assert compiled(first) == 1 and compiled(second) == 0
    assert answer(first) == answer(second)
    deeper = shell.python(example("regional.py"), "6", env=shell.without_compiler())
    assert compiled(deeper) == 0 and answer(deeper) != answer(first)


def ranks(output: str) -> dict[int, tuple[str, int]]:
    """Returns, by rank, its weights and how much it has compiled."""
    found = re.findall(r"^rank (\d+) weights: (\w+) compiled: (\d+)$", output, re.MULTILINE)
    return {int(rank): (weights, int(count)) for rank, weights, count in found}


def test_ddp_train(shell: Shell) -> None:
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4", example("ddp_train.py"), "aot_eager")
    first, second = ranks(shell.python(*command)), ranks(shell.python(*command))
    assert set(first) == set(second) == set(range(4))
    assert len({weights for weights, _ in [*first.values(), *second.values()]}) == 1
    assert sum(count for _, count in first.values()) == 1, "one rank compiles, the others wait for it"
    assert sum(count for _, count in second.values()) == 0


@contextmanager
def serving(shell: Shell, package: str) -> Iterator[str]:
    """The server's address. It can neither compile nor write the package."""
    process = subprocess.Popen(
        [sys.executable, example("server.py"), "serve", package, "0"],
        env=shell.without_compiler(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("listening on port"), said
        yield f"http://localhost:{said.split()[-1]}"
    finally:
        process.kill()
        process.communicate()


def ask(address: str, rows: Any = None) -> tuple[int, Any]:
    data = None if rows is None else json.dumps(rows).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, data, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_server(shell: Shell) -> None:
    package = shell.folder / "model.cfp"
    assert compiled(shell.python(example("server.py"), "build", str(package))) > 0
    package.chmod(0o444)
    before, rows = package.read_bytes(), [[0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4]]
    answers = []
    for _ in range(2):
        with serving(shell, str(package)) as address:
            status, probabilities = ask(address, rows)
            assert status == 200 and [sum(row) for row in probabilities] == pytest.approx([1, 1])
            alone = ask(address, rows[1:])[1][0]
            refused, why = ask(address, [[1, 2, 3]])
            counted = ask(address)[1]
        assert refused == 422 and "expected 4, actual 3" in why
        assert counted["compiles"] == 0 and counted["hits"] == 2 and counted["errors"] == {}
        assert alone == pytest.approx(probabilities[1])
        answers.append(probabilities)
    assert answers[0] == answers[1]
    assert package.read_bytes() == before

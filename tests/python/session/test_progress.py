"""A long compilation shows on a terminal that it goes on, and says nothing anywhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

PROGRAM = """
import time, torch, coldframe

def slow(graph, inputs):
    time.sleep(2.5)
    return graph

def doubled(x):
    return x * 2

compiled = coldframe.compile(doubled, backend=slow)
assert compiled(torch.ones(2)).sum() == 4
"""


def said(folder: str, *, terminal: bool) -> bytes:
    """Returns what a program that compiles for more than a second writes to its stderr."""
    script = os.path.join(folder, "program.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    if terminal:
        ours, theirs = pty.openpty()
    else:
        ours, theirs = os.pipe()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen([sys.executable, script], stderr=theirs, env=environment) as process:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 4096):
                parts.append(part)
        except OSError:  # how a terminal ends whose other side is gone
            pass
        assert process.wait() == 0, b"".join(parts)
    os.close(ours)
    return b"".join(parts)


def test_a_terminal_shows_a_compilation_of_more_than_a_second(tmp_path: os.PathLike[str]) -> None:
    assert b"coldframe: compiling __main__.doubled" in said(os.fspath(tmp_path), terminal=True)


def test_what_is_no_terminal_sees_nothing(tmp_path: os.PathLike[str]) -> None:
    assert said(os.fspath(tmp_path), terminal=False) == b""

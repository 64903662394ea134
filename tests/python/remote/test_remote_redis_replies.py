"""Replies on Redis's port that announce or send anything: a lookup costs what its answer may have, in time and memory."""

from __future__ import annotations

import contextlib
import pathlib
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from coldframe import _core

KEY = ("module", "function", b"\1" * 32, b"\2" * 32)
GENEROUS = 2.5  # seconds, for what takes less than a third of one
ALLOWED = 100 << 20  # bytes of memory

FIELD = b"*1\r\n$64\r\n" + b"a" * 64 + b"\r\n"
REPLIES = {
    "array": b"*2147483647\r\n",
    "larger array": b"*100000\r\n",
    "nested arrays": b"*4096\r\n" * 8 + b"*2147483647\r\n",
    "arrays of nothing": b"*4096\r\n" + b"*0\r\n" * 4096,
    "string": b"$2147483647\r\n" + b"x" * 100_000,
    "string of no size": b"$99999999999999999999999\r\n",
    "two answers": FIELD + FIELD,
    "endless line": b"+" + b"x" * 100_000_000,
    "endless size": b"$" + b"1" * 100_000_000,
    "endless small answers": b":1\r\n" * 10_000_000,
    "another protocol": b"%2147483647\r\n",
    "no protocol": b"HTTP/1.1 200 OK\r\n\r\n",
}


@contextlib.contextmanager
def answering(first: bytes, then: bytes) -> Iterator[str]:
    """A server that answers its first command with `first` and all others with `then`; its URL."""
    answers = iter([first])

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                connection.sendall(next(answers, then))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("what", REPLIES)
@pytest.mark.parametrize("to", ["names", "manifest"])
def test_replies_that_no_command_asked_for(tmp_path: pathlib.Path, what: str, to: str) -> None:
    tmp_path.chmod(0o700)
    reply = REPLIES[what]
    with answering(FIELD if to == "manifest" else reply, reply) as url:
        store = _core.Store.open(tmp_path / "store", remote=url, min_free_bytes=0)
        memory, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        variants, refusals = store.get(KEY)
        assert time.monotonic() - begin < GENEROUS
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < ALLOWED >> 10
        assert variants == [] and [code for _, code, _ in refusals] == ["corrupt"]

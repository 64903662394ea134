"""Forks the processes of tests from one that has imported what they would import first: `python zygote.py MODULE...`.

It prints the address of its socket, in hexadecimal digits. Who connects sends one pickled `Request`, and hears the number of
the process that runs its job, then the exit status of that process, a line each. Processes of one zygote are alike in their
addresses and in the seed of hashes. The zygote ends when its standard input does: with the process that started it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import random
import selectors
import socket
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Request:
    job: Path
    folder: Path
    output: Path
    environment: dict[str, str]


def serve() -> Request | None:
    """Forks a process for each request. Returns it in that process; in the zygote None, at the end."""
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as events:
        listener.bind("")  # an address that is free
        listener.listen(64)
        events.register(listener, selectors.EVENT_READ)
        events.register(sys.stdin.fileno(), selectors.EVENT_READ)
        print(listener.getsockname().hex(), flush=True)
        waiting: dict[int, tuple[int, socket.socket]] = {}  # by a descriptor of the process: its number, who waits
        while True:
            for key, _ in events.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    with connection.makefile("rb") as stream:
                        request: Request = pickle.load(stream)
                    number = os.fork()
                    if not number:
                        for descriptor, (_, other) in waiting.items():
                            os.close(descriptor)
                            other.close()
                        connection.close()
                        return request
                    connection.sendall(f"{number}\n".encode())
                    descriptor = os.pidfd_open(number)
                    waiting[descriptor] = number, connection
                    events.register(descriptor, selectors.EVENT_READ)
                elif key.fd in waiting:
                    number, connection = waiting.pop(key.fd)
                    events.unregister(key.fd)
                    os.close(key.fd)
                    with connection, contextlib.suppress(BrokenPipeError):  # nobody waits any more
                        connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])}\n".encode())
                else:
                    return None


def become(request: Request) -> None:
    """Makes this process what a fresh one with the request's folder, output and environment would be."""
    for path, flags, target in (
        (os.devnull, os.O_RDONLY, 0),
        (request.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, target)
        os.close(opened)
    os.dup2(1, 2)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    random.seed()


def main(modules: list[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    assert len(os.listdir("/proc/self/task")) == 1, f"{modules} have started threads, which a fork would lose"
    gc.collect()
    gc.freeze()
    request = serve()
    if request is not None:
        become(request)
        import child

        child.main(str(request.job))


if __name__ == "__main__":
    import zygote  # so that a pickled request is found under its own name there

    zygote.main(sys.argv[1:])

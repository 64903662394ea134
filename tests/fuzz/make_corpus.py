"""Writes the corpus of the fuzz targets from what coldframe, its servers and a compiler really make: tests/fuzz/corpus.

Writes files named `real*` anew; others, which a fuzzer found or a hand wrote, stay. Needs redis-server, nginx and gcc.

    .venv/bin/python tests/fuzz/make_corpus.py
"""

from __future__ import annotations

import itertools
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "python" / "support"))

import remote_servers  # noqa: E402
import second_reader  # noqa: E402
import torch  # noqa: E402

import coldframe  # noqa: E402
from coldframe import _core  # noqa: E402

SOURCE = "const char* coldframe_where(void) { return __FILE__; }\n"
URLS = [
    "bazel+http://127.0.0.1:8080/prefix",
    "s3://bucket/prefix?region=eu-west-1&endpoint=http://127.0.0.1:9000",
    "rediss://user:p%40ss@[::1]:6379/0",
    "file:///shared/coldframe",
]


def keep(target: str, name: str, data: bytes) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def scaled(x: torch.Tensor, factor: Any = 2) -> Any:
    y = [x * factor for _ in range(3)]
    return y[0] + y[1].sin() if factor else x


def packages(folder: pathlib.Path) -> _core.Package:
    """A real package, and its parts each for a target of its own."""
    path = folder / "real.cfp"
    compiled = coldframe.compile(scaled, package=str(path), backend="eager")
    compiled(torch.ones(3))
    compiled(torch.ones(3), 0.5)
    data = path.read_bytes()
    keep("archive", "real.cfp", data)
    count: Counter[str] = Counter()
    for kind, part in dict.fromkeys(second_reader.read_parts(data)):
        if kind != "blob":
            keep(kind, f"real_{count[kind]}", part)
        count[kind] += 1
    keep("value", "real_types", _core.encode(_core.decode(_core.encode([torch.float32, 1.5, {"a": (None, -(2**70))}]))))
    return _core.Package.from_bytes(data)


def stores(folder: pathlib.Path, package: _core.Package) -> None:
    package.artifacts = [_core.Artifact("graph", "kind", ("recipe",), [_core.Blob("zeros", bytes(8192))])]
    with remote_servers.bazel(folder) as server:
        store = _core.Store.open(folder / "store", remote=server.url, min_free_bytes=0)
        store.put(package)
        store.note_miss("module.function", ["a guard refused: x.size(0) == 3", "no variant"], "guard")
        store.get(package.key)
        assert store.flush(20.0)
        for name in server.blobs.names():
            if "ac/" in name:
                keep("record", "real", server.blobs.read(name))
    root = folder / "store"
    keep("store", "real_format", (root / "FORMAT").read_bytes())
    for target, name, pattern in [
        ("detached", "real", "act/**/*.m"),
        ("store", "real_report", "stat/*"),
        ("store", "real_miss", "why/*"),
    ]:
        keep(target, name, max(path.read_bytes() for path in root.glob(pattern) if path.is_file()))
    store.gc(1 << 30)
    keep("store", "real_usage", (root / "stat" / "usage").read_bytes())


def received(port: int, message: bytes, enough: bytes | None = None) -> bytes:
    """What a server answers until it hangs up, or until the answer ends so."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(message)
        answer = b""
        while (piece := connection.recv(4096)) and not (enough and (answer + piece).endswith(enough)):
            answer += piece
        return answer + piece


def port_of(server: remote_servers.Server) -> int:
    return int(server.url.split(":")[2].split("/")[0])


def servers(folder: pathlib.Path) -> None:
    script = "return {redis.call('GET', KEYS[1]), tostring(redis.call('PTTL', KEYS[1]))}"
    calls = {
        "ok": ["SET", "lease", "token", "PX", "30000"],
        "string": ["GET", "lease"],
        "nil": ["GET", "nothing"],
        "number": ["DEL", "nothing"],
        "list": ["EVAL", script, "1", "lease"],
        "empty_list": ["HKEYS", "nothing"],
        "wrong_type": ["HKEYS", "lease"],
        "unknown": ["NOSUCH"],
        "no_auth": ["AUTH", "user", "wrong"],
    }
    with remote_servers.redis(folder) as server:
        for (name, call), piece in zip(calls.items(), itertools.cycle([1, 5, 64]), strict=False):
            message = f"*{len(call)}\r\n" + "".join(f"${len(part)}\r\n{part}\r\n" for part in call)
            keep("redis", f"real_{name}", bytes([piece]) + received(port_of(server), message.encode(), b"\r\n"))
    with remote_servers.nginx(folder) as server:
        (folder / "root" / "name").write_text("content")
        for name, request in {"found": "GET /name", "absent": "GET /nothing", "part": "GET /name"}.items():
            more = "Range: bytes=1-2\r\n" if name == "part" else ""
            message = f"{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{more}\r\n"
            keep("http", ("refused_" if name == "part" else "") + f"real_{name}", received(port_of(server), message.encode()))


def libraries(folder: pathlib.Path) -> None:
    options = "-shared -nostdlib -g -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,--hash-style=gnu -x c -o"
    for name, source in {"real": "/home/me/include/a.h", "real_without_name": ""}.items():
        line = f'# 1 "{source}"\n' if source else ""
        library = folder / name
        command = ["gcc", *options.split(), str(library), "-"]
        subprocess.run(command, input=line + SOURCE, text=True, check=True, cwd=folder)
        keep("elf", name + ".so", library.read_bytes())


def main() -> None:
    os.umask(0o077)
    for old in (HERE / "corpus").glob("*/real*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        package = packages(folder)
        stores(folder, package)
        servers(folder)
        libraries(folder)
        for number, url in enumerate(URLS):
            keep("url", f"real_{number}", url.encode())
        keep("lease", "real", b"coldframe lease 1\n0123abcd-host-1 3 free\n")


if __name__ == "__main__":
    main()

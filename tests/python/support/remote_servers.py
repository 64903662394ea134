"""Servers on loopback that stores can have as a remote, and what lies on them, blob by blob."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from remote_http import HttpServer

S3_SERVER = "from moto.server import main; import sys; main(sys.argv[1:])"


class Blobs(Protocol):
    """The contents of a server, seen from its own side."""

    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...
    def write(self, name: str, data: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


@dataclass
class Server:
    url: str
    blobs: Blobs

    def objects(self) -> list[str]:
        """Returns the names of what is named by its digest. In Redis and in directories, manifests lie elsewhere."""
        return [name for name in self.blobs.names() if any(part in name for part in ("cas/", ":o:", "obj/"))]

    def manifests(self) -> list[str]:
        """Returns the names of what holds manifests, or says which there are."""
        return [name for name in self.blobs.names() if any(part in name for part in ("ac/", ":a:", ".m"))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, **options: Any) -> Iterator[None]:
    """A process that listens at the port by the time that this yields."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(30)


class Files:
    def __init__(self, root: pathlib.Path, *folders: str) -> None:
        self._root = root
        self._folders = folders

    def names(self) -> list[str]:
        files = (path for folder in self._folders for path in (self._root / folder).rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self._root)) for path in files)

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self._root / name
        path.chmod(0o644)
        path.write_bytes(data)
        path.chmod(0o444)

    def remove(self, name: str) -> None:
        (self._root / name).unlink()


@contextlib.contextmanager
def directory(folder: pathlib.Path) -> Iterator[Server]:
    folder.chmod(0o700)
    root = folder / "shared"
    yield Server(f"file://{root}", Files(root, "obj", "act"))


NGINX = """
daemon off; master_process off; user {user}; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ }}
http {{
    access_log off; client_max_body_size 0; client_body_temp_path {folder}/body; keepalive_requests 1000000;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/root;
        location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder: pathlib.Path) -> Iterator[Server]:
    port = free_port()
    (folder / "root").mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, user=getpass.getuser()))
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    command = [program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
    with running(command, port):
        yield Server(f"http://127.0.0.1:{port}/prefix", Files(folder / "root", "prefix"))


@contextlib.contextmanager
def bazel(folder: pathlib.Path) -> Iterator[Server]:
    with HttpServer(bazel=True) as server:
        yield Server(f"bazel+http://127.0.0.1:{server.port}/prefix", server)


class RedisBlobs:
    """Strings and fields of hashes; a field's name follows that of its hash after a slash."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")

    def call(self, *command: str | bytes) -> Any:
        parts = [part.encode() if isinstance(part, str) else part for part in command]
        message = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(message)
        return self._reply()

    def _reply(self) -> Any:
        kind, line = self._file.read(1), self._file.readline().rstrip()
        if kind == b"*":
            return [self._reply() for _ in range(int(line))]
        if kind == b"$":
            return self._file.read(int(line) + 2)[:-2] if int(line) >= 0 else None
        assert kind != b"-", line
        return int(line) if kind == b":" else line

    def names(self) -> list[str]:
        found = []
        for key in sorted(part.decode() for part in self.call("KEYS", "coldframe:*")):
            fields = self.call("HKEYS", key) if ":a:" in key else [b""]
            found += [f"{key}/{field.decode()}".rstrip("/") for field in fields]
        return found

    def read(self, name: str) -> bytes:
        key, _, field = name.partition("/")
        return bytes(self.call("HGET", key, field) if field else self.call("GET", key))

    def write(self, name: str, data: bytes) -> None:
        key, _, field = name.partition("/")
        self.call("HSET", key, field, data) if field else self.call("SET", key, data)

    def remove(self, name: str) -> None:
        key, _, field = name.partition("/")
        self.call("HDEL", key, field) if field else self.call("DEL", key)


@contextlib.contextmanager
def redis(folder: pathlib.Path, *options: str) -> Iterator[Server]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options]
    with running(command, port):
        yield Server(f"redis://127.0.0.1:{port}/0", RedisBlobs(port))


# That server takes any signature, but wants to know the region.
AWS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "very/secret+key", "AWS_SESSION_TOKEN": "token"}
HEADERS = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request"}


class S3Blobs:
    def __init__(self, port: int, bucket: str) -> None:
        self._port = port
        self._bucket = bucket
        self._request("PUT", "")

    def _request(self, method: str, name: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request(method, f"/{self._bucket}/{name}", body, HEADERS)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status < 300, (method, name, answer.status, data)
        connection.close()
        return data

    def names(self) -> list[str]:
        listing = self._request("GET", "?list-type=2").decode()
        return sorted(part.split("</Key>")[0] for part in listing.split("<Key>")[1:])

    def read(self, name: str) -> bytes:
        return self._request("GET", name)

    def write(self, name: str, data: bytes) -> None:
        self._request("PUT", name, data)

    def remove(self, name: str) -> None:
        self._request("DELETE", name)


@contextlib.contextmanager
def s3(folder: pathlib.Path) -> Iterator[Server]:
    port = free_port()
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with running([sys.executable, "-c", S3_SERVER, "-H", "127.0.0.1", "-p", str(port)], port, env=environment):
        yield Server(f"s3://bucket/prefix?endpoint=http://127.0.0.1:{port}", S3Blobs(port, "bucket"))


class MemoryBlobs:
    """A file system of fsspec that is a dictionary."""

    def __init__(self, root: str) -> None:
        import fsspec

        self._files = fsspec.filesystem("memory")
        self._root = root

    def names(self) -> list[str]:
        found = self._files.find(self._root) if self._files.exists(self._root) else []
        return sorted(name.removeprefix(self._root + "/") for name in found)

    def read(self, name: str) -> bytes:
        return bytes(self._files.cat_file(f"{self._root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        self._files.pipe_file(f"{self._root}/{name}", data)

    def remove(self, name: str) -> None:
        self._files.rm_file(f"{self._root}/{name}")


@contextlib.contextmanager
def fsspec(folder: pathlib.Path) -> Iterator[Server]:
    yield Server(f"memory:/{folder}", MemoryBlobs(str(folder)))


SERVERS = {"directory": directory, "nginx": nginx, "bazel": bazel, "redis": redis, "s3": s3, "fsspec": fsspec}

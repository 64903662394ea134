"""An HTTP server of blobs in memory: a Bazel cache that checks what it is given, or one that misbehaves in a chosen way."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

BAZEL_NAME = re.compile(r"^/?(.*/)?(ac/|cas/)[a-f0-9]{64}$")


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yields the numbers of a protobuf message's fields, and their values."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        tag = varint()
        assert tag & 7 in (0, 2), "only these two wire types are in an ActionResult"
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = varint()
            assert position + size <= len(message)
            yield tag >> 3, message[position : position + size]
            position += size


def output_files(message: bytes) -> list[tuple[str, str, int]]:
    """Paths, digests and sizes of an ActionResult's output files."""
    found = []
    for number, value in fields(message):
        assert number in (2, 4, 5, 6, 7, 8, 9), number
        if number == 2:
            file = dict(fields(value))
            digest = dict(fields(file[2]))
            found.append((file[1].decode(), digest[1].decode(), digest.get(2, 0)))
    return found


def encoded_anew(message: bytes) -> bytes:
    """The same message as another encoder may write it: fields in another order, defaults spelled out, unknown ones added."""

    def varint(value: int) -> bytes:
        data = b""
        while value >= 0x80:
            data += bytes([value & 0x7F | 0x80])
            value >>= 7
        return data + bytes([value])

    parts = list(fields(message))
    parts.sort(key=lambda part: -part[0])
    parts += [(4, 0), (99, b"unknown")]
    data = b""
    for number, value in parts:
        if isinstance(value, int):
            data += varint(number << 3) + varint(value)
        else:
            data += varint(number << 3 | 2) + varint(len(value)) + value
    return data


class HttpServer:
    """GET, HEAD and PUT of blobs. `misbehave`, if set, sends the answers instead, as it likes."""

    def __init__(self, *, bazel: bool = False, certificate: pathlib.Path | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.misbehave: Callable[[socket.socket, bytes, str], None] | None = None
        self._bazel = bazel
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate, f"{certificate}.key")
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._connections: set[socket.socket] = set()

    def __enter__(self) -> HttpServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()
        self.disconnect()

    def disconnect(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def names(self) -> list[str]:
        return sorted(self.blobs)

    def read(self, name: str) -> bytes:
        return self.blobs[name]

    def write(self, name: str, data: bytes) -> None:
        self.blobs[name] = data

    def remove(self, name: str) -> None:
        del self.blobs[name]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self._context is not None:
            try:
                connection = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                return
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                method, path, _ = line.decode().split()
                headers = {}
                while (header := stream.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", 0)))
                self.requests.append(f"{method} {path}")
                self.headers.append(headers)
                status, data = self._answer(method, path.lstrip("/"), headers, body)
                head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                answer = head if method == "HEAD" else head + data
                if self.misbehave is not None:
                    self.misbehave(connection, answer, method)
                else:
                    connection.sendall(answer)
        self._connections.discard(connection)

    def _answer(self, method: str, name: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if self._bazel and not BAZEL_NAME.match(name):
            return self._refuse(400, f"{method} {name}")
        if method != "PUT":
            return (200, self.blobs[name]) if name in self.blobs else (404, b"")
        if self._bazel:
            if "content-length" not in headers:
                return self._refuse(411, name)
            if "cas/" in name and hashlib.sha256(body).hexdigest() != name[-64:]:
                return self._refuse(400, f"{name} has another digest")
            if "ac/" in name:
                for path, digest, size in output_files(body):
                    stored = self.blobs.get(f"{name.partition('ac/')[0]}cas/{digest}")
                    if not path or path.startswith("/") or stored is None or len(stored) != size:
                        return self._refuse(400, f"{name} names {path}, which is not there")
                body = encoded_anew(body)
        self.blobs[name] = body
        return 200, b""

    def _refuse(self, status: int, reason: str) -> tuple[int, bytes]:
        self.refused.append(reason)
        return status, reason.encode()


def stall_after(count: int) -> Callable[[socket.socket, bytes, str], None]:
    def misbehave(connection: socket.socket, answer: bytes, method: str) -> None:
        connection.sendall(answer[:count])
        time.sleep(30)

    return misbehave


def reset_after(count: int) -> Callable[[socket.socket, bytes, str], None]:
    def misbehave(connection: socket.socket, answer: bytes, method: str) -> None:
        connection.sendall(answer[:count])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        raise OSError

    return misbehave


def drip(connection: socket.socket, answer: bytes, method: str) -> None:
    for byte in answer:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def lie_about_length(difference: int) -> Callable[[socket.socket, bytes, str], None]:
    """Answers with bodies announce more, or fewer, bytes than they have."""

    def misbehave(connection: socket.socket, answer: bytes, method: str) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        if not body:
            connection.sendall(answer)
            return
        status = head.split(b"\r\n")[0]
        connection.sendall(status + b"\r\nContent-Length: %d\r\n\r\n" % max(0, len(body) + difference) + body)
        raise OSError

    return misbehave


def answer_with(status: int, *headers: str, body: bytes = b"") -> Callable[[socket.socket, bytes, str], None]:
    lines = "".join(f"{header}\r\n" for header in headers)

    def misbehave(connection: socket.socket, answer: bytes, method: str) -> None:
        head = f"HTTP/1.1 {status} x\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + (b"" if method == "HEAD" else body))

    return misbehave


def other_body(body: bytes) -> Callable[[socket.socket, bytes, str], None]:
    def misbehave(connection: socket.socket, answer: bytes, method: str) -> None:
        data = b"" if method == "HEAD" else body
        connection.sendall(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % len(body) + data)

    return misbehave


def no_http(connection: socket.socket, answer: bytes, method: str) -> None:
    connection.sendall(b"\x00\xff" * 100)
    raise OSError

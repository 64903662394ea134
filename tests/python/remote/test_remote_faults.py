"""Remotes that misbehave: a lookup is a miss with a reason, all of them together take little time, and all heals by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pathlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import remote_http
from remote_http import HttpServer
from sample_packages import package_named

from coldframe import _core
from coldframe.errors import InvalidArgumentError
from coldframe.fsspec_remote import FsspecRemote

STEP = 1 if "COLDFRAME_REMOTE_FLIPS" in os.environ else 997  # of the bytes after which an answer breaks off
GENEROUS = 2.5  # seconds, for what takes less than half a second

OpenStore = Callable[..., _core.Store]
Misbehave = Callable[[socket.socket, bytes, str], None]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as started:
        yield started


@pytest.fixture
def open_store(tmp_path: pathlib.Path, server: HttpServer) -> OpenStore:
    tmp_path.chmod(0o700)

    def open_store(name: str, **options: Any) -> _core.Store:
        defaults = {"remote": f"http://127.0.0.1:{server.port}", "min_free_bytes": 0}
        return _core.Store.open(tmp_path / name, **{**defaults, **options})

    return open_store


def fill(open_store: OpenStore, *names: str) -> None:
    store = open_store("filling", remote_patience=20.0)
    for name in names:
        store.put(package_named(name))
    assert store.flush(30)


def served(store: _core.Store, package: _core.Package) -> None:
    variants, refusals = store.get(package.key)
    assert refusals == []
    assert [found.to_bytes() for _, found in variants] == [package.to_bytes()]


WAYS: dict[str, tuple[Misbehave, set[str]]] = {
    "stalls at once": (remote_http.stall_after(0), {"timeout"}),
    "stalls in the head": (remote_http.stall_after(20), {"timeout"}),
    "stalls in the body": (remote_http.stall_after(100), {"timeout"}),
    "drips": (remote_http.drip, {"timeout"}),
    "closes": (remote_http.reset_after(0), {"io"}),
    "breaks off in the body": (remote_http.reset_after(100), {"io"}),
    "announces more": (remote_http.lie_about_length(7), {"io"}),
    "announces less": (remote_http.lie_about_length(-7), {"corrupt"}),
    "announces nothing": (remote_http.lie_about_length(-(10**9)), {"corrupt"}),
    "says 500": (remote_http.answer_with(500), {"io"}),
    "says 503": (remote_http.answer_with(503, "Retry-After: 3600"), {"io"}),
    "says 403": (remote_http.answer_with(403), {"untrusted"}),
    "redirects": (remote_http.answer_with(302, "Location: http://127.0.0.1:1/elsewhere"), {"untrusted"}),
    "sends another thing": (remote_http.other_body(b"<html>Welcome to the network</html>"), {"corrupt"}),
    "sends too much": (remote_http.other_body(bytes(20_000_000)), {"corrupt"}),
    "sends nothing": (remote_http.other_body(b""), {"corrupt"}),
    "speaks no HTTP": (remote_http.no_http, {"io"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_job_goes_on_without_and_later_with_it(server: HttpServer, open_store: OpenStore, way: str) -> None:
    names = [f"f{number}" for number in range(12)]
    fill(open_store, *names)
    misbehave, codes = WAYS[way]
    server.misbehave = misbehave
    store = open_store("there", remote_retry_after=0.2)
    begin = time.monotonic()
    variants, [(_, code, message)] = store.get(package_named(names[0]).key)
    assert (variants, code in codes) == ([], True), message
    assert "in the remote 'http://127.0.0.1:" in message
    for name in names[1:]:
        variants, refusals = store.get(package_named(name).key)
        assert (variants, len(refusals)) == ([], 1)
    assert time.monotonic() - begin < GENEROUS
    server.misbehave = None
    deadline = time.monotonic() + 30
    while not store.get(package_named(names[0]).key)[0]:
        assert time.monotonic() < deadline, "it is never asked again"
        time.sleep(0.05)
    served(store, package_named(names[0]))
    stats = store.stats()
    assert stats["remote_hits"] == 1
    assert sum(stats[f"remote_{kind}"] for kind in ("timeouts", "failures", "refused", "corrupt")) >= 1


@pytest.mark.parametrize("way", ["stalls at once", "drips", "closes", "redirects"])
def test_a_job_puts_whatever_the_remote_does(server: HttpServer, open_store: OpenStore, way: str) -> None:
    server.misbehave = WAYS[way][0]
    store = open_store("here")
    begin = time.monotonic()
    store.put(package_named("f"))
    assert len(store.get(package_named("f").key)[0]) == 1
    del store  # waits for what is to be uploaded, but for no answer longer than a lookup would
    assert time.monotonic() - begin < GENEROUS


def test_an_answer_that_breaks_off_anywhere(server: HttpServer, open_store: OpenStore) -> None:
    fill(open_store, "f")
    sizes = [len(data) for data in server.blobs.values()]
    reader = open_store("nothing", read_only=True, remote_read_only=True, remote_retry_after=0.0)
    for which in range(3):  # of the record, the manifest and the object
        size = sorted(sizes)[which] + 60
        for count in range(0, size, STEP if size > 1000 else max(1, STEP // 50)):
            broken = 0

            def misbehave(
                connection: socket.socket, answer: bytes, method: str, which: int = which, count: int = count
            ) -> None:
                nonlocal broken
                body = answer.partition(b"\r\n\r\n")[2]
                if len(body) == sorted(sizes)[which]:
                    broken += 1
                    remote_http.reset_after(min(count, len(answer) - 1))(connection, answer, method)
                connection.sendall(answer)

            server.misbehave = misbehave
            variants, refusals = reader.get(package_named("f").key)
            assert (variants, len(refusals)) == ([], 1), (which, count)
            assert broken != 0
    server.misbehave = None
    served(reader, package_named("f"))


def test_what_belongs_to_another_is_refused(server: HttpServer, open_store: OpenStore) -> None:
    fill(open_store, "f", "g")
    [f, g] = [f"ac/{digest[:2]}/{digest}" for digest in (_core.Store.key_digest(package_named(n).key).hex() for n in "fg")]
    server.blobs[f], server.blobs[g] = server.blobs[g], server.blobs[f]
    variants, [(_, code, message)] = open_store("there").get(package_named("f").key)
    assert (variants, code) == ([], "corrupt")
    assert "belongs to another key" in message
    server.blobs[f], server.blobs[g] = server.blobs[g], server.blobs[f]
    objects = sorted((name for name in server.blobs if "cas/" in name), key=lambda name: len(server.blobs[name]))
    server.blobs[objects[-1]], server.blobs[objects[-2]] = server.blobs[objects[-2]], server.blobs[objects[-1]]
    for name in "fg":
        variants, [(_, code, message)] = open_store(f"there {name}").get(package_named(name).key)
        assert (variants, code) == ([], "corrupt")
        assert "not those of its name" in message


def test_nobody_listens_or_answers(open_store: OpenStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        full = [socket.socket() for _ in range(300)]
        for connection in full:  # until its queue is full: connecting takes for ever
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
        for url in (f"http://127.0.0.1:{port}", f"redis://127.0.0.1:{port}", "http://127.0.0.1:1", "redis://127.0.0.1:1"):
            store = open_store("there", remote=url)
            begin = time.monotonic()
            for number in range(10):
                variants, refusals = store.get(package_named(f"f{number}").key)
                assert (variants, len(refusals)) == ([], 1)
            assert time.monotonic() - begin < GENEROUS
        for connection in full:
            connection.close()


def test_no_name_no_remote(open_store: OpenStore) -> None:
    store = open_store("there", remote="http://nothing.invalid")
    begin = time.monotonic()
    variants, [(_, code, _)] = store.get(package_named("f").key)
    assert (variants, code in ("io", "timeout")) == ([], True)
    assert time.monotonic() - begin < GENEROUS


def test_a_redis_server_that_lies(server: HttpServer, open_store: OpenStore) -> None:
    answers = [
        b"",
        b"+OK\r\n",
        b"*-1\r\n",
        b"$5\r\nab\r\n",
        b"*1\r\n:1\r\n",
        b"*99999999999\r\n",
        b"-ERR secret\r\n",
        b"\x00" * 99,
    ]
    answers += [b"*1\r\n$64\r\n" + b"a" * 64 + b"\r\n", b"$-7\r\n", b"*2\r\n*2\r\n*2\r\n", b":12\r\n", b"$9999999999999\r\n"]
    for number, answer in enumerate(answers):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def accept(listener: socket.socket = listener, answer: bytes = answer) -> None:
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.close()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            store = open_store(f"there{number}", remote=f"redis://u:hidden@127.0.0.1:{listener.getsockname()[1]}")
            begin = time.monotonic()
            variants, refusals = store.get(package_named("f").key)
            assert variants == [], answer
            assert not any("hidden" in text or "secret" in text for refusal in refusals for text in refusal)
            assert time.monotonic() - begin < GENEROUS
            del store


def test_uploads_that_are_refused_or_too_many_are_counted(server: HttpServer, open_store: OpenStore) -> None:
    def read_only(connection: socket.socket, answer: bytes, method: str) -> None:
        if method == "PUT":
            remote_http.answer_with(403)(connection, answer, method)
        else:
            connection.sendall(answer)

    server.misbehave = read_only
    store = open_store("here")
    for number in range(3):
        store.put(package_named(f"f{number}"))
        assert store.flush(30)
    stats = store.stats()
    assert stats["remote_upload_failures"] == 1
    assert stats["remote_uploads_dropped"] == 2
    assert store.get(package_named("g").key) == ([], [])  # it is still read
    server.misbehave = remote_http.stall_after(0)
    slow = open_store("slow")
    for number in range(300):
        slow.put(package_named(f"s{number}"))
    assert slow.stats()["remote_uploads_dropped"] > 30


def test_flushing_does_not_wait_for_a_remote_that_is_down(server: HttpServer, open_store: OpenStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    store = open_store("down", remote=url)
    for number in range(6):
        store.put(package_named(f"f{number}"))
    begin = time.monotonic()
    assert not store.flush(60), "the breaker opens while it waits"
    assert not store.flush(55), "it is open"
    assert time.monotonic() - begin < 10
    assert len(store.get(package_named("f0").key)[0]) == 1
    server.misbehave = remote_http.answer_with(500)
    again = open_store("again")
    for number in range(6):
        assert again.get(package_named(f"f{number}").key)[0] == []
        again.put(package_named(f"f{number}"))
    assert not again.flush(60)
    server.misbehave = None
    assert again.flush(60), "it is probed at once"
    assert time.monotonic() - begin < 20
    stats = again.stats()
    assert stats["remote_uploads"] + stats["remote_upload_failures"] == 6 and stats["remote_uploads"] >= 3


@pytest.fixture
def certificate(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{path}.key", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_certificates_are_verified(open_store: OpenStore, certificate: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpServer(certificate=certificate) as server:
        url = f"https://localhost:{server.port}"
        variants, [(_, code, message)] = open_store("unknown", remote=url, remote_patience=20.0).get(package_named("f").key)
        assert (variants, code) == ([], "io")
        assert "certificate" in message or "SSL" in message
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        here = open_store("known", remote=url, remote_patience=20.0)
        here.put(package_named("f"))
        assert here.flush(30)
        served(open_store("other", remote=url, remote_patience=20.0), package_named("f"))
        [(_, code, _)] = open_store("misnamed", remote=f"https://127.0.0.1:{server.port}").get(package_named("f").key)[1]
        assert code == "io"
        assert [name for name in server.blobs if "ac/" in name]


def canonical(headers: dict[str, str], names: list[str]) -> str:
    return "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)


def test_requests_to_s3_are_signed(server: HttpServer, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signature version 4, computed here from its specification for what arrived."""
    secret = "very/secret+key"
    environment = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "session"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    url = f"s3://bucket/some/prefix?region=eu-west-3&endpoint=http://127.0.0.1:{server.port}"
    here = open_store("here", remote=url)
    here.put(package_named("f"))
    assert here.flush(30)
    served(open_store("there", remote=url), package_named("f"))
    assert {request.split()[0] for request in server.requests} == {"GET", "HEAD", "PUT"}
    for request, headers in zip(server.requests, server.headers, strict=True):
        method, path = request.split()
        scheme, credential, signed, signature = headers["authorization"].replace(",", "").split()
        assert (scheme, path.startswith("/bucket/some/prefix/")) == ("AWS4-HMAC-SHA256", True)
        scope = credential.partition("/")[2].split("/")
        assert scope[1:] == ["eu-west-3", "s3", "aws4_request"]
        names = signed.removeprefix("SignedHeaders=").split(";")
        assert {"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"} <= set(names)
        if method == "PUT":
            digest = hashlib.sha256(server.blobs[path.lstrip("/")]).hexdigest()
            assert "ac/" in path or headers["x-amz-content-sha256"] == digest
        parts = [method, path, "", canonical(headers, names), ";".join(names), headers["x-amz-content-sha256"]]
        hashed = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        text = "\n".join([scheme, headers["x-amz-date"], "/".join(scope), hashed])
        key = f"AWS4{secret}".encode()
        for part in (*scope, text):
            key = hmac.digest(key, part.encode(), "sha256")
        assert signature == f"Signature={key.hex()}", request


def test_s3_tells_who_may_not_list_that_what_is_absent_is_denied(server: HttpServer, open_store: OpenStore) -> None:
    url = f"s3://bucket?endpoint=http://127.0.0.1:{server.port}"
    for code, found in (("AccessDenied", []), ("SignatureDoesNotMatch", ["untrusted"]), ("InvalidAccessKeyId", ["untrusted"])):
        server.misbehave = remote_http.answer_with(403, body=f"<Error><Code>{code}</Code></Error>".encode())
        variants, refusals = open_store(code, remote=url).get(package_named("f").key)
        assert (variants, [refusal[1] for refusal in refusals]) == ([], found)


def test_credentials_go_to_the_server_and_nowhere_else(
    server: HttpServer, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"127.0.0.1:{server.port}"
    with_user = open_store("user", remote=f"http://me:pass%2Fword@{place}/p")
    with_user.get(package_named("f").key)
    assert server.headers[-1]["authorization"] == "Basic " + base64.b64encode(b"me:pass/word").decode()
    monkeypatch.setenv("COLDFRAME_REMOTE_TOKEN", "verysecret")
    with_token = open_store("token", remote=f"http://{place}/p")
    with_token.get(package_named("f").key)
    assert server.headers[-1]["authorization"] == "Bearer verysecret"
    server.misbehave = remote_http.answer_with(302, f"Location: http://localhost:{server.port}/elsewhere")
    before = len(server.requests)
    for store in (with_user, with_token):
        texts = [store.remote or "", repr(store), repr(store.get(package_named("f").key))]
        assert not any(secret in text for text in texts for secret in ("pass", "verysecret", "me:"))
    assert len(server.requests) == before + 2  # of which none is elsewhere
    assert not any("elsewhere" in request for request in server.requests)


@pytest.mark.parametrize(
    "url",
    [
        "nothing",
        "http://",
        "http://host:port/",
        "http://host:70000",
        "http://host/?layout=other",
        "http://host/?password=hidden",
        "http://user:hidden%zz@host",
        "http://user:hidden\n@host",
        "s3://user:hidden@bucket/prefix",
        "s3://bucket?endpoint=ftp://user:hidden@host",
        "redis://:hidden@host/name",
        "file://host/directory",
        "file:///directory?owner=hidden2",
        "nosuchscheme://user:hidden@host/",
    ],
)
def test_a_wrong_url_says_what_is_expected(open_store: OpenStore, url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        open_store("there", remote=url)
    assert "remote" in str(caught.value)
    assert "hidden@" not in str(caught.value) and "=hidden" not in str(caught.value)


def test_a_remote_of_python_that_raises_or_sleeps(open_store: OpenStore) -> None:
    class Failing:
        def get(self, name: str, timeout: float) -> bytes | None:
            raise action(timeout)

        def has(self, name: str, timeout: float) -> bool:
            raise action(timeout)

        def put(self, name: str, data: bytes, timeout: float) -> None:
            raise action(timeout)

    action: Callable[[float], Exception]
    for raised, code in ((TimeoutError, "timeout"), (PermissionError, "untrusted"), (ValueError, "io")):
        action = lambda timeout, raised=raised: raised("hidden")  # noqa: E731
        store = open_store(f"there {code}", remote=Failing())
        variants, [(_, told, message)] = store.get(package_named("f").key)
        assert (variants, told) == ([], code)
        assert "hidden" not in message and raised.__name__ in message
        store.put(package_named("f"))
        assert store.flush(30)
    with pytest.raises(InvalidArgumentError, match="get, has and put"):
        open_store("there", remote=object())


def test_a_file_system_that_hangs_is_left(open_store: OpenStore) -> None:
    remote = FsspecRemote("memory://hanging")
    remote._files = type("Hanging", (), {"cat_file": staticmethod(lambda path: time.sleep(60))})()
    store = open_store("there", remote=remote)
    begin = time.monotonic()
    for number in range(10):
        variants, refusals = store.get(package_named(f"f{number}").key)
        assert (variants, len(refusals)) == ([], 1)
    assert time.monotonic() - begin < GENEROUS

"""Redis over TLS: what is verified, and that what is not verified is a miss that takes no time."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from remote_servers import Server, free_port, redis
from sample_packages import package_named

from coldframe import _core

GENEROUS = 2.5  # seconds, for what takes less than half a second

OpenStore = Callable[..., _core.Store]


def authority(folder: pathlib.Path, name: str) -> pathlib.Path:
    """A certificate authority; its key lies beside it."""
    path = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", f"{path}.key", "-out", str(path)], check=True, capture_output=True)
    return path


def signed(folder: pathlib.Path, issuer: pathlib.Path, host: str) -> pathlib.Path:
    path = folder / f"{host}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
    command += ["-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-CA", str(issuer), "-CAkey", f"{issuer}.key", "-keyout", f"{path}.key", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def known(folder: pathlib.Path) -> pathlib.Path:
    return authority(folder, "known")


@pytest.fixture(scope="module")
def server(folder: pathlib.Path, known: pathlib.Path) -> Iterator[Server]:
    certificate = signed(folder, known, "localhost")
    options = {
        "--tls-port": str(free_port()),
        "--tls-cert-file": str(certificate),
        "--tls-key-file": f"{certificate}.key",
        "--tls-ca-cert-file": str(known),
        "--tls-auth-clients": "no",
    }
    with redis(folder, *(word for option in options.items() for word in option)) as started:
        yield Server(f"rediss://localhost:{options['--tls-port']}/0", started.blobs)


@pytest.fixture
def open_store(tmp_path: pathlib.Path, server: Server) -> OpenStore:
    tmp_path.chmod(0o700)

    def open_store(name: str, **options: Any) -> _core.Store:
        return _core.Store.open(tmp_path / name, **{"remote": server.url, "min_free_bytes": 0, **options})

    return open_store


def test_a_certificate_that_is_verified_serves(
    server: Server, open_store: OpenStore, known: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    package = package_named("encrypted")
    here = open_store("here", remote_patience=20.0)
    role, flight = here.join(package.key)
    assert (role, here.stats()["remote_leases"]) == ("leader", 1)
    child = os.fork()
    if child == 0:
        flight.forget()
        del flight
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    here.put(package)
    flight.end()
    assert here.flush(60)
    there = open_store("there", remote_patience=20.0)
    [(_, found)], refusals = there.get(package.key)
    assert refusals == []
    assert found.to_bytes() == package.to_bytes()
    assert there.stats()["remote_hits"] == 1
    assert [name for name in server.blobs.names() if ":l:" in name] == []


def refused(store: _core.Store) -> None:
    begin = time.monotonic()
    variants, [(_, code, message)] = store.get(package_named("f").key)
    assert (variants, code) == ([], "io")
    assert "localhost" in message or "127.0.0.1" in message
    for number in range(10):
        assert store.get(package_named(f"f{number}").key)[0] == []
    role, flight = store.join(package_named("f").key)
    assert role == "leader"
    flight.end()
    store.put(package_named("f"))
    assert time.monotonic() - begin < GENEROUS
    stats = store.stats()
    assert stats["remote_failures"] >= 1 and stats["remote_skipped"] >= 8 and stats["remote_leases"] == 0


def test_an_authority_that_is_not_known_is_refused(
    open_store: OpenStore, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(open_store("default"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority(folder, "other")))
    refused(open_store("other"))


def test_a_wrong_host_name_is_refused(
    server: Server, open_store: OpenStore, known: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    refused(open_store("address", remote=server.url.replace("localhost", "127.0.0.1")))


def test_a_server_that_does_not_shake_hands_is_too_slow(open_store: OpenStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = open_store("silent", remote=f"rediss://127.0.0.1:{listener.getsockname()[1]}")
        begin = time.monotonic()
        for number in range(10):
            assert store.get(package_named(f"f{number}").key)[0] == []
        assert time.monotonic() - begin < GENEROUS
        assert store.stats()["remote_timeouts"] >= 1

"""A small file is no large one in disguise: what parts decompress to is bounded, and checking them takes no room for it."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sysconfig
from pathlib import Path

import pytest
from sample_packages import package_named

from coldframe import _core

COMMAND = Path(sysconfig.get_path("scripts")) / "coldframe"
MEGABYTE = 1 << 20
NOISE = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(MEGABYTE // 32))


def package_with(blob: bytes) -> _core.Package:
    package = package_named("large")
    package.artifacts = [_core.Artifact("graph_0", "inductor_native", None, [_core.Blob("large", blob)])]
    return package


def command(*args: object, memory: int) -> str:
    limits = (memory, memory)
    done = subprocess.run(
        [COMMAND, *map(str, args)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_checking_takes_no_room_for_what_is_compressed(tmp_path: Path) -> None:
    size = package_with(NOISE * 192).write(tmp_path / "large.cfp")
    assert size < 3 * MEGABYTE
    command("verify", tmp_path / "large.cfp", memory=160 * MEGABYTE)
    tmp_path.chmod(0o700)
    store = _core.Store.open(tmp_path / "store", min_free_bytes=0)
    store.put(_core.Package.open(tmp_path / "large.cfp"))
    command("fsck", "--store", tmp_path / "store", memory=160 * MEGABYTE)


@pytest.mark.parametrize("megabytes", [60, 80])
def test_what_would_be_compressed_too_much_is_stored_as_it_is(tmp_path: Path, megabytes: int) -> None:
    zeros = bytes(megabytes * MEGABYTE)
    size = package_with(zeros).write(tmp_path / "zeros.cfp")
    assert (size > len(zeros)) is (megabytes > 64)
    [artifact] = _core.Package.open(tmp_path / "zeros.cfp").artifacts
    assert artifact.blobs[0].read() == zeros
    command("verify", tmp_path / "zeros.cfp", memory=160 * MEGABYTE)

"""Files that are damaged, unsafe or impossible to write: a typed error that says what is wrong, and nothing else happens."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import signal
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damage
import pytest
import steps
from harness import Processes

import coldframe
from coldframe._core import Package

HEADER = 128
DIGEST = 32


@pytest.fixture(scope="module")
def package(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small package: two graphs of the eager backend and a resume function."""
    path = tmp_path_factory.mktemp("files") / "small.cfp"
    processes.run(steps.make, case="programs:two_breaks", path=path).get()
    for folder in path.parents[:3]:
        folder.chmod(0o755)  # some steps give up root's rights
    return path


@pytest.fixture(scope="module")
def attempts(processes: Processes, package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Answers of loads and saves that must fail, one after another in one process."""
    folder = tmp_path_factory.mktemp("attempts")
    folder.chmod(0o755)
    (folder / "directory").mkdir()
    (folder / "file").write_bytes(b"x")
    for name in ("flips", "read only", "limited", "killed", "together"):
        (folder / name).mkdir(mode=0o755)
    secret, limited = folder / "secret", folder / "limited" / "package"
    for path in (secret, limited, folder / "read only" / "package"):
        shutil.copy(package, path)
    unwritable = [folder / "directory", folder / "absent" / "package", folder / "file" / "package"]
    odd = odd_files(package, folder)
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (damage.prepare, {}),
        (damage.flips, {"package": package, "folder": folder / "flips", "step": 13}),
        (damage.refusals, {"paths": list(odd.values())}),
        (damage.unreadable, {"path": secret}),
        (damage.save_to, {"paths": unwritable}),
        (damage.save_read_only, {"folder": folder / "read only"}),
        (damage.save_with_limits, {"path": limited, "limits": [0, 100, 2000]}),
        (damage.killed_saves, {"folder": folder / "killed", "kills": 60}),
        (damage.appended_together, {"path": folder / "together" / "package", "workers": 4, "shapes": 3}),
        (damage.mounted_full_disk, {}),
    ]
    answers = processes.run_all(calls, sealed=True)
    found: dict[str, Any] = {function.__name__: answer for (function, _), answer in zip(calls, answers, strict=True)}
    return {**found, "folder": folder, "odd": odd, "unwritable": unwritable}


def odd_files(package: Path, folder: Path) -> dict[str, Path]:
    """Files in `folder` that are no packages or not to be loaded, by what they are."""
    makers: dict[str, Callable[[Path], Any]] = {
        **OTHER_KINDS,
        "a directory": lambda path: path.mkdir(),
        "fifo": lambda path: os.mkfifo(path),
        "truncated": lambda path: path.write_bytes(package.read_bytes()[:-1]),
        "appended": lambda path: path.write_bytes(package.read_bytes() + b"x"),
        "newer": lambda path: path.write_bytes(with_header(package, 8, (2).to_bytes(2, "little"))),
        "writable": lambda path: path.write_bytes(package.read_bytes()),
    }
    for kind, make in makers.items():
        make(folder / kind)
        if (folder / kind).is_file():
            (folder / kind).chmod(0o666 if kind == "writable" else 0o644)
    return {kind: folder / kind for kind in makers}


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    path = tmp_path / "copy.cfp"
    shutil.copy(package, path)
    return path


@pytest.fixture
def deadline() -> Iterator[None]:
    """Ends a test that hangs."""

    def late(*_: object) -> None:
        raise TimeoutError("the test hangs")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def refused(path: Path) -> coldframe.PackageError:
    """The error with which every way of reading `path` refuses it."""
    with pytest.raises(coldframe.PackageError) as opened:
        Package.open(path).verify()
    assert str(path) in str(opened.value)
    return opened.value


def write_over(path: Path, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.truncate(len(data))
        file.write(data)


def test_the_package_is_sound(package: Path) -> None:
    Package.open(package).verify()
    assert package.stat().st_mode & 0o022 == 0


def test_every_changed_byte_is_found(package: Path, copy: Path) -> None:
    data = package.read_bytes()
    accepted = []
    with open(copy, "r+b", buffering=0) as file:
        for place, byte in enumerate(data):
            for changed in (byte ^ (1 << place % 8), byte ^ 0xFF):
                os.pwrite(file.fileno(), bytes([changed]), place)
                try:
                    Package.open(copy).verify()
                except (coldframe.CorruptPackageError, coldframe.UnsupportedPackageError) as error:
                    assert str(copy) in str(error)
                else:
                    accepted.append((place, changed))
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert accepted == []
    Package.open(copy).verify()


def test_a_changed_byte_is_found_by_load_before_anything_runs(attempts: dict[str, Any]) -> None:
    assert attempts["flips"].get() == []


def test_every_truncation_is_found(package: Path, copy: Path) -> None:
    for size in reversed(range(package.stat().st_size)):
        os.truncate(copy, size)
        with pytest.raises(coldframe.CorruptPackageError, match=r"truncated|empty|damaged|bytes"):
            Package.open(copy)


@pytest.mark.parametrize("garbage", [b"\0", b"x", b"\0" * 64, b"garbage" * 1000], ids=["zero", "byte", "zeros", "kilobytes"])
def test_appended_bytes_are_found(copy: Path, garbage: bytes) -> None:
    with open(copy, "ab") as file:
        file.write(garbage)
    assert isinstance(refused(copy), coldframe.CorruptPackageError)


def test_two_packages_in_one_file_are_none(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes() * 2)
    assert isinstance(refused(copy), coldframe.CorruptPackageError)


def zip_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", "x")


OTHER_KINDS: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(b"\0" * 10_000),
    "zip": zip_archive,
    "elf": lambda path: shutil.copy(os.path.realpath(sys.executable), path),
    "text": lambda path: path.write_text("not a package\n" * 100),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "short text": lambda path: path.write_text("x"),
    "magic alone": lambda path: path.write_bytes(b"\x89CFP\r\n\x1a\n"),
    "as text": lambda path: path.write_bytes(b"\x89CFP\n\x1a\n" + b"\0" * 500),  # as a transfer in text mode would leave it
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    OTHER_KINDS[kind](path)
    path.chmod(0o644)
    assert isinstance(refused(path), coldframe.CorruptPackageError)


def with_header(package: Path, place: int, value: bytes) -> bytes:
    """The package with some bytes of its header changed, and the header's digest made to fit."""
    data = bytearray(package.read_bytes())
    data[place : place + len(value)] = value
    data[HEADER - DIGEST : HEADER] = hashlib.sha256(data[: HEADER - DIGEST]).digest()
    return bytes(data)


def test_a_newer_major_version_is_said_to_be_newer(package: Path, copy: Path) -> None:
    write_over(copy, with_header(package, 8, (2).to_bytes(2, "little")))
    error = refused(copy)
    assert isinstance(error, coldframe.UnsupportedPackageError) and "2.0" in str(error) and "newer" in str(error)


def test_a_header_that_lies_is_refused(package: Path, copy: Path) -> None:
    data = package.read_bytes()
    for place in range(8, HEADER - DIGEST):
        if place in (10, 11):  # a newer minor version is read: what it adds may be ignored
            continue
        write_over(copy, with_header(package, place, bytes([data[place] ^ 0x41])))
        assert isinstance(refused(copy), (coldframe.CorruptPackageError, coldframe.UnsupportedPackageError)), place


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646, 0o622, 0o777])
def test_a_file_that_others_may_write_is_not_trusted(copy: Path, mode: int) -> None:
    copy.chmod(mode)
    error = refused(copy)
    assert isinstance(error, coldframe.UntrustedPackageError) and f"{mode:04o}" in str(error) and "chmod" in str(error)
    copy.chmod(0o600)
    Package.open(copy).verify()


def test_a_file_of_somebody_else_is_not_trusted(copy: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can give a file away
    os.chown(copy, 12345, -1)
    error = refused(copy)
    assert isinstance(error, coldframe.UntrustedPackageError) and "12345" in str(error)


def test_a_file_that_may_not_be_read_is_an_io_error(attempts: dict[str, Any]) -> None:
    found = attempts["unreadable"].get()
    assert found["error"] == "PackageIOError" and "ermission" in found["message"], found
    assert str(attempts["folder"] / "secret") in found["message"]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


NOT_FILES: dict[str, Callable[[Path], Any]] = {
    "directory": lambda path: path.mkdir(),
    "fifo": lambda path: os.mkfifo(path),
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "null": lambda path: path.symlink_to("/dev/null"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("absent"),
}


@pytest.mark.parametrize("kind", NOT_FILES)
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path, deadline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "thing"
    NOT_FILES[kind](path)
    error = refused(path)
    assert not isinstance(error, coldframe.CorruptPackageError)


def test_a_symbolic_link_is_followed(package: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(package)
    Package.open(link).verify()


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000], ids=["empty", "null", "long"])
def test_impossible_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises((coldframe.PackageError, ValueError)):
        Package.open(str(tmp_path / name) if name else "")


@pytest.mark.parametrize("kind", [*OTHER_KINDS, "a directory", "fifo", "truncated", "appended", "newer", "writable"])
def test_load_says_what_is_wrong_and_runs_nothing(attempts: dict[str, Any], kind: str) -> None:
    expected = {
        "a directory": "InvalidArgumentError",
        "fifo": "InvalidArgumentError",
        "newer": "UnsupportedPackageError",
        "writable": "UntrustedPackageError",
    }
    answer = attempts["refusals"].get()[kind]
    assert answer["error"] == expected.get(kind, "CorruptPackageError"), answer
    assert str(attempts["odd"][kind]) in answer["message"]
    assert answer["executed"] == [] and answer["left"] == [] and answer["loads"] == 0


def test_no_process_was_started(attempts: dict[str, Any]) -> None:
    assert attempts["save_with_limits"].processes == []


# Writing.


def test_places_that_cannot_be_written(attempts: dict[str, Any]) -> None:
    found = attempts["save_to"].get()
    errors = [answer["error"] for answer in found]
    assert errors == ["PackageIOError", "PackageNotFoundError", "PackageNotFoundError"], found
    assert all(str(path) in answer["message"] for path, answer in zip(attempts["unwritable"], found, strict=True))
    assert os.listdir(attempts["folder"] / "directory") == [] and (attempts["folder"] / "file").read_bytes() == b"x"
    assert not [name for name in os.listdir(attempts["folder"]) if name.startswith(".")]


def test_a_read_only_directory_is_an_io_error(attempts: dict[str, Any], package: Path) -> None:
    found = attempts["save_read_only"].get()
    assert found["error"] == "PackageIOError" and "ermission" in found["message"], found
    assert os.listdir(attempts["folder"] / "read only") == ["package"]
    assert (attempts["folder"] / "read only" / "package").read_bytes() == package.read_bytes()


def test_a_file_that_may_not_grow_leaves_the_good_one(attempts: dict[str, Any]) -> None:
    path = attempts["folder"] / "limited" / "package"
    for found in attempts["save_with_limits"].get():
        assert found["error"] in ("NoSpaceError", "PackageIOError") and str(path) in found["message"], found
        assert found["intact"] and found["names"] == ["package"]
        assert found["after"]["error"] == "none"
    Package.open(path).verify()


def test_a_full_disk_leaves_the_good_file(attempts: dict[str, Any]) -> None:
    found = attempts["mounted_full_disk"].get()
    if found is None:  # no right to mount here: the limit on the size of files, above, has to do
        return
    assert found["first"]["error"] == "none"
    assert found["full"]["error"] == "NoSpaceError" and "package" in found["full"]["message"]
    assert found["intact"] and found["names"] == ["filler", "package"]
    assert found["after"]["error"] == "none"


def test_a_killed_save_leaves_the_good_file(attempts: dict[str, Any]) -> None:
    found = attempts["killed_saves"].get()
    assert found["bad"] == []
    assert found["keys"] == ["breaks_twice", "with_default"], "not both packages were met: the kills came too early"
    others = [name for name in found["names"] if name != "package"]
    assert all(name.startswith(".coldframe-") and name.endswith(".tmp") for name in others)
    assert found["after"]["error"] == "none"


def test_processes_that_add_to_one_file_lose_nothing(attempts: dict[str, Any]) -> None:
    found = attempts["appended_together"].get()
    assert found["statuses"] == [0] * 4
    assert found["variants"] == 12 and found["names"] == ["package"]

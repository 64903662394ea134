"""The installed `coldframe` command on files that coldframe._core wrote."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sample_packages
from command import refused, run
from harness import ROOT
from sample_packages import CODE_DIGEST, ENVIRONMENT, KERNEL, code_of, forward, sample_package

import coldframe
from coldframe import _core

README = ROOT / "README.md"


@pytest.fixture
def package_file(tmp_path: Path) -> Path:
    path = tmp_path / "sample.cfp"
    sample_package().write(path)
    return path


def test_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"coldframe {coldframe.__version__}\n"


def test_help_and_readme_have_one_table_of_exit_codes() -> None:
    listed = re.findall(r"^ +(\d+)  (.+)$", run("--help").stdout.partition("Exit codes:")[2], re.MULTILINE)
    documented = re.findall(r"^\| (\d+) \| (.+) \|$", README.read_text(), re.MULTILINE)
    assert [code for code, _ in listed] == ["0", "1", "2", "3", "4", "5", "6", "7", "70"]
    assert listed == documented


def test_inspect_prints_what_the_package_holds(package_file: Path) -> None:
    done = run("inspect", package_file)
    assert done.returncode == 0, done.stderr
    for line in (
        rf"package {re.escape(str(package_file))}",
        r"  created   2023-11-14 22:13:20 UTC",
        r"  saves     1\.50 s of compiling",
        r"  qualname  forward",
        r"  cpu features +avx2 fma",
        r"  setting inductor\.freezing  False",
        rf"  {sample_packages.__name__} +1 function  [0-9a-f]{{16}}  {re.escape(sample_packages.__file__)}",
        rf"  entry forward in {sample_packages.__name__}: 1 variant",
        r"    global  __consts_0 +math\.pi",
        r"    variant 1: 2 guards, backends graph_0, saves 1\.50 s",
        r"  graph_0 +16\.0 KiB  stored as +\d+ B  inductor_native, 1 blob",
        rf"    kernel\.so +16\.0 KiB  stored as +\d+ B  {hashlib.sha256(KERNEL).hexdigest()}",
    ):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), (line, done.stdout)


def test_inspect_guards_lists_every_op_with_its_source(package_file: Path) -> None:
    text = run("inspect", package_file, "--guards").stdout
    assert re.search(r"^ +%1 = framelocals\(%0, 'x', 0\) +L\['x'\]$", text, re.MULTILINE)
    assert re.search(r"^ +type_match\(%1, int\) +L\['x'\]$", text, re.MULTILINE)
    assert "# type(L['x']) is int" in text


def test_inspect_code_lists_fields_and_constants_of_nested_code(package_file: Path) -> None:
    text = run("inspect", package_file, "--code").stdout
    code = code_of(forward)
    for name in dir(code):
        if name.startswith("co_") and name not in ("co_lines", "co_positions", "co_lnotab", "co_consts"):
            assert re.search(rf"^ +{name}\b", text, re.MULTILINE), name
    assert re.search(r"^ +co_consts\[0\] +None$", text, re.MULTILINE)
    assert re.search(r"^ +co_qualname +forward\.<locals>\.<lambda>$", text, re.MULTILINE)


def test_inspect_sends_no_control_character_to_the_terminal(package_file: Path) -> None:
    text = run("inspect", package_file, "--guards", "--code").stdout
    assert "\x1b" not in text
    assert r"'\x1b[2J'" in text


def test_inspect_json(package_file: Path) -> None:
    done = run("inspect", package_file, "--json")
    document = json.loads(done.stdout)
    package = sample_package()
    assert document["file"] == str(package_file)
    assert document["size"] == package_file.stat().st_size
    assert document["created"] == package.created
    assert document["key"]["code"] == CODE_DIGEST.hex()
    assert document["environment"] == ENVIRONMENT | {"settings": {"inductor.freezing": "False"}}
    [source] = document["sources"]
    assert source["functions"] == [{"qualname": "forward", "code": CODE_DIGEST.hex(), "first_line": 1, "last_line": 2}]
    [entry] = document["codes"]
    assert entry["import_sources"] == {"__import_torch": "torch"}
    assert entry["installed_globals"] == {"__consts_0": "math.pi"}
    [variant] = entry["variants"]
    assert (variant["guards"], variant["ops"]) == (2, 3)
    assert variant["backend_ids"] == ["graph_0"]
    assert "guard_program" not in variant
    assert "dynamo_code" not in variant
    [artifact] = document["artifacts"]
    [blob] = artifact["blobs"]
    assert artifact["kind"] == "inductor_native"
    assert (blob["name"], blob["size"], blob["digest"]) == ("kernel.so", len(KERNEL), hashlib.sha256(KERNEL).hexdigest())
    assert blob["stored_size"] < blob["size"]


def test_inspect_json_with_guards_and_code(package_file: Path) -> None:
    [entry] = json.loads(run("inspect", package_file, "--json", "--guards", "--code").stdout)["codes"]
    [variant] = entry["variants"]
    local, type_match, equals_match = variant["guard_program"]
    assert local == {
        "kind": "framelocals",
        "inputs": [0],
        "result": 1,
        "operands": ["'x'", "0"],
        "source": "L['x']",
        "explanations": [],
    }
    assert type_match["result"] is None
    assert equals_match["explanations"] == ["L['x'] == '\x1b[2J'"]
    code = code_of(forward)
    recorded = variant["dynamo_code"]
    assert recorded["co_code"] == code.co_code.hex()
    assert recorded["co_consts"][0] == "None"
    assert recorded["co_consts"][1]["co_qualname"] == "forward.<locals>.<lambda>"


def test_inspect_code_shows_recipes_with_the_code_in_them(tmp_path: Path) -> None:
    package, code = sample_package(), _core.CodeObject.from_code(code_of(forward))
    recipe = {"node": "generated", "code": code, "parts": [(b"\0" * 100, {"inner": code}), _core.ImportRef("math", "pi")]}
    package.artifacts = [_core.Artifact("graph_0", "inductor_native", recipe)]
    entry = package.codes[0]
    entry.installed_globals = {"__made": {"function": code, "module": "math"}}
    package.codes = [entry]
    package.write(tmp_path / "recipes.cfp")
    shown = json.loads(run("inspect", tmp_path / "recipes.cfp", "--json", "--guards", "--code").stdout)
    found = shown["artifacts"][0]["recipe"]
    assert found["node"] == "'generated'" and found["code"]["co_name"] == "forward"
    assert found["parts"] == [["00" * 100, {"inner": found["code"]}], "math.pi"]
    assert shown["codes"][0]["global_recipes"] == {"__made": {"function": found["code"], "module": "'math'"}}
    assert '"recipe"' not in run("inspect", tmp_path / "recipes.cfp", "--json").stdout
    text = run("inspect", tmp_path / "recipes.cfp", "--code").stdout
    assert "recipe of graph_0: {'node': 'generated'" in text and text.count("code forward  ") == 4


def test_verify_an_intact_package(package_file: Path) -> None:
    done = run("verify", package_file)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{re.escape(str(package_file))}: intact, .* in \d+ parts, digest [0-9a-f]{{64}}\n", done.stdout)


def test_verify_notices_a_change_anywhere(package_file: Path) -> None:
    intact = package_file.read_bytes()
    step = len(intact) // 23
    for position in range(0, len(intact), step):
        damaged = bytearray(intact)
        damaged[position] ^= 0x10
        package_file.write_bytes(damaged)
        done = run("verify", package_file)
        assert done.returncode in (3, 5), (position, done)


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda data: b"PK\x03\x04" + data[4:], id="another kind"),
        pytest.param(lambda data: data[:-1], id="truncated"),
        pytest.param(lambda data: data + b"x", id="garbage appended"),
    ],
)
def test_what_is_not_a_package_is_corrupt(package_file: Path, command: str, damage: Callable[[bytes], bytes]) -> None:
    package_file.write_bytes(damage(package_file.read_bytes()))
    assert str(package_file) in refused(3, command, package_file)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_package_of_a_newer_format_is_unsupported(package_file: Path, command: str) -> None:
    data = bytearray(package_file.read_bytes())
    data[8:10] = (2).to_bytes(2, "little")  # the major version
    data[96:128] = hashlib.sha256(data[:96]).digest()
    package_file.write_bytes(data)
    assert "newer coldframe" in refused(5, command, package_file)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_path_that_the_file_system_refuses_is_an_io_error(tmp_path: Path, command: str) -> None:
    loop = tmp_path / "loop.cfp"
    loop.symlink_to(loop)
    refused(7, command, loop)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_file_that_others_can_write_is_untrusted(package_file: Path, command: str) -> None:
    package_file.chmod(0o666)
    assert str(package_file) in refused(4, command, package_file)
    assert run(command, package_file, "--any-owner").returncode == 0


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_an_absent_file_is_not_found(tmp_path: Path, command: str) -> None:
    assert str(tmp_path / "absent.cfp") in refused(6, command, tmp_path / "absent.cfp")


@pytest.mark.parametrize("arguments", [(), ("inspect",), ("verify", "--json", "x.cfp"), ("polish", "x.cfp")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "coldframe --help" in done.stderr


def test_output_that_cannot_be_written_is_an_io_error(package_file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run("inspect", package_file, stdout=full)
    assert done.returncode == 7
    assert "cannot write the output" in done.stderr

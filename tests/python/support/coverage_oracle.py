"""The record of each coverage program: its verdict, and the digest of what its package says.

Rearranging the code changes neither. The digest leaves out what another run, host or place in a file changes: times, the
environment, lines, and the order in which guards are checked.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from harness import SUPPORT

RELEASE = "2.13."
PYTHON = (3, 11)
FILE = SUPPORT.parent / "whole" / "coverage_oracle.json"
COMMAND = Path(sys.executable).parent / "coldframe"
_OF_A_RUN = frozenset(["compile_seconds", "created", "digest", "environment", "file", "size"])
_OF_A_PLACE = frozenset(
    ["co_firstlineno", "co_linetable", "dynamo_code_digest", "explanations", "first_line", "last_line", "python_code_digest"]
)
_DERIVED = frozenset(["semantic_digest"])  # of names that hold digests of code with its lines
_DIGEST_IN_NAME = re.compile(r"(?<=_cf_)[0-9a-f]{8,}")
_CLAIMS = re.compile(r"""'claims': b(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")  # name the interpreter's own file


def known() -> dict[str, dict[str, dict[str, str]]]:
    """{program: {backend: {"verdict", "package"}}}. Without a package: what is not saved, holds kernels of a host, or depends
    on what the process compiled before."""
    found: dict[str, dict[str, dict[str, str]]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def fits(case: str, backend: str, found: dict[str, str]) -> bool:
    """Returns whether what was found of a program is what is known of it. Under another torch or Python than the file's
    packages are others, what breaks into several frames here may be one there, or more, and a bypass is one that the program
    expects."""
    expected = known()[case][backend]
    if torch.__version__.startswith(RELEASE) and sys.version_info[:2] == PYTHON:
        return {name: found.get(name) for name in expected} == expected
    hosted = "served, hosted"
    return found["verdict"] == expected["verdict"] or (
        expected["verdict"].startswith(hosted) and found["verdict"].startswith(("served", "bypass"))
    )


def write(found: dict[str, dict[str, dict[str, str]]]) -> None:
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def content_digest(path: Path) -> str | None:
    """Returns the digest of what `coldframe inspect` prints of a package; None for one with kernels."""
    command = [str(COMMAND), "inspect", "--json", "--guards", "--code", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    package = json.loads(printed)
    if any(artifact["blobs"] for artifact in package["artifacts"]):
        return None
    text = json.dumps(_kept(package), sort_keys=True)
    numbers: dict[str, int] = {}
    text = _DIGEST_IN_NAME.sub(lambda match: str(numbers.setdefault(match[0], len(numbers))), text)
    return hashlib.sha256(_CLAIMS.sub("", text).encode()).hexdigest()[:16]


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        left_out = _OF_A_RUN | _OF_A_PLACE | _DERIVED
        kept = {name: _kept(item) for name, item in value.items() if name not in left_out}
        if "guard_program" in kept:
            kept["guard_program"] = sorted([op["source"], op["kind"], *op["operands"]] for op in kept["guard_program"])
        return kept
    return [_kept(item) for item in value] if isinstance(value, list) else value

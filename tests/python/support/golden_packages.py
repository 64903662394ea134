"""Packages of each kind that are checked in, and what the command says of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from command import COMMAND
from harness import SUPPORT

FOLDER = SUPPORT.parent / "core" / "golden"
DIGESTS = FOLDER / "digests.json"


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.cfp"


def digest_of_said(path: Path) -> str:
    """The digest of all that `coldframe inspect` says of a package but where it lies."""
    command = [str(COMMAND), "inspect", "--json", "--guards", "--code", str(path)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    del said["file"]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

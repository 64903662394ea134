"""The installed `coldframe` command."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

COMMAND = Path(sysconfig.get_path("scripts")) / "coldframe"


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([COMMAND, *arguments], stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)


def refused(status: int, *arguments: str | Path) -> str:
    done = run(*arguments)
    assert done.returncode == status, done
    assert done.stdout == ""
    what, where, do = done.stderr.splitlines()
    assert what.startswith("coldframe: ")
    assert where.startswith("  where  ")
    assert do.startswith("  do     ")
    return done.stderr

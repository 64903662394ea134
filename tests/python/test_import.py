"""Importing coldframe is cheap and touches no torch."""

from __future__ import annotations

import subprocess
import sys


def test_importing_coldframe_does_not_import_torch() -> None:
    script = "import sys, coldframe, coldframe._core, coldframe.errors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"

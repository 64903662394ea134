"""`python -m coldframe.run script.py ...`, or `-m module ...`: runs a program with automatic mode enabled, as `coldframe run`.

The program starts in a fresh interpreter, so nothing of this one is seen in it.
"""

from __future__ import annotations

import os
import sys

from coldframe import automatic


def main() -> None:
    os.environ["COLDFRAME"] = "1"
    automatic.enable_as_told()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


if __name__ == "__main__":
    main()

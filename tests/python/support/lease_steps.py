"""A host of its own that joins the flight of a package: says its role, then does as it is told, a line each."""

from __future__ import annotations

import sys

from sample_packages import package_named

from coldframe import _core


def main(store: str, remote: str, name: str, stalled: str) -> None:
    opened = _core.Store.open(store, remote=remote, min_free_bytes=0)
    package = package_named(name)
    role, flight = opened.join(package.key, stalled=float(stalled))
    print(role, flush=True)
    for line in sys.stdin:
        if line.strip() == "put":
            opened.put(package)
        elif flight is not None:
            flight.end()


if __name__ == "__main__":
    main(*sys.argv[1:])

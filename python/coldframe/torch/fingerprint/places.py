"""Files of the program, told from those of torch, of the standard library, and of what the compiler needs."""

from __future__ import annotations

import functools
import importlib.util
import os
import sysconfig
import types

# Packages of the compiler, and what it needs itself.
_COMPILER = (
    *("_distutils_hack", "coldframe", "filelock", "fsspec", "functorch", "jinja2", "markupsafe", "mpmath", "networkx", "numpy"),
    *("pkg_resources", "setuptools", "sympy", "torch", "torchgen", "tqdm", "triton", "typing_extensions"),
)
# Tools that watch a process: what they run is not the program's.
_WATCHING = ("_pytest", "coverage", "debugpy", "hypothesis", "pluggy", "pydevd")


@functools.cache
def of_files() -> dict[str, bool]:
    """Beginnings of names of files -> whether they are the program's. The longest decides; where none fits, they are."""
    places = {os.path.join(sysconfig.get_path(name), ""): False for name in ("stdlib", "platstdlib")}
    places.update({os.path.join(sysconfig.get_path(name), ""): True for name in ("purelib", "platlib")})
    for name in (*_COMPILER, *_WATCHING):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            is_package = spec.submodule_search_locations is not None
            places[os.path.join(os.path.dirname(spec.origin), "") if is_package else spec.origin] = False
    return {**places, "<": False}


def is_of_program(code: types.CodeType) -> bool:
    """Returns whether a code lies in a file of the program's, or of a library that is not the compiler's."""
    return is_of_program_file(code.co_filename)


def is_of_program_file(path: str) -> bool:
    places = of_files()
    best = max((prefix for prefix in places if path.startswith(prefix)), key=len, default="")
    return places.get(best, True)


def leave_out(folder: str) -> None:
    """Counts the code of a folder as that of a tool that watches the process."""
    of_files()[os.path.join(folder, "")] = False

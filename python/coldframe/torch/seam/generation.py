"""The generations of torch and the Python that this coldframe knows. On others programs run, as with plain torch.compile.

What one generation does otherwise than another lies here, a row each; the symbols that only some have are in symbols.py.
Everything else asks the row of this process, `current()`, for what it needs.
"""

from __future__ import annotations

import functools
import re
import sys
import sysconfig
from dataclasses import dataclass

import torch

from ...warn import warn


@dataclass(frozen=True)
class Generation:
    """The conventions of the releases of torch MAJOR.MINOR."""

    release: str  # "2.13"
    generated: str  # module of torch._functorch._aot_autograd whose name the code has that AOTAutograd generates
    # Methods of Dynamo's variables
    gives_attribute: str  # an attribute of the value
    shows: str  # its repr()
    combines_sets: tuple[str, ...]  # in an order that comes from the sets' own
    set_variable: str  # of torch._dynamo.variables.sets, the class of all kinds of sets
    shows_by_functions: bool  # functions of variables.object_protocol make all texts, and no builtin needs to be called
    roots_know_the_thread: bool  # a root of guards, the dispatch keys of the thread that made it
    streams_of_backwards: bool  # a backward finds the streams and events that its forward had
    devices_of_graphs: bool  # a graph has several types of devices, not one


GENERATIONS = (
    Generation(
        "2.13",
        generated="subclass_codegen",
        gives_attribute="var_getattr",
        shows="repr_impl",
        combines_sets=("nb_or_impl", "nb_inplace_or_impl"),
        set_variable="SetVariable",
        shows_by_functions=False,
        roots_know_the_thread=False,
        streams_of_backwards=False,
        devices_of_graphs=False,
    ),
    Generation(
        "2.14",
        generated="codegen",
        gives_attribute="tp_getattro_impl",
        shows="tp_repr_impl",
        combines_sets=("nb_or_impl", "nb_inplace_or_impl", "_operand_keys", "_iter_operand_keys"),
        set_variable="SetVariable",
        shows_by_functions=True,
        roots_know_the_thread=True,
        streams_of_backwards=True,
        devices_of_graphs=False,
    ),
    Generation(
        "2.15",
        generated="codegen",
        gives_attribute="tp_getattro_impl",
        shows="tp_repr_impl",
        combines_sets=("nb_or_impl", "nb_inplace_or_impl", "_operand_keys", "_iter_operand_keys"),
        set_variable="BaseSetVariable",
        shows_by_functions=True,
        roots_know_the_thread=True,
        streams_of_backwards=True,
        devices_of_graphs=True,
    ),
)
RELEASES = ", ".join(generation.release for generation in GENERATIONS)
PYTHONS = ("3.11", "3.12", "3.13")


def _find(version: str) -> Generation | None:
    """Returns the row of a release; None for others, nightlies and candidates among them."""
    for generation in GENERATIONS:
        if re.fullmatch(re.escape(generation.release) + r"\.\d+(\+.*)?", version):
            return generation
    return None


@functools.cache
def unknown() -> str | None:
    """Returns what coldframe does not know of this process, in words; None where it knows torch and Python."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if version not in PYTHONS or sys.implementation.name != "cpython":
        return f"this coldframe knows CPython {', '.join(PYTHONS)}, not {sys.implementation.name} {version}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this coldframe needs the global interpreter lock, without which this CPython was built"
    if _find(str(torch.__version__)) is None:
        return f"this coldframe knows the releases of torch {RELEASES}, not {torch.__version__}"
    return None


@functools.cache
def current() -> Generation:
    """Returns the row of this torch, which is a known one."""
    found = _find(str(torch.__version__))
    assert found is not None, unknown()
    return found


@functools.cache
def say(what: str) -> None:
    """Warns, once in a process, that programs run as with plain torch.compile."""
    warn(f"coldframe: {what}: programs run as with plain torch.compile", stacklevel=3)

"""Modules that code of the program may use while a frame is compiled: those that give any process the same."""

from __future__ import annotations

import sys
import types

from ...errors import NotPortableError

# Of the standard library, modules whose functions give the same for the same in any process; with those that are named so with
# an underscore. What others give is of this process, moment or host, or comes from files.
_PURE = frozenset(
    [
        *("__future__", "abc", "array", "ast", "base64", "binascii", "bisect", "blake2", "builtins", "cmath", "codecs"),
        *("collections", "collections_abc", "colorsys", "contextlib", "contextvars", "copy", "copyreg", "dataclasses"),
        *("difflib", "dis", "encodings", "enum", "errno", "fnmatch", "fractions"),
        *("frozen_importlib", "frozen_importlib_external"),
        *("functools", "gc", "graphlib", "hashlib", "heapq", "hmac", "html", "imp", "importlib", "inspect", "ipaddress"),
        *("itertools", "json", "keyword", "logging", "marshal", "math", "md5", "numbers", "opcode", "operator"),
        *("pprint", "py_abc", "queue", "re", "reprlib", "sha1", "sha2", "sha256", "sha3", "sha512", "shlex", "sre"),
        *("sre_compile", "sre_constants", "sre_parse", "stat", "statistics", "string", "stringprep", "struct", "sys"),
        *("textwrap", "thread", "threading", "threading_local", "token", "tomllib", "traceback", "types", "typing"),
        *("unicodedata", "unittest", "warnings", "weakref", "weakrefset", "zlib"),
    ]
)


def check(module: types.ModuleType | None) -> None:
    """Raises NotPortableError for a module that gives another process something else."""
    if module is None:
        return
    top = module.__name__.partition(".")[0]
    if top in sys.stdlib_module_names and top not in _PURE and top.removeprefix("_") not in _PURE:
        raise NotPortableError(f"it uses {module.__name__}, whose results another process need not get")


def check_value(value: object) -> None:
    """The same of a module, and of the one that defines a value or its class."""
    check(value if isinstance(value, types.ModuleType) else sys.modules.get(str(getattr(value, "__module__", None))))

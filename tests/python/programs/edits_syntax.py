"""Edits of what later versions of Python have: comprehensions within their function's frame, type parameters, aliases, what
classes tell of their lines and attributes.

As in edits.py. Empty where this Python has none of it.
"""

from __future__ import annotations

import sys

from edits import ALLOWED, Edit


def _executed(text: str, read: str) -> str:
    return f"{text}\ndef g(x):\n    return x * ({read})" + ALLOWED + 'backend = "aot_eager"\n'


def _traced(text: str, read: str) -> str:
    return f"{text}\ndef f(x):\n    return x * ({read})\n"


_TABLE = "table = [1, 2, @@]"
_ALIAS = "type A = @@"
_LINES = "@@\nclass C:\n    k = 3\n    def m(self):\n        self.a = 1"
_ATTRIBUTES = "class C:\n    k = 3\n    def m(self):\n        self.a = 1\n        @@"

SINCE_12 = {
    "list comprehension": (_executed(_TABLE, "sum([k for k in table])"), "3", "4"),
    "nested comprehension": (_executed(_TABLE, "sum([a * b for a in table for b in [k for k in table]])"), "3", "4"),
    "lambda in a comprehension": (_executed(_TABLE, "sum([(lambda: k * table[0])() for k in table])"), "3", "4"),
    "comprehension that is traced": (_traced(_TABLE, "sum([k for k in table])"), "3", "4"),
    "dict comprehension that is traced": (_traced(_TABLE, "{k: k * 2 for k in table}[table[2]]"), "3", "4"),
    "comprehension of a class": ("class C:\n    k = [i * @@ for i in range(3)]\n" + _traced("", "C.k[2]"), "2", "3"),
    "body of a generic function": (_traced("def k[T](t: T) -> T:\n    return t * @@", "k(2)"), "2", "3"),
    "body of a generic function that is executed": (_executed("def k[T](t: T) -> T:\n    return t * @@", "k(2)"), "2", "3"),
    "default of a generic function": (_traced("def k[T](t: T = @@) -> T:\n    return t", "k()"), "2", "3"),
    "generic class": (_traced("class C[T]:\n    k = @@", "C.k"), "2", "3"),
    "generic class that is executed": (_executed("class C[T]:\n    k = @@", "C[int].k"), "2", "3"),
    "base of a generic class": (
        _executed("class A[T]:\n    k = @@\nclass C[T](A[T]): pass", "C[int]().k"),
        "2",
        "3",
    ),
    "value of a type alias": (_executed(_ALIAS, "3 if A.__value__ is int else 5"), "int", "float"),
    "value of a type alias that is traced": (_traced(_ALIAS, "3 if A.__value__ is int else 5"), "int", "float"),
    "quotes within an f-string": (_executed('t = {"a": @@}', 'len(f"{t["a"]}")'), "1", "100"),
    "batches": (
        _executed("import itertools\nn = @@", "len(list(itertools.batched(range(12), n)))"),
        "3",
        "4",
    ),
    "buffer of a class": (
        _executed("class B:\n    def __buffer__(self, flags):\n        return memoryview(bytes(@@))", "len(memoryview(B()))"),
        "2",
        "3",
    ),
    "override": (
        _executed("class C:\n    @@\n    def k(self): return 1", "3 if hasattr(C.k, '__override__') else 5"),
        "",
        "@typing.override",
    ),
}
SINCE_13 = {
    "line of a class": (_executed(_LINES, "C.__firstlineno__"), "", "\n"),
    "line of a class that is traced": (_traced(_LINES, "C.__firstlineno__"), "", "\n"),
    "attributes of a class": (_executed(_ATTRIBUTES, "len(C.__static_attributes__)"), "pass", "self.b = 2"),
    "attributes of a class that are traced": (_traced(_ATTRIBUTES, "len(C.__static_attributes__)"), "pass", "self.b = 2"),
    "default of a type parameter": (
        _executed("def k[T = @@](t: T) -> T: return t", "3 if k.__type_params__[0].__default__ is int else 5"),
        "int",
        "float",
    ),
    "copy that is replaced": (
        _executed(
            "import copy\nclass C:\n    k = 2\n    def __replace__(self, **new):\n        made = C()\n        made.k = @@\n"
            "        return made",
            "copy.replace(C(), k=1).k",
        ),
        "3",
        "4",
    ),
    "word of a deprecation": (
        _executed("import warnings\n@warnings.deprecated('@@')\ndef k(): return 1", "len(k.__deprecated__)"),
        "a",
        "abc",
    ),
}
# What makes the bound of a parameter is a function that no name leads to.
UNKNOWABLE = {
    "C.S()": _executed(
        "class C[T]:\n    def of[S: int](self, s: S) -> S: return s", "3 if C.of.__type_params__[0].__bound__ is int else 5"
    )
}
# What says nothing about what is compiled stays served.
SERVED = {
    "moved class that is executed": (_executed(_LINES, "C().k"), "", "\n\n# moved\n"),
    "moved class that is traced": (_traced(_LINES, "C().k"), "", "\n\n# moved\n"),
    "moved class whose method runs": (_executed(_LINES, "C().k if C().m() is None else 1"), "", "\n\n# moved\n"),
}

_CHOSEN = {
    **({f"since 3.12: {name}": texts for name, texts in SINCE_12.items()} if sys.version_info >= (3, 12) else {}),
    **({f"since 3.13: {name}": texts for name, texts in SINCE_13.items()} if sys.version_info >= (3, 13) else {}),
    **SERVED,
}
EDITS = {name: Edit(*texts) for name, texts in _CHOSEN.items()}
if sys.version_info < (3, 12):
    UNKNOWABLE = {}

"""Edits of what the program registers that is no code of its own: functions of torch that are kernels of operators; and of what
code that is not traced finds out about functions and classes without running them.

As in edits.py.
"""

from __future__ import annotations

from edits import ALLOWED, Edit

_LIBRARY = """
lib = torch.library.Library("edited_{name}", "DEF")
lib.define("a(Tensor x) -> Tensor")
lib.define("b(Tensor x) -> Tensor")
def f(x):
    return torch.ops.edited_{name}.a(x)
backend = "aot_eager"
"""
_IMPL = 'lib.impl("a", {kernel}, "CompositeImplicitAutograd")\n'
_CLASS = "import inspect\nclass K:\n"


def _library(name: str, rest: str) -> str:
    return _LIBRARY.replace("{name}", name) + rest


def _looks(at: str) -> str:
    return f"\ndef g(x):\n    return x * {at}" + ALLOWED + 'backend = "aot_eager"\n'


EDITS = {
    "function of torch that is a kernel": Edit(_library("of_torch", _IMPL.format(kernel="torch.@@")), "cos", "tan"),
    "partial function that is a kernel": Edit(
        _library("partial", _IMPL.format(kernel="functools.partial(torch.add, other=@@)")), "2", "3"
    ),
    "kernel that a table names": Edit(
        _library("table", "for name, kernel in {'a': torch.@@}.items():\n    " + _IMPL.format(kernel="kernel")), "cos", "tan"
    ),
    "kernel of an operator that a kernel calls": Edit(
        _library(
            "inner",
            "lib.impl('b', torch.@@, 'CompositeImplicitAutograd')\n"
            + _IMPL.format(kernel="lambda x: torch.ops.edited_inner.b(x)"),
        ),
        "cos",
        "tan",
    ),
    "kernel of an operator without a library": Edit(
        "torch.library.define('edited_without::a', '(Tensor x) -> Tensor')\n"
        "torch.library.impl('edited_without::a', 'CompositeImplicitAutograd', torch.@@)\n"
        "def f(x):\n    return torch.ops.edited_without.a(x)\nbackend = 'aot_eager'\n",
        "cos",
        "tan",
    ),
    "kernel from another module": Edit(
        "import OTHER\ndef f(x):\n    return torch.ops.edited_other.a(x)\nbackend = 'aot_eager'\n",
        "",
        "",
        tuple(
            "import torch\nlib = torch.library.Library('edited_other', 'DEF')\nlib.define('a(Tensor x) -> Tensor')\n"
            + _IMPL.format(kernel=kernel)
            for kernel in ("torch.cos", "torch.tan")
        ),
    ),
    "kernel of an operator of torch's": Edit(
        "lib = torch.library.Library('aten', 'IMPL')\nlib.impl('square', torch.@@, 'CompositeImplicitAutograd')\n"
        "def f(x):\n    return x.square()\ndef done():\n    lib._destroy()\nbackend = 'aot_eager'\n",
        "cos",
        "tan",
    ),
    "line of a caller that code asks for": Edit(
        "def line():\n    return sys._getframe(1).f_lineno\ndef f(x):\n    y = x + 1\n    @@\n    return y * line()\n",
        "",
        "# further\n\n    # down",
    ),
    "documentation in a code object": Edit("def k():\n    '@@'" + _looks("float(k.__code__.co_consts[0])"), "2", "3"),
    "documentation of a class that is looked for": Edit(_CLASS + "    '@@'" + _looks("float(inspect.getdoc(K))"), "2", "3"),
    "documentation of an object's class": Edit(_CLASS + "    '@@'\nk = K()" + _looks("float(inspect.getdoc(k))"), "2", "3"),
    "documentation of a method": Edit(
        _CLASS + "    def m(self):\n        '@@'" + _looks("float(dict(inspect.getmembers(K))['m'].__doc__)"), "2", "3"
    ),
    "documentation of a property": Edit(
        "class K:\n    @property\n    def m(self):\n        '@@'" + _looks("float(K.m.__doc__)"), "2", "3"
    ),
    "signature of a class": Edit(
        _CLASS + "    def __init__(self, a=@@): pass" + _looks("inspect.signature(K).parameters['a'].default"), "2", "3"
    ),
    "hints of a class": Edit(
        _CLASS + "    a: @@ = 1" + _looks("len(str(typing.get_type_hints(K)))"),
        "int",
        "complex",
    ),
}

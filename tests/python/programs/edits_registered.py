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
_CUSTOM = """
@torch.library.custom_op("edited_{name}::op", mutates_args=())
def op(x: torch.Tensor) -> torch.Tensor:
    return x.clone()
@op.register_fake
def _(x):
    return torch.empty_like(x)
BACKWARDS = [lambda ctx, g: g * 2, lambda ctx, g: g * 3]
def f(x):
    return torch.ops.edited_{name}.op(x)
def args():
    return (torch.ones(2).requires_grad_(),)
backend = "aot_eager"
"""
_CLASS = "import inspect\nclass K:\n"


def _library(name: str, rest: str) -> str:
    return _LIBRARY.replace("{name}", name) + rest


def _custom(name: str, rest: str) -> str:
    """A custom operator whose first or second backward is registered."""
    return _CUSTOM.replace("{name}", name) + rest


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
    "backward that a table of another module chooses": Edit(
        "import OTHER\n" + _custom("chosen", "op.register_autograd(BACKWARDS[OTHER.K])"), "", "", ("K = 0\n", "K = 1\n")
    ),
    "backward that is an object": Edit(
        "import OTHER\nclass B:\n    def __init__(self, k):\n        self.k = k\n    def __call__(self, ctx, g):\n"
        "        return g * self.k\n" + _custom("object", "op.register_autograd(B(OTHER.K))"),
        "",
        "",
        ("K = 2\n", "K = 3\n"),
    ),
    "kernel that a setting of another module chooses": Edit(
        "from OTHER import K\ndef one(x):\n    return x * 2\ndef two(x):\n    return x * 3\n"
        + _library("chosen", _IMPL.format(kernel="one if K else two")),
        "",
        "",
        ("K = 1\n", "K = 0\n"),
    ),
    "decorator of a helper that wraps it": Edit(
        "from OTHER import deco\n@deco\ndef k(x):\n    return x * 2" + _looks("k(1)"),
        "",
        "",
        (
            "def deco(function):\n    return function\n",
            "import functools\ndef deco(function):\n    @functools.wraps(function)\n"
            "    def wrapped(*args):\n        return function(*args) * 3\n    return wrapped\n",
        ),
    ),
    "attribute that a decorator gives a helper": Edit(
        "from OTHER import deco\n@deco\ndef k(x):\n    return x\nK = [k]" + _looks("K[0].scale"),
        "",
        "",
        tuple(f"def deco(function):\n    function.scale = {scale}\n    return function\n" for scale in (2, 3)),
    ),
    "metadata of a field": Edit(
        "@dataclasses.dataclass\nclass K:\n    a: int = dataclasses.field(default=1, metadata={'k': @@})"
        + _looks("dataclasses.fields(K)[0].metadata['k']"),
        "2",
        "3",
    ),
    "type of autocast under another name": Edit(
        "from torch import autocast as cast\ntorch.set_autocast_dtype('cpu', torch.@@)\ndef f(x):\n"
        "    with cast('cpu'):\n        return (x @ x.T).float()\n"
        "def done():\n    torch.set_autocast_dtype('cpu', torch.bfloat16)\n"
        "def args():\n    return (torch.full((4, 4), 1.001),)",
        "bfloat16",
        "float16",
    ),
    "method of tensors under a name that is a value": Edit(
        "own = torch.Tensor.square\n@@\nNAME = 'square'\ndef f(x):\n    return getattr(x, NAME)()\n"
        "def done():\n    torch.Tensor.square = own",
        "",
        "torch.Tensor.square = lambda x: x * 3",
    ),
    "function of torch that one of torch's calls": Edit(
        "own = torch.relu\n@@\nmodule = nn.ReLU()\ndef f(x):\n    return module(x)\ndef done():\n    torch.relu = own",
        "",
        "torch.relu = lambda x: x * 3",
    ),
    "function of torch replaced under another": Edit(
        "backend = 'aot_eager'\nkept = nn.functional.linear\n@@\nlayer = nn.MultiheadAttention(3, 1)\n"
        "def f(x): return x * layer(x, x, x)[0].sum().sign()\ndef done(): nn.functional.linear = kept",
        "",
        "nn.functional.linear = lambda i, w, b=None: i * -9 - 7",
    ),
    "function of torch replaced by another of torch's, under a method": Edit(
        "backend = 'aot_eager'\nkept = torch.norm\n@@\ndef f(x): return x.norm() * x\ndef done(): torch.norm = kept",
        "",
        "torch.norm = lambda t, *a, **k: t.sum() * 9",
    ),
}

"""Edits of what is found by looking attributes up: classes that hide what their bases have, objects that hide what their
classes have; and of what Dynamo takes without a guard.

As in edits.py.
"""

from __future__ import annotations

from edits import Edit

_CALLED = "def f(x):\n    return g(x)"
_SUBCLASSES = """
class A(torch.Tensor): pass
class B(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(torch.cos if func is torch.sin else func, types, args, kwargs or {})
K = @@
"""
_MODES = """
from torch.overrides import TorchFunctionMode
class A(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))
class B(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {})) * 3
K = @@
"""
_ENUM = """
import enum
class E(enum.Enum):
    P = 1
    def __init__(self, value):
        self.k = @@
"""
_FUNCTION = """
class F(torch.autograd.Function):
    @staticmethod
    def forward(*args):
        return args[-1] * len(args)
    @staticmethod
    def backward(ctx, g):
        return g
    @@
def f(x):
    return F.apply(x)
"""


def _of_base(base: str, read: str, new: str) -> Edit:
    return Edit(f"class B:\n    {base}\nclass O(B):\n    @@\no = O()\ndef f(x):\n    return {read}", "pass", new)


def _of_dict(made: str, read: str, new: str) -> Edit:
    return Edit(f"import collections\nclass D({made}):\n    @@\nd = D()\ndef f(x):\n    return {read}", "pass", new)


HIDING = {
    "data of a base": _of_base("p = 2", "x * o.p", "p = 3"),
    "flag of a base": _of_base("p = False", "x * 2 if o.p else x * 5", "p = True"),
    "function of a base": _of_base("p = staticmethod(torch.sin)", "o.p(x)", "p = staticmethod(torch.cos)"),
    "data of a module's base": Edit(
        "class B(nn.Module):\n    p = 2\nclass M(B):\n    @@\n    def forward(self, x):\n        return x * self.p\nf = M()",
        "pass",
        "p = 3",
    ),
    "method of dict": _of_dict("dict", "x * d.get('a', 2)", "def get(self, *key): return 3"),
    "method of OrderedDict": _of_dict("collections.OrderedDict", "x * (1 + len(d.keys()))", "def keys(self): return [1, 2]"),
    "method of list": _of_dict("list", "x * (1 + d.count(1))", "def count(self, value): return 3"),
    "method of str": _of_dict("str", "x * (1 + len(d.upper()))", "def upper(self): return 'abc'"),
    "method of a parameter": Edit(
        "class P(torch.nn.Parameter):\n    @@\nw = P(torch.ones(2))\ndef f(x):\n    return x * w.sum()",
        "pass",
        "def sum(self): return 7",
    ),
    "call of a module": Edit(
        "class M(nn.Module):\n    def forward(self, x):\n        return x * 2\n    @@\nm = M()\ndef f(x):\n    return m(x) + 1",
        "",
        "def _call_impl(self, x): return x * 6",
    ),
    "own attribute of a dict": Edit(
        "class D(dict): pass\nd = D()\n@@\ndef f(x):\n    return x * d.get('a', 2)", "", "d.get = lambda *key: 3"
    ),
    "own attribute of a parameter": Edit(
        "w = torch.nn.Parameter(torch.ones(2))\n@@\ndef f(x):\n    return x * w.sum()", "", "w.sum = lambda: 7"
    ),
    "setup_context": Edit(_FUNCTION, "", "@staticmethod\n    def setup_context(ctx, inputs, output): pass"),
    "attribute of a member of an enum": Edit(_ENUM + "def f(x):\n    return x * E(1).k", "2", "3"),
    "flags out of bounds": Edit(
        "import enum\nclass E(enum.Flag, boundary=enum.@@):\n    P = 1\n    Q = 2\ndef f(x):\n    return x * (E(5).value + 2)",
        "CONFORM",
        "KEEP",
    ),
}
TAKEN = {
    "method of torch.Tensor": Edit("g = torch.Tensor.@@\n" + _CALLED, "sin", "cos"),
    "operator of torch.Tensor": Edit("g = torch.Tensor.@@\ndef f(x):\n    return g(x, 3.0)", "__mul__", "__add__"),
    "method of torch.Tensor in a dict": Edit("d = {'g': torch.Tensor.@@}\ndef f(x):\n    return d['g'](x)", "sin", "cos"),
    "class of tensors": Edit(
        _SUBCLASSES + "def f(x):\n    return torch.sin(x.as_subclass(K)).as_subclass(torch.Tensor)", "A", "B"
    ),
    "class of tensors, asked for": Edit(_SUBCLASSES + "def f(x):\n    return x * 2 if K is A else x", "A", "B"),
    "function mode": Edit(_MODES + "def f(x):\n    with K:\n        return torch.sin(x)", "A()", "B()"),
    "decorator of gradients": Edit(
        "@torch.@@()\ndef q(x):\n    return x * 2 if torch.is_grad_enabled() else x\ndef f(x):\n    return q(x) + x",
        "no_grad",
        "enable_grad",
    ),
    "union of classes": Edit(
        "N = @@\no = 2.5\ndef f(x):\n    return x * 2 if isinstance(o, N) else x * 3", "int | float", "int | str"
    ),
    "alias of a type": Edit("N = @@\ndef f(x):\n    return x * len(typing.get_args(N))", "dict[int, str]", "list[int]"),
    "method of a pattern": Edit(
        "import re\nm = re.compile('@@').match\ndef f(x):\n    return x * 2 if m('abc') else x * 3", "a", "b"
    ),
    "method of an object of C": Edit("g = {'a': @@}.get\ndef f(x):\n    return x * g('a')", "2", "3"),
    "hook of isinstance()": Edit(
        "class M(type):\n    def __instancecheck__(cls, o):\n        return @@\nclass B(metaclass=M): pass\nclass O: pass\n"
        "o = O()\ndef f(x):\n    return x * 2 if isinstance(o, B) else x * 3",
        "True",
        "False",
    ),
    "class with data that its library makes anew in each process": Edit(
        "class C:\n    __made__ = str(id(object()))\n    k = @@\nc = C()\ndef f(x):\n    return x * c.k", "2", "3"
    ),
    "object that a parameter has": Edit(
        "class O: pass\nw = nn.Parameter(torch.ones(2))\nw.o = O()\nw.o.k = @@\ndef f(x):\n    return x * w.o.k", "2", "3"
    ),
    "kind of a tensor": Edit(
        "w = @@(torch.ones(2))\ndef f(x):\n    return x * 2 if isinstance(w, torch.nn.Buffer) else x * 5",
        "torch.clone",
        "torch.nn.Buffer",
    ),
}
EDITS = {
    **{f"hidden: {name}": edit for name, edit in HIDING.items()},
    **{f"taken: {name}": edit for name, edit in TAKEN.items()},
}

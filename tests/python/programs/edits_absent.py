"""Edits of what Dynamo reads without a guard: attributes that are not there, objects that become one, values that are equal.

As in edits.py.
"""

from __future__ import annotations

from edits import ALLOWED, Edit

_OBJECT = "class O: pass\no = O()\n@@\n"
_CAUGHT = "def f(x):\n    try:\n        return x * o.z\n    except AttributeError:\n        return x * 2"
_MODEL = """
class M(torch.nn.Module):
    def forward(self, x):
        try:
            return self.z(x) if callable(getattr(self, "z", 0)) else x * self.z
        except AttributeError:
            return x * 2
f = M()
@@
"""


def _shared(made: str, body: str) -> Edit:
    return Edit(f"class O: pass\na = {made}\nb = @@\ndef f(x):\n{body}", made, "a")


ABSENT = {
    "attribute of an object": Edit(_OBJECT + _CAUGHT, "", "o.z = 3"),
    "attribute of a class, by an object": Edit(_OBJECT + _CAUGHT, "", "O.z = 3"),
    "attribute of a class": Edit("class o: pass\n@@\n" + _CAUGHT, "", "o.z = 3"),
    "attribute of a function": Edit("def o(): pass\n@@\n" + _CAUGHT, "", "o.z = 3"),
    "empty slot": Edit("class O:\n    __slots__ = ('z',)\no = O()\n@@\n" + _CAUGHT, "", "o.z = 3"),
    "attribute of a tensor": Edit("o = torch.ones(2)\n@@\n" + _CAUGHT, "", "o.z = 3"),
    "attribute of a model": Edit(_MODEL, "", "f.z = 3"),
    "buffer of a model": Edit(_MODEL, "", "f.register_buffer('z', torch.ones(1) * 3)"),
    "submodule of a model": Edit(_MODEL, "", "f.z = torch.nn.Sigmoid()"),
    "attribute that __getattr__ makes up": Edit(
        "class O:\n    def __getattr__(self, name):\n        return 2\no = O()\n@@\ndef f(x):\n    return x * o.z",
        "",
        "o.z = 3",
    ),
    "name in a __dict__": Edit(_OBJECT + "def f(x):\n    return x * 3 if 'z' in o.__dict__ else x * 2", "", "o.z = 3"),
    "vars().get": Edit(_OBJECT + "def f(x):\n    return x * vars(o).get('z', 2)", "", "o.z = 3"),
    "size of a __dict__": Edit(_OBJECT + "def f(x):\n    return x * (1 + len(o.__dict__))", "", "o.z = 3"),
    "value kept on first use": Edit(
        "class O:\n    def get(self):\n        if 'c' not in self.__dict__:\n            self.c = 2\n        return self.c\n"
        "o = O()\n@@\ndef f(x):\n    return x * o.get()",
        "",
        "o.c = 3",
    ),
    "name in a module": Edit(
        "import sys\nm = sys.modules[__name__]\n@@\ndef f(x):\n    return x * getattr(m, 'later', 2)", "", "later = 3"
    ),
}
ONE = {
    "objects that are changed": _shared("O()", "    a.n = 1\n    b.n = 2\n    return x * a.n"),
    "objects that are compared": _shared("O()", "    return x * 2 if a is b else x * 3"),
    "lists that are changed": _shared("[1]", "    a.append(2)\n    return x * len(b)"),
    "dicts that are changed": _shared("{'k': 1}", "    a['k'] = 5\n    return x * b['k']"),
    "lists of what is not traced": Edit(
        "a = [1]\nb = @@\ndef g(x):\n    return x * 2 if a is b else x * 3\n" + ALLOWED, "[1]", "a"
    ),
    "parameters": Edit(
        "class M(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)\n"
        "        for each in (self.a, self.b):\n            torch.nn.init.ones_(each.weight)\n        @@\n"
        "    def forward(self, x):\n"
        "        return x @ self.a.weight @ self.b.weight * (2 if self.a.weight is self.b.weight else 3)\nf = M()",
        "pass",
        "self.b.weight = self.a.weight",
    ),
}
EQUAL = {
    "zero": Edit("import math\nK = @@\ndef f(x):\n    return x * math.copysign(2.0, K)", "0.0", "-0.0"),
    "zero in a list": Edit("import math\nK = [@@]\ndef f(x):\n    return x * math.copysign(2.0, K[0])", "0.0", "-0.0"),
    "zero as a key": Edit(
        "import math\nK = {@@: 1}\ndef f(x):\n    for k in K:\n        x = x * math.copysign(2.0, k)\n    return x",
        "0.0",
        "-0.0",
    ),
    "item of a set": Edit("K = frozenset([@@])\ndef f(x):\n    return x * 2 if next(iter(K)) is True else x * 3", "True", "1"),
}
READ = {
    "leaf": Edit("W = torch.ones(2, requires_grad=True)@@\ndef f(x):\n    return x * 2 if W.is_leaf else x * 3", "", " * 1"),
    "view": Edit("W = torch.ones(3)@@\ndef f(x):\n    return x * 2 if W._base is None else x * 3", "", "[:]"),
    "method of a number": Edit("K = (2).@@\ndef f(x):\n    return x * K(3)", "__add__", "__mul__"),
    "descriptor of a slot": Edit(
        "class K:\n    __slots__ = ('a', 'b')\nk = K()\nk.a, k.b = 2, 3\nD = K.@@\ndef f(x):\n    return x * D.__get__(k)",
        "a",
        "b",
    ),
    "function that Dynamo knows": Edit(
        "import torch.utils.checkpoint\ndef own(function, *args, **options):\n    return function(*args) * 3\nc = @@\n"
        "def q(x):\n    return x.sin()\ndef f(x):\n    return c(q, x, use_reentrant=False)\nbackend = 'aot_eager'",
        "torch.utils.checkpoint.checkpoint",
        "own",
    ),
    "function that Dynamo knows, wrapped under its name": Edit(
        "import torch.utils.checkpoint as c\nkept = c.checkpoint\n@functools.wraps(kept)\n"
        "def own(function, *args, **options):\n    return function(*args) * 3\nc.checkpoint = @@\n"
        "def q(x):\n    return x.sin()\ndef f(x):\n    return c.checkpoint(q, x, use_reentrant=False)\n"
        "backend = 'aot_eager'\ndef done():\n    c.checkpoint = kept",
        "kept",
        "own",
    ),
    "default type of autocast": Edit(
        "torch.set_autocast_dtype('cpu', torch.@@)\ndef f(x):\n    with torch.autocast('cpu'):\n"
        "        return (x @ x.t() * 1.001).float()",
        "bfloat16",
        "float16",
    ),
    "import that fails in what is not traced": Edit(
        "import sys, types\nsys.modules['edited_later'] = types.ModuleType('edited_later')\n@@\ndef g(x):\n    try:\n"
        "        from edited_later import K\n        return x * K\n    except ImportError:\n        return x * 2\n" + ALLOWED,
        "",
        "sys.modules['edited_later'].K = 3",
    ),
}
EDITS = {
    **{f"absent: {name}": edit for name, edit in ABSENT.items()},
    **{f"one and the same: {name}": edit for name, edit in ONE.items()},
    **{f"equal: {name}": edit for name, edit in EQUAL.items()},
    **{f"read: {name}": edit for name, edit in READ.items()},
}

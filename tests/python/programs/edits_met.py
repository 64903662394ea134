"""Edits of what no name in the code leads to: attributes that are only written, classes in tables and behind inherited methods,
which of several equal objects one is, memory that tensors share, kernels behind attributes and inner graphs.

As in edits.py.
"""

from __future__ import annotations

from edits import ALLOWED, Edit, executed

_SENTINEL = "\ndef f(x):\n    return x * 2 if value is other else x * 3\n"
_PROPERTY = "q = property(lambda self: self.kept, lambda self, value: setattr(self, 'kept', value * 3))"
_LIBRARY = """
lib = torch.library.Library("edited_{name}", "DEF")
lib.define("a(Tensor x) -> Tensor")
lib.impl("a", {kernel}, "CompositeImplicitAutograd")
backend = "aot_eager"
"""
_CALLED = "def f(x):\n    return torch.ops.edited_{name}.a(x)\n"


def _kernel(name: str, before: str, kernel: str, program: str = _CALLED) -> str:
    return before + _LIBRARY.format(name=name, kernel=kernel) + program.replace("{name}", name)


WRITTEN = {
    "property that takes what a new object is given": Edit(
        "class C:\n    kept = 5\n    def __init__(self):\n        self.q = 1\n    @@\ndef f(x):\n    return x * C().kept",
        "pass",
        _PROPERTY,
    ),
    "property of a module that writes in forward": Edit(
        "class M(nn.Module):\n    kept = 5\n    @@\n"
        "    def forward(self, x):\n        self.q = 1\n        return x * self.kept\n"
        "def make():\n    return M()",
        "pass",
        "q = property(lambda self: 1, lambda self, value: object.__setattr__(self, 'kept', 3))",
    ),
    "property that nobody may write": Edit(
        "class C:\n    @@\nc = C()\ndef f(x):\n    try:\n        c.q = 1\n        return x * 2\n"
        "    except AttributeError:\n        return x * 3",
        "pass",
        "q = property(lambda self: 1)",
    ),
    "forward of a module that had none": Edit(
        "class M(nn.Module):\n    @@\nm = M()\ndef f(x):\n    try:\n        m()\n        return x * 2\n"
        "    except NotImplementedError:\n        return x * 3",
        "pass",
        "def forward(self):\n        return 1",
    ),
    "abstract method": Edit(
        "import abc\nclass P(abc.ABC):\n    @@\nclass K(P): pass\ndef f(x):\n    try:\n        K()\n        return x * 2\n"
        "    except TypeError:\n        return x * 3",
        "pass",
        "@abc.abstractmethod\n    def q(self): pass",
    ),
}
MET = {
    "class in a table": Edit(executed("class C:\n    K = @@\ntable = {'a': C}", "table['a'].K"), "2", "3"),
    "class in a list of a table": Edit(executed("class C:\n    K = @@\ntable = {'a': [C]}", "table['a'][0]().K"), "2", "3"),
    "subclass behind an inherited classmethod": Edit(
        executed("class B:\n    K = 1\n    @classmethod\n    def k(cls): return cls.K\nclass C(B):\n    K = @@", "C.k()"),
        "2",
        "3",
    ),
    "subclass among further arguments": Edit(
        executed(
            "class B:\n    K = 1\nclass C(B):\n    K = @@\ndef k(*rest): return rest[0].K\np = functools.partial(k, C)", "p()"
        ),
        "2",
        "3",
    ),
    "subclass that a generator is given": Edit(
        executed(
            "class C:\n    K = @@\ndef k(*rest, **more):\n    yield rest[0]\n"
            "    rest, more = 1, None\n    yield rest\n    del rest, more\n    yield 2\np = functools.partial(k, C)",
            "list(p())[0].K",
        ),
        "2",
        "3",
    ),
    "subclass under a keyword": Edit(
        executed(
            "class B:\n    K = 1\nclass C(B):\n    K = @@\ndef k(**rest): return rest['c'].K\np = functools.partial(k, c=C)",
            "p()",
        ),
        "2",
        "3",
    ),
    "subclass that a partial holds": Edit(
        executed("class B:\n    K = 1\nclass C(B):\n    K = @@\ndef k(cls): return cls.K\np = functools.partial(k, C)", "p()"),
        "2",
        "3",
    ),
}
ORDERS = {
    name: Edit(
        executed(
            "names = {'a', 'b', 'c', 'd', 'e'}\ntable = {'a': 1, 'b': 2, 'c': 3, 'd': 4, 'e': 5}\n"
            f"def all(items): return items\ndef first():\n    for name in {given}:\n        return table[name]",
            "first()",
        ),
        "",
        "",
    )
    for name, given in (
        ("a global", "names"),
        ("a list of one", "list(names)"),
        ("a copy", "set(names)"),
        ("what is named as a builtin", "all(names)"),
        ("a constant", "{'a', 'b', 'c', 'd', 'e'}"),
    )
}
MARKED = {
    "global function": ("@@\ndef k(): return 1", "(3 if hasattr(k, '__final__') else 5)"),
    "method": ("class C:\n    @@\n    def k(self): return 1", "(3 if hasattr(C.k, '__final__') else 5)"),
    "method of an object": ("class C:\n    @@\n    def k(self): return 1\nc = C()", "getattr(c.k, '__final__', 5)"),
    "function in a table": ("@@\ndef k(): return 1\ntable = [k]", "getattr(table[0], '__final__', 5)"),
    "function whose attribute is read": (
        "@@\ndef k(): return 1\ndef asked():\n    try: return k.__final__\n    except AttributeError: return 5",
        "asked()",
    ),
    "method whose attribute is read": (
        "class C:\n    @@\n    def k(self): return 1\ndef asked():\n    try: return C.k.__final__\n"
        "    except AttributeError: return 5",
        "asked()",
    ),
    "method that is inherited": (
        "class B:\n    @@\n    def k(self): return 1\nclass C(B): pass",
        "getattr(C.k, '__final__', 5)",
    ),
}
TRACED_MARKED = {
    "method of an object that is traced": "getattr(c.k, '__final__', False)",
    "method of an object that is asked while it is traced": "hasattr(c.k, '__final__')",
    "method of self that is traced": "c.ask()",
}
MARKED_EDITS = {
    **{name: executed(*texts) for name, texts in MARKED.items()},
    **{
        name: "class C:\n    @@\n    def k(self): return 1\n    def ask(self): return getattr(self.k, '__final__', False)\n"
        f"c = C()\ndef f(x):\n    return x * (3 if {asked} else 5)"
        for name, asked in TRACED_MARKED.items()
    },
}
# What hashes do not decide is served under any seed.
WITHOUT_ORDER = {
    f"no order of a set: {number}": Edit(executed("names = {'a', 'b', 'c', 'd', 'e'}\nother = {'a', 'z'}", given), "", "")
    for number, given in enumerate(
        (
            *("('a' in names) + 1", "len(names)", "names.issuperset('ab') + 1", "other.isdisjoint(names) + 1"),
            *("len(sorted(names))", "('a' in {'a', 'b', 'c'}) + 1"),
        )
    )
}
ONE = {
    "function under two names that begin alike": Edit(
        "class O: pass\no = O()\no.a = lambda x: x\no.ab = @@\ndef f(x):\n    return x * 2 if o.a is o.ab else x * 3",
        "o.a",
        "(lambda: lambda x: x)()",
    ),
    "sentinel": Edit("other = object()\nvalue = @@" + _SENTINEL, "other", "object()"),
    "sentinel in a default": Edit(
        "other = object()\ndef g(x, value=@@):\n    return x * 2 if value is other else x * 3\ndef f(x):\n    return g(x)",
        "other",
        "object()",
    ),
    "function of equal code": Edit("other = lambda x: x\nsecond = lambda x: x\nvalue = @@" + _SENTINEL, "other", "second"),
    "function of another run of a factory": Edit(
        "def make_one():\n    return lambda x: x\nother = make_one()\nsecond = make_one()\nvalue = @@" + _SENTINEL,
        "second",
        "other",
    ),
    "view of a tensor that is written to": Edit(
        "one = torch.ones(6)\nother = @@\n"
        "def f(x):\n    one.add_(1)\n    r = other * 1\n    one.sub_(1)\n    return x * r.sum()",
        "one[:]",
        "one.clone()",
    ),
    "other part of a tensor that is written to": Edit(
        "base = torch.ones(6)\none = base[:2]\nother = base[@@]\ndef f(x):\n    one.add_(1)\n    r = other * 1\n"
        "    one.sub_(1)\n    return x * r.sum()",
        "2:4",
        "1:3",
    ),
}
KERNELS = {
    "scripted function": Edit(_kernel("scripted", "@torch.jit.script\ndef g(x):\n    return x * @@\n", "g"), "2", "3"),
    "method of an object with state": Edit(
        _kernel(
            "state",
            "class K:\n    def __init__(self, k): self.k = k\n    def run(self, x): return x * self.k\nkernel = K(int('@@'))\n",
            "kernel.run",
        ),
        "2",
        "3",
    ),
    "function of torch that a condition chooses": Edit(
        _kernel("by_condition", "K = @@\nif K == 2:\n    rule = torch.sin\nelse:\n    rule = torch.cos\n", "rule"), "2", "3"
    ),
    "function of torch that a loop ends with": Edit(
        _kernel("by_loop", "for rule in (torch.exp, torch.@@):\n    pass\n", "rule"), "sin", "cos"
    ),
    "module of torch": Edit(_kernel("module", "m = nn.Threshold(@@, 7.0)\n", "m"), "0.5", "2.5"),
    "function of torch that another wraps": Edit(_kernel("wrapped", "m = torch.vmap(torch.@@)\n", "m"), "exp", "cos"),
    "attribute of a third module": Edit(
        "import OTHER\n" + _kernel("third", "", "OTHER.kernels.one"),
        "",
        "",
        tuple(f"import types, torch\nkernels = types.SimpleNamespace(one=torch.{name})\n" for name in ("cos", "tan")),
    ),
    "called in a checkpoint": Edit(
        _kernel(
            "checkpoint",
            "from torch.utils.checkpoint import checkpoint\nimport OTHER\n",
            "OTHER.kernel",
            "def f(x):\n    return checkpoint(lambda y: torch.ops.edited_{name}.a(y), x, use_reentrant=False)\n",
        ),
        "",
        "",
        tuple(f"import torch\nkernel = torch.{name}\n" for name in ("cos", "tan")),
    ),
    **{
        f"called by what is not traced{where}": Edit(
            _kernel(
                f"rule{number}", "import OTHER\n", "OTHER.kernel", f"{before}\ndef g(x):\n    return {called}(x)\n" + ALLOWED
            ),
            "",
            "",
            tuple(f"import torch\nkernel = torch.{name}\n" for name in ("cos", "tan")),
        )
        for number, (where, before, called) in enumerate(
            (
                ("", "", "torch.ops.edited_{name}.a"),
                (", in a table", "T = [torch.ops.edited_{name}.a]", "T[0]"),
                (", in a table, by its overload", "T = {'a': torch.ops.edited_{name}.a.default}", "T['a']"),
                (", of an object", "class O: pass\no = O()\no.a = torch.ops.edited_{name}.a", "o.a"),
                (", of a class", "class O:\n    a = torch.ops.edited_{name}.a", "O.a"),
                (", in a closure", "def made(a):\n    return lambda x: a(x)\nk = made(torch.ops.edited_{name}.a)", "k"),
            )
        )
    },
}
EDITS = {
    **{f"written: {name}": edit for name, edit in WRITTEN.items()},
    **{f"met: {name}": edit for name, edit in MET.items()},
    **{f"marked: {name}": Edit(text, "", "@typing.final") for name, text in MARKED_EDITS.items()},
    **{f"order of a set: {name}": edit for name, edit in ORDERS.items()},
    **WITHOUT_ORDER,
    **{f"which one: {name}": edit for name, edit in ONE.items()},
    **{f"kernel: {name}": edit for name, edit in KERNELS.items()},
}

"""Edits of what code that is not traced gets hold of otherwise than by the name of a global: modules, loggers, functions that
keep what they gave, in tables, closures, defaults, classes and objects; and of what the process and its libraries are like.

As in edits.py.
"""

from __future__ import annotations

from edits import ALLOWED, Edit

_WITH = ALLOWED + 'backend = "aot_eager"\n'
_K = ("K = 2\n", "K = 3\n")


def _module(text: str, other: tuple[str, str] = _K) -> Edit:
    """An edit of the module `OTHER` alone."""
    whole = text + ("\nbackend = 'aot_eager'\n" if "def f(" in text else _WITH)
    return Edit("import OTHER\n" + whole, "", "", other)


def _set(text: str, statement: str, before: str, after: str, done: str) -> Edit:
    """An edit of a statement that says what the process is like; `done` takes it back."""
    other = tuple(f"import torch, logging, warnings, sys\n{statement.replace('@@', value)}\n" for value in (before, after))
    return Edit(f"import logging, warnings\nimport OTHER\n{text}{_WITH}def done():\n    {done}\n", "", "", (other[0], other[1]))


_BY_MODULE = {
    "given on": "def k(m): return m.K\ndef g(x): return x * k(OTHER)",
    "in a variable": "def g(x):\n    m = OTHER\n    return x * m.K",
    "in a table": "T = {'a': OTHER}\ndef g(x): return x * T['a'].K",
    "as a default": "def k(m=OTHER): return m.K\ndef g(x): return x * k()",
    "of an object": "class C:\n    def __init__(self): self.m = OTHER\n    def k(self): return self.m.K\n"
    "c = C()\ndef g(x): return x * c.k()",
    "of a class": "class C:\n    m = OTHER\n    def k(self): return self.m.K\nc = C()\ndef g(x): return x * c.k()",
    "in a closure": "def made(m):\n    def k(): return m.K\n    return k\nk = made(OTHER)\nk.__qualname__ = 'k'\n"
    "def g(x): return x * k()",
    "returned": "def pick(): return OTHER\ndef g(x): return x * pick().K",
    "imported and returned": "def pick():\n    import OTHER as o\n    return o\ndef g(x): return x * pick().K",
    "in a format": "def g(x): return x * int('{0.K}'.format(OTHER))",
    "in a pattern": "import types\ndef g(x):\n    match OTHER:\n        case types.ModuleType(K=v):\n            return x * v",
    "of an operator's rule": "class R:\n    def __init__(self, m): self.m = m\n    def bw(self, ctx, g): return g * self.m.K\n"
    "r = R(OTHER)\n@torch.library.custom_op('edited_reached::op', mutates_args=())\n"
    "def op(x: torch.Tensor) -> torch.Tensor:\n    return x * 2\n@op.register_fake\ndef _(x):\n    return torch.empty_like(x)\n"
    "op.register_autograd(r.bw)\ndef args():\n    return (torch.arange(6.0).reshape(2, 3).requires_grad_(),)\n"
    "def f(x): return op(x)",
}
_MODULE_CLASS = "import sys, types\nclass M(types.ModuleType):\n"
_BY_METHOD = _MODULE_CLASS + "    def scale(self): return K\nK = 2\nsys.modules[__name__].__class__ = M\n"
_BY_GETATTR = "def __getattr__(name):\n    if name == 'K': return 2\n    raise AttributeError(name)\n"
_CACHE = "import functools\nK = [2]\ndef h(): return K[0]\n@functools.lru_cache\ndef F(a): return h()\nF(1)\n"


def _forms(text: str, before: str = "2", after: str = "3") -> tuple[str, str]:
    return text, text.replace(before, after, 1)


MODULES = {f"module {name}": _module(text) for name, text in _BY_MODULE.items()} | {
    "method of a module": _module("def k(m): return m.scale()\ndef g(x): return x * k(OTHER)", _forms(_BY_METHOD)),
    **{
        f"special method of a module: {name}": _module(
            f"def k(m): return {read}\ndef g(x): return x * k(OTHER)",
            _forms(_MODULE_CLASS + f"    def {method}: return 2\nsys.modules[__name__].__class__ = M\n"),
        )
        for name, method, read in (
            ("__call__", "__call__(self)", "m()"),
            ("__len__", "__len__(self)", "len(m)"),
            ("__getitem__", "__getitem__(self, key)", "m['a']"),
        )
    },
    "attribute that a module makes, asked of its function": _module(
        "def g(x): return x * OTHER.__getattr__('K')", _forms(_BY_GETATTR)
    ),
    "attribute that a module makes, asked by another name": _module(
        "from OTHER import give\ndef g(x): return x * give('K')", _forms(_BY_GETATTR + "give = __getattr__\n")
    ),
    "how a module makes attributes, of a class": _module(
        "class C: pass\nC.__getattr__ = OTHER.__getattr__\nc = C()\ndef g(x): return x * c.K",
        _forms("def __getattr__(self, name=None):\n    if name == 'K': return 2\n    raise AttributeError(name)\n"),
    ),
    "method of a module, in a table": _module("T = [OTHER.scale]\ndef g(x): return x * T[0]()", _forms(_BY_METHOD)),
    "method of a module, by methodcaller": _module(
        "import operator\nG = operator.methodcaller('scale')\nD = OTHER\ndef g(x): return x * G(D)", _forms(_BY_METHOD)
    ),
    "attribute that a module makes, asked for where it is traced": _module(
        "def f(x): return x * (2 if hasattr(OTHER, 'K') else 3)",
        (_BY_GETATTR, _BY_GETATTR.replace("'K'", "'L'")),
    ),
    "attribute that a module makes, imported": _module(
        "def g(x):\n    from OTHER import K\n    return x * K", _forms(_BY_GETATTR)
    ),
    "attribute of a class, by attrgetter": _module(
        "import operator\nfrom OTHER import C\nG = operator.attrgetter('a')\ndef g(x): return x * G(C)",
        _forms("class C:\n    a = 2\n"),
    ),
    "attribute put on torch.Tensor": _module("def g(x): return x * x.zz", _forms("import torch\ntorch.Tensor.zz = 2\n")),
    "attribute put on a class of the library": _module(
        "class S(collections.UserDict): pass\ndef k(s): return s.zz\ndef g(x): return x * k(S())",
        _forms("import collections\ncollections.UserDict.zz = 2\n"),
    ),
    "default of a function in a table": _module(
        "T = [OTHER.F]\ndef g(x): return x * T[0].__defaults__[0]", _forms("def F(a=2): pass\n")
    ),
    "default of a function in a partial": _module(
        "T = functools.partial(OTHER.F)\ndef g(x): return x * T.func.__defaults__[0]", _forms("def F(a=2): pass\n")
    ),
    "results kept, in a table": _module("T = [OTHER.F]\ndef g(x): return x * T[0](1)", _forms(_CACHE)),
    "results kept, in a partial": _module("T = functools.partial(OTHER.F, 1)\ndef g(x): return x * T()", _forms(_CACHE)),
    "results kept, of a class": _module(
        "def k(c): return c.F(1)\ndef g(x): return x * k(OTHER.C)",
        _forms(
            "import functools\nK = [2]\ndef h(): return K[0]\nclass C:\n    @staticmethod\n    @functools.lru_cache\n"
            "    def F(a): return h()\nC.F(1)\n"
        ),
    ),
}


def _registered(text: str) -> Edit:
    before = "class O: pass\n"
    return _module(
        f"from OTHER import O\n{text}\ndef g(x): return x * k(O())", (before, f"import collections.abc\n{before}{_REGISTER}")
    )


_REGISTER = "collections.abc.Mapping.register(O)\ncollections.abc.Sequence.register(O)\n"
REGISTERED = {
    "class registered, in a table": _registered(
        "T = (collections.abc.Sequence,)\ndef k(o): return 2 if isinstance(o, T) else 3"
    ),
    "class registered, by an alias": _registered("def k(o): return 2 if isinstance(o, typing.Sequence) else 3"),
    "class registered, by a pattern": _registered(
        "def k(o):\n    match o:\n        case {}: return 2\n        case _: return 3"
    ),
    "protocol in a table": _module(
        "T = [OTHER.P]\ndef k(o): return 2 if isinstance(o, T[0]) else 3\ndef g(x): return x * k(OTHER.O())",
        _forms(
            "import typing\n@typing.runtime_checkable\nclass P(typing.Protocol):\n    def go(self): ...\n"
            "class O:\n    def gone(self): pass\n",
            "gone",
            "go",
        ),
    ),
}
_THREADS = ("torch.set_num_threads(@@)", "1", "2", "torch.set_num_threads(1)")
PROCESS = {
    "threads, asked of a table": _set("T = {'n': torch.get_num_threads}\ndef g(x): return x * T['n']()", *_THREADS),
    "threads, asked of a class": _set(
        "class C:\n    n = staticmethod(torch.get_num_threads)\n    def k(self): return self.n()\nc = C()\n"
        "def g(x): return x * c.k()",
        *_THREADS,
    ),
    "threads, asked of a module given on": _set(
        "def k(t): return t.get_num_threads()\ndef g(x): return x * k(torch)", *_THREADS
    ),
    "setting of a backend given on": _set(
        "def k(b): return 2 if b.enabled else 3\ndef g(x): return x * k(torch.backends.mkldnn)",
        "torch.backends.mkldnn.enabled = @@",
        "True",
        "False",
        "torch.backends.mkldnn.enabled = True",
    ),
    "setting asked of torch's own": _set(
        "def g(x): return x * (2 if torch._C._get_mkldnn_enabled() else 3)",
        "torch.backends.mkldnn.enabled = @@",
        "True",
        "False",
        "torch.backends.mkldnn.enabled = True",
    ),
    "warnings that are raised": _set(
        "def g(x):\n    try:\n        warnings.warn('w')\n    except UserWarning:\n        return x * 2\n    return x * 3",
        "warnings.simplefilter('@@')",
        "ignore",
        "error",
        "warnings.simplefilter('default')",
    ),
    "errors of numpy": _set(
        "import numpy\ndef k():\n    try:\n        return float(numpy.float64(1) / numpy.float64(0) > 0) + 1\n"
        "    except FloatingPointError:\n        return 3\ndef g(x): return x * k()",
        "import numpy\nnumpy.seterr(divide='@@')",
        "ignore",
        "raise",
        "numpy.seterr(divide='warn')",
    ),
    "function of torch exchanged, behind another": _set(
        "def g(x): return nn.functional.relu(x)",
        "kept = torch.relu\ntorch.relu = torch.@@",
        "relu",
        "sigmoid",
        "torch.relu = OTHER.kept",
    ),
    "state of a pass for the compiler": Edit(
        "import OTHER\nimport torch._inductor.config as config\n"
        "from torch._inductor.custom_graph_pass import CustomGraphPass\nbackend = 'inductor'\naten = torch.ops.aten\n"
        "class P(CustomGraphPass):\n    def __init__(self, to): self.to = to\n    def __call__(self, graph):\n"
        "        for n in graph.nodes:\n"
        "            if n.target is aten.sin.default: n.target = getattr(aten, self.to).default\n"
        "    def uuid(self): return self.to\nconfig.post_grad_custom_post_pass = P(OTHER.TO)\n"
        "def done(): config.post_grad_custom_post_pass = None\ndef f(x): return x.sin() + x",
        "",
        "",
        ("TO = 'cos'\n", "TO = 'tan'\n"),
    ),
}
EDITS = {**MODULES, **REGISTERED, **PROCESS}


def _refused(text: str) -> str:
    return f"import logging, os.path as paths\nlog = logging.getLogger('edited')\n{text}{_WITH}"


UNKNOWABLE = {
    "it asks for 'level', of a logger perhaps": _refused("def k(log): return log.level\ndef g(x): return x * k(log)"),
    "it asks for 'handlers', of a logger perhaps": _refused(
        "class C:\n    log = log\ndef k(c): return len(c.log.handlers)\ndef g(x): return x * k(C())"
    ),
    "it asks for 'disabled', of a logger perhaps": _refused("def g(x): return x * logging.getLogger('other').disabled"),
    "it uses genericpath": _refused("from os.path import exists\ndef g(x): return x * exists('/')"),
    "it uses posixpath": _refused("def g(x): return x * len(paths.expanduser('~'))"),
    "it uses os,": _refused("import os\nT = {'o': os}\ndef g(x): return x * len(T['o'].environ)"),
}

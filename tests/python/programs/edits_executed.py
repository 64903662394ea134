"""Edits of what runs while a program is compiled and is not traced: rules of operators, functions allowed in a graph, dispatch.

As in edits.py. Of UNKNOWABLE programs no package is made, for a reason; edits of UNCHANGED ones change nothing that counts.
"""

from __future__ import annotations

from edits import ALLOWED, Edit

_TRACED = 'backend = "aot_eager"\n'
_OPERATOR = """
@torch.library.custom_op("edited_{name}::op", mutates_args=())
def op(x: torch.Tensor) -> torch.Tensor:
    return x * 2
@op.register_fake
def _(x):
    return torch.empty_like(x)
def f(x):
    return op(x).sin()
backend = "aot_eager"
def args():
    return (torch.arange(6.0).reshape(2, 3).requires_grad_(),)
"""
_COMPOSITE = """
lib = torch.library.Library("edited_{name}", "DEF")
lib.define("a(Tensor x) -> Tensor")
def f(x):
    return torch.ops.edited_{name}.a(x).sin()
backend = "aot_eager"
"""
_SUBCLASS = """
class T(torch.Tensor):
    @staticmethod
    def __new__(cls, a):
        return torch.Tensor._make_wrapper_subclass(cls, a.size(), dtype=a.dtype, requires_grad=a.requires_grad)
    def __init__(self, a):
        self.a = a
    def __tensor_flatten__(self):
        return ["a"], None
    @staticmethod
    def __tensor_unflatten__(inner, meta, size, stride):
        return T(inner["a"])
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        args = torch.utils._pytree.tree_map_only(T, lambda t: t.a, args)
        output = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.sin.default:
            output = output * CHANGED
        return torch.utils._pytree.tree_map_only(torch.Tensor, lambda t: T(t), output)
def f(x):
    return x.sin().a
def args():
    return (T(torch.arange(4.0).reshape(2, 2)),)
backend = "aot_eager"
"""


def _operator(name: str, rest: str) -> str:
    return _OPERATOR.replace("{name}", name) + rest


def _composite(name: str, rest: str) -> str:
    return _COMPOSITE.replace("{name}", name) + rest


def _subclass(changed: str, before: str = "") -> str:
    return before + _SUBCLASS.replace("CHANGED", changed)


EDITS = {
    "helper of an allowed function": Edit("def g(x):\n    return x * @@" + ALLOWED, "2", "3"),
    "global of an allowed function": Edit("K = @@\ndef g(x):\n    return x * K" + ALLOWED, "2", "3"),
    "list that an allowed function reads": Edit("K = [1, @@]\ndef g(x):\n    return x * K[1]" + ALLOWED, "2", "3"),
    "attribute of a class that an allowed function reads": Edit(
        "class K:\n    a = @@\ndef g(x):\n    return x * K.a" + ALLOWED, "2", "3"
    ),
    "attribute of an object that an allowed function reads": Edit(
        "class K:\n    def __init__(self):\n        self.a = @@\nk = K()\ndef g(x):\n    return x * k.a" + ALLOWED, "2", "3"
    ),
    "object that an allowed function passes on": Edit(
        "class K:\n    def __init__(self):\n        self.a = @@\nk = K()\ndef i(k, x):\n    return x * k.a\n"
        "def g(x):\n    return i(k, x)" + ALLOWED,
        "2",
        "3",
    ),
    "default of a helper": Edit("def g(x, k=@@):\n    return x * k" + ALLOWED, "2", "3"),
    "keyword default of a helper": Edit("def g(x, *, k=@@):\n    return x * k" + ALLOWED, "2", "3"),
    "function in a table": Edit(
        "def a(x):\n    return x * 2\ndef b(x):\n    return x * 3\nK = {1: @@}\ndef g(x):\n    return K[1](x)" + ALLOWED,
        "a",
        "b",
    ),
    "kept result of a helper": Edit(
        "@functools.lru_cache\ndef k():\n    return @@\nk()\ndef g(x):\n    return x * k()" + ALLOWED, "2", "3"
    ),
    "helper of a helper whose result is kept": Edit(
        "def i():\n    return @@\n@functools.cache\ndef k():\n    return i()\nk()\ndef g(x):\n    return x * k()" + ALLOWED,
        "2",
        "3",
    ),
    "method whose result is kept": Edit(
        "class K:\n    @functools.cache\n    def m(self):\n        return self.n()\n    def n(self):\n        return @@\n"
        "k = K()\nk.m()\ndef g(x):\n    return x * k.m()" + ALLOWED,
        "2",
        "3",
    ),
    "property whose result is kept": Edit(
        "class K:\n    @functools.cached_property\n    def a(self):\n        return @@\nk = K()\ndef g(x):\n    return x * k.a"
        + ALLOWED,
        "2",
        "3",
    ),
    "property whose result was kept before": Edit(
        "class K:\n    @functools.cached_property\n    def a(self):\n        return @@\nk = K()\nk.a\n"
        "def g(x):\n    return x * k.a" + ALLOWED,
        "2",
        "3",
    ),
    "getter of a helper": Edit(
        "import operator\nget = operator.itemgetter(@@)\ndef g(x):\n    return x * get([1, 2, 3])" + ALLOWED, "1", "2"
    ),
    "function registered for a class": Edit(
        "import OTHER\ndef g(x):\n    return x * OTHER.k(3)" + ALLOWED,
        "",
        "",
        tuple(
            "import functools\n@functools.singledispatch\ndef k(a):\n    return 2\n" + registered
            for registered in ("", "k.register(int, lambda a: 3)\n")
        ),
    ),
    "object in a class that a class method of a helper reads": Edit(
        "from OTHER import v\nclass K:\n    a = v\n    @classmethod\n    def m(cls, x):\n        return x * cls.a.k\n"
        "def g(x):\n    return K.m(x)" + ALLOWED,
        "",
        "",
        tuple(f"class V:\n    def __init__(self, k):\n        self.k = k\nv = V({k})\n" for k in (2, 3)),
    ),
    "what a descriptor of a helper holds": Edit(
        "from OTHER import N\nclass D:\n    def __init__(self, k):\n        self.k = k\n    def __get__(self, o, cls):\n"
        "        return self.k\nclass K:\n    a = D(N)\nk = K()\ndef g(x):\n    return x * k.a" + ALLOWED,
        "",
        "",
        ("N = 2\n", "N = 3\n"),
    ),
    "class registered elsewhere, asked by a helper": Edit(
        "import OTHER\nfrom OTHER import B, O\no = O()\ndef g(x):\n    return x * (2 if isinstance(o, B) else 3)" + ALLOWED,
        "",
        "",
        tuple("import abc\nclass B(abc.ABC): pass\nclass O: pass\n" + text for text in ("", "B.register(O)\n")),
    ),
    "hook over subclasses that was asked before": Edit(
        "import abc\nclass B(abc.ABC):\n    @classmethod\n    def __subclasshook__(cls, other):\n        return @@\n"
        "class O: pass\no = O()\nisinstance(o, B)\ndef g(x):\n    return x * (2 if isinstance(o, B) else 3)" + ALLOWED,
        "True",
        "False",
    ),
    "builtin of a program, read by a helper": Edit(
        "import OTHER\ndef g(x):\n    return x * edited_scale\ndef done():\n    import builtins\n    del builtins.edited_scale"
        + ALLOWED,
        "",
        "",
        ("import builtins\nbuiltins.edited_scale = 2\n", "import builtins\nbuiltins.edited_scale = 3\n"),
    ),
    "builtin of a program": Edit(
        "import OTHER\ndef f(x):\n    return x * edited_factor\n"
        "def done():\n    import builtins\n    del builtins.edited_factor",
        "",
        "",
        ("import builtins\nbuiltins.edited_factor = 2\n", "import builtins\nbuiltins.edited_factor = 3\n"),
    ),
    "method of tensors replaced by one of Python": Edit(
        "own = torch.Tensor.cosh\n@@\ndef f(x):\n    return x.cosh()\ndef done():\n    torch.Tensor.cosh = own",
        "",
        "torch.Tensor.cosh = lambda x: x * 2",
    ),
    "method of tensors replaced by another": Edit(
        "own = torch.Tensor.sinh\n@@\ndef f(x):\n    return x.sinh()\ndef done():\n    torch.Tensor.sinh = own",
        "",
        "torch.Tensor.sinh = torch.Tensor.sin",
    ),
    "attribute that a class lacks": Edit(
        "class K:\n    @@\ndef g(x):\n    return x * getattr(K, 'a', 2)" + ALLOWED, "pass", "a = 3"
    ),
    "attribute that a class lacks, by a name that is not to be seen": Edit(
        "class K:\n    @@\ndef g(x):\n    return x * (2 if '_'.join(['a', 'b']) in K.__dict__ else 3)" + ALLOWED + _TRACED,
        "pass",
        "a_b = 3",
    ),
    "containers and numbers of the standard library": Edit(
        "import decimal\nD = collections.deque([decimal.Decimal(1), collections.OrderedDict(a=collections.Counter('@@'))], 3)\n"
        "def g(x):\n    return x * D[1]['a']['b']" + ALLOWED + _TRACED,
        "bb",
        "bbb",
    ),
    "docstring of a nested function": Edit(
        "def g(x):\n    def k():\n        '@@'\n    return x * len(k.__doc__)" + ALLOWED + _TRACED, "a", "bb"
    ),
    "attribute in a pattern": Edit(
        "class K:\n    @@\nk = K()\ndef g(x):\n    match k:\n        case K(a=3):\n            return x * 3\n    return x * 2"
        + ALLOWED
        + _TRACED,
        "pass",
        "a = 3",
    ),
    "class registered elsewhere": Edit(
        "class K: pass\nk = K()\n(lambda _: @@)(collections.abc.Sequence)\ndef g(x):\n"
        "    return x * (2 if isinstance(k, collections.abc.Sequence) else 3)" + ALLOWED + _TRACED,
        "_",
        "_.register(K)",
    ),
    "operator of tensors": Edit(
        "own = torch.Tensor.__rpow__\nif @@:\n    torch.Tensor.__rpow__ = lambda x, base: x + base\n"
        "def f(x):\n    return 2 ** x\n"
        "def done():\n    torch.Tensor.__rpow__ = own",
        "False",
        "True",
    ),
    "attribute of a metaclass": Edit(
        "class M(type):\n    a = @@\nclass K(metaclass=M): pass\ndef f(x):\n    return x * K.a", "2", "3"
    ),
    "object in a metaclass": Edit(
        "class V:\n    def __init__(self, k):\n        self.k = k\nclass M(type):\n    a = V(@@)\nclass K(metaclass=M): pass\n"
        "def f(x):\n    return x * K.a.k",
        "2",
        "3",
    ),
    "class in a metaclass": Edit(
        "class M(type):\n    class A:\n        k = @@\nclass K(metaclass=M): pass\ndef f(x):\n    return x * K.A.k", "2", "3"
    ),
    "defaults that a helper looks at": Edit(
        "def k(a=@@): pass\ndef g(x):\n    return x * k.__defaults__[0]" + ALLOWED, "2", "3"
    ),
    "documentation that a helper looks at": Edit(
        "def k():\n    '@@'\ndef length(function):\n    return len(function.__doc__)\ndef g(x):\n    return x * length(k)"
        + ALLOWED,
        "aa",
        "aaa",
    ),
    "signature that a helper looks at": Edit(
        "import inspect\ndef k(@@): pass\ndef g(x):\n    return x * len(inspect.signature(k).parameters)" + ALLOWED,
        "a",
        "a, b",
    ),
    "constant of another module": Edit(
        "import OTHER\ndef g(x):\n    return x * OTHER.K" + ALLOWED, "", "", ("K = 2\n", "K = 3\n")
    ),
    "helper of another module": Edit(
        "from OTHER import g" + ALLOWED, "", "", ("def g(x): return x * 2\n", "def g(x): return x * 3\n")
    ),
    "module imported by a helper": Edit(
        "import OTHER\ndef g(x):\n    import OTHER as o\n    return x * o.K" + ALLOWED, "", "", ("K = 2\n", "K = 3\n")
    ),
    "builtin shadowed in a helper's module": Edit(
        "@@\ndef g(x):\n    return x * max(1, 2)" + ALLOWED, "", "def max(*a): return 7"
    ),
    "generated method of a class of a helper": Edit(
        "@dataclasses.dataclass\nclass K:\n    a: float = @@\ndef g(x):\n    return x * K().a" + ALLOWED, "2.0", "3.0"
    ),
    "helper of a function traced without guards": Edit(
        "def g(x):\n    return x * @@" + ALLOWED.replace("compiler.allow_in_graph", "_dynamo.nonstrict_trace") + _TRACED,
        "2",
        "3",
    ),
    "backward of an operator": Edit(
        _operator("bw", "def backward(ctx, g):\n    return g * @@\nop.register_autograd(backward)\n"), "2", "5"
    ),
    "which backward of two an operator has": Edit(
        _operator(
            "two",
            "def one(ctx, g):\n    return g * 2\ndef two(ctx, g):\n    return g * 5\nFLAG = @@\n"
            "op.register_autograd(one if FLAG else two)\n",
        ),
        "True",
        "False",
    ),
    "what the setup of an operator keeps": Edit(
        _operator(
            "setup",
            "def setup(ctx, inputs, output):\n    ctx.k = @@\ndef backward(ctx, g):\n    return g * ctx.k\n"
            "op.register_autograd(backward, setup_context=setup)\n",
        ),
        "2",
        "5",
    ),
    "shape that an operator tells": Edit(
        'N = @@\n@torch.library.custom_op("edited_fake::grow", mutates_args=())\n'
        "def grow(x: torch.Tensor) -> torch.Tensor:\n    return x.new_ones(N, 2)\n"
        "@grow.register_fake\ndef _(x):\n    return x.new_empty(N, 2)\n"
        "def f(x):\n    y = grow(x)\n    return y.sum() * y.shape[0]",
        "2",
        "5",
    ),
    "operator made of others": Edit(
        _composite("own", "def a(x):\n    return x * @@\nlib.impl('a', a, 'CompositeImplicitAutograd')\n"), "2", "5"
    ),
    "which implementation of two an operator has": Edit(
        _composite(
            "impl", "def a(x):\n    return x * 2\ndef b(x):\n    return x * 5\nlib.impl('a', @@, 'CompositeImplicitAutograd')\n"
        ),
        "a",
        "b",
    ),
    "dispatch of a subclass": Edit(_subclass("@@"), "2", "3"),
    "helper of a subclass's dispatch": Edit(_subclass("k()", "def k():\n    return @@\n"), "2", "3"),
    "attribute of a subclass that its dispatch reads": Edit(
        _subclass("cls.K").replace("class T(torch.Tensor):\n", "class T(torch.Tensor):\n    K = @@\n"), "2", "3"
    ),
    "class registered as a subclass": Edit(
        "import abc\nclass B(abc.ABC): pass\nclass O: pass\n@@\no = O()\n"
        "def f(x):\n    return x * 2 if isinstance(o, B) else x * 3",
        "",
        "B.register(O)",
    ),
    "class registered, asked of the class": Edit(
        "import abc\nclass B(abc.ABC): pass\nclass O: pass\n@@\ndef f(x):\n    return x * 2 if issubclass(O, B) else x * 3",
        "",
        "B.register(O)",
    ),
    "hook that decides over subclasses": Edit(
        "import abc\nclass B(abc.ABC):\n    @classmethod\n    def __subclasshook__(cls, other):\n        return @@\n"
        "class O: pass\no = O()\ndef f(x):\n    return x * 2 if isinstance(o, B) else x * 3",
        "True",
        "False",
    ),
    "protocol that is asked at run time": Edit(
        "@typing.runtime_checkable\nclass P(typing.Protocol):\n    def @@(self): ...\n"
        "class O:\n    def go(self): pass\no = O()\ndef f(x):\n    return x * 2 if isinstance(o, P) else x * 3",
        "go",
        "stop",
    ),
    "builtin shadowed": Edit("@@\ndef f(x):\n    return x * max(1, 2)", "", "def max(*a): return 7"),
    "annotation of a function": Edit(
        "def g(a: @@): pass\ndef f(x):\n    return x * (2 if g.__annotations__['a'] is int else 3)", "int", "str"
    ),
}

_SCALED = "def g(x):\n    return x * k()" + ALLOWED
UNKNOWABLE = {
    "it has defaults or a closure": "def bound(n):\n    def k():\n        return n\n    return k\nT = [bound(2)]\n"
    "def k():\n    return T[0]()\n" + _SCALED,
    "it changes the global 'N'": "N = 0\ndef k():\n    global N\n    N += 1\n    return N\n" + _SCALED,
    "it uses os": "def k():\n    return int(os.environ.get('SCALE', '2'))\n" + _SCALED,
    "it uses time": "import time\ndef k():\n    return time.time()\n" + _SCALED,
    "it calls getsource()": "import inspect\ndef k():\n    return len(inspect.getsource(g))\n" + _SCALED,
    "(lineno)": "import inspect\ndef k():\n    return inspect.stack()[0].lineno\n" + _SCALED,
    "which says where in its file it stands": "import inspect\ndef k():\n    return inspect.stack()[0][2]\n" + _SCALED,
    "constants of the code that runs": "def k():\n    '2'\n    return float(sys._getframe().f_code.co_consts[0])\n" + _SCALED,
    "of a function to which no name leads": "K = [lambda x: x]\nK[0].scale = 2\ndef k():\n    return K[0].scale\n" + _SCALED,
    "reads constants of code": "def k():\n    '2'\ndef f(x):\n    return x * float(k.__code__.co_consts[0])",
    "no module names it": (
        "A = ''.join(['edited_no_name::', 'zyx', 'wvu'])\ntorch.library.define(A, '(Tensor x) -> Tensor')\n"
        "torch.library.impl(A, 'CompositeImplicitAutograd', torch.cos)\n"
        "op = getattr(torch.ops.edited_no_name, A[-6:])\ndef f(x):\n    return op(x)"
    ),
    "it calls __subclasses__()": "class C: pass\ndef k():\n    return len(C.__subclasses__())\n" + _SCALED,
    "it calls globals()": "N = 2\ndef k():\n    return globals()['N']\n" + _SCALED,
    "a list_iterator object cannot be compared": "V = iter([2, 2])\ndef k():\n    return V.__length_hint__()\n" + _SCALED,
    "it calls vars()": "N = 2\nlook = vars\ndef k():\n    return look(sys.modules[__name__])['N']\n" + _SCALED,
    "it calls f_globals()": "N = 2\ndef k():\n    return sys._getframe().f_globals['N']\n" + _SCALED,
    "looked up by names that are not to be seen": (
        "import operator\nimport edits as other\nlook = operator.attrgetter('HEAD')\ndef k():\n    return len(look(other))\n"
        + _SCALED
    ),
    "open '": (
        "import tempfile\nimport numpy as np\nfile = tempfile.NamedTemporaryFile('w')\nfile.write('2.0')\nfile.flush()\n"
        "name = file.name\ndef k():\n    return float(np.loadtxt(name))\n" + _SCALED
    ),
    "threading.Thread.start": (
        "import threading\ndef k():\n    found = []\n    thread = threading.Thread(target=lambda: found.append(2))\n"
        "    thread.start()\n    thread.join()\n    return found[0]\n" + _SCALED
    ),
    "it is made inside a function": (
        "import abc\ndef made():\n    class L(abc.ABC): pass\n    return L\nL = made()\no = 2.5\n"
        "def f(x):\n    return x * 2 if isinstance(o, L) else x * 3"
    ),
}
UNCHANGED = {
    "flags that are combined": Edit(
        "class E(enum.IntFlag):\n    A = 1\n    B = 2\n@@\ndef g(x):\n    return x * int(E.A | E.B)" + ALLOWED,
        "",
        "# as before",
    ),
    "statements that name values and do nothing else": Edit(
        "@@\nK = 2\ndef g(x):\n    return x * K" + ALLOWED,
        "",
        "if torch.__version__ >= '1':\n    V = 1\nelse:\n    V = 2\nassert V\nfor i in range(3): pass\nT = torch.ones(2)\n"
        "with torch.no_grad():\n    w = 1\nd = 1\ndel d\na = 1\na += 1\ntry:\n    b = int('1')\nexcept ValueError:\n    b = 2",
    ),
    "comments, moved lines and other functions": Edit(
        "@@\nK = 2\ndef g(x):\n    return x * K" + ALLOWED, "def o():\n    return 1", "# moved\nO = 1\ndef o():\n    return 2"
    ),
    "beside a dict with members of an enumeration": Edit(
        "@@\nclass E(enum.Enum):\n    A = 1\n    B = 2\nD = {E.A: 2, E.B: 3}\ndef f(x):\n    return x * D[E.A]", "", "o = 1"
    ),
    "class and import beside an operator": Edit(
        _operator("class", "def bw(ctx, g):\n    return g * 2\nop.register_autograd(bw)\n@@\n"),
        "",
        "import json\nclass O:\n    @property\n    def o(self):\n        return 2",
    ),
    "another operator beside one": Edit(
        _operator("beside", "op.register_autograd(lambda ctx, g: g * 2)\n@@\n"),
        "",
        "@torch.library.custom_op('edited_beside::more', mutates_args=())\n"
        "def more(x: torch.Tensor) -> torch.Tensor:\n    return x * 3\n"
        "@more.register_fake\ndef _(x):\n    return x * 1\nmore.register_autograd(lambda ctx, g: g * 3)",
    ),
    "beside fields of a dataclass": Edit(
        "@@\n@dataclasses.dataclass\nclass K:\n    a: int = 1\nk = K()\ndef f(x):\n    return x * len(dataclasses.asdict(k))",
        "",
        "o = 1",
    ),
    "docstrings of what is traced and of what is not": Edit(
        "K = 2\ndef g(x):\n    '@@'\n    return x * K\n@torch.compiler.allow_in_graph\ndef h(x):\n"
        "    '@@'\n    return g(x) + 1\ndef f(x):\n    '@@'\n    return h(x).sin()",
        "one",
        "two",
    ),
    "a model, decorated functions and values beside": Edit(
        "K = 2\ndef g(x):\n    return x * K" + ALLOWED + "@@",
        "",
        "class O(torch.nn.Module):\n    def forward(self, x):\n        return x\n@functools.lru_cache\ndef o(x):\n"
        "    return x\n@torch.compile(dynamic=True)\ndef p(x):\n    return x\nq = list(range(3)) + [K]",
    ),
    "beside an operator": Edit(
        _operator("beside", "def bw(ctx, g):\n    return g * 2\nop.register_autograd(bw)\n@@\n"), "", "def o():\n    return 2"
    ),
}

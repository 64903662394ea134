"""Programs that read something else in the process that loads than in the one that compiled."""

from __future__ import annotations

from edits import Edit

EDITS = {
    "dtype of an autocast decorator": Edit(
        """
KIND = torch.@@
@torch.autocast("cpu", dtype=KIND)
def f(x): return x @ x.T / 3
""",
        "bfloat16",
        "float16",
    ),
    "constant of another module": Edit(
        """
import OTHER as h
def f(x): return x * h.K
""",
        "1",
        "1",
        other=("K = 2.0\n", "K = 200.0\n"),
    ),
    "constant read by another module's function": Edit(
        """
import OTHER as h
def f(x): return h.g(x)
""",
        "1",
        "1",
        other=("K = 2.0\ndef g(x): return x*K\n", "K = 200.0\ndef g(x): return x*K\n"),
    ),
    "function under an alias in another module": Edit(
        """
import OTHER as h
def f(x): return h.g(x)
""",
        "1",
        "1",
        other=(
            "def a(x): return x*2\ndef b(x): return x*200\ng = a\n",
            "def a(x): return x*2\ndef b(x): return x*200\ng = b\n",
        ),
    ),
    "default": Edit(
        """
def helper(x, k=@@): return x * k
def f(x): return helper(x)
""",
        "2.0",
        "200.0",
    ),
    "keyword default": Edit(
        """
def helper(x, *, k=@@): return x * k
def f(x): return helper(x)
""",
        "2.0",
        "200.0",
    ),
    "partial function": Edit(
        """
def helper(x, k): return x * k
h = functools.partial(helper, k=@@)
def f(x): return h(x)
""",
        "2.0",
        "200.0",
    ),
    "cached result": Edit(
        """
K = @@
@functools.lru_cache
def get(): return K
get()
def f(x): return x * get()
""",
        "2.0",
        "200.0",
    ),
    "closure cell": Edit(
        """
def mk(k):
    def h(x): return x * k
    return h
h = mk(@@)
def f(x): return h(x)
""",
        "2.0",
        "200.0",
    ),
    "object in a closure cell": Edit(
        """
class Box:
    def __init__(self, v): self.v = v
def mk(k):
    def h(x): return x * k.v
    return h
h = mk(Box(@@))
def f(x): return h(x)
""",
        "2.0",
        "200.0",
    ),
    "function in a closure cell": Edit(
        """
def a(x): return x * 2.0
def b(x): return x * 200.0
def deco(fn):
    def w(x): return fn(x)
    return w
h = deco(@@)
def f(x): return h(x)
""",
        "a",
        "b",
    ),
    "closure of the target": Edit(
        """
def make():
    k = @@
    def f(x): return x * k
    return f
""",
        "2.0",
        "200.0",
    ),
    "attribute of a function": Edit(
        """
def h(x): return x * h.k
h.k = @@
def f(x): return h(x)
""",
        "2.0",
        "200.0",
    ),
    "docstring that is read": Edit(
        """
def h():
    "@@"
def f(x): return x * float(h.__doc__)
""",
        "2",
        "200",
    ),
    "default of a generator": Edit(
        """
def gen(n=@@):
    for i in range(n): yield i + 1
def f(x):
    for k in gen(): x = x * k
    return x
""",
        "2",
        "5",
    ),
    "function picked from a list": Edit(
        """
def a(x): return x*2
def b(x): return x*200
T = [a, @@]
def f(x): return T[1](x)
""",
        "a",
        "b",
    ),
    "function picked from a dict": Edit(
        """
def a(x): return x*2
def b(x): return x*200
T = {"k": @@}
def f(x): return T["k"](x)
""",
        "a",
        "b",
    ),
    "lambda in a dict": Edit(
        """
T = {"k": @@}
def f(x): return T["k"](x)
""",
        "lambda x: x*2",
        "lambda x: x*200",
    ),
    "lambdas of one line": Edit(
        """
T = [lambda x: x*2, lambda x: x*200]
T2 = [T[@@], T[1]]
def f(x): return T2[0](x)
""",
        "0",
        "1",
    ),
    "function of torch under an alias": Edit(
        """
from torch.nn import functional as F
act = @@
def f(x): return act(x)
""",
        "F.relu",
        "F.silu",
    ),
    "implementation registered for a type": Edit(
        """
@functools.singledispatch
def h(v, x): return x * 2
@@
def f(x): return h(1, x)
""",
        "pass",
        "h.register(int)(lambda v, x: x * 200)",
    ),
    "function by a setting": Edit(
        """
FLAG = __file__.split('/')[-2] == 'before'
if FLAG:
    def k(): return 2.0
else:
    def k(): return 200.0
def f(x): return x * k()
""",
        "s",
        "s",
    ),
    "function allowed in the graph": Edit(
        """
def h(x): return x * @@
torch.compiler.allow_in_graph(h)
def f(x): return h(x)
""",
        "2.0",
        "200.0",
    ),
    "item of a deque": Edit(
        """
d = collections.deque([@@])
def f(x): return x * d[0]
""",
        "2.0",
        "200.0",
    ),
    "order of an OrderedDict": Edit(
        """
d = collections.OrderedDict(a=2.0, b=3.0)
@@
def f(x):
    for v in d.values(): x = x * 2 + v
    return x
""",
        "pass",
        "d.move_to_end('a')",
    ),
    "order of a dict": Edit(
        """
d = {@@}
def f(x):
    for v in d.values(): x = x * 2 + v
    return x
""",
        "'a': 2.0, 'b': 3.0",
        "'b': 3.0, 'a': 2.0",
    ),
    "item of a list on a module": Edit(
        """
class A(nn.Module):
    def __init__(self):
        super().__init__(); self.ks = [2.0, @@]
    def forward(self, x): return x * self.ks[1]
def make(): return A()
""",
        "2.0",
        "200.0",
    ),
    "value of a buffer": Edit(
        """
class M(nn.Module):
    def __init__(self):
        super().__init__(); self.register_buffer("b", torch.tensor(@@))
    def forward(self, x): return x * self.b
def make(): return M()
""",
        "2.0",
        "200.0",
    ),
    "value of a global tensor": Edit(
        """
T = torch.tensor(@@)
def f(x): return x * T
""",
        "2.0",
        "200.0",
    ),
    "value of a tensor in a closure": Edit(
        """
def make():
    t = torch.tensor(@@)
    def f(x): return x * t
    return f
""",
        "2.0",
        "200.0",
    ),
    "value of an array": Edit(
        """
import numpy as np
T = np.array([@@], dtype=np.float32)
def f(x): return x * torch.from_numpy(T)
""",
        "2.0",
        "200.0",
    ),
    "item of a tensor": Edit(
        """
T = torch.tensor([@@])
def f(x): return x * T.tolist()[0]
""",
        "2.0",
        "200.0",
    ),
    "lambdas swapped": Edit(
        """
one, two = @@
def f(x): return one(x) + two(x + 1)
""",
        "(lambda x: x * 2), (lambda x: x * 200)",
        "(lambda x: x * 200), (lambda x: x * 2)",
    ),
    "lambdas of equal text over other closures": Edit(
        """
def times(k): return lambda x: x * k
one, two = times(2.0), times(200.0)
def f(x, g): return g(x)
def args(): return torch.arange(6.0).reshape(2, 3), @@
""",
        "one",
        "two",
    ),
    "bits of a constant that is no number": Edit(
        """
import struct
K = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001 + @@))[0]
def f(x): return x * struct.pack("<d", K)[0]
""",
        "0",
        "1",
    ),
    "range of a size that is marked dynamic": Edit(
        """
from torch.fx.experimental.symbolic_shapes import statically_known_true
def f(x): return x * 2 if statically_known_true(x.shape[0] < 100) else x * 3
def args():
    x = torch.ones(4)
    torch._dynamo.mark_dynamic(x, 0, min=2, max=@@)
    return (x,)
""",
        "500",
        "50",
    ),
    "equal strings that are one object": Edit(
        """
ONE = "".join(["ab", "cd"])
TWO = @@
def f(x): return x * 2 if ONE is TWO else x * 3
""",
        "ONE",
        '"".join(["ab", "cd"])',
    ),
    "a cell that two functions share": Edit(
        """
def made(v):
    def get(): return v
    def put(k):
        nonlocal v
        v = k
    return get, put
(get, put_one), (_, put_two) = made(2.0), made(2.0)
put = @@
def f(x):
    put(5.0)
    found = x * get()
    put(2.0)
    return found
""",
        "put_one",
        "put_two",
    ),
    "keys of a dict in a list": Edit("KEYS = {@@: 5}\ndef f(x): return x * list(KEYS)[0]", "1", "2"),
    "keys of a dict, starred": Edit("KEYS = {@@: 5}\ndef f(x): return x * len([*KEYS][0])", "'a'", "'bcd'"),
    "keys of a dict that a list takes in": Edit(
        "KEYS = {@@: 5}\ndef f(x):\n    keys = []\n    keys += KEYS\n    return x * keys[0]", "1", "2"
    ),
    "keys of a dict that a deque takes in": Edit(
        "KEYS = {@@: 5}\ndef f(x):\n    keys = collections.deque()\n    keys += KEYS\n    return x * keys[0]", "1", "2"
    ),
    "keys of a dict that another takes in": Edit(
        "KEYS = {@@: 5}\ndef f(x):\n    keys = {}\n    keys |= KEYS\n    return x * list(keys)[0]", "1", "2"
    ),
    "keys of a dict that are united with others": Edit(
        "KEYS = {@@: 5}\ndef f(x):\n    return x * list({} | KEYS)[0]", "1", "2"
    ),
    "type of a key": Edit("KEYS = {@@: 5}\ndef f(x): return x * (2 if isinstance(tuple(KEYS)[0], bool) else 3)", "1", "True"),
    "type within a key": Edit(
        "KEYS = {(0, @@): 5}\ndef f(x): return x * (2 if isinstance(list(KEYS)[0][1], bool) else 3)", "1", "True"
    ),
    "type of a key of a proxy": Edit(
        "import types\nKEYS = types.MappingProxyType({@@: 5})\n"
        "def f(x): return x * (2 if isinstance(list(KEYS)[0], bool) else 3)",
        "1",
        "True",
    ),
    "value in a region that is compiled once": Edit(
        "K = @@\n@torch.compiler.nested_compile_region\ndef r(x): return x * K\ndef f(x): return r(x) + r(x + 1)\n"
        "backend = 'aot_eager'",
        "2",
        "3",
    ),
    "keys of an argument": Edit(
        "def f(x, keys): return x * list(keys)[0]\ndef args(): return torch.ones(2), {@@: 5}", "1", "2"
    ),
}

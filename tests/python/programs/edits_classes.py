"""Programs whose classes differ between the process that compiles and the one that loads."""

from __future__ import annotations

from edits import Edit

EDITS = {
    "attribute of a module class": Edit(
        """
class M(nn.Module):
    scale = @@
    def forward(self, x): return x * self.scale
def make(): return M()
""",
        "2.0",
        "200.0",
    ),
    "inherited forward of a class of torch": Edit(
        """
@@
def make(): return nn.Sequential(nn.BatchNorm1d(3), nn.Tanh()).eval()
def done(): "forward" in vars(nn.BatchNorm1d) and delattr(nn.BatchNorm1d, "forward")
""",
        "",
        "nn.BatchNorm1d.forward = lambda self, x: x * 200.0",
    ),
    "attribute of a class": Edit(
        """
class Cfg:
    scale = @@
    def get(self): return self.scale
cfg = Cfg()
def f(x): return x * cfg.get()
""",
        "2.0",
        "200.0",
    ),
    "attribute read from the class": Edit(
        """
class Cfg:
    scale = @@
def f(x): return x * Cfg.scale
""",
        "2.0",
        "200.0",
    ),
    "attribute read by a class method": Edit(
        """
class A:
    k = 2.0
    @classmethod
    def get(cls): return cls.k
class B(A):
    k = @@
b = B()
def f(x): return x * b.get()
""",
        "3.0",
        "200.0",
    ),
    "attribute read through the type": Edit(
        """
class A: pass
A.k = @@
def f(x, a=A()): return x * type(a).k
""",
        "3.0",
        "200.0",
    ),
    "table of a class": Edit(
        """
class A:
    TABLE = {"k": @@}
a = A()
def f(x): return x * a.TABLE["k"]
""",
        "2.0",
        "200.0",
    ),
    "slot": Edit(
        """
class A:
    __slots__ = ("k",)
    def __init__(self): self.k = @@
a = A()
def f(x): return x * a.k
""",
        "3.0",
        "200.0",
    ),
    "base class": Edit(
        """
class A:
    def k(self): return 2.0
class B:
    def k(self): return 200.0
class C(@@): pass
c = C()
def f(x): return x * c.k()
""",
        "A",
        "B",
    ),
    "base class of a module": Edit(
        """
class A(nn.Module):
    def k(self, x): return x*2.0
class B(nn.Module):
    def k(self, x): return x*200.0
class M(@@):
    def forward(self, x): return self.k(x)
def make(): return M()
""",
        "A",
        "B",
    ),
    "base class by a setting": Edit(
        """
FLAG = __file__.split('/')[-2] == 'before'
class X:
    def k(self): return 2.0
class Y:
    def k(self): return 200.0
class A(X if FLAG else Y): pass
a = A()
def f(x): return x * a.k()
""",
        "s",
        "s",
    ),
    "instance of": Edit(
        """
class B: pass
class A(@@): pass
def f(x, a=A()):
    return x * (200 if isinstance(a, B) else 2)
""",
        "object",
        "B",
    ),
    "subclass of": Edit(
        """
class B: pass
class A(@@): pass
def f(x):
    return x * (200 if issubclass(A, B) else 2)
""",
        "object",
        "B",
    ),
    "value of an enum member": Edit(
        """
class E(enum.Enum):
    A = @@
def f(x, e=E.A): return x * e.value
def g(x): return x * E.A.value
def make(): return g
""",
        "2.0",
        "200.0",
    ),
    "value of an enum argument": Edit(
        """
class E(enum.Enum):
    A = @@
def f(x, e=E.A): return x * e.value
""",
        "2.0",
        "200.0",
    ),
    "value of an integer enum": Edit(
        """
class E(enum.IntEnum):
    A = @@
def f(x): return x * int(E.A)
""",
        "2",
        "200",
    ),
    "integer enum argument": Edit(
        """
class E(enum.IntEnum):
    A = @@
def f(x, e=E.A): return x * e
""",
        "2",
        "200",
    ),
    "default of a dataclass": Edit(
        """
@dataclasses.dataclass
class Cfg:
    a: float = @@
    b: float = 3.0
def f(x):
    c = Cfg()
    return x * c.a + c.b
""",
        "2.0",
        "200.0",
    ),
    "order of a dataclass": Edit(
        """
@dataclasses.dataclass
class Cfg:
    @@
def f(x):
    c = Cfg(2.0, 5.0)
    return x * c.a + c.b
""",
        "a: float\n    b: float",
        "b: float\n    a: float",
    ),
    "fields of a dataclass": Edit(
        """
@dataclasses.dataclass
class Cfg:
    a: float = 2.0
    @@
c = Cfg()
def f(x):
    for fl in dataclasses.fields(c): x = x * 2
    return x
""",
        "pass",
        "b: float = 2.0",
    ),
    "factory of a dataclass default": Edit(
        """
@dataclasses.dataclass
class Cfg:
    l: list = dataclasses.field(default_factory=lambda: [@@])
def f(x):
    c = Cfg()
    return x * c.l[0]
""",
        "2.0",
        "200.0",
    ),
    "order of a namedtuple": Edit(
        """
Pt = collections.namedtuple("Pt", "@@")
def f(x):
    c = Pt(2.0, 5.0)
    return x * c.a + c.b
""",
        "a b",
        "b a",
    ),
    "order of a typed namedtuple": Edit(
        """
class Pt(typing.NamedTuple):
    @@
def f(x):
    c = Pt(2.0, 5.0)
    return x * c.a + c.b
""",
        "a: float\n    b: float",
        "b: float\n    a: float",
    ),
    "new truth value": Edit(
        """
class C:
    x = 1
    @@
c = C()
def f(x):
    if c: return x * 2
    return x * 200
""",
        "pass",
        "def __bool__(self): return False",
    ),
    "new length": Edit(
        """
class C(list):
    @@
c = C([1])
def f(x, c=c):
    if len(c) == 1: return x * 2
    return x * 200
""",
        "pass",
        "def __len__(self): return 5",
    ),
    "new equality": Edit(
        """
class C:
    @@
c = C(); d = C()
def f(x):
    if c == d: return x * 200
    return x * 2
""",
        "pass",
        "def __eq__(self, o): return True",
    ),
    "new length of a string class": Edit(
        """
class S(str):
    @@
s = S("ab")
def f(x): return x * len(s)
""",
        "pass",
        "def __len__(self): return 200",
    ),
    "new item access of a dict class": Edit(
        """
class D(dict):
    @@
d = D(a=2.0)
def f(x): return x * d["a"]
""",
        "pass",
        "def __getitem__(self, k): return 200.0",
    ),
    "missing key of a dict class": Edit(
        """
class D(dict):
    def __missing__(self, k): return @@
d = D(a=2.0)
def f(x): return x * d["b"]
""",
        "2.0",
        "200.0",
    ),
    "new property": Edit(
        """
class C:
    def __init__(self): self.__dict__["k"] = 2.0
    @@
c = C()
def f(x): return x * c.k
""",
        "pass",
        "k = property(lambda self: 200.0)",
    ),
    "function of a property": Edit(
        """
class A:
    def a(self): return 2.0
    def b(self): return 200.0
    k = property(@@)
a = A()
def f(x): return x * a.k
""",
        "a",
        "b",
    ),
    "body of a property": Edit(
        """
class A:
    @property
    def k(self): return @@
a = A()
def f(x): return x * a.k
""",
        "2",
        "200",
    ),
    "new attribute in place of a default": Edit(
        """
class A:
    @@
a = A()
def f(x): return x * getattr(a, "k", 2.0)
""",
        "pass",
        "k = 200.0",
    ),
    "new property in place of a default": Edit(
        """
class A:
    @@
a = A()
def f(x): return x * getattr(a, "k", 2.0)
""",
        "pass",
        "k = property(lambda s: 200.0)",
    ),
    "new attribute hook": Edit(
        """
class A:
    @@
a = A()
def f(x): return x * getattr(a, "k", 2.0)
""",
        "pass",
        "def __getattr__(self, n): return 200.0",
    ),
    "new attribute asked for": Edit(
        """
class A:
    @@
def f(x):
    return x * (200 if hasattr(A, "zz") else 2)
""",
        "pass",
        "zz = 1",
    ),
}

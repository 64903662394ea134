"""Programs whose methods differ between the process that compiles and the one that loads."""

from __future__ import annotations

from edits import Edit

EDITS = {
    "__torch_function__ of a subclass": Edit(
        """
class Sub(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        return result * @@ if func is torch.Tensor.sin else result
def args(): return (torch.arange(6.0).reshape(2, 3).as_subclass(Sub),)
def f(x): return x.sin()
""",
        "2.0",
        "200.0",
    ),
    "metaclass": Edit(
        """
class Meta(type):
    def __len__(cls): return @@
class A(metaclass=Meta): pass
def f(x): return x * len(A)
""",
        "2",
        "200",
    ),
    "property of a metaclass": Edit(
        """
class Meta(type):
    @property
    def k(cls): return K
K = @@
class A(metaclass=Meta): pass
def f(x): return x * A.k
""",
        "2",
        "200",
    ),
    "method under another name": Edit(
        """
class C:
    def a(self, x): return x * 2.0
    def b(self, x): return x * 200.0
    run = @@
c = C()
def f(x): return c.run(x)
""",
        "a",
        "b",
    ),
    "lambda in a class": Edit(
        """
class C:
    run = @@
c = C()
def f(x): return c.run(x)
""",
        "lambda self, x: x * 2.0",
        "lambda self, x: x * 200.0",
    ),
    "default of a method": Edit(
        """
class A:
    def k(self, s=@@): return s
a = A()
def f(x): return x * a.k()
""",
        "2.0",
        "200.0",
    ),
    "default of a module's method": Edit(
        """
class A(nn.Module):
    def k(self, x, s=@@): return x*s
    def forward(self, x): return self.k(x)
def make(): return A()
""",
        "2.0",
        "200.0",
    ),
    "default of a submodule's forward": Edit(
        """
class A(nn.Module):
    def forward(self, x, s=@@): return x*s
class B(nn.Module):
    def __init__(self):
        super().__init__(); self.a = A()
    def forward(self, x): return self.a(x)
def make(): return B()
""",
        "2.0",
        "200.0",
    ),
    "default of a constructor": Edit(
        """
class A:
    def __init__(self, v=@@): self.v = v
def f(x): return x * A().v
""",
        "2.0",
        "200.0",
    ),
    "constant read in __new__": Edit(
        """
class A:
    def __new__(cls):
        o = object.__new__(cls); o.v = K; return o
K = @@
def f(x): return x * A().v
""",
        "2.0",
        "200.0",
    ),
    "argument of a method's decorator": Edit(
        """
def deco(k):
    def d(fn):
        def w(self, x): return fn(self, x) * k
        return w
    return d
class A:
    @deco(@@)
    def k(self, x): return x
a = A()
def f(x): return a.k(x)
""",
        "2.0",
        "200.0",
    ),
    "argument of a forward's decorator": Edit(
        """
def deco(k):
    def d(fn):
        @functools.wraps(fn)
        def w(self, x): return fn(self, x) * k
        return w
    return d
class A(nn.Module):
    @deco(@@)
    def forward(self, x): return x
class B(nn.Module):
    def __init__(self):
        super().__init__(); self.a = A()
    def forward(self, x): return self.a(x)
def make(): return B()
""",
        "2.0",
        "200.0",
    ),
    "decorator of a method": Edit(
        """
def two(fn):
    def w(self, x): return fn(self, x) * 2
    return w
def many(fn):
    def w(self, x): return fn(self, x) * 200
    return w
class A:
    @ @@
    def k(self, x): return x
a = A()
def f(x): return a.k(x)
""",
        "two",
        "many",
    ),
    "replaced method": Edit(
        """
class A(nn.Module):
    def forward(self, x): return x * 2
def other(self, x): return x * 200
class B(nn.Module):
    def __init__(self):
        super().__init__(); self.a = A()
    def forward(self, x): return self.a(x)
def make(): return B()
@@
""",
        "pass",
        "A.forward = other",
    ),
    "state of a callable": Edit(
        """
class A:
    def __init__(self, v): self.v = v
    def __call__(self, x): return x * self.v
a = A(@@)
def f(x): return a(x)
""",
        "2.0",
        "200.0",
    ),
    "state of a callable in a class": Edit(
        """
class A:
    def __init__(self, v): self.v = v
    def __call__(self, x): return x * self.v
class B:
    op = A(@@)
b = B()
def f(x): return b.op(x)
""",
        "2.0",
        "200.0",
    ),
    "partial method": Edit(
        """
class A:
    def run(self, x, k): return x * k
    two = functools.partialmethod(run, k=@@)
a = A()
def f(x): return a.two(x)
""",
        "2.0",
        "200.0",
    ),
    "static function of a module class": Edit(
        """
class M(nn.Module):
    act = staticmethod(@@)
    def forward(self, x): return self.act(x)
def make(): return M()
""",
        "torch.relu",
        "torch.cos",
    ),
    "iterator of a class": Edit(
        """
class A:
    def __iter__(self): return iter([2.0, @@])
a = A()
def f(x):
    for k in a: x = x * k
    return x
""",
        "2.0",
        "200.0",
    ),
    "context manager": Edit(
        """
class Ctx:
    def __enter__(self): return @@
    def __exit__(self, *a): return False
def f(x):
    with Ctx() as k: return x * k
""",
        "2.0",
        "200.0",
    ),
    "subclass of int": Edit(
        """
class I(int):
    pass
i = I(@@)
def f(x): return x * int(i)
""",
        "2",
        "200",
    ),
    "backward of an autograd function": Edit(
        """
class Fn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 2
    @staticmethod
    def backward(ctx, g): return g * @@
backend = "aot_eager"
def f(x): return Fn.apply(x)
def args(): return (torch.ones(2, 3, requires_grad=True),)
""",
        "2",
        "200",
    ),
    "annotation that is read": Edit(
        """
class A:
    k: "@@"
def f(x): return x * (2 if A.__annotations__["k"] == "int" else 200)
""",
        "int",
        "float",
    ),
    "renamed class": Edit(
        """
class @@:
    pass
c = @@()
def f(x): return x * len(type(c).__name__)
""",
        "A",
        "ABC",
    ),
    "class attribute in another module": Edit(
        """
import OTHER as h
def f(x): return x * h.C().k()
""",
        "1",
        "1",
        other=("class C:\n  z = 2\n  def k(self): return self.z\n", "class C:\n  z = 200\n  def k(self): return self.z\n"),
    ),
}

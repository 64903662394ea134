"""Programs that find another process around them when they are loaded than when they were compiled."""

from __future__ import annotations

from edits import ALLOWED, Edit

TWIN = "\n\n\n\nSCALE = 100.0\ndef scaled(x): return x * SCALE\n"  # on the lines of its twin

EDITS = {
    "result assumed constant": Edit(
        """
K = @@
@torch._dynamo.assume_constant_result
def get(): return K
def f(x): return x * get()
""",
        "2.0",
        "200.0",
    ),
    "environment variable": Edit(
        """
os.environ["ZZ"] = "@@"
def f(x): return x * float(os.environ["ZZ"])
""",
        "2.0",
        "200.0",
    ),
    "environment variable, through getenv": Edit(
        """
os.environ["ZZ"] = "@@"
def f(x): return x * float(os.getenv("ZZ"))
""",
        "2.0",
        "200.0",
    ),
    "rank in a process group": Edit(
        """
import torch.distributed as dist
import torch.testing._internal.distributed.fake_pg as fpg
dist.init_process_group("fake", store=fpg.FakeStore(), rank=@@, world_size=4)
done = dist.destroy_process_group
def f(x): return x * (dist.get_rank() + 1)
""",
        "0",
        "3",
    ),
    "process group": Edit(
        """
import torch.distributed as dist
import torch.testing._internal.distributed.fake_pg as fpg
@@
def f(x): return x * 2 if dist.is_initialized() else x + 1
def done(): dist.is_initialized() and dist.destroy_process_group()
""",
        "dist.is_initialized() or dist.init_process_group('fake', store=fpg.FakeStore(), rank=0, world_size=4)",
        "dist.is_initialized() and dist.destroy_process_group()",
    ),
    "thread count that is read": Edit(
        """
torch.set_num_threads(@@)
def done(): torch.set_num_threads(1)
def f(x): return x * torch.get_num_threads()
""",
        "1",
        "2",
    ),
    "attribute of sys": Edit(
        """
import sys
sys.zzflag = @@
def f(x): return x * sys.zzflag
""",
        "2",
        "200",
    ),
    "attribute of math": Edit(
        """
import math
math.zz = @@
def f(x): return x * math.zz
""",
        "2",
        "200",
    ),
    "level of a logger": Edit(
        """
import logging
log = logging.getLogger("zz"); log.setLevel(@@)
def f(x): return x * (200 if log.level == 10 else 2)
""",
        "20",
        "10",
    ),
    "setting of a torch backend": Edit(
        """
torch.backends.mkldnn.enabled = @@
def done(): torch.backends.mkldnn.enabled = True
def f(x): return x * (2 if torch.backends.mkldnn.enabled else 200)
""",
        "True",
        "False",
    ),
    "attribute in place of a default": Edit(
        """
class A: pass
a = A()
@@
def f(x): return x * getattr(a, "k", 2.0)
""",
        "pass",
        "a.k = 200.0",
    ),
    "attribute of a tensor": Edit(
        """
def args():
    x = torch.arange(6.).reshape(2,3); x.k = @@; return (x,)
def f(x): return x * x.k
""",
        "2.0",
        "200.0",
    ),
    "order of a ModuleDict": Edit(
        """
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.m = nn.ModuleDict({@@})
    def forward(self, x):
        for k, v in self.m.items(): x = v(x)
        return x
class L(nn.Module):
    def __init__(self, k): super().__init__(); self.k = k
    def forward(self, x): return x * 2 + self.k
def make(): return A()
""",
        "'a': L(2.0), 'b': L(3.0)",
        "'b': L(3.0), 'a': L(2.0)",
    ),
    "class of a submodule": Edit(
        """
class A(nn.Module):
    def forward(self, x): return x * 2
class B(nn.Module):
    def forward(self, x): return x * 200
def make(): return nn.Sequential(@@())
""",
        "A",
        "B",
    ),
    "number of submodules": Edit(
        """
class A(nn.Module):
    def forward(self, x): return x * 2
def make(): return nn.Sequential(*[A() for _ in range(@@)])
""",
        "2",
        "3",
    ),
    "forward of an instance": Edit(
        """
class A(nn.Module):
    def forward(self, x): return x * 2
def make():
    m = nn.Sequential(A())
    @@
    return m
""",
        "pass",
        "m[0].forward = lambda x: x * 200",
    ),
    "forward hook of a submodule": Edit(
        """
def make():
    torch.manual_seed(0)
    m = nn.Sequential(nn.Linear(3,3), nn.ReLU())
    @@
    return m
""",
        "pass",
        "m[0].register_forward_hook(lambda m, a, o: o * 200)",
    ),
    "forward pre-hook of a submodule": Edit(
        """
def make():
    torch.manual_seed(0)
    m = nn.Sequential(nn.Linear(3,3), nn.ReLU())
    @@
    return m
""",
        "pass",
        "m[0].register_forward_pre_hook(lambda m, a: (a[0] * 200,))",
    ),
    "forward hook of a container": Edit(
        """
def make():
    torch.manual_seed(0)
    m = nn.Sequential(nn.Linear(3,3), nn.ReLU())
    @@
    return m
""",
        "pass",
        "m.register_forward_hook(lambda m, a, o: o * 200)",
    ),
    "forward hook of the target": Edit(
        """
class M(nn.Module):
    def __init__(self):
        super().__init__(); self.l = nn.Linear(3,3)
    def forward(self, x): return self.l(x)
def make():
    torch.manual_seed(0)
    m = M()
    @@
    return m
""",
        "pass",
        "m.register_forward_hook(lambda m, a, o: o * 200)",
    ),
    "global forward hook": Edit(
        """
def make():
    torch.manual_seed(0)
    m = nn.Sequential(nn.Linear(3,3), nn.ReLU())
    @@
    return m
""",
        "pass",
        "globals().update(done=nn.modules.module.register_module_forward_hook(lambda m, a, o: o * 200).remove)",
    ),
    "buffers that are one": Edit(
        """
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.BatchNorm1d(3); self.b = nn.BatchNorm1d(3)
        @@
    def forward(self, x): return self.b(self.a(x)) + self.a.running_mean * 10 + self.b.running_mean
def make(): return A()
""",
        "pass",
        "self.b.running_mean = self.a.running_mean",
    ),
    "replaced forward of a torch module": Edit(
        """
def other(self, x): return x * 200
class B(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.ReLU()
    def forward(self, x): return self.a(x)
def make(): return B()
plain = nn.ReLU.forward
def done(): nn.ReLU.forward = plain
@@
""",
        "pass",
        "nn.ReLU.forward = other",
    ),
    "order of a set": Edit(
        """
W = {"a": 2.0, "b": 3.0, "c": 5.0, "d": 7.0}
S = {"a", "b", "c", "d"}
def f(x):
    for k in S: x = x * 2 + W[k]
    return x
""",
        "2",
        "3",
    ),
    "order of a set in a union": Edit(
        """
W = {"a": 2.0, "b": 3.0, "c": 5.0, "d": 7.0}
S = {"a", "b", "c", "d"}
def f(x):
    found = set()
    found |= S
    for k in found: x = x * 2 + W[k]
    return x
""",
        "2",
        "3",
    ),
    "item popped from a set": Edit(
        """
W = {"a": 2.0, "b": 3.0, "c": 5.0, "d": 7.0}
def f(x):
    found = set(["a", "b", "c", "d"])
    return x * W[found.pop()] + W[found.pop()]
""",
        "2",
        "3",
    ),
    "order of a literal set": Edit(
        """
W = {"a": 2.0, "b": 3.0, "c": 5.0, "d": 7.0}
def f(x):
    for k in {"a", "b", "c", "d"}: x = x * 2 + W[k]
    return x
""",
        "2",
        "3",
    ),
    "order of a frozenset": Edit(
        """
W = {"a": 2.0, "b": 3.0, "c": 5.0, "d": 7.0}
S = frozenset(W)
def f(x, s=S):
    for k in s: x = x * 2 + W[k]
    return x
""",
        "2",
        "3",
    ),
    "target over other globals": Edit(
        """
import sys
K = 2.0
def f(x): return x * K
if __file__.split('/')[-2] == 'after':
    ns = {"__name__": __name__, "K": 200.0}
    exec(compile("def f(x): return x * K", __file__, "exec"), ns)
    def make(): return ns["f"]
""",
        "s",
        "s",
    ),
    "disabled function": Edit(
        """
@torch.compiler.disable
def h(x): return x * @@
def f(x): return h(x) + 1
""",
        "2.0",
        "200.0",
    ),
    "function of equal text over other globals": Edit(
        """
SCALE = 1.0
def scaled(x): return x * SCALE
import OTHER as other
def f(x, g): return g(x)
def args(): return torch.arange(6.0).reshape(2, 3), @@
""",
        "scaled",
        "other.scaled",
        other=(TWIN, TWIN),
    ),
    "function of equal text over other globals, through a table": Edit(
        """
SCALE = 1.0
def scaled(x): return x * SCALE
import OTHER as other
TABLE = {"scaled": @@}
def f(x): return TABLE["scaled"](x)
""",
        "scaled",
        "other.scaled",
        other=(TWIN, TWIN),
    ),
    "what a function that was not allowed to answer answers": Edit(
        """
import torch.distributed as dist
@@
def g(x):
    try:
        return x * (dist.get_world_size() + 4)
    except ValueError:
        return x * 2
def done(): dist.is_initialized() and dist.destroy_process_group()
"""
        + ALLOWED,
        "",
        "dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)",
    ),
}

"""Which edits of a module change what importing it does, as far as a function that runs meanwhile can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldframe.torch.fingerprint import import_effects

PROGRAM = '''"""A module."""
import abc
import functools

import torch
from elsewhere import Foreign, hook

class Kind(abc.ABC):
    pass

class Hooked:
    def __init_subclass__(cls):
        Kind.register(cls)

class Maker(type):
    pass

@functools.lru_cache
def cached(x):
    """Docs."""
    return x

class Hooking(Hooked):
    pass

def register(x):
    """Docs."""
    helper(x)

def helper(x):
    cached(x + 1)

register(Foreign)
'''

HARMLESS = [
    "class Other: pass",
    "class Other(torch.nn.Module):\n    def forward(self, x):\n        return x",
    "class Other(Kind):\n    @abc.abstractmethod\n    def a(self): ...",
    "class Other(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): return x",
    "class Other:\n    @property\n    def a(self): ...\n    @a.setter\n    def a(self, value): ...",
    "import dataclasses\n@dataclasses.dataclass\nclass Other:\n    a: list = dataclasses.field(default_factory=list)",
    "import typing\nclass Other(typing.Generic[T]): ...",
    "@functools.lru_cache(maxsize=None)\ndef other(x): return x",
    "@torch.no_grad()\ndef other(x): return x",
    "from torch import compile\n@compile\ndef other(x): return x",
    "import logging\nlogger = logging.getLogger(__name__)",
    "bound = functools.partial(cached, 1)",
    "numbers = list(range(3))",
    "import typing\nif typing.TYPE_CHECKING:\n    import elsewhere.more",
    "if __name__ == '__main__':\n    cached(1)",
    "'A text.'",
    "print('loading', torch.__version__)",
    "VERSION = (1, 2)\nprint('loading', VERSION)",
    "import os\nROOT = os.path.dirname(os.path.abspath(__file__))",
    "from pathlib import Path\nROOT = Path(__file__).resolve().parent / 'data'",
    "import time\nRUN = time.strftime('%Y%m%d-%H%M%S')",
    "import uuid\nRUN = uuid.uuid4().hex",
    "DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'",
    "torch.manual_seed(42)",
    "import logging\nlogging.basicConfig(level=logging.INFO)",
    "import warnings\nwarnings.filterwarnings('ignore')",
]
ACTS = [
    "Kind.register(int)",
    "class Other(Hooked): pass",
    "class Deep(Hooked): pass\nclass Other(Deep): pass",
    "class Other(Foreign): pass",
    "class Other(metaclass=Maker): pass",
    "class Other:\n    a = hook()",
    "class Other:\n    a: hook() = 1",
    "class Other:\n    class Inner:\n        Kind.register(int)",
    "@hook\ndef other(x): return x",
    "@functools.partial(hook, 1)\ndef other(x): return x",
    "@functools.lru_cache(hook())\ndef other(x): return x",
    "@cached.register\ndef other(x): return x",
    "def other(x=hook()): return x",
    "def other(x: hook()): return x",
    "all = list(map(Kind.register, [int]))",
    "all = functools.reduce(hook, [1])",
    "all = [hook(each) for each in (1, 2)]",
    "def list(x): return hook(x)\nall = list(1)",
    "import elsewhere.more",
    "print(hook())",
    "import json\nall = json.loads('{}', object_hook=hook)",
    "import json\nall = json.loads('{}', object_hook=lambda each: Kind.register(int))",
    "import json\ncalled = hook\nall = json.loads('{}', object_hook=called)",
    "import json\nfrom .beside import other\nall = json.loads('{}', object_hook=other)",
    "import json\nfirst = second\nsecond = first\nall = json.loads('{}', object_hook=first)",
    "import logging\nlogging.setLoggerClass(Other)\nclass Other: pass",
    "torch.set_default_dtype(torch.float64)",
    "import collections.abc\nall = collections.abc.Mapping.register(int)",
    "torch.nn.modules.module.register_module_forward_hook(hook)",
    "cached.limit = 2",
    "@registry.setter\ndef other(x): return x",
    "import typing\nif typing.TYPE_CHECKING:\n    pass\nelse:\n    Kind.register(int)",
    "if __name__ != '__main__':\n    Kind.register(int)",
    "for each in (1, 2):\n    Kind.register(each)",
]
CHANGES = [
    ("@functools.lru_cache\n", ""),
    ("(abc.ABC)", ""),
    ("register(Foreign)", "register(2)"),
    ("helper(x)\n\n", "helper(2)\n\n"),
    ("x + 1", "x + 2"),  # of what is called by what is called
    ("Kind.register(cls)", "pass"),
]


OPERATORS = """
import torch
from torch.library import Library, custom_op
BACKWARDS = [lambda ctx, g: g]
library = Library("own", "DEF")
library.define("a(Tensor x) -> Tensor")
library.impl("a", torch.sin, "CompositeImplicitAutograd")

@custom_op("own::b", mutates_args=())
def b(x: torch.Tensor) -> torch.Tensor:
    return x.clone()

@b.register_fake
def _(x):
    return x.clone()

b.register_autograd(BACKWARDS[0])
"""
OTHER_OPERATORS = [
    "@custom_op('own::c', mutates_args=())\ndef c(x: torch.Tensor) -> torch.Tensor: ...\n"
    "@c.register_fake\ndef _(x): ...\nc.register_autograd(lambda ctx, g: g)",
    "library.define('c(Tensor x) -> Tensor')\nlibrary.impl('c', torch.cos, 'CompositeImplicitAutograd')",
    "torch.library.define('other::c', '(Tensor x) -> Tensor')\n@torch.library.impl('other::c', 'CPU')\ndef c(x): ...",
    "@torch.library.register_fake('other::c')\ndef _(x): ...",
]
SAME_OPERATORS = [
    "@torch.library.register_fake('own::b')\ndef _(x): ...",
    "@b.register_fake\ndef _(x): ...",
    "b.register_autograd(lambda ctx, g: g * 2)",
    "library.impl('a', torch.cos, 'Autograd')",
    "library.impl('a.out', torch.cos, 'Autograd')",
    "torch.library.impl('own::a', 'Autograd', torch.cos)",
    "torch.library.impl('aten::sin', 'Autograd', torch.cos)",
    "Library('aten', 'IMPL').impl('sin', torch.cos, 'Autograd')",
    "torch.library.impl('own::' + 'a', 'Autograd', torch.cos)",
    "for name in 'a':\n    library.impl(name, torch.cos, 'Autograd')",
    "library = Library('aten', 'IMPL')\nlibrary.impl('sin', torch.cos, 'Autograd')",
    "BACKWARDS.reverse()",
    "BACKWARDS = []",
    "torch.library.define('other::c', hook())",
    "@hook\n@custom_op('own::c', mutates_args=())\ndef c(x: torch.Tensor) -> torch.Tensor: ...",
]


def digests(folder: Path, text: str) -> frozenset[bytes]:
    path = folder / f"module{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    return import_effects.digests(str(path))


@pytest.mark.parametrize("added", HARMLESS)
def test_what_only_defines_may_come_beside_the_others(tmp_path: Path, added: str) -> None:
    before = digests(tmp_path, PROGRAM)
    assert before
    assert before <= digests(tmp_path, f"{PROGRAM}\n{added}\n")


@pytest.mark.parametrize("added", ACTS)
def test_what_may_do_more_counts(tmp_path: Path, added: str) -> None:
    assert not digests(tmp_path, PROGRAM) <= digests(tmp_path, f"{PROGRAM}\n{added}\n")


@pytest.mark.parametrize("added", OTHER_OPERATORS)
def test_another_operator_may_come_beside_the_others(tmp_path: Path, added: str) -> None:
    assert digests(tmp_path, OPERATORS) <= digests(tmp_path, f"{OPERATORS}\n{added}\n")


@pytest.mark.parametrize("added", SAME_OPERATORS)
def test_what_is_done_to_the_same_operator_counts(tmp_path: Path, added: str) -> None:
    assert not digests(tmp_path, OPERATORS) <= digests(tmp_path, f"{OPERATORS}\n{added}\n")


def test_what_changes_between_acts_on_an_operator_counts(tmp_path: Path) -> None:
    last = "b.register_autograd(BACKWARDS[0])\n"
    before, after = (OPERATORS.replace(last, text) for text in (f"BACKWARDS.reverse()\n{last}", f"{last}BACKWARDS.reverse()\n"))
    assert not digests(tmp_path, before) <= digests(tmp_path, after)


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_what_is_done_otherwise_counts(tmp_path: Path, old: str, new: str) -> None:
    assert PROGRAM.count(old)
    assert not digests(tmp_path, PROGRAM) <= digests(tmp_path, PROGRAM.replace(old, new))


@pytest.mark.parametrize(
    "text", [PROGRAM.replace("Docs.", "Other docs."), f"# A comment.\n{PROGRAM}", f"import math\n{PROGRAM}"]
)
def test_comments_docstrings_and_imports_of_python_do_nothing(tmp_path: Path, text: str) -> None:
    assert text != PROGRAM
    assert digests(tmp_path, text) == digests(tmp_path, PROGRAM)


def test_a_docstring_counts_where_the_module_reads_docstrings(tmp_path: Path) -> None:
    text = PROGRAM.replace("helper(x)\n\n", "helper(register.__doc__)\n\n")
    assert not digests(tmp_path, text) <= digests(tmp_path, text.replace("Docs.", "Other docs."))


def test_a_file_that_is_no_module_has_no_digest(tmp_path: Path) -> None:
    assert not digests(tmp_path, "def (")
    assert not import_effects.digests(str(tmp_path / "missing.py"))
    assert not import_effects.digests(None)

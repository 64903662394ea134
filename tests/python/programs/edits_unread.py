"""Further members of enums, fields of dataclasses, properties and texts of objects: programs that use them, and that do not."""

from __future__ import annotations

from edits import ALLOWED, Edit

_ENUM = """
class Kind(enum.Enum):
    A = 1
    B = 2
    @@
"""
_DATACLASS = """
@dataclasses.dataclass
class Config:
    a: float = 2.0
    @@
config = Config()
"""
_PLAIN = """
class Config:
    a = 2.0
    @@
config = Config()
"""
_MEMBER = ("", "C = 3")
_FIELD = ("", "b: int = 3")
_PROPERTY = ("", "@property\n    def b(self): return 5.0")
_STR = ("", "def __str__(self): return 'abc'")
_REPR = ("", "def __repr__(self): return 'abc'")

_USED = {
    "length of an enum": (_ENUM + "def f(x): return x * len(Kind) if Kind.A is Kind.A else x", _MEMBER),
    "enum gone through": (_ENUM + "def f(x): return x * sum([kind.value for kind in Kind])", _MEMBER),
    "enum of a member gone through": (_ENUM + "k = Kind.A\ndef f(x): return x * len([kind for kind in type(k)])", _MEMBER),
    "table of members of an enum": (_ENUM + "def f(x): return x * len(Kind.__members__)", _MEMBER),
    "enum in a tuple": (_ENUM + "KINDS = (Kind,)\ndef f(x): return x * len(KINDS[0]) if Kind.A is Kind.A else x", _MEMBER),
    "enum given on": (_ENUM + "def g(k): return len(k)\ndef f(x): return x * g(Kind) if Kind.A is Kind.A else x", _MEMBER),
    "enum of a member, by its class": (_ENUM + "k = Kind.A\ndef f(x): return x * len(k.__class__)", _MEMBER),
    "enum in its own method": (_ENUM + "    def n(self): return len(self.__class__)\ndef f(x): return x * Kind.A.n()", _MEMBER),
    "enum of a function that runs": (_ENUM + "def g(x): return x * len(Kind) if Kind.A is Kind.A else x" + ALLOWED, _MEMBER),
    "type of the value of a member": (
        _ENUM.replace("2", "@@").replace("    @@\n", "")
        + "k = Kind.B\ndef f(x): return x * (2 if type(k.value) is int else 3)",
        ("2", "2.0"),
    ),
    "fields of a dataclass": (
        _DATACLASS + "ask = dataclasses.fields\ndef f(x): return x * len(ask(config)) * config.a",
        _FIELD,
    ),
    "dataclass as a dict": (_DATACLASS + "def f(x): return x * len(vars(config)) * config.a", _FIELD),
    "dataclass made": (_DATACLASS + "def f(x): return x * getattr(Config(), 'b', 1)", _FIELD),
    "dataclass compared": (
        _DATACLASS + "other = Config()\nother.b = 7\ndef f(x): return x * (2 if config == other else 3)",
        _FIELD,
    ),
    "text of a dataclass": (_DATACLASS + "def f(x): return x * len(str(config))", _FIELD),
    "property read": (_PLAIN + "config.__dict__['b'] = 3.0\ndef f(x): return x * config.b", _PROPERTY),
    "property asked for": (_PLAIN + "def f(x): return x * (2 if hasattr(config, 'b') else 3)", _PROPERTY),
    "text that a class has": (_PLAIN + "def f(x): return x * (2 if Config.__repr__ is object.__repr__ else 3)", _REPR),
    "text in a function that runs": (
        _PLAIN + "def g(x): return x * len(str(config)[:3] == 'abc' and 'abcd' or 'a')" + ALLOWED,
        _STR,
    ),
}
_UNUSED = {
    "member of an enum": (_ENUM + "k = Kind.A\ndef f(x): return x * 2 if k is Kind.A else x * Kind.B.value", _MEMBER),
    "member of an enum of lists": (
        _ENUM.replace("= 1", "= [1]") + "def f(x): return x * 2 if Kind.A is Kind.A else x",
        _MEMBER,
    ),
    "text of a member of an enum": (_ENUM + "def f(x): return x * Kind.B.value", _STR),
    "member of an enum that is never loaded": (_ENUM + "k = Kind.A\ndef f(x): return x * k.value", _MEMBER),
    "field of a dataclass": (_DATACLASS + "def f(x): return x * config.a", _FIELD),
    "field that is made": (
        _DATACLASS + "def f(x): return x * config.a",
        ("", "b: list = dataclasses.field(default_factory=list)"),
    ),
    "what is done after a dataclass is made": (
        _DATACLASS + "def f(x): return x * config.a",
        ("", "def __post_init__(self): pass"),
    ),
    "property of a dataclass": (_DATACLASS + "def f(x): return x * config.a", _PROPERTY),
    "property": (_PLAIN + "def f(x): return x * config.a", _PROPERTY),
    "text": (_PLAIN + "def f(x): return x * config.a", _STR),
    "text of a module": ("class M(nn.Module):\n    @@\n    def forward(self, x): return x * 2\ndef make(): return M()", _REPR),
}
EDITS = {name: Edit(text, *edit) for name, (text, edit) in _USED.items()}
UNCHANGED = {name: Edit(text, *edit) for name, (text, edit) in _UNUSED.items()}

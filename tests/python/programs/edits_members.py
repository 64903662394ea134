"""Edits of what code that is not traced comes to by more than a name: members of classes that are no functions, objects with
slots or derived from builtins, which objects are the same one, what is kept beside a function.

As in edits.py.
"""

from __future__ import annotations

from edits import Edit, executed

_V = "class V:\n    def __init__(self, v): self.v = v\n"
_DESCRIPTOR = _V.replace("V:", "D:") + "    def __get__(self, obj, owner=None): return self.v\n"
_CALLABLE = _V.replace("V:", "A:") + "    def __call__(self, *rest): return self.v\n"
_SLOTS = "class S:\n    __slots__ = ('v',)\n    def __init__(self, v): self.v = v\n"
_GETATTR = "class G:\n    def __init__(self, v): self.v = v\n    def __getattr__(self, name): raise RuntimeError(name)\n"

# By name: what stands before `g`, and what `g` multiplies by. The gap is 2, and then 3.
_MEMBERS = {
    "descriptor": (_DESCRIPTOR + "class C:\n    p = D(@@)", "C().p"),
    "descriptor of a base": (_DESCRIPTOR + "class B:\n    p = D(@@)\nclass C(B): pass", "C().p"),
    "callable object": (_CALLABLE + "class C:\n    p = A(@@)", "C().p()"),
    "callable object as a special method": (_CALLABLE + "class C:\n    __len__ = A(@@)", "len(C())"),
    "callable object as __call__": (_CALLABLE + "class C:\n    __call__ = A(@@)", "C()()"),
    "callable object in a property": (_CALLABLE + "class C:\n    p = property(A(@@))", "C().p"),
    "callable object in a static method": (_CALLABLE + "class C:\n    p = staticmethod(A(@@))", "C.p()"),
    "callable object in a partial method": (_CALLABLE + "class C:\n    p = functools.partialmethod(A(@@))", "C().p()"),
    "callable object of a metaclass": (
        _CALLABLE + "class T(type):\n    __getitem__ = A(@@)\nclass C(metaclass=T): pass",
        "C[0]",
    ),
    "callable object for the items of a class": (_CALLABLE + "class C:\n    __class_getitem__ = A(@@)", "C[0]"),
    "partial in a class": ("def k(v): return v\nclass C:\n    p = functools.partial(k, @@)", "C.p()"),
    "property made by a factory": (
        "def made(v):\n    return property(lambda self: v)\nclass C:\n    p = made(@@)",
        "C().p",
    ),
    "object as the value of an enum": (_V + "class E(enum.Enum):\n    A = V(@@)", "E.A.value.v"),
    "object in the value of an enum": (_V + "class E(enum.Enum):\n    A = (1, V(@@))", "E.A.value[1].v"),
    "object as an attribute of an enum's member": (
        _V + "class E(enum.Enum):\n    A = 1\n    def __init__(self, n): self.o = V(@@)",
        "E.A.o.v",
    ),
    "object as a default of a named tuple": (
        _V + "N = collections.namedtuple('N', 'a', defaults=[V(@@)])",
        "N().a.v",
    ),
    "object as a default of a typed named tuple": (
        _V + "class N(typing.NamedTuple):\n    a: object = V(@@)",
        "N().a.v",
    ),
    "object as a default of a dataclass": (
        _V + "v = V(@@)\n@dataclasses.dataclass\nclass N:\n    a: object = dataclasses.field(default_factory=lambda: v)",
        "N().a.v",
    ),
    "metadata of a field": (
        "@dataclasses.dataclass\nclass N:\n    a: int = dataclasses.field(default=1, metadata={'m': @@})",
        "dataclasses.fields(N)[0].metadata['m']",
    ),
    "metadata of a field that a table holds": (
        "@dataclasses.dataclass\nclass N:\n    a: int = dataclasses.field(default=1, metadata={'m': @@})\n"
        "T = [dataclasses.fields(N)[0]]",
        "T[0].metadata['m']",
    ),
    "object in the metadata of a field": (
        _V + "@dataclasses.dataclass\nclass N:\n    a: int = dataclasses.field(default=1, metadata={'m': V(@@)})",
        "dataclasses.fields(N)[0].metadata['m'].v",
    ),
    "name that a class is given": ("class C: pass\nC.__name__ = 'c' * @@", "len(C.__name__)"),
    "name that a function is given": ("def k(): pass\nk.__name__ = 'c' * @@", "len(k.__name__)"),
    "qualified name that a function is given": (
        "def made():\n    def k(): pass\n    k.__qualname__ = 'c' * @@\n    return k\nk = made()",
        "len(k.__qualname__)",
    ),
    "documentation that a class is given": ("class C: pass\nC.__doc__ = 'c' * @@", "len(C.__doc__)"),
    "hash of an object": ("class C:\n    def __hash__(self): return @@\nc = C()", "hash(c)"),
    "bound of a type variable": (
        "T = typing.TypeVar('T', bound=typing.Literal[@@])",
        "typing.get_args(T.__bound__)[0]",
    ),
    "constraint of a type variable": (
        "T = typing.TypeVar('T', typing.Literal[@@], str)",
        "typing.get_args(T.__constraints__[0])[0]",
    ),
    "type behind a new one": (
        "T = typing.NewType('T', typing.Literal[@@])",
        "typing.get_args(T.__supertype__)[0]",
    ),
    "annotation given as a text": (
        "K = typing.Literal[@@]\nclass C:\n    a: 'K'",
        "typing.get_args(typing.get_type_hints(C)['a'])[0]",
    ),
    "annotation of a function given as a text": (
        "K = typing.Literal[@@]\ndef k(a: 'K'): pass",
        "typing.get_args(typing.get_type_hints(k)['a'])[0]",
    ),
    "name within an annotation given as a text": (
        "import types\nn = types.SimpleNamespace(K=typing.Literal[@@])\ndef k(a: 'n.K'): pass",
        "typing.get_args(typing.get_type_hints(k)['a'])[0]",
    ),
    "annotation of a class in a table given as a text": (
        "K = typing.Literal[@@]\nclass C:\n    a: 'K'\nT = [C]",
        "typing.get_args(typing.get_type_hints(T[0])['a'])[0]",
    ),
    "default of a parameter that shows another text": (
        _V + "    def __repr__(self): return 'V'\nimport inspect\nP = inspect.Parameter('a', 1, default=V(@@))",
        "P.default.v",
    ),
    "module that a function is given": ("def k(): pass\nk.__module__ = 'c' * @@", "len(k.__module__)"),
    "qualified name that a class is given": ("class C: pass\nC.__qualname__ = 'c' * @@", "len(C.__qualname__)"),
    "attribute of a base that is asked for": ("class B:\n    v = @@\nclass C(B): pass", "C.__bases__[0].v"),
    "order of a class's members": (
        "class C: pass\nfor n in 'pq' if @@ == 2 else 'qp': setattr(C, n, ord(n))",
        "[v for n, v in C.__dict__.items() if len(n) == 1][0]",
    ),
    "documentation of a property": (
        "class C:\n    v = property(lambda self: 1, doc='a' * @@)\nT = [C.v]",
        "len(T[0].__doc__)",
    ),
    "type of a field": (
        "@dataclasses.dataclass\nclass N:\n    a: typing.Literal[@@] = 1\nT = [dataclasses.fields(N)[0]]",
        "typing.get_args(T[0].type)[0]",
    ),
    "class as a key": ("class C:\n    v = @@\nT = {C: 1}", "next(iter(T)).v"),
    "class in a key": ("class C:\n    v = @@\nT = {(C, 1): 1}", "next(iter(T))[0].v"),
    "function as a key": ("def k(): pass\nk.v = @@\nT = {k: 1}", "next(iter(T)).v"),
    "signature of an object": (
        "import inspect\ndef k(a): pass\nk.__signature__ = inspect.Signature([inspect.Parameter('a' * n, 1)"
        " for n in range(1, @@)])",
        "len(inspect.signature(k).parameters)",
    ),
}
_OBJECTS = {
    "with slots": (_SLOTS + "s = S(@@)", "s.v"),
    "with slots and a subclass": (_SLOTS + "class U(S): pass\ns = U(@@)\ns.w = 1", "s.v"),
    "with slots, in a table": (_SLOTS + "T = {'a': [S(@@)]}", "T['a'][0].v"),
    "with slots, of a dataclass": (
        "@dataclasses.dataclass(slots=True, frozen=True)\nclass S:\n    v: int\ns = S(@@)",
        "s.v",
    ),
    "derived from int": ("class I(int): pass\ni = I(@@)", "int(i)"),
    "derived from float, with an attribute": ("class I(float): pass\ni = I(1)\ni.v = @@", "i.v"),
    "derived from str": ("class I(str): pass\ni = I('a' * @@)", "len(i)"),
    "derived from dict": ("class I(dict): pass\ni = I(a=@@)", "i['a']"),
    "derived from dict, with an attribute": ("class I(dict): pass\ni = I(a=1)\ni.v = @@", "i.v"),
    "derived from a list": ("class I(list): pass\ni = I([@@])", "i[0]"),
    "derived from a tuple": ("class I(tuple): pass\ni = I([@@])", "i[0]"),
    "derived from a default dict": (
        "class I(collections.defaultdict): pass\ni = I(lambda: @@)",
        "i.default_factory()",
    ),
    "of a named tuple": ("N = collections.namedtuple('N', 'a')\nn = N(@@)", "n.a"),
    "of a named tuple in a table": ("N = collections.namedtuple('N', 'a')\nT = [N([@@])]", "T[0].a[0]"),
    "with __getattr__ that raises": (_GETATTR + "o = G(@@)", "o.v"),
    "with __getattr__ that raises, in a table": (_GETATTR + "T = [G(@@)]", "T[0].v"),
    "with a property named as of a protocol": (
        "class C:\n    def __init__(self, v): self.v = v\n    @property\n    def _is_protocol(self): raise OSError\no = C(@@)",
        "o.v",
    ),
    "order of attributes": (
        "class C: pass\no = C()\nfor n in ('ab' if @@ == 2 else 'ba'): setattr(o, n, ord(n))",
        "list(o.__dict__.values())[0]",
    ),
    "cause of an error": ("e = ValueError(1)\ne.__cause__ = KeyError(@@)", "e.__cause__.args[0]"),
    "a namespace": ("import types\no = types.SimpleNamespace(v=@@)", "o.v"),
    "a namespace, in a class": ("import types\nclass C:\n    o = types.SimpleNamespace(v=@@)", "C.o.v"),
    "a partial with an attribute": ("def k(): pass\np = functools.partial(k)\np.v = @@", "p.v"),
    "a cached function with an attribute": ("@functools.lru_cache\ndef k(): pass\nk.v = @@", "k.v"),
    "a cached function with an attribute, in a table": (
        "@functools.lru_cache\ndef k(): pass\nk.v = @@\nT = [k]",
        "T[0].v",
    ),
    "an operator's library with an attribute": (
        "lib = torch.library.Library('edited_members', 'FRAGMENT')\nlib.v = @@\ndef done(): lib._destroy()",
        "lib.v",
    ),
    "an array's value in a table": ("import array\nT = [array.array('i', [@@])]", "T[0][0]"),
    "bytes that can be written": ("b = bytearray([@@])", "b[0]"),
    "an attribute that a format names": (_V + "F = '{0.v}'\no = V(@@)", "int(F.format(o))"),
    "an attribute of a class that a format names": ("F = '{0.v}'\nclass C:\n    v = @@", "int(F.format(C))"),
}
_SAME = {
    **{
        name: (f"import types\ndef made(): return {made}\na = made()\nb = @@", "(2 if a is b else 3)", "a", "made()")
        for name, made in {
            "tuples": "tuple([1, 2])",
            "texts": "''.join('a b')",
            "numbers": "float('1.5')",
            "frozen sets": "frozenset([1, 2])",
            "bytes that can be written": "bytearray(2)",
            "namespaces": "types.SimpleNamespace()",
            "errors": "ValueError(1)",
            "bound methods": "[].append",
        }.items()
    },
    "items of a set": (_V + "a = V(1)\nT = {a}\nb = @@", "(2 if b in T else 3)", "a", "V(1)"),
    "tuples of a table": ("a = tuple([1])\nT = {'q': [a, @@]}", "(2 if T['q'][0] is T['q'][1] else 3)", "a", "tuple([1])"),
    "lists of a table": ("a = [1]\nT = [a, @@]", "(2 if T[0] is T[1] else 3)", "a", "[1]"),
    "lists of two tables": ("a = [1]\nT = [a]\nU = [@@]", "(2 if T[0] is U[0] else 3)", "a", "[1]"),
    "objects of a table": (_V + "a = V(1)\nT = [a, @@]", "(2 if T[0] is T[1] else 3)", "a", "V(1)"),
    "attributes of an object": (
        _V + "a = [1]\no = V(a)\no.w = @@",
        "(2 if o.v is o.w else 3)",
        "a",
        "[1]",
    ),
    "members of a class": ("a = [1]\nclass C:\n    v = a\n    w = @@", "(2 if C.v is C.w else 3)", "a", "[1]"),
    "global and member": ("a = [1]\nclass C:\n    v = @@", "(2 if C.v is a else 3)", "a", "[1]"),
    "default and global": ("a = [1]\ndef k(v=@@): return v is a", "(2 if k() else 3)", "a", "[1]"),
    "closure and global": (
        "a = [1]\ndef made(v):\n    def k(): return v is a\n    return k\nk = made(@@)\nk.__qualname__ = 'k'",
        "(2 if k() else 3)",
        "a",
        "[1]",
    ),
    "arguments of a partial": (
        "a = [1]\ndef k(v, w): return v is w\np = functools.partial(k, a, @@)",
        "(2 if p() else 3)",
        "a",
        "[1]",
    ),
    "objects with slots": (_SLOTS + "a = S([1])\nT = [a.v, @@]", "(2 if T[0] is T[1] else 3)", "a.v", "[1]"),
}
_SET = "{'a', 'b', 'c', 'd', 'e'}"
_TABLE = "table = {'a': 1, 'b': 2, 'c': 3, 'd': 4, 'e': 5}\ndef first(items):\n    for each in items: return table[each]\n"
_HELD = {
    "an object": (_V + f"o = V({_SET})", "first(o.v)"),
    "an object with slots": (_SLOTS + f"o = S({_SET})", "first(o.v)"),
    "a class": (f"class C:\n    v = {_SET}", "first(C.v)"),
    "a table": (f"T = {{'s': {_SET}}}", "first(T['s'])"),
    "a variable": (f"S = {_SET}\ndef k():\n    items = S\n    for each in items: return table[each]", "k()"),
    "what is named as a builtin": (f"S = {_SET}\ndef sorted(items): return items\ndef k(): return first(sorted(S))", "k()"),
    "a table, as a list": (f"T = {{'s': {_SET}}}", "table[list(T['s'])[0]]"),
    "a default": (f"def k(v={_SET}): return first(v)", "k()"),
    "a closure": (f"def made(v):\n    def k(): return first(v)\n    return k\nk = made({_SET})", "k()"),
    "a partial": (f"p = functools.partial(first, {_SET})", "p()"),
    "no one: made of a list": ("L = ['a', 'b', 'c', 'd', 'e']", "first(set(L))"),
    "no one: frozen from a list": ("L = ['a', 'b', 'c', 'd', 'e']", "first(frozenset(L))"),
    "no one: a comprehension": ("L = ['a', 'b', 'c', 'd', 'e']", "first({each for each in L})"),
    "no one: a union": ("L = [frozenset('a'), frozenset('bcde')]", "first(L[0].union(L[1]))"),
    "no one: a display": ("a, b, c, d, e = 'abcde'", "first({a, b, c, d, e})"),
}
WITHOUT_ORDER = {
    f"no order of a set held: {name}": Edit(executed(*texts), "", "")
    for name, texts in {
        "by an object": (_V + f"o = V({_SET})", "(2 if 'a' in o.v else 3)"),
        "by a class": (f"class C:\n    v = {_SET}", "len(C.v)"),
        "by a closure": (
            f"def made(v):\n    def k(a): return 2 if a in v else 3\n    return k\nk = made({_SET})",
            "k('a')",
        ),
        "by a default": (f"def k(a, v={_SET}): return 2 if a in v else 3", "k('a')"),
        "by a table": (f"T = {{'s': {_SET}}}", "(2 if 'a' in T['s'] else 3)"),
        "by no one": ("L = ['a', 'b']", "(len(set(L)) + len(sorted(set(L))) + ('a' in set(L)))"),
    }.items()
}
EDITS = {
    **{f"member: {name}": Edit(executed(*texts), "2", "3") for name, texts in _MEMBERS.items()},
    **{f"object: {name}": Edit(executed(*texts), "2", "3") for name, texts in _OBJECTS.items()},
    **{f"the same: {name}": Edit(executed(text, read), *gap) for name, (text, read, *gap) in _SAME.items()},
    **{f"order of a set held: {name}": Edit(executed(_TABLE + text, read), "", "") for name, (text, read) in _HELD.items()},
    **WITHOUT_ORDER,
}

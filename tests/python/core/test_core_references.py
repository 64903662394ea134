"""Objects by name (ImportRef) and by the call that makes them (Construct)."""

from __future__ import annotations

import _operator
import collections
import enum
import functools
import io
import itertools
import math
import operator
import os
import sys
import textwrap
import types
from typing import Any, NamedTuple

import pytest
from core_support import named

from coldframe import _core, errors
from coldframe._core import Construct, ImportRef

HERE = __name__


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Number(enum.IntEnum):
    ONE = 1


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Lying(Point):
    def __new__(cls, x: int) -> Lying:
        return super().__new__(cls, x, x + 1)


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@decorated
def wrapped(x: int) -> int:
    return x


def plain(x: int) -> int:
    return x


class Owner:
    def method(self) -> None: ...

    def __private(self) -> None: ...

    @classmethod
    def make(cls) -> None: ...

    @staticmethod
    def static() -> None: ...

    @property
    def prop(self) -> int:
        return 1

    class Inner:
        pass


PRIVATE = Owner.__dict__["_Owner__private"]
unnamed = lambda x: x  # noqa: E731


def make_local() -> Any:
    def local() -> int:
        return 1

    return local


from_factory = make_local()


@pytest.mark.parametrize(
    ("value", "module", "qualname"),
    [
        (os, "os", ""),
        (os.path, "posixpath", ""),
        (collections.OrderedDict, "collections", "OrderedDict"),
        (int, "builtins", "int"),
        (len, "builtins", "len"),
        (math.sqrt, "math", "sqrt"),
        (operator.add, "_operator", "add"),
        (_operator.add, "_operator", "add"),
        (str.join, "builtins", "str.join"),
        (object.__init__, "builtins", "object.__init__"),
        (int.real, "builtins", "int.real"),
        (itertools.chain, "itertools", "chain"),
        (functools.partial, "functools", "partial"),
        (type(None), "types", "NoneType"),
        (types.FunctionType, "types", "FunctionType"),
        (types.MethodType, "types", "MethodType"),
        (types.BuiltinFunctionType, "types", "BuiltinFunctionType"),
        (types.CodeType, "types", "CodeType"),
        (types.ModuleType, "types", "ModuleType"),
        (types.GeneratorType, "types", "GeneratorType"),
        (type({}.keys()), "_collections_abc", "dict_keys"),
        (type(iter(())), "_collections_abc", "tuple_iterator"),
        (type(iter(range(1))), "_collections_abc", "range_iterator"),
        (NotImplemented, "builtins", "NotImplemented"),
        (Any, "typing", "Any"),
        (plain, HERE, "plain"),
        (wrapped, HERE, "wrapped"),
        (wrapped.__wrapped__, HERE, "wrapped.__wrapped__"),
        (Owner.method, HERE, "Owner.method"),
        (Owner.static, HERE, "Owner.static"),
        (Owner.Inner, HERE, "Owner.Inner"),
        (Owner.prop.fget, HERE, "Owner.prop.fget"),
        (PRIVATE, HERE, "Owner._Owner__private"),
        (Colour.RED, HERE, "Colour.RED"),
        (Number.ONE, HERE, "Number.ONE"),
        (Access.READ, HERE, "Access.READ"),
    ],
    ids=named,
)
def test_objects_by_name(value: Any, module: str, qualname: str) -> None:
    reference = _core.import_ref(value)
    assert (reference.module, reference.qualname) == (module, qualname)
    assert reference.resolve() is value
    assert _core.portable((value,), resolve=True)[0] is value
    assert _core.portable(value) == reference


@pytest.mark.parametrize(
    ("value", "callee", "args"),
    [
        (Point(1, 2.0), ImportRef(HERE, "Point"), (1, 2.0)),
        (Access.READ | Access.WRITE, ImportRef(HERE, "Access"), (3,)),
        (Owner.make, ImportRef("builtins", "getattr"), (ImportRef(HERE, "Owner"), "make")),
        (dict.fromkeys, ImportRef("builtins", "getattr"), (ImportRef("builtins", "dict"), "fromkeys")),
    ],
    ids=named,
)
def test_objects_by_call(value: Any, callee: ImportRef, args: tuple[Any, ...]) -> None:
    construct = _core.portable(value)
    assert isinstance(construct, Construct)
    assert construct.callee == callee
    assert construct.args == args
    back = _core.portable(value, resolve=True)
    assert type(back) is type(value)
    assert back == value


def test_a_tuple_class_that_its_fields_do_not_make_is_not_portable() -> None:
    with pytest.raises(errors.NotPortableError, match="Lying"):
        _core.encode(Lying(1))


def test_code_of_importable_functions() -> None:
    reference = _core.import_ref(textwrap.dedent.__code__)
    assert reference == ImportRef("textwrap", "dedent.__code__")
    assert reference.resolve() is textwrap.dedent.__code__
    assert _core.import_ref(wrapped.__wrapped__.__code__) == ImportRef(HERE, "wrapped.__wrapped__.__code__")
    if hasattr(plain.__code__, "co_qualname"):  # before CPython 3.11 a code object does not know its class
        assert _core.import_ref(Owner.method.__code__) == ImportRef(HERE, "Owner.method.__code__")


@pytest.mark.parametrize("value", [from_factory, from_factory.__code__, unnamed, unnamed.__code__, make_local()], ids=named)
def test_functions_without_a_name_of_their_own_are_not_portable(value: Any) -> None:
    """A variable that holds such a function may hold another one in the next process."""
    with pytest.raises(errors.NotPortableError):
        _core.import_ref(value)


def test_the_reason_says_why_a_name_does_not_count() -> None:
    with pytest.raises(errors.NotPortableError, match="made inside a function"):
        _core.import_ref(from_factory)
    liar = types.FunctionType(plain.__code__, {}, "plain")
    liar.__module__, liar.__qualname__ = HERE, "plain"
    with pytest.raises(errors.NotPortableError, match="yields another object"):
        _core.import_ref(liar)
    liar.__qualname__ = "nothing_here"
    with pytest.raises(errors.NotPortableError, match="yields nothing"):
        _core.import_ref(liar)
    with pytest.raises(errors.NotPortableError, match="no name"):
        _core.import_ref(io.BytesIO())


def test_finding_a_name_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = types.ModuleType("lazy_module_of_a_test")
    lazy.__getattr__ = lambda name: pytest.fail(f"asked for {name}")  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, lazy.__name__, lazy)
    function = types.FunctionType(plain.__code__, {})
    function.__module__, function.__qualname__ = lazy.__name__, "later"
    before = set(sys.modules)
    with pytest.raises(errors.NotPortableError):
        _core.import_ref(function)
    assert set(sys.modules) == before


def test_resolving_imports_the_module() -> None:
    sys.modules.pop("this_module_does_not_exist", None)
    with pytest.raises(errors.IncompatiblePackageError, match="this_module_does_not_exist") as caught:
        ImportRef("this_module_does_not_exist", "x").resolve()
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(errors.IncompatiblePackageError, match=r"there is no path\.nothing in module os") as caught:
        ImportRef("os", "path.nothing.more").resolve()
    assert isinstance(caught.value.__cause__, AttributeError)
    sys.modules.pop("sndhdr", None)
    assert ImportRef("json.decoder", "JSONDecoder").resolve().__name__ == "JSONDecoder"


@pytest.mark.parametrize(
    ("module", "name"), [("os", "environ"), ("sys", "stdout"), ("sys", "path"), ("logging", "root"), ("math", "pi")]
)
def test_state_of_the_process_has_no_reference(module: str, name: str) -> None:
    with pytest.raises(errors.IncompatiblePackageError, match=rf"{module}\.{name} is a .*, which packages do not refer to"):
        ImportRef(module, name).resolve()


def test_a_module_that_fails_to_import_is_the_cause(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module_of_a_test.py").write_text("raise KeyError('inner')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(errors.IncompatiblePackageError) as caught:
        ImportRef("broken_module_of_a_test").resolve()
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_call_that_fails_is_the_cause() -> None:
    with pytest.raises(errors.IncompatiblePackageError, match=r"torch\.device") as caught:
        Construct(ImportRef("torch", "device"), ("x",)).resolve()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_references_are_values() -> None:
    reference = ImportRef("os", "getcwd")
    construct = Construct(reference, (1, [reference]))
    assert reference == ImportRef("os", "getcwd") != ImportRef("os", "getpid")
    assert construct == Construct(reference, (1, [reference])) != Construct(reference, (1.0, [reference]))
    assert len({reference, ImportRef("os", "getcwd"), construct, Construct(reference, (1, [reference]))}) == 2
    assert reference != "os" and construct != reference
    assert ImportRef("os").qualname == ""
    assert _core.decode(_core.encode([construct]), resolve=False) == [construct]
    assert repr(construct) == "Construct(ImportRef('os', 'getcwd'), (1, [ImportRef('os', 'getcwd')]))"


def test_calls_made_one_by_one_have_a_limit() -> None:
    construct = Construct(ImportRef("builtins", "list"), ())
    with pytest.raises(errors.NotPortableError, match="256 levels"):
        for _ in range(300):
            construct = Construct(ImportRef("builtins", "list"), (construct,))


def test_resolve_replaces_references_at_any_depth() -> None:
    stranger = object()
    value = [(ImportRef("os", "getcwd"), {"p": Construct(ImportRef(HERE, "Point"), (1, 2.0))}), {ImportRef("math")}, stranger]
    assert _core.resolve(value) == [(os.getcwd, {"p": Point(1, 2.0)}), {math}, stranger]
    assert _core.resolve(stranger) is stranger
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(errors.NotPortableError, match="contains itself"):
        _core.resolve(cycle)

"""Code objects: field by field, both ways, for everything that CPython compiles."""

from __future__ import annotations

import gc
import pathlib
import sysconfig
import types
import warnings
import weakref
from typing import Any

import pytest
from core_support import nested_codes

from coldframe import _core, errors
from coldframe._core import CodeObject

FIELDS = [
    name
    for name in dir(types.CodeType)
    if name.startswith("co_") and name not in ("co_consts", "co_lnotab") and not callable(getattr(types.CodeType, name))
]

SOURCE = '''
def outer(a, /, b, *, c=3):
    """Doc."""
    def inner(x):
        return a + x, b"y", 1.5, frozenset({1, 2}) if x in {1, 2} else (..., -0.0)
    try:
        return inner(b)
    except ValueError:
        return c
'''


def compiled(source: str, filename: str = "f.py") -> types.CodeType:
    module = compile(source, filename, "exec", dont_inherit=True)
    return next(code for code in nested_codes(module) if code.co_name == "outer")


def same_constant(left: Any, right: Any) -> bool:
    """By type and repr, which tell NaNs, zeros and numbers of equal value apart; the order of a set is nobody's."""
    if isinstance(left, types.CodeType):
        return isinstance(right, types.CodeType) and same(left, right)
    if type(left) is not type(right):
        return False
    return left == right if type(left) is frozenset else repr(left) == repr(right)


def same(left: types.CodeType, right: types.CodeType) -> bool:
    """Equal in every field."""
    if any(getattr(left, name) != getattr(right, name) for name in FIELDS) or len(left.co_consts) != len(right.co_consts):
        return False
    return all(map(same_constant, left.co_consts, right.co_consts))


def has_nan(constant: Any) -> bool:
    if isinstance(constant, (tuple, frozenset)):
        return any(map(has_nan, constant))
    return isinstance(constant, (float, complex)) and constant != constant


def standard_library() -> list[pathlib.Path]:
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    return [path for path in sorted(root.rglob("*.py")) if "site-packages" not in path.parts]


def test_every_code_object_of_the_standard_library_comes_back() -> None:
    count = 0
    for path in standard_library():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue  # deliberately broken sources among CPython's own tests
        back = _core.portable(code, resolve=True)
        assert back is not code
        assert same(code, back), path
        # CPython compares constants by ==, and no NaN is equal to another.
        assert code == back or any(has_nan(nested.co_consts) for nested in nested_codes(code)), path
        first, second = CodeObject.from_code(code), CodeObject.from_code(back)
        assert first == second
        assert first.digest == second.digest
        assert first.to_code() is code
        count += 1
    assert count > 500


def test_a_code_object_still_runs() -> None:
    namespace: dict[str, Any] = {}
    exec(_core.portable(compile(SOURCE, "f.py", "exec"), resolve=True), namespace)
    assert namespace["outer"](1, 1, c=2) == (2, b"y", 1.5, frozenset({1, 2}))


def test_digest_covers_everything_and_the_semantic_one_what_runs() -> None:
    original = CodeObject.from_code(compiled(SOURCE))
    assert CodeObject.from_code(compiled(SOURCE)).digest == original.digest

    moved = SOURCE.replace("    try:", "    # a comment\n\n    try:")
    for other in (compiled("\n\n\n" + SOURCE), compiled(SOURCE, "elsewhere.py"), compiled(moved)):
        changed = CodeObject.from_code(other)
        assert changed.digest != original.digest
        assert changed != original
        assert changed.semantic_digest == original.semantic_digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.5", "1.25"),
        ("1.5", "1"),
        ("-0.0", "0.0"),
        ("{1, 2}", "{1, 3}"),
        ('b"y"', '"y"'),
        ("a + x", "a - x"),
        ("inner(x)", "inner(z)"),
        ("*, c=3", "c=3"),
        ("a, /, b", "a, b"),
        ("ValueError", "KeyError"),
    ],
)
def test_a_change_of_meaning_changes_the_semantic_digest(old: str, new: str) -> None:
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE
    if old == "inner(x)":
        changed = changed.replace("a + x", "a + z").replace("if x", "if z")
    original = CodeObject.from_code(compiled(SOURCE)).semantic_digest
    assert CodeObject.from_code(compiled(changed)).semantic_digest != original


@pytest.mark.parametrize("new", ["Docs.", ""])
def test_a_docstring_does_not_count(new: str) -> None:
    original, changed = (CodeObject.from_code(compiled(text)) for text in (SOURCE, SOURCE.replace("Doc.", new)))
    assert changed.digest != original.digest
    assert changed.semantic_digest == original.semantic_digest


@pytest.mark.parametrize(
    "text", ["def f():\n    'a'\n    return 'a'\n", "f = lambda: 'a'\n", "f = (lambda: ['a' for _ in 'b'])\n"]
)
def test_a_text_that_is_read_counts(text: str) -> None:
    original, changed = (CodeObject.from_code(compile(each, "f.py", "exec")) for each in (text, text.replace("'a'", "'c'")))
    assert changed.semantic_digest != original.semantic_digest


def test_opcodes_and_flags_count() -> None:
    code = CodeObject.from_code(compiled("def outer(): return 1\n"))
    flipped = bytes([*code.fields["code"][:-1], code.fields["code"][-1] ^ 1])
    for changed in (code.replace(code=flipped), code.replace(flags=code.fields["flags"] ^ 0x20)):
        assert changed.semantic_digest != code.semantic_digest


def test_running_code_does_not_change_it() -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def outer(n):\n  t = 0\n  for i in range(n):\n    t += i\n  return t\n", "f.py", "exec"), namespace)
    code = namespace["outer"].__code__
    before = _core.encode(code)
    for _ in range(100):
        namespace["outer"](100)  # CPython specialises the bytecode in place
    assert _core.encode(code.replace()) == before


def test_fields_and_back() -> None:
    code = compiled(SOURCE)
    wrapped = CodeObject.from_code(code)
    fields = wrapped.fields
    assert fields["names"] == code.co_names
    assert fields["code"] == code.co_code
    assert fields["firstlineno"] == code.co_firstlineno
    inner = next(item for item in fields["consts"] if isinstance(item, CodeObject))
    assert inner.fields["name"] == "inner"
    assert CodeObject.from_fields(fields) == wrapped
    with_code = {**fields, "consts": code.co_consts}
    assert CodeObject.from_fields(with_code).to_code() == code
    assert CodeObject.from_fields(types.MappingProxyType(fields)) == wrapped


def test_replace_makes_a_copy() -> None:
    wrapped = CodeObject.from_code(compiled(SOURCE))
    renamed = wrapped.replace(name="other", firstlineno=99)
    assert renamed.to_code() == compiled(SOURCE).replace(co_name="other", co_firstlineno=99)
    assert wrapped.fields["name"] == "outer"
    assert renamed != wrapped


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": "ab"}, "'names' of a code object is not a tuple of str"),
        ({"names": (1,)}, "'names' of a code object is not a tuple of str"),
        ({"code": "text"}, "'code' of a code object is not bytes"),
        ({"argcount": True}, "'argcount' of a code object is not an int"),
        ({"argcount": 2**64}, "'argcount' of a code object is not an int of 64 bits"),
        ({"consts": 1}, "'consts' of a code object is not a tuple"),
        ({"co_name": "x"}, "no field 'co_name'"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=message):
        CodeObject.from_code(compiled(SOURCE)).replace(**fields)


def test_missing_fields_are_refused() -> None:
    fields = CodeObject.from_code(compiled(SOURCE)).fields
    del fields["stacksize"]
    with pytest.raises(errors.InvalidArgumentError, match="'stacksize' of a code object is missing"):
        CodeObject.from_fields(fields)


def test_fields_that_make_no_code_object() -> None:
    broken = CodeObject.from_code(compiled(SOURCE)).replace(varnames=())
    with pytest.raises(errors.IncompatiblePackageError, match="no code object") as caught:
        broken.to_code()
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_constant_that_is_not_portable_is_named() -> None:
    code = compiled(SOURCE)
    with pytest.raises(errors.NotPortableError, match=r"code\.consts\[1\]\[0\] of type object"):
        CodeObject.from_code(code.replace(co_consts=(None, (object(),))))
    with pytest.raises(TypeError, match="code object"):
        CodeObject.from_code(test_a_constant_that_is_not_portable_is_named)  # type: ignore[arg-type]


def test_constants_by_reference() -> None:
    code = compiled(SOURCE).replace(co_consts=(None, len, types.FunctionType))
    wrapped = CodeObject.from_code(code)
    assert wrapped.fields["consts"][1] == _core.ImportRef("builtins", "len")
    assert _core.portable(code, resolve=True).co_consts == (None, len, types.FunctionType)


def test_nesting_one_by_one_has_a_limit() -> None:
    code = CodeObject.from_code(compiled(SOURCE)).replace(consts=())
    with pytest.raises(errors.InvalidArgumentError, match="256 levels"):
        for _ in range(300):
            code = code.replace(consts=(code,))
    plain = compiled(SOURCE).replace(co_consts=())
    with pytest.raises(errors.NotPortableError, match="256 levels"):
        for _ in range(300):
            plain = plain.replace(co_consts=(plain,))
            CodeObject.from_code(plain)


def test_both_ways_are_memoised() -> None:
    code = compiled(SOURCE)
    wrapped = CodeObject.from_code(code)
    assert CodeObject.from_code(code) is wrapped
    assert wrapped.to_code() is code
    inner = next(item for item in code.co_consts if isinstance(item, types.CodeType))
    assert next(item for item in wrapped.fields["consts"] if isinstance(item, CodeObject)).to_code() is inner
    made = wrapped.replace(name="made")
    assert made.to_code() is made.to_code()
    assert CodeObject.from_code(made.to_code()) is made


def test_the_memo_keeps_nothing_alive() -> None:
    code = compiled(SOURCE)
    wrapped = CodeObject.from_code(code)
    dead = weakref.ref(code)
    del code
    gc.collect()
    assert dead() is None
    again = wrapped.to_code()
    assert again == compiled(SOURCE)
    dead = weakref.ref(again)
    del again
    gc.collect()
    assert dead() is None
    code = wrapped.to_code()
    del wrapped
    assert CodeObject.from_code(code).to_code() is code


def test_equality_and_hash() -> None:
    first, second = (_core.CodeObject.from_code(compiled(SOURCE)) for _ in range(2))
    assert first is not second
    assert first == second
    assert len({first, second}) == 1
    assert first != first.to_code()
    assert "outer" in repr(first)


def test_portable_code_is_the_same_wherever_the_file_lies() -> None:
    code, elsewhere = compiled(SOURCE, "/a/b/f.py"), compiled(SOURCE, "c/f.py")
    portable = CodeObject.portable(code)
    assert portable == CodeObject.portable(elsewhere) == CodeObject.from_code(compiled(SOURCE))
    assert {each.co_filename for each in nested_codes(CodeObject.from_fields(portable.fields).to_code())} == {"f.py"}
    assert portable.to_code() is code and CodeObject.portable(elsewhere).to_code() is elsewhere
    assert CodeObject.portable(code) is portable
    assert CodeObject.from_code(code) != portable and same(CodeObject.from_code(code).to_code(), code)
    unchanged = compiled(SOURCE)
    assert CodeObject.portable(unchanged) is CodeObject.from_code(unchanged)


def test_what_was_made_of_recorded_code_is_what_it_gives_while_that_lives() -> None:
    recorded = CodeObject.portable(compiled(SOURCE, "/gone/f.py"))
    made = recorded.to_code().replace(co_filename="/here/f.py")
    recorded.lives_as(made)
    assert recorded.to_code() is made and CodeObject.portable(made) is recorded
    other = CodeObject.from_code(compiled("def outer():\n    pass\n"))
    other.lives_as(made)
    assert other.to_code() is made and CodeObject.portable(made) is other
    assert recorded.to_code() is not made
    dead = weakref.ref(made)
    del made
    gc.collect()
    assert dead() is None
    assert other.to_code().co_name == recorded.to_code().co_name == "outer"
    with pytest.raises(TypeError, match="a code object is expected"):
        recorded.lives_as(recorded)  # type: ignore[arg-type]

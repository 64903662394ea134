"""Guard programs say what torch's guards say: every kind, true and false, recorded, written, read and replayed."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guard_cases_access as access
import guard_cases_check as checks
import guard_cases_tensor as tensors
import guard_objects as objects
import pytest
import torch
import torch._C._dynamo.guards as torch_guards
import torch._dynamo.guards as dynamo
import torch._dynamo.source as sources
from core_support import named
from guard_kit import Case, Frame, Kit, build, local, locals_of, recording, verdicts

from coldframe import _core
from coldframe.errors import CorruptPackageError, IncompatiblePackageError, NotPortableError
from coldframe.torch.guards import operands, record
from coldframe.torch.guards.bindings import Rebinding, fits
from coldframe.torch.guards.hosted import replay
from coldframe.torch.guards.record import Recording

CASES = [*access.ACCESSORS, *checks.CHECKS, *tensors.TENSORS]
x = local("x")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_replayed_guards_agree_with_torch(case: Case, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("mutations", len(case.fails))
    both = build(case, tmp_path / "package.cfp")
    assert set(case.kinds) <= {op.kind for op in both.program.ops}
    holds = [Frame(state=case.state), *case.holds]
    for _ in range(2):  # in turns: torch remembers what it saw last
        for index, frame in enumerate(holds):
            assert verdicts(both, frame) == (True, True), f"frame {index} that holds"
        for index, frame in enumerate(case.fails):
            assert verdicts(both, frame) == (False, False), f"frame {index} that fails"
            assert verdicts(both, holds[-1]) == (True, True), f"after frame {index} that fails"
        holds = case.holds or holds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refusals_are_explained_alike_and_without_addresses(case: Case, tmp_path: Path) -> None:
    both = build(case, tmp_path / "package.cfp")
    assert verdicts(both, Frame(state=case.state)) == (True, True)
    for frame in case.fails:
        values = both.locals if frame.locals is None else locals_of(frame.locals)
        with frame.state():
            original, replayed = (root.check_verbose(values).verbose_code_parts for root in (both.original, both.replayed))
        assert [record.portable_text(part) for part in original] == list(replayed)
        assert not any(str(id(value)) in part for value in values.values() for part in replayed)


def test_the_cases_cover_every_kind() -> None:
    covered = {kind for case in CASES for kind in case.kinds}
    unused = {"complex_is_nan", "float_is_nan"} if objects.BY_BITS else set()
    assert covered | unused == {name for _, name, *_ in _core.guard_kinds()}


def test_every_case_has_a_frame_that_it_refuses() -> None:
    assert [case.name for case in CASES if not case.fails] == []


def test_every_method_of_the_guard_classes_is_recorded() -> None:
    classes = (torch_guards.GuardManager, torch_guards.RootGuardManager, torch_guards.DictGuardManager)
    methods = {name for cls in classes for name in vars(cls)}
    building = {name for name in methods if name.startswith(("add_", "mark_")) or name.endswith("_manager")}
    handled = {name[1:] for name in vars(Recording) if name.startswith("_add_")}
    recorded = record.ACCESSORS.keys() | record._PLAIN_CHECKS.keys() | handled | {"mark_tag_safe", "mark_tag_safe_root"}
    assert building - recorded == {"clone_manager"}  # of the guards that torch compares variants by
    relations = {name for name in vars(torch_guards) if name.startswith("install_")}
    assert relations == {
        "install_no_tensor_aliasing_guard",
        "install_object_aliasing_guard",
        "install_storage_overlapping_guard",
        "install_symbolic_shape_guard",
    }


def _branches_with(method: Any, call: str) -> set[str]:
    """The names of the sources for which `method` calls `call`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and any(call in ast.unparse(statement) for statement in node.body):
            found |= {name.id for name in ast.walk(node.test) if isinstance(name, ast.Name) and name.id.endswith("Source")}
    return found


def test_every_accessor_that_torch_writes_as_a_lambda_is_known_and_covered() -> None:
    written = _branches_with(dynamo.GuardBuilder.get_guard_manager_from_source, ".lambda_manager(")
    assert written == {name for name in record._NAMED_ACCESSORS if hasattr(sources, name)}
    names = {record._NAMED_ACCESSORS[name][0] for name in written} - {"as_tensor_fullprec", "item"}
    assert {f"named_accessor:{name}" for name in names} <= {case.name for case in CASES}


def test_every_check_that_torch_writes_as_a_lambda_is_known() -> None:
    methods = vars(dynamo.GuardBuilder).items()
    writing = {name for name, method in methods if callable(method) and "add_lambda_guard" in inspect.getsource(method)}
    assert writing == vars(dynamo.GuardBuilder).keys() & {
        "AUTOGRAD_SAVED_TENSORS_HOOKS",
        "CONSTANT_SUBCLASS_MATCH",
        "COUNT_ITERATOR_MATCH",
        "COW_TENSOR_MATCH",
        "CURRENT_STREAM_MATCH",  # refused: of streams of accelerators
        "DTENSOR_SPEC_MATCH",  # refused: its operand lives in one process
        "FUNCTORCH_STACK_MATCH",
        "LIST_REVERSEITERATOR_LEN",
        "OPAQUE_OBJ_GUARD_FN_MATCH",
        "TENSOR_SUBCLASS_METADATA_MATCH",
        "add_python_lambda_leaf_guard_to_root",
    }


# What cannot be said in a package is refused with the reason, never left out.


class Spec:
    def _check_equals(self, other: Any, skip_shapes: bool) -> bool:
        return True


class Local:
    pass


def _local_class() -> type:
    class Inner:
        pass

    return Inner


def _function_without_module() -> Any:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("def f(): pass", namespace)
    return namespace["f"]


UNPORTABLE = {
    "instance by identity": (Local(), lambda kit: kit.check(x, "ID_MATCH"), "not portable"),
    "local class": (_local_class()(), lambda kit: kit.check(x, "TYPE_MATCH"), "no name leads to class"),
    "function over no module": (_function_without_module(), lambda kit: kit.check(x, "ID_MATCH"), "no imported module"),
    "distributed tensor": (Spec(), lambda kit: kit.check(x, "DTENSOR_SPEC_MATCH"), "only this process has"),
    "code without owner": (
        objects.function.__code__,
        lambda kit: kit.check(x, "ID_MATCH"),
        "no function is known that owns the guarded code",
    ),
    "lambda from elsewhere": (
        1,
        lambda kit: kit.node(x).add_lambda_guard(lambda value: value == 1, ["by somebody else"], None),
        "only this process has",
    ),
    "accessor from elsewhere": (
        1,
        lambda kit: kit.node(x).lambda_manager(
            python_lambda=lambda value: value,
            source="x",
            example_value=1,
            guard_manager_enum=dynamo.GuardManagerType.GUARD_MANAGER,
        ),
        "unknown function",
    ),
    "symbol of metadata": (
        checks.Inner(torch.fx.experimental.symbolic_shapes.ShapeEnv().create_unbacked_symint()),
        lambda kit: kit.check(x, "TENSOR_SUBCLASS_METADATA_MATCH"),
        "not portable",
    ),
    "dict of a local class, in order": (
        type("Inner", (dict,), {})(a=1),
        lambda kit: kit.check(x, "DICT_KEYS_MATCH"),
        "no name to import it by",
    ),
    "expression": (
        1,
        lambda kit: kit.builder.add_python_lambda_leaf_guard_to_root(["[a for a in [L['x']]]"], ["comprehension"]),
        "which a package cannot hold",
    ),
}


@pytest.mark.parametrize("name", UNPORTABLE)
def test_a_guard_that_cannot_be_portable_makes_the_program_unusable(name: str) -> None:
    value, make, reason = UNPORTABLE[name]
    with recording() as made:
        make(Kit({"x": value}, {}, (x,) if isinstance(value, dict) else ()))
    with pytest.raises(NotPortableError, match=reason):
        made.finish()


def test_inlineable_hooks_on_saved_tensors_are_refused() -> None:
    with tensors.inlineable_hooks(), recording() as made:
        tensors.saved_hooks(Kit({}, {}))
    with pytest.raises(NotPortableError, match="AUTOGRAD_SAVED_TENSORS_HOOKS"):
        made.finish()


def test_a_guard_on_a_manager_made_unseen_is_refused() -> None:
    kit = Kit({"x": 1}, {})
    with recording() as made:
        kit.equal(x)
    with pytest.raises(NotPortableError, match="made unseen"):
        made.finish()


# The other side: what a package asks for and this process does not have.


def program_of(*ops: tuple[Any, ...]) -> _core.GuardProgram:
    program = _core.GuardProgram()
    for op in ops:
        program.add(*op)
    return program


X = ("framelocals", (0,), ("x", 0), "L['x']", (), (None, False, None, False))


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (("type_match", (1,), (_core.ImportRef(__name__, "Gone"),)), IncompatiblePackageError, "Gone"),
        (("type_match", (1,), (_core.ImportRef("no_such_module", "A"),)), IncompatiblePackageError, "no_such_module"),
        (("equals_match", (1,), (_core.ImportRef(__name__, "Gone.RED"),)), IncompatiblePackageError, "Gone"),
        (("named_check", (1,), ("no_such_check", ())), CorruptPackageError, "no_such_check"),
        (("named_accessor", (1,), ("no_such_accessor", ()), "", (), X[5]), CorruptPackageError, "no_such_accessor"),
        (("expression", (0,), ((("name", "eval"),),)), CorruptPackageError, "not a guard expression"),
    ],
)
def test_what_is_not_here_or_not_known_is_an_error(check: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        replay(program_of(X, check), {})


def test_code_that_changed_under_its_name_is_refused() -> None:
    ref = _core.ImportRef("guard_objects", "function.__code__")
    digest = operands.semantic_digest(objects.other_default.__code__)
    with pytest.raises(IncompatiblePackageError, match="not the function that was compiled"):
        replay(program_of(X, ("id_match", (1,), ({"code": ref, "digest": digest},))), {})


def test_dict_guard_of_a_class_that_is_gone_accepts_no_other_dict() -> None:
    gone = (_core.ImportRef(__name__, "GoneDict"), False, 1, True)
    with pytest.raises(IncompatiblePackageError, match="GoneDict"):
        replay(program_of((*X[:5], gone), ("dict_length", (1,), (1,))), {})


# Functions without a name are bound to the object found at the guarded place, if it is the same in all that counts.


def test_function_with_other_globals_is_not_the_recorded_one() -> None:
    """`m1.f` and `m2.f`: equal text, equal names, other globals."""
    recorded = objects.closing_over(1)
    description = {"rebind": "function", **operands.describe_function(recorded)}
    assert fits(recorded, description) and Rebinding(description)(recorded)
    elsewhere = types.ModuleType("elsewhere")
    copy = types.FunctionType(recorded.__code__, vars(elsewhere), recorded.__name__, None, recorded.__closure__)
    copy.__qualname__, copy.__module__ = recorded.__qualname__, recorded.__module__
    assert not fits(copy, description) and not Rebinding(description)(copy)


@pytest.mark.parametrize(
    "other",
    [
        objects.closing_over(2),
        objects.closing_over(True),
        objects.closing_over(objects.closing_over(1)),
        checks.twin(1),
        checks.renamed(objects.closing_over(1), __module__="elsewhere"),
        checks.renamed(objects.closing_over(1), __qualname__="other"),
        checks.renamed(objects.closing_over(1), __defaults__=(1,)),
        checks.renamed(objects.closing_over(1), __kwdefaults__={"a": 1}),
        objects.function,
        len,
        None,
    ],
    ids=named,
)
def test_function_that_differs_is_not_the_recorded_one(other: Any) -> None:
    description = {"rebind": "function", **operands.describe_function(objects.closing_over(1))}
    assert not Rebinding(description)(other)


def test_functions_in_closures_are_compared_all_the_way_down() -> None:
    description = {"rebind": "function", **operands.describe_function(checks.nested(1))}
    assert Rebinding(description)(checks.nested(1))
    assert not Rebinding(description)(checks.nested(2))


def test_a_rebound_function_is_compared_by_identity_from_then_on() -> None:
    first, second = objects.closing_over(1), objects.closing_over(1)
    rebinding = Rebinding({"rebind": "function", **operands.describe_function(first)})
    assert rebinding(first) and not rebinding(second) and rebinding(first)


# The thread count is the one thing that may be rebound.


def test_thread_count_is_rebound_only_where_it_does_not_matter(tmp_path: Path) -> None:
    case = next(case for case in tensors.TENSORS if case.name == "global_state:threads")
    program = build(case, tmp_path / "package.cfp").program
    present = torch.get_num_threads()
    with tensors.setting(torch.set_num_threads, present + 1, present):
        exact, rebound = replay(program, {}, threads_matter=True), replay(program, {}, threads_matter=False)
        assert not exact.check({}) and rebound.check({})
        with torch.no_grad():
            assert not rebound.check({})
    assert exact.check({}) and not rebound.check({})  # a later change is a miss as ever

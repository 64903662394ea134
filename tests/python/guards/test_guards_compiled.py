"""The guards of real compilations, replayed from a package, agree with torch's own."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch._dynamo.guards as dynamo
from guard_kit import through_disk
from guard_objects import BY_BITS
from guard_programs import PROGRAMS, Call, Compiled, Fresh

import coldframe
from coldframe import _core
from coldframe.torch.guards.hosted import replay
from coldframe.torch.session.sessions import session_of


def arguments(call: Call) -> tuple[Any, ...]:
    return tuple(value.make() if isinstance(value, Fresh) else value for value in call.arguments)


def frame_locals(function: Any, call: Call) -> dict[str, Any]:
    """The locals of the frame that this call makes, free variables included."""
    bound = inspect.signature(function).bind(*arguments(call))
    bound.apply_defaults()
    closed_over = inspect.getclosurevars(function).nonlocals
    return {**closed_over, **bound.arguments}


def anew(function: Any) -> Any:
    """The same function over a code object of its own, for which nothing has been compiled yet."""
    code = function.__code__.replace()
    copy = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__qualname__ = function.__qualname__
    return copy


def compile_and_record(program: Compiled, path: Path) -> tuple[Any, Any, _core.GuardProgram]:
    """(torch's guards, the replayed ones, their program)."""
    torch._dynamo.reset()
    program.function = anew(program.function)
    compiled = coldframe.compile(program.function, **{"backend": "eager", **program.options})
    heard = mock.Mock()  # no function of ours: such a one would count
    hook = mock.patch.object(dynamo, "guard_manager_testing_hook_fn", heard)
    with torch._dynamo.config.patch(program.config), hook, program.first.state():
        compiled(*arguments(program.first))
    (manager, *_), _ = heard.call_args_list[0]
    built = session_of(compiled).build()
    assert not built.bypasses, built.bypasses
    entry = next(entry for entry in built.package.codes if entry.role == "entry")
    (guarded,) = entry.guarded_codes
    namespace = dict(program.function.__globals__)
    for alias, module in entry.import_sources.items():
        namespace[alias] = __import__(module, fromlist=["*"])
    for name, recipe in entry.installed_globals.items():
        namespace[name] = vars(__import__("builtins")) if "builtins" in recipe else _core.resolve(next(iter(recipe.values())))
    recorded = through_disk(guarded.guards, path)
    return manager.root, replay(recorded, namespace), recorded


@pytest.mark.parametrize("name", PROGRAMS)
def test_guards_of_a_compilation_agree(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    program = PROGRAMS[name]()
    record_property("mutations", len(program.fails))
    original, replayed, _ = compile_and_record(program, tmp_path / "package.cfp")
    for _ in range(2):
        for expected, group in ((True, [program.first, *program.holds]), (False, program.fails), (True, [program.first])):
            for call in group:
                values = frame_locals(program.function, call)
                with call.state():
                    verdicts = original.check(values), replayed.check(values)
                assert verdicts == (expected, expected), (call, replayed.check_verbose(values).verbose_code_parts)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("range of a size", "expression"),
        ("relation of sizes, checked in C++", "expression"),
        ("size with a filter of guards, checked in C++", "expression"),
        ("one tensor twice", "expression"),
        ("one tensor twice, as a relation", "object_aliasing"),
        ("two tensors", "no_tensor_aliasing"),
        ("storages that overlap", "storage_overlapping"),
        ("dict in order", "dict_key"),
        ("iterator of a range", "range_iterator_match"),
        ("iterator of a tuple", "tuple_iterator_length"),
        ("gradient", "none_match"),
        ("closure", "closure"),
        ("not a number", "named_check" if BY_BITS else "float_is_nan"),
    ],
)
def test_the_program_says_it_in_this_kind(name: str, kind: str, tmp_path: Path) -> None:
    _, _, recorded = compile_and_record(PROGRAMS[name](), tmp_path / "package.cfp")
    assert kind in {op.kind for op in recorded.ops}


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("endless count", "count_iterator"),
        ("subclass of int", "constant_subclass"),
        ("tensor subclass", "subclass_metadata"),
        ("functorch inside", "functorch_stack"),
        ("int", "no_inlineable_saved_tensors_hooks"),
    ],
)
def test_the_program_has_this_named_check(name: str, check: str, tmp_path: Path) -> None:
    _, _, recorded = compile_and_record(PROGRAMS[name](), tmp_path / "package.cfp")
    assert check in {op.operands[0] for op in recorded.ops if op.kind == "named_check"}

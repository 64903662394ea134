"""Packages that would have something called while it is found out whether they may be used: nothing of it runs."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import coldframe
from coldframe import _core
from coldframe._core import Construct, ImportRef

HERE = __name__
ran: list[Any] = []


def run(*args: Any) -> Any:
    ran.append(args)
    return 0


def program(x: torch.Tensor, text: str) -> torch.Tensor:
    return x * 2 if text else x


RUN = ImportRef(HERE, "run")
CALL = Construct(RUN, ("touched",))
EVAL = Construct(ImportRef("builtins", "eval"), (f"__import__({HERE!r}).run()",))
TEXT = ("const", f"__import__({HERE!r}).run()")
IMPORTED = ("call", ("attr", ("import", HERE), "run"))

# What is appended to the guards of the one variant: kind, inputs, operands.
GUARDS = {
    "value": ("equals_match", (0,), (CALL,)),
    "nested value": ("equals_match", (0,), ({"deep": [(EVAL,)]},)),
    "argument of a harmless value": ("equals_match", (0,), (Construct(ImportRef("torch", "device"), (EVAL,)),)),
    "identity": ("id_match", (0,), (CALL,)),
    "type": ("type_match", (0,), (EVAL,)),
    "key": ("dict_contains", (0,), (True, CALL)),
    "device": ("default_device", (0,), (CALL,)),
    "constant": ("named_check", (0,), ("premises", ({"calls": ((RUN, (), {}, 0),)},))),
    "class of the text": ("named_check", (0,), ("constant_subclass", (RUN, 0))),
    "premise": ("named_check", (0,), ("premises", ({"values": ((("call", ("name", "eval"), TEXT), 0),)},))),
    "imported premise": ("named_check", (0,), ("premises", ({"values": ((IMPORTED, 0),)},))),
    "expression": ("expression", (), ((("compare", IMPORTED, ("==", ("const", 0))),),)),
    "global": ("expression", (), ((("call", ("item", ("name", "G"), ("const", "run"))),),)),
    "method of a global": (
        *("named_check", (0,)),
        ("premises", ({"contained": ((("call", ("attr", ("item", ("name", "G"), ("const", "sys")), "exit")), 0, True),)},)),
    ),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "package.cfp"
    torch._dynamo.reset()
    compiled = coldframe.compile(program, backend="eager")
    compiled(torch.ones(2), "text")
    coldframe.save(compiled, path)
    return path


@pytest.mark.parametrize("what", GUARDS)
def test_guards_call_nothing(good: Path, tmp_path: Path, what: str) -> None:
    package = _core.Package.open(good)
    (entry,) = package.codes
    (guarded,) = entry.guarded_codes
    program_ = _core.GuardProgram.from_bytes(guarded.guards.to_bytes())
    kind, inputs, operands = GUARDS[what]
    program_.add(kind, inputs, operands, "", ["hostile"])
    entry.guarded_codes = [_core.GuardedCode(program_, guarded.dynamo_code, guarded.backend_ids)]
    package.codes = [entry]
    package.write(tmp_path / "hostile.cfp")
    ran.clear()
    try:
        loaded = coldframe.load(tmp_path / "hostile.cfp", program, on_miss="eager")
    except coldframe.PackageError:
        pass
    else:
        assert torch.equal(loaded(torch.ones(2), "text"), torch.full((2,), 2.0))
    assert ran == []


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("where", ["options", "option", "setting", "settings"])
def test_what_a_package_was_made_with_is_compared_without_making_it(
    good: Path, tmp_path: Path, where: str, refused: bool
) -> None:
    package = _core.Package.open(good)
    environment = package.environment
    settings = dict(environment["settings"])
    if where == "options":
        settings["options"] = CALL
    elif where == "option":
        settings["options"] = {**settings["options"], "mode": ImportRef("antigravity", "geohash") if refused else CALL}
    elif where == "setting":
        settings["torch._dynamo.config"] = {"allow_rnn": CALL}
    else:
        settings["torch._dynamo.config"] = CALL
    package.environment = {**environment, "settings": settings, **({"torch_git": "other"} if refused else {})}
    package.write(tmp_path / "hostile.cfp")
    ran.clear()
    with pytest.raises(coldframe.PackageError):
        coldframe.load(tmp_path / "hostile.cfp", program)
    with warnings.catch_warnings(action="ignore"):
        coldframe.compile(program, package=tmp_path / "hostile.cfp", on_miss="eager", backend="eager")
    assert ran == [] and "antigravity" not in sys.modules


@pytest.mark.parametrize("callee", ["os.system", "subprocess.Popen", "builtins.exec", "importlib.import_module", "torch.load"])
def test_values_are_made_by_nothing_but_types_of_values(callee: str, tmp_path: Path) -> None:
    module, _, name = callee.rpartition(".")
    made = tmp_path / "made"
    with pytest.raises(coldframe.IncompatiblePackageError, match=f"{callee} is nothing that a package may call"):
        Construct(ImportRef(module, name), (f"touch {made}",)).resolve()
    assert not made.exists()


def test_what_values_are_made_by_is_called() -> None:
    values = (torch.device("cpu"), torch.Size([2]), re.I | re.M, torch.finfo(torch.float16), dict.fromkeys)
    assert _core.portable(values, resolve=True) == values

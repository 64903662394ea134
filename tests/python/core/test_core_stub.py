"""The stub says what the extension has, and nothing else."""

from __future__ import annotations

import ast
import pathlib

from coldframe import _core

STUB = pathlib.Path(_core.__file__).with_name("_core.pyi")


def names(body: list[ast.stmt]) -> set[str]:
    found = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    found |= {node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def public(owner: object) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def test_the_stub_has_the_same_names() -> None:
    stub = ast.parse(STUB.read_text(encoding="utf-8")).body
    assert names(stub) == public(_core)
    for node in stub:
        if isinstance(node, ast.ClassDef):
            assert names(node.body) == public(getattr(_core, node.name)), node.name

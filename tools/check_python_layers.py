"""The rules of python/coldframe/torch that no compiler checks; that of docstrings holds for all Python.

seam < fingerprint < guards, graphs < capture < serve < session < package, api, automatic, unknown
                       a room imports only itself and those on floors below it; values.py and explanation.py are below all
no circle              between files, function-level imports included; what is imported for types alone does not count
private names of torch only in seam/: elsewhere `symbols.module("torch._x").name`, with a row for it in seam/symbols.py
docstrings             name the thing, or say what a function returns or does: none begins with What, Whether, How ...
"""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "python"
TORCH = ("coldframe", "torch")
FLOORS = (
    {"explanation", "values"},
    {"seam"},
    {"fingerprint"},
    {"guards", "graphs"},
    {"capture"},
    {"serve"},
    {"session"},
    {"package", "api", "automatic", "unknown"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

Name = tuple[str, ...]  # of a module, such as ("coldframe", "torch", "seam", "patches")


@dataclass
class Import:
    line: int
    module: Name


def modules() -> dict[Name, Path]:
    found = {}
    for path in sorted(ROOT.joinpath(*TORCH).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[parts[:-1] if parts[-1] == "__init__" else parts] = path
    return found


def for_types(tree: ast.AST) -> set[ast.AST]:
    """The nodes under `if TYPE_CHECKING`."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {inner for block in blocks for inner in ast.walk(block)}


def imports(name: Name, path: Path, tree: ast.AST, known: dict[Name, Path]) -> Iterator[Import]:
    left_out = for_types(tree)
    package = name if path.name == "__init__.py" else name[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node not in left_out:
            base = package[: len(package) - node.level + 1] + tuple((node.module or "").split(".") if node.module else ())
            for alias in node.names:
                whole = (*base, alias.name)
                yield Import(node.lineno, whole if whole in known else base)


def room(name: Name) -> str | None:
    return name[2] if name[:2] == TORCH and len(name) > 2 else None


def upward(name: Name, found: list[Import]) -> Iterator[str]:
    own = room(name)
    if own is None:
        return
    if own not in FLOOR:
        yield f"{'/'.join(name)}: {own} is on no floor of tools/check_python_layers.py"
        return
    for each in found:
        other = room(each.module)
        if other is not None and other != own and FLOOR.get(other, len(FLOORS)) >= FLOOR[own]:
            yield f"{'/'.join(name)}.py:{each.line}: imports {'.'.join(each.module)}, which is not below {own}"


def circles(arrows: dict[Name, set[Name]]) -> Iterator[str]:
    """Returns modules that remain when those that import none that remains are taken away, and those that none imports."""
    left = {name: set(of) & arrows.keys() for name, of in arrows.items()}
    while gone := {n for n, of in left.items() if not of} | (left.keys() - {m for of in left.values() for m in of}):
        left = {name: of - gone for name, of in left.items() if name not in gone}
    if left:
        yield f"a circle among {', '.join(sorted('.'.join(name) for name in left))}"


def fetched(node: ast.AST) -> str | None:
    """The module that `symbols.module("...")` fetches, and likewise `imported` and `symbol`."""
    match node:
        case ast.NamedExpr(value=value):
            return fetched(value)
        case ast.Call(func=ast.Attribute(attr="module" | "imported"), args=[ast.Constant(value=str(name))]):
            return name
        case ast.Call(func=ast.Name(id="module" | "imported"), args=[ast.Constant(value=str(name))]):
            return name
    return None


def private_names(path: Path, tree: ast.AST, table: dict[str, set[str]]) -> Iterator[str]:
    in_seam = "seam" in path.parts
    holds: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (name := fetched(node.value)):
            holds.update({target.id: name for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.NamedExpr) and (name := fetched(node)):
            holds[node.target.id] = name
    for node in ast.walk(tree):
        if (name := fetched(node)) and name.startswith("torch") and name not in table:
            yield f"{path}:{node.lineno}: {name} has no row in seam/symbols.py"  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute):
            owner = fetched(node.value) or (holds.get(node.value.id) if isinstance(node.value, ast.Name) else None)
            if owner in table and node.attr not in table[owner] and owner not in UNLISTED:
                yield f"{path}:{node.lineno}: {owner}.{node.attr} has no row in seam/symbols.py"
            if not in_seam and ast.unparse(node.value) == "torch" and is_private(node.attr):
                yield f"{path}:{node.lineno}: torch.{node.attr} is private: seam/symbols.py"
        if isinstance(node, ast.Import | ast.ImportFrom) and not in_seam:
            module = node.module or "" if isinstance(node, ast.ImportFrom) and not node.level else ""
            names = [module] if module else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for each in names:
                if each.startswith("torch.") and any(is_private(part) for part in each.split(".")):
                    yield f"{path}:{node.lineno}: {each} is private: seam/symbols.py"


def dodging(path: Path, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if text.partition(" ")[0] in QUESTIONS:
                yield f"{path}:{node.body[0].lineno}: a docstring that begins with {text.partition(' ')[0]}"


FOLDERS = ("bench", "examples", "python", "tests/python", "tools")  # whose docstrings are looked at
QUESTIONS = frozenset(["Hears", "How", "What", "When", "Where", "Whether", "Who", "Whom", "Why"])
UNLISTED = frozenset(["torch.nn.modules.module", "torch._dynamo.polyfills"])  # read by names that are data


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def table() -> dict[str, set[str]]:
    """The rows of seam/symbols.py, of all generations of torch: module -> symbols."""
    tree = ast.parse((ROOT.joinpath(*TORCH) / "seam" / "symbols.py").read_text())
    assigned = {ast.unparse(n.target): n.value for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and n.value}
    of_all, of_some = (ast.literal_eval(assigned[name]) for name in ("_TABLE", "_ONLY"))
    made: dict[str, set[str]] = {}
    for module, _, names in itertools.chain(of_all, *of_some.values()):
        made.setdefault(module, set()).update(names.split())
    return made


def complaints() -> Iterator[str]:
    known = modules()
    rows = table()
    arrows: dict[Name, set[Name]] = {}
    for name, path in known.items():
        tree = ast.parse(path.read_text())
        found = list(imports(name, path, tree, known))
        arrows[name] = {each.module for each in found} - {name}
        yield from upward(name, found)
        yield from private_names(path.relative_to(ROOT.parent), tree, rows)
    for path in (path for folder in FOLDERS for path in sorted((ROOT.parent / folder).rglob("*.py"))):
        yield from dodging(path.relative_to(ROOT.parent), ast.parse(path.read_text()))
    yield from circles(arrows)


def main() -> int:
    found = list(complaints())
    print("\n".join(found) if found else f"{len(modules())} modules of the adapter keep the rules")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

"""The rules of the source tree that no compiler checks.

util < model < archive < trust < store < remote        a folder of src/coldframe includes only itself and those before it
     < network < cli
src/python                                             includes all of them but network and cli
src/python/network                                     includes all of them but cli
python/coldframe                                       imports torch only inside python/coldframe/torch
tests/python                                           no file imports a test: what tests share is in support or programs
every source                                           is ASCII; code files have at most 450 lines
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("util", "model", "archive", "trust", "store", "remote", "network", "cli")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]coldframe/([^/>"]+)/', re.MULTILINE)
RELATIVE_INCLUDE = re.compile(r'^\s*#\s*include\s*"(\.\./[^"]*)"', re.MULTILINE)
CODE = {".c", ".cmake", ".cpp", ".h", ".hpp", ".in", ".py", ".pyi", ".sh"}
TEXT = CODE | {".md", ".toml", ".txt", ".json", ".yml", ".yaml"}
SCRIPT_FOLDERS = {(), (".ci",), ("tools",)}  # where a name without a suffix is a script or a text
MAX_LINES = 450


def is_source(path: Path) -> bool:
    return path.suffix in TEXT or (not path.suffix and path.parts[:-1] in SCRIPT_FOLDERS)


def sources() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(path for name in listed.split("\0") if name and is_source(path := Path(name)) and (ROOT / path).is_file())


def allowed_folders(path: Path) -> frozenset[str] | None:
    """The folders of src/coldframe that `path` may include; None when the rule does not concern it."""
    match path.parts:
        case ("src", "coldframe", folder, *_) if folder in LAYERS:
            return frozenset(LAYERS[: LAYERS.index(folder) + 1])
        case ("src", "coldframe", *_):
            return frozenset()
        case ("src", "python", "network", *_):
            return frozenset(LAYERS) - {"cli"}
        case ("src", "python", *_):
            return frozenset(LAYERS) - {"network", "cli"}
    return None


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case _:
                continue
        yield from ((node.lineno, module) for module in modules)


def complaints(path: Path) -> Iterator[str]:
    data = (ROOT / path).read_bytes()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.isascii():
            yield f"{path}:{number}: not ASCII"
    text = data.decode("utf-8", "replace")
    if path.suffix in CODE and (lines := len(text.splitlines())) > MAX_LINES:
        yield f"{path}: {lines} lines, at most {MAX_LINES} are allowed: split it by concept"
    allowed = allowed_folders(path)
    if allowed is not None:
        for match in INCLUDE.finditer(text):
            if match[1] not in allowed:
                yield f"{path}: includes coldframe/{match[1]}, but may use only {', '.join(sorted(allowed)) or 'nothing'}"
        for match in RELATIVE_INCLUDE.finditer(text):
            yield f"{path}: includes {match[1]} by a relative path: say <coldframe/...>"
    if path.suffix == ".py" and path.parts[:2] == ("python", "coldframe") and path.parts[2] != "torch":
        for number, module in imports(ast.parse(text)):
            if module.split(".")[0] == "torch":
                yield f"{path}:{number}: imports torch outside python/coldframe/torch"
    if path.suffix == ".py" and path.parts[:2] == ("tests", "python"):
        for number, module in imports(ast.parse(text)):
            if module.startswith("test_"):
                yield f"{path}:{number}: imports {module}: move what both need to tests/python/support"


def main() -> int:
    paths = sources()
    found = [complaint for path in paths for complaint in complaints(path)]
    print("\n".join(found) if found else f"{len(paths)} sources keep the rules")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

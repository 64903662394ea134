"""The main module of a process that multiprocessing has started by "spawn" or "forkserver".

There, multiprocessing runs the program's file under the name `__mp_main__` and copies the result into another module, so
functions have globals that are no module's, and names that the parent does not know. Here they are put right once the file has
run: one module, known as `__main__`, as in the parent. What was compiled by the parent is then found by its children.
"""

from __future__ import annotations

import importlib.util
import io
import os
import runpy
import sys
import types
from typing import Any

_RUN_AS = "__mp_main__"


def install() -> None:
    """To be called before multiprocessing prepares the process. In any other process nothing is done."""
    if not any("multiprocessing" in word for word in sys.orig_argv):
        return
    from multiprocessing import spawn

    made: list[types.ModuleType] = []
    own: Any = types.SimpleNamespace(
        run_path=lambda path, run_name: _run_path(path, run_name, made),
        run_module=lambda name, run_name, alter_sys: _run_module(name, run_name, alter_sys, made),
    )
    spawn.runpy = own  # type: ignore[attr-defined]

    def fixing(original: Any) -> Any:
        def fixup(main: str) -> None:
            original(main)
            while made:
                _name(made.pop())

        return fixup

    for name in ("_fixup_main_from_path", "_fixup_main_from_name"):
        setattr(spawn, name, fixing(getattr(spawn, name)))


def _run_path(path: str, run_name: str, made: list[types.ModuleType]) -> dict[str, Any]:
    if not os.path.isfile(path) or not path.endswith(".py"):
        return runpy.run_path(path, run_name=run_name)
    with io.open_code(os.path.abspath(path)) as file:
        code = compile(file.read(), path, "exec")
    module = types.ModuleType(run_name)
    vars(module).update(__file__=path, __cached__=None, __builtins__=__builtins__)
    return _run(code, module, made)


def _run_module(name: str, run_name: str, alter_sys: bool, made: list[types.ModuleType]) -> dict[str, Any]:
    spec = importlib.util.find_spec(name)
    code = spec.loader.get_code(name) if spec is not None and hasattr(spec.loader, "get_code") else None  # type: ignore[union-attr]
    if spec is None or code is None:
        return runpy.run_module(name, run_name=run_name, alter_sys=alter_sys)
    module = types.ModuleType(run_name)
    vars(module).update(__file__=spec.origin, __spec__=spec, __package__=spec.parent, __loader__=spec.loader)
    return _run(code, module, made)


def _run(code: types.CodeType, module: types.ModuleType, made: list[types.ModuleType]) -> dict[str, Any]:
    sys.modules[module.__name__] = module
    exec(code, vars(module))
    made.append(module)
    return vars(module)


def _name(module: types.ModuleType) -> None:
    sys.modules["__main__"] = sys.modules[_RUN_AS] = module
    module.__name__ = "__main__"
    for value in list(vars(module).values()):
        _rename(value)


def _rename(value: Any) -> None:
    value = getattr(value, "__func__", value)
    if getattr(value, "__module__", None) != _RUN_AS or not isinstance(value, (type, types.FunctionType)):
        return
    value.__module__ = "__main__"
    if isinstance(value, type):
        for member in list(vars(value).values()):
            _rename(getattr(member, "fget", member))

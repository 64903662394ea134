"""Reduces the Python module that Inductor generates for a graph to what calling the graph needs.

The module imports half of Inductor, compiles its C++ kernels, and ends in a benchmark. What is left here is the code that runs
at each call: kernels become names that the restorer binds, imports and helpers that nothing uses are dropped, and the few
helpers of Inductor that are used get stand-ins. Pure: knows no torch.

    reduced = reduce_wrapper(source, "<graph>", stand_ins={("torch._inductor.codegen.memory_planning", "_align")})
    exec(reduced.code, namespace)      # with reduced.kernels, reduced.bindings and the constants bound
"""

from __future__ import annotations

import ast
import builtins
import types
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ...errors import NotPortableError
from .record_code import global_names

_COMPILER_PACKAGES = ("torch._inductor", "torch._dynamo", "torch._functorch", "triton")
_BENCHMARK = frozenset({"get_args", "benchmark_compiled_module"})
_ENTRY = "call"
_MODULE_NAMES = frozenset({"extern_kernels", "__name__", "__module__", "__qualname__"})


@dataclass
class ReducedWrapper:
    code: types.CodeType
    kernels: dict[str, str] = field(default_factory=dict)  # name -> C++ source
    bindings: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> (module, function) of a stand-in
    extern: set[str] = field(default_factory=set)  # what is called on extern_kernels
    operators: set[str] = field(default_factory=set)  # torch.ops.* paths outside of aten
    imports: set[str] = field(default_factory=set)  # modules of torch's compiler that the code still imports
    reads: set[str] = field(default_factory=set)  # every global that the code reads
    free: set[str] = field(default_factory=set)  # those of them that nothing above defines: the graph's constants


def reduce_wrapper(source: str, filename: str, stand_ins: Collection[tuple[str, str]]) -> ReducedWrapper:
    """NotPortableError when the module does what only Inductor itself can do (compile a Triton kernel, for example)."""
    tree = ast.parse(source)
    kernels: dict[str, str] = {}
    body: list[ast.stmt] = []
    for statement in tree.body:
        kernel = _kernel(statement)
        if kernel is not None:
            kernels[kernel[0]] = kernel[1]
        elif not _is_scaffolding(statement):
            body.append(statement)
    body = _live(body)
    reduced = ReducedWrapper(compile("", filename, "exec"))
    kept: list[ast.stmt] = []
    for statement in body:
        if not _stand_in(statement, reduced, stand_ins):
            kept.append(statement)
    tree.body = kept
    used = _loads(kept)
    builders = sorted(name for name in used if name in ("async_compile", "AsyncCompile") or name.endswith("CodeCache"))
    if builders:
        raise NotPortableError(f"a kernel is built by {', '.join(builders)} in a way that is not known how to save")
    reduced.kernels = {name: text for name, text in kernels.items() if name in used}
    _inspect(kept, reduced)
    reduced.code = compile(tree, filename, "exec")
    reduced.reads = global_names(reduced.code)
    bound = _definitions(kept) | set(reduced.kernels) | set(reduced.bindings) | _MODULE_NAMES
    reduced.free = {name for name in reduced.reads - bound if not hasattr(builtins, name)}
    return reduced


def _kernel(statement: ast.stmt) -> tuple[str, str] | None:
    """`name = async_compile.cpp_pybinding(argument types, source)`, or the whole graph as one C++ function (cpp_wrapper)."""
    match statement:
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.Call(func=ast.Attribute(value=ast.Name(id="CppWrapperCodeCache"), attr="load_pybinding")),
        ):
            return name, ""
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id="async_compile"), attr="cpp_pybinding"),
                args=[_, ast.Constant(value=str(source))],
            ),
        ):
            return name, source
    return None


def _is_scaffolding(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="async_compile"), attr="wait"))):
            return True
        case ast.Delete(targets=[ast.Name(id="async_compile")]):
            return True
        case ast.Assign(targets=[ast.Name(id="async_compile")], value=ast.Call(func=ast.Name(id="AsyncCompile"))):
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case ast.FunctionDef(name=name):
            return name in _BENCHMARK
    return False


def _live(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that `call` needs: plain definitions only if something kept reads them, everything else always."""
    needed = {_ENTRY}
    kept = [False] * len(body)
    changed = True
    while changed:
        changed = False
        for index, statement in enumerate(body):
            names = _definitions([statement])
            if not kept[index] and (not _is_definition(statement) or names & needed):
                kept[index] = changed = True
                needed |= _loads([statement])
    return [statement for statement, keep in zip(body, kept, strict=True) if keep]


def _is_definition(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
        return True
    return isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets)


def _stand_in(statement: ast.stmt, reduced: ReducedWrapper, stand_ins: Collection[tuple[str, str]]) -> bool:
    """Returns whether an import need not run, because a stand-in has its name; notes what still imports the compiler."""
    if isinstance(statement, ast.ImportFrom):
        module = statement.module or ""
        names = [alias.name for alias in statement.names]
        if names == ["extern_kernels"]:
            return True
        if all((module, name) in stand_ins for name in names):
            reduced.bindings.update({alias.asname or alias.name: (module, alias.name) for alias in statement.names})
            return True
        if module.startswith(_COMPILER_PACKAGES):
            reduced.imports.add(module)
    elif isinstance(statement, ast.Import):
        reduced.imports.update(alias.name for alias in statement.names if alias.name.startswith(_COMPILER_PACKAGES))
    return False


def _inspect(body: Iterable[ast.stmt], reduced: ReducedWrapper) -> None:
    for node in _walk(body):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "extern_kernels":
                reduced.extern.add(node.attr)
            path = _dotted(node)
            if path is not None and path.startswith("torch.ops.") and path.count(".") in (3, 4):
                name = path.removeprefix("torch.")
                if not name.startswith("ops.aten."):
                    reduced.operators.add(name)
    reduced.operators = {
        path for path in reduced.operators if not any(other.startswith(f"{path}.") for other in reduced.operators)
    }


def _dotted(node: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _walk(body: Iterable[ast.stmt]) -> Iterable[ast.AST]:
    for statement in body:
        yield from ast.walk(statement)


def _loads(body: Iterable[ast.stmt]) -> set[str]:
    return {node.id for node in _walk(body) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _definitions(body: Iterable[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names.update(target.id for target in statement.targets if isinstance(target, ast.Name))
    return names

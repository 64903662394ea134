"""The effects of importing a module, beyond giving names to functions, classes and constants, told from its source.

What importing a module did may have decided that a function runs while a frame is compiled: registrations, decorators, how
classes are made up. These acts are compared as a whole and in order. Definitions that can do nothing to the rest of the module
are compared one by one, so that others may come beside them; so is what is done to one operator of the program's and to nothing
else.
"""

from __future__ import annotations

import ast
import builtins
import collections
import functools
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from . import builds

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign)
_NAMING = (ast.AugAssign, ast.Delete, ast.For, ast.If, ast.Try, ast.While, ast.With)
_DESCRIBES = frozenset(["classmethod", "property", "staticmethod"])  # what decorates and does nothing else
_ACCESSORS = frozenset(["deleter", "getter", "setter"])  # of a property
# What makes a value of its arguments, and calls none of them.
_MAKERS = frozenset(
    [
        *("bool", "bytes", "complex", "dict", "enumerate", "float", "frozenset", "int", "len", "list", "object", "range"),
        *("set", "slice", "str", "tuple", "zip"),
    ]
)
_MAKING = re.compile(
    r"(collections|dataclasses|enum|fractions|math|typing)\..*|functools\.partial|logging\.getLogger|re\.compile"
)
# What looks at the host, or tells people something: it calls nothing of the program unless it is given it.
_ASIDE = re.compile(
    r"(argparse|datetime|json|logging|os\.path|pathlib|platform|random|sys\.path|tempfile|time|uuid|warnings)\..*"
    r"|numpy\.random\.\w+|os\.(cpu_count|getcwd|getenv|getpid|makedirs|environ\.(get|setdefault))"
    r"|torch\.(manual_seed|set_num_threads|(cuda|xpu|backends\.\w+)\.(is_available|is_bf16_supported|device_count|manual_seed\w*))"
)
_DECORATING = re.compile(r"(abc|contextlib|dataclasses|enum|types|typing|warnings)\..*|functools\.(?!partial|reduce).*")
_TORCH_MAKERS = frozenset(
    [
        *("compile", "custom_bwd", "custom_fwd", "device", "disable", "enable_grad", "ignore", "inference_mode", "no_grad"),
        *("once_differentiable", "script", "unused"),
    ]
)
# What does something to the operator that its first argument names.
_OF_OPERATOR = re.compile(r"torch\.library\.(custom_op|define|impl|triton_op|register_\w+)")
_OPERATORS_OF_TORCH = ("aten::", "prim::", "prims::")
_INITS = "__init_subclass__"
_OF_MODULE = ("__file__", "__name__")
# Methods that making an object or a class runs.
_SPECIAL = frozenset([_INITS, "__call__", "__class_getitem__", "__init__", "__new__", "__post_init__", "__set_name__"])


def digests(path: str | None) -> frozenset[bytes]:
    """Digests of what importing the module in this file does: of its acts in order, and of each definition that is no act.
    Empty for a file that cannot be read."""
    try:
        return _digests_at(path or "", os.stat(path or "").st_mtime_ns)
    except (OSError, SyntaxError, ValueError):
        return frozenset()


def chains(path: str) -> frozenset[tuple[str, ...]]:
    """The names that the acts of the module in this file use, with the attributes that they read of what these lead to. Empty
    for a file that cannot be read."""
    try:
        module = _Module(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    acts = module.acts_and_definitions()[0]
    return frozenset(filter(None, (_chain(node) for _, part in acts for node in ast.walk(part))))


@functools.lru_cache(256)
def _digests_at(path: str, time: int) -> frozenset[bytes]:
    return frozenset(_Module(Path(path).read_bytes()).digests())


class _Module:
    def __init__(self, text: bytes) -> None:
        self.body = ast.parse(text).body
        if b"__doc__" not in text:
            _drop_docstrings(self.body)
        self.definitions = {each.name: each for each in self.body if isinstance(each, _DEFINITIONS)}
        self.imported = dict(_imported_names(self.body))
        self.operators: dict[str, str] = {}  # by names in the module: "library::operator", or "library::" of a whole library
        bound = collections.Counter(_bound(self.body))
        self.operators.update((name, operator) for name, operator in self._named_operators() if bound[name] == 1)

    def acts_and_definitions(self) -> tuple[list[tuple[str, ast.AST]], list[list[ast.AST]]]:
        """Returns the acts in order, each with the operator to which alone it does something, and definitions that are none."""
        definitions: list[list[ast.AST]] = []
        acts: list[tuple[str, ast.AST]] = []
        for statement in self.body:
            parts = list(self.effects(statement))
            if parts and isinstance(statement, _DEFINITIONS) and self.is_inert(statement):
                definitions.append(parts)
            else:
                acts.extend((self._operator_of(statement), part) for part in parts)
        return acts, definitions

    def digests(self) -> Iterator[bytes]:
        acts, definitions = self.acts_and_definitions()
        yield from map(_digest_of, definitions)
        for operator in {"", *(of for of, _ in acts)}:
            names = _names(part for of, part in acts if of == operator) - self.imported.keys()
            mine = [part for of, part in acts if of == operator or (not of and names & _names([part]))]
            yield _digest_of(self._with_what_they_use(mine))

    def _with_what_they_use(self, acts: list[ast.AST]) -> list[ast.AST]:
        used = _names(acts)
        assigning = [each for each in self.body if used & self._named_by(each)]
        return [*acts, *self._called_by(acts), *assigning]

    def _named_by(self, statement: ast.stmt) -> set[str]:
        """Names that a statement of the module gives to values, or takes from them, when it is imported."""
        if isinstance(statement, _ASSIGNMENTS):
            return _assigned(statement)
        is_run = not (isinstance(statement, ast.If) and self._is_never_run(statement.test))
        return set(_bound([statement])) if is_run and isinstance(statement, _NAMING) else set()

    def _named_operators(self) -> Iterator[tuple[str, str]]:
        """Names of functions that are operators, and of libraries."""
        for statement in self.body:
            if isinstance(statement, _FUNCTIONS) and (operator := self._operator_of(statement)):
                yield statement.name, operator
            elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                library = (
                    _first_text(statement.value) if self._qualified(statement.value.func) == "torch.library.Library" else ""
                )
                yield from ((name, f"{library}::") for name in _assigned(statement) if library)

    def _operator_of(self, statement: ast.stmt) -> str:
        """Returns the operator ("library::name") to which a statement does something, and to nothing else; "" for others."""
        acts: list[ast.expr] = []
        if isinstance(statement, _FUNCTIONS) and self._only_makes(statement.args, statement.returns):
            acts = statement.decorator_list
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            acts = [statement.value]
        found = {self._operator_acted_on(act) for act in acts}
        return found.pop() if len(found) == 1 else ""

    def _operator_acted_on(self, act: ast.expr) -> str:
        """As _operator_of, of a call or a decorator."""
        called = act.func if isinstance(act, ast.Call) else act
        if isinstance(act, ast.Call) and not self._only_makes(*act.args, *(keyword.value for keyword in act.keywords)):
            return ""
        name = ""
        if _OF_OPERATOR.fullmatch(self._qualified(called)):
            name = _first_text(act)
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            name = self.operators.get(called.value.id, "")
            if name.endswith("::"):
                name = f"{name}{first}" if (first := _first_text(act)) else ""
        operator = re.match(r"\w+::\w+", name)
        return operator[0] if operator is not None and not name.startswith(_OPERATORS_OF_TORCH) else ""

    def _called_by(self, acts: list[ast.AST]) -> list[ast.AST]:
        """Returns what runs of the module's functions and classes, as far as names tell."""
        found: dict[str, list[ast.AST]] = {}
        waiting = list(acts)
        while waiting:
            for name in [each for each in _called(waiting.pop()) if each in self.definitions and each not in found]:
                node = self.definitions[name]
                found[name] = list(_run_when_called(node))
                waiting += [*found[name], *(node.bases if isinstance(node, ast.ClassDef) else ())]
        return [part for _, parts in sorted(found.items()) for part in parts]

    def effects(self, statement: ast.stmt) -> Iterator[ast.AST]:
        if isinstance(statement, _FUNCTIONS):
            described = all(isinstance(each, ast.Name) and each.id in _DESCRIBES for each in statement.decorator_list)
            if not (described and self._only_makes(statement.args, statement.returns)):
                yield ast.Constant(statement.name)
                yield from (*statement.decorator_list, statement.args)
        elif isinstance(statement, ast.ClassDef):
            inner = (part for each in statement.body for part in self.effects(each))
            parts = [*statement.decorator_list, *statement.bases, *statement.keywords, *inner]
            yield from (ast.Constant(statement.name), *parts) if parts else ()
        elif isinstance(statement, (ast.Import, ast.ImportFrom)) and all(map(_is_inert_module, _modules(statement))):
            return  # which does nothing to the program
        elif isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            return  # a text that documents
        elif isinstance(statement, ast.If) and not statement.orelse and self._is_never_run(statement.test):
            return
        elif isinstance(statement, ast.Expr) or (isinstance(statement, _ASSIGNMENTS) and _only_names(statement)):
            yield from () if self._only_makes(statement) else (statement,)
        elif not self._only_names_values(statement):
            yield statement

    def _only_names_values(self, statement: ast.stmt) -> bool:
        """Returns whether a statement of another kind does no more than to name, or unname, values that it makes."""
        parts: list[ast.AST | None] = []
        if isinstance(statement, (ast.AugAssign, ast.For)) and not _only_names(statement):
            return False
        if isinstance(statement, ast.AugAssign):
            parts = [statement.value]
            if not all(map(self._is_value, _assigned(statement))):
                return False
        elif isinstance(statement, ast.Delete):
            return all(isinstance(target, ast.Name) for target in statement.targets)
        elif isinstance(statement, ast.Assert):
            parts = [statement.test, statement.msg]
        elif isinstance(statement, (ast.If, ast.While)):
            parts = [statement.test]
        elif isinstance(statement, ast.For):
            parts = [statement.iter]
        elif isinstance(statement, ast.With):
            if not all(self._decorates_only(item.context_expr) for item in statement.items):
                return False
        elif not isinstance(statement, (ast.Break, ast.Continue, ast.Try)):
            return False
        return self._only_makes(*parts) and not any(part for each in _inner(statement) for part in self.effects(each))

    def is_inert(self, statement: ast.stmt, within: frozenset[str] = frozenset()) -> bool:
        """Returns whether making what the statement defines can do nothing to anything else."""
        if isinstance(statement, _FUNCTIONS):
            made = self._only_makes(statement.args, statement.returns)
            return made and all(self._decorates_only(each, statement.name) for each in statement.decorator_list)
        if isinstance(statement, ast.ClassDef):
            if statement.name in within or not all(map(self._decorates_only, statement.decorator_list)):
                return False
            bases = (*statement.bases, *(keyword.value for keyword in statement.keywords))
            inner = all(self.is_inert(each) for each in statement.body if any(self.effects(each)))
            return inner and all(self._is_inert_base(base, within | {statement.name}) for base in bases)
        return False

    def _is_inert_base(self, base: ast.expr, within: frozenset[str]) -> bool:
        if isinstance(base, ast.Subscript):  # as Generic[T]
            base = base.value
        found = self.definitions.get(base.id) if isinstance(base, ast.Name) else None
        if isinstance(found, ast.ClassDef):
            hooks = any(isinstance(each, _FUNCTIONS) and each.name == _INITS for each in ast.walk(found))
            return not hooks and self.is_inert(found, within)
        return isinstance(base, ast.Constant) or (bool(name := self._qualified(base)) and _is_inert_module(name))

    def _decorates_only(self, decorator: ast.expr, name: str = "") -> bool:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Name) and called.id in _DESCRIBES and called.id not in self.definitions:
            return True
        if isinstance(called, ast.Attribute) and called.attr in _ACCESSORS and isinstance(called.value, ast.Name):
            return called.value.id == name
        given = (*decorator.args, *(each.value for each in decorator.keywords)) if isinstance(decorator, ast.Call) else ()
        return _is_one_of(_DECORATING, self._qualified(called)) and self._only_makes(*given)

    def _only_makes(self, *parts: ast.AST | None) -> bool:
        """Returns whether evaluating makes values and does nothing else."""
        nodes = (node for part in parts if part is not None for node in ast.walk(part))
        return all(self._makes(node) for node in nodes if isinstance(node, ast.Call))

    def _makes(self, call: ast.Call) -> bool:
        called = call.func
        if isinstance(called, ast.Name) and called.id not in self.imported and called.id not in self.definitions:
            return called.id in _MAKERS or (called.id == "print" and self._gives_nothing_to_call(call))
        if _is_one_of(_MAKING, name := self._qualified(called)):
            return True
        while isinstance(called, ast.Attribute) and isinstance(called.value, ast.Call):  # as Path(__file__).resolve()
            called = called.value.func
            name = self._qualified(called)
        aside = _ASIDE.fullmatch(name) is not None or _is_functional_operator(name, call)
        return aside and self._gives_nothing_to_call(call)

    def _gives_nothing_to_call(self, call: ast.Call) -> bool:
        """Returns whether the arguments are no functions or classes of the program that could be called."""
        names = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
        return not any(isinstance(node, ast.Lambda) for node in ast.walk(call)) and all(map(self._is_value, names))

    def _is_value(self, name: str, within: frozenset[str] = frozenset()) -> bool:
        """Returns whether a name leads to something of Python's or torch's, or to a value that was made of such things here."""
        if name in self.imported:
            return _is_inert_module(self.imported[name])
        made = [each.value for each in self.body if isinstance(each, _ASSIGNMENTS) and name in _assigned(each)]
        if not made:
            return name not in self.definitions and (hasattr(builtins, name) or name in _OF_MODULE)
        parts = [node for value in made if value is not None for node in ast.walk(value)]
        inner = {node.id for node in parts if isinstance(node, ast.Name)}
        is_simple = name not in within and not any(isinstance(node, ast.Lambda) for node in parts)
        return is_simple and all(self._is_value(each, within | {name}) for each in inner)

    def _is_never_run(self, condition: ast.expr) -> bool:
        """Returns whether the condition never holds in a module that is imported."""
        return ast.unparse(condition) == "__name__ == '__main__'" or self._qualified(condition) == "typing.TYPE_CHECKING"

    def _qualified(self, node: ast.expr) -> str:
        """The dotted name of what an imported name leads to; empty for all else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        root = self.imported.get(node.id, "") if isinstance(node, ast.Name) else ""
        return ".".join([root, *reversed(parts)]) if root else ""


def _names(parts: Iterable[ast.AST]) -> set[str]:
    return {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    """Names that any code of a module gives to something, once for each time."""
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, _DEFINITIONS):
            yield node.name
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from node.names


def _first_text(call: ast.expr) -> str:
    """The first argument of a call, where it is written as a text; "" otherwise."""
    first = call.args[0] if isinstance(call, ast.Call) and call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _chain(node: ast.AST) -> tuple[str, ...]:
    """(name, attribute, ...) of an expression that is nothing else; empty for others."""
    if isinstance(node, ast.Attribute):
        return (*inner, node.attr) if (inner := _chain(node.value)) else ()
    return (node.id,) if isinstance(node, ast.Name) else ()


def _digest_of(parts: list[ast.AST]) -> bytes:
    return hashlib.sha256("\n".join(map(ast.dump, parts)).encode()).digest()


def _drop_docstrings(body: list[ast.stmt]) -> None:
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, _DEFINITIONS) and ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.Pass()


def _is_inert_module(name: str) -> bool:
    return name.partition(".")[0] == "numpy" or builds.is_of_build(name)


def _is_one_of(names: re.Pattern[str], name: str) -> bool:
    top, _, rest = name.partition(".")
    of_torch = top == "torch" and (rest.startswith("nn.") or rest.rpartition(".")[2] in _TORCH_MAKERS)
    return "register" not in name and (of_torch or names.fullmatch(name) is not None)


def _is_functional_operator(name: str, call: ast.Call) -> bool:
    """Returns whether the call is one of an operator of torch's that makes a tensor and changes none."""
    top, _, operator = name.partition(".")
    changes = operator.endswith("_") or any(keyword.arg == "out" for keyword in call.keywords)
    return top == "torch" and operator.isidentifier() and not changes and hasattr(torch.ops.aten, operator)


def _modules(statement: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    return ["." * statement.level + (statement.module or "")]


def _imported_names(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement in body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            for alias in statement.names:
                yield alias.asname or alias.name, f"{statement.module}.{alias.name}"


def _run_when_called(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[ast.AST]:
    if isinstance(node, ast.ClassDef):
        yield from (each for each in node.body if isinstance(each, _FUNCTIONS) and each.name in _SPECIAL)
    else:
        yield node


def _called(part: ast.AST) -> Iterator[str]:
    """Names of what is called in `part`, or is a decorator."""
    if isinstance(part, ast.Name):
        yield part.id
    for node in ast.walk(part):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def _inner(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statements of which a compound one consists."""
    for part in (statement, *getattr(statement, "handlers", ())):
        for name in ("body", "orelse", "finalbody"):
            yield from getattr(part, name, ())


def _targets(statement: _Naming) -> Iterator[ast.AST]:
    for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
        yield from ast.walk(target)


def _assigned(statement: _Naming) -> set[str]:
    return {node.id for node in _targets(statement) if isinstance(node, ast.Name)}


def _only_names(statement: _Naming) -> bool:
    """Returns whether the statement names values, and changes no object."""
    return not any(isinstance(node, (ast.Attribute, ast.Subscript)) for node in _targets(statement))


_Naming = ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For

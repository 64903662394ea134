"""The operators that a graph calls, which rules those of libraries have, whether one writes to a tensor; marks of functions.

A rule decides what an operator does although nothing of the program runs while a frame that calls it is compiled: a kernel of
torch's own that was registered, autocast, the rule that was not there before.
"""

from __future__ import annotations

import contextlib
import operator
import os
import sys
import types
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.fx import GraphModule

from ... import _core
from ...errors import NotPortableError
from ..fingerprint import chains, import_effects, libraries, state
from ..fingerprint.sources import SourceSet, module_of
from ..seam import symbols
from . import operands

if TYPE_CHECKING:
    from .premises import Premises

_OF_TORCH = frozenset(["aten", "prim", "prims"])  # thousands of rules, which come with what torch imports

# What a torch.library.custom_op keeps of rules that run while it is traced.
_RULES = ("_abstract_fn", "_backward_fn", "_setup_context_fn", "_vmap_fn")

_ops = symbols.module("torch._ops")

# In operator: what a graph calls for `a[b] = c` and `a += b`.
_IN_PLACE = {name for name in dir(operator) if name[0] == "i" and f"__{name}__" in dir(operator)} - {"index", "inv", "invert"}
_IN_PLACE.add("setitem")


def with_inner(graph: Any) -> Iterator[Any]:
    """A torch.fx.Graph, and those of the modules that it calls: bodies of conditions, checkpoints and functions of autograd."""
    modules = graph.owning_module.modules() if graph.owning_module is not None else ()
    yield graph
    yield from (module.graph for module in modules if isinstance(module, GraphModule) and module.graph is not graph)


def called_by(graph: Any) -> Iterator[str]:
    """Qualified names ("library::name") of the operators that a torch.fx.Graph calls, those of torch itself apart."""
    for node in graph.nodes:
        yield from names_of(node.target)


def names_of(function: Any) -> Iterator[str]:
    """The qualified name of an operator; none for what is no operator, or one of torch's."""
    if isinstance(function, _ops.OpOverload):
        name = function.name().partition(".")[0]
    elif isinstance(function, _ops.OpOverloadPacket):
        name = function._qualified_op_name
    else:
        return
    if name.partition("::")[0] not in _OF_TORCH:
        yield name


def functions_of_torch(graph: Any) -> Iterator[Any]:
    """Functions of torch that a torch.fx.Graph calls, and those that these call, under the names that lead to them."""
    for function in {node.target for node in graph.nodes if node.op == "call_function"}:
        if _is_of_torch(function):
            yield function
            if isinstance(function, types.FunctionType):
                yield from filter(_is_of_torch, _read_by(function))


def _read_by(function: types.FunctionType) -> Iterator[Any]:
    """Globals that a function may read, and attributes of modules among them."""
    names = function.__code__.co_names
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    yield from found
    modules = [value for value in found if isinstance(value, types.ModuleType)]
    yield from (vars(module)[name] for module in modules for name in names if name in vars(module))


def _is_of_torch(function: Any) -> bool:
    if not isinstance(function, (types.BuiltinFunctionType, types.FunctionType)):
        return False
    try:
        return operands.reference(function).module.partition(".")[0] == "torch"
    except NotPortableError:
        return False


def of(name: str) -> tuple[str, ...]:
    """Returns what is registered for an operator: keys of kernels in Python, classes with a rule for dispatch, effects that
    keep calls whose results nobody uses, the type that autocast gives; and what `libraries` says of its kernels in C++."""
    library, _, operator = name.partition("::")
    impls = (key.split("/") for key in symbols.module("torch.library")._impls)
    keys = ["/".join(key) for key in impls if key[0] == library and key[1].partition(".")[0] == operator]
    known = symbols.module("torch._library.simple_registry").singleton._data
    rules = known[name].torch_dispatch_rules._data if name in known else ()
    classes = [f"{cls.__module__}.{cls.__qualname__}" for cls in rules]
    overloads = [(key, entry.effect.effect) for key, entry in known.items() if key.partition(".")[0] == name]
    effects = [f"{key}: {effect}" for key, effect in overloads if effect is not None]
    kept = [str(each) for each in symbols.module("torch.fx.node")._side_effectful_functions if _is_of(each, name)]
    definition = symbols.module("torch._library.custom_ops").OPDEFS.get(name)
    given = [vars(definition).get(rule) for rule in _RULES] if definition is not None else []
    entries = [entry for key, entry in known.items() if key.partition(".")[0] == name]
    given += [kernel.func for entry in entries for kernel in entry.fake_impl.kernels]
    given += [rule for entry in entries for rule in entry.torch_dispatch_rules._data.values()]
    in_python = sorted([*keys, *classes, *effects, *kept, *map(_said, given)])
    return (*in_python, *libraries.kernels_of(name), str(getattr(definition, "_autocast_dtype", None)))


def _said(rule: Any) -> str:
    """Which function a rule is, by the names of those that it consists of, for what they do counts where they run; all that
    another object is."""
    names = [name for each in state.functions_of(rule) for name in state.names_of_code(each)]
    if not isinstance(rule, types.FunctionType):
        with contextlib.suppress(NotPortableError):
            names.append(_core.digest(state.describe(rule)).hex())
    return " ".join([state.key_of(type(rule)), *names])


def add_to(premises: Premises, sources: SourceSet, called: Set[str]) -> None:
    """Adds what the modules do that registered what runs while these operators are traced: a kernel or a rule may be a function
    of torch, so that no code of the program runs. NotPortableError when nothing tells which modules."""
    made = libraries.in_python()
    # One that calls operators itself may call any.
    run = made.keys() if called & made.keys() else {name for name in made if name.partition("::")[0] in _OF_TORCH}
    nowhere = [name for name in run if libraries.LIBRARY in made[name]]
    naming = _naming(nowhere) if nowhere else {}
    unknown = {name for name in called & (set(nowhere) - naming.keys()) if libraries.is_defined_in_python(name)}
    if unknown:
        raise NotPortableError(f"{min(unknown)} has a kernel from Python, and no module names it")
    files = {file for name in run for file in made[name] - {libraries.LIBRARY}}.union(*naming.values())
    for key, entry in symbols.module("torch._library.simple_registry").singleton._data.items():
        if key.partition(".")[0] in called:
            files.update(kernel.source.rpartition(":")[0] for kernel in entry.fake_impl.kernels)
    for file in files:
        if libraries.is_of_torch(file):
            continue
        if (module := module_of(file)) is None:
            raise NotPortableError(f"{file!r}, which is the file of no imported module, registers operators")
        sources.add_import(file)
        namespace = vars(sys.modules[module])
        for chain in import_effects.chains(file):
            if chain[0] in namespace:
                premises.read(module, (*chains.read(namespace, chain)[1], chains.CHOSEN))


def _naming(operators: Iterable[str]) -> dict[str, set[str]]:
    """Those of these operators whose names stand in files of imported modules that are not torch's, and the files."""
    parts = {name: [part.encode() for part in name.split("::")] for name in operators}
    found: dict[str, set[str]] = {}
    for file in {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}:
        if not file.endswith(".py") or libraries.is_of_torch(file) or not os.path.isfile(file):
            continue
        text = Path(file).read_bytes()
        for name, written in parts.items() if b"torch" in text else ():
            if all(part in text for part in written):
                found.setdefault(name, set()).add(file)
    return found


def _is_of(function: Any, name: str) -> bool:
    """Returns whether a function is the operator `name`, or an overload of it."""
    if isinstance(function, _ops.OpOverload):
        return bool(function.name().partition(".")[0] == name)
    return isinstance(function, _ops.OpOverloadPacket) and bool(function._qualified_op_name == name)


def is_marked(module: str, qualname: str) -> bool:
    """Returns whether Dynamo was told not to trace this function as it traces others: to leave it in graphs, say."""
    if (rules := symbols.imported("torch._dynamo.trace_rules")) is None:
        return False
    marked = [value.function_ids or () for value in vars(rules).values() if isinstance(value, rules.FunctionIdSet)]
    return any(id(function) in ids for function in state.functions_under(module, qualname) for ids in marked)


def writes(graph: Any) -> bool:
    """Returns whether a torch.fx.Graph may change a tensor in place."""
    return any(_writes(node) for node in graph.nodes)


def _writes(node: Any) -> bool:
    """Returns whether a node of a graph may change a tensor in place."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    in_place = name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
    return node.op in ("call_function", "call_method") and (
        in_place or "out" in node.kwargs or bool(node.kwargs.get("inplace"))
    )

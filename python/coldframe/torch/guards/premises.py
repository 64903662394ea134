"""Premises: what Dynamo takes for granted while a process lives, said so that another process can tell.

Some of what a compilation reads is never guarded, because within one process it hardly changes: how classes are made up, that
a module has no hooks, the rank in a process group, the result of a function marked as constant, the standard library's globals
(the environment variables are one), the order of an OrderedDict. Between processes all of this changes. While a frame is being
compiled it is collected here; it becomes the last check of the frame's guard program, made until it has held once.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import enum
import re
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ... import _core
from ...errors import NotPortableError
from ..fingerprint import builds, chains, sharing, state
from ..seam import symbols
from . import classes, constant_calls, operands, registrations, replaced, unguarded_values
from .enums import Enums
from .expressions import Expression, parse
from .function_attributes import FunctionAttributes
from .lookups import BY_ANY_NAME, Lookups, digest_of_keys, names_in

# Sources of what Dynamo has put among a module's globals itself: modules of the functions that it inlines, and objects that no
# source of the program leads to, by their addresses.
_OF_DYNAMO = re.compile(r"\bG\['(?:__import_(\w+?)(?:_dot_\w+)?'\]|\w*_\d{9,}_c\d+'\])")
_OF_SITE = frozenset(["copyright", "credits", "exit", "help", "license", "quit"])  # builtins for people
_LARGEST = 1 << 20  # bytes of a value that is compared
NAME = "premises"  # of the named_check

_HOOKS = ("_global_backward_pre_hooks", "_global_backward_hooks", "_global_forward_hooks", "_global_forward_pre_hooks")


class Premises:
    """Those of one frame. Not thread-safe: one compilation is traced on one thread."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self._calls: dict[bytes, tuple[Any, ...]] = {}
        self._unguarded: dict[tuple[str, str, Any], Callable[[Any], None]] = {}
        self._classes: dict[int, type] = {}
        self._hookless: dict[str, set[str]] = {}
        self._orders: dict[str, tuple[int, ...]] = {}
        self._values: dict[bytes, tuple[Expression, Any]] = {}
        self._contained: dict[bytes, tuple[Expression, Any, bool]] = {}
        self._hashes: dict[Any, int] = {}
        self._keys: dict[str, tuple[Expression, bytes]] = {}
        self._executed: dict[int, types.CodeType] = {}  # code of the program that ran
        self.modules: set[str] = set()  # that it lies in
        self.met = state.Met()  # classes of the program that it has to do with
        self._of_tensors: set[str] = set()
        self._of_program = False  # whether any code of it has been looked into
        self._of_metaclasses: set[str] = set()  # names looked up in metaclasses of the program
        self._functions: dict[tuple[str, str], Any] = {}
        self._reads: dict[tuple[str, chains.Chain], Any] = {}
        self._inlined: set[tuple[str, str]] = set()
        self._installed: dict[str, str | bool] = {}
        self._unshadowed: dict[str, set[str]] = {}
        self._instances: dict[bytes, tuple[Any, ...]] = {}
        self._isinstance: dict[Any, tuple[Any, ...]] = {}
        self._distinct: list[Expression] = []
        self._missing: set[tuple[str, str]] = set()
        self._same: dict[tuple[str, str], tuple[Expression, Expression]] = {}
        self._dirs: dict[str, tuple[Expression, Any]] = {}
        self._of_inputs: dict[tuple[str, str], tuple[Expression, str, bool]] = {}
        self._held: dict[str, tuple[Expression, dict[str, Any]]] = {}
        self._writes = False  # whether a graph may write to a tensor that it was given
        self._memory: list[tuple[Expression, int, int]] = []
        self.operators: dict[str, tuple[str, ...]] = {}  # of libraries that graphs call, or functions that ran
        self._asked: set[str] = set()
        self._absent: dict[tuple[str, str], Expression] = {}
        self.ids: set[int] = set()  # of objects, which the program has asked for
        self._of_torch_names: set[str] = set()  # under those that graphs call
        self._of_torch: dict[_core.ImportRef, bytes] = {}  # called by graphs, with what they say of themselves
        self.lookups = Lookups()
        self.enums = Enums()
        self.attributes = FunctionAttributes()
        self.looks_up_any_name = False  # code that ran may have looked up attributes by names that do not stand in it
        self.compares_identities = False  # code that ran may have asked which object one is
        self.finding_key = 0  # whether a dict or a set is asking a key for its hash
        self.registry_read = False  # of pytree's nodes: not only looked up in
        self.sets_mixed = False  # a set whose order comes from hashes went into another one

    def restart(self) -> None:
        """Guards are built anew: what was noted while they were built is void."""
        self._classes.clear()
        self._hookless.clear()
        self._orders.clear()

    def called(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Dynamo called `function` while tracing and keeps the result."""
        try:
            if not constant_calls.gives_constant(function, args, kwargs):
                raise NotPortableError("nothing says that it may be called again to see")
            call = (operands.reference(function), args, kwargs, result)
            self._calls[_core.digest(call)] = call
        except NotPortableError as error:
            name = getattr(function, "__qualname__", repr(function))
            self.failure = f"the result of {name} was taken for a constant: {error}"

    def asked_of_process(self, function: Any) -> None:
        """Code that ran has read a function, and called it perhaps: what it says of the process counts, if it does say that."""
        if constant_calls.says_what_the_process_is_like(function):
            self.called(function, (), {}, constant_calls.outcome(function))

    def decided(self, names: Collection[str]) -> None:
        """Code with these names was traced, or ran."""
        for name in constant_calls.DECIDING.keys() & set(names):
            for path, args in constant_calls.DECIDING[name]:
                if (function := constant_calls.find(path)) is not None:
                    self.called(function, args, {}, function(*args))

    def inlined(self, module: str, qualname: str) -> None:
        """Code of a function was traced, which Dynamo may be told to call instead."""
        if not registrations.is_marked(module, qualname):
            self._inlined.add((module, qualname))

    def calls(self, graph: Any) -> None:
        """A graph that was made of the frame calls operators of libraries: which rules they have decides what these do."""
        self.operators.update({name: registrations.of(name) for name in registrations.called_by(graph)})
        self._of_torch_names |= replaced.reached(graph)
        functions = list(registrations.functions_of_torch(graph))
        self.decided([function.__name__ for function in functions])
        self._of_torch.update((operands.reference(function), operands.claims(function)) for function in functions)
        self._writes = self._writes or registrations.writes(graph)

    def reached(self, functions: Iterable[Any]) -> None:
        """Code that ran may have called these functions, of torch perhaps, which others of torch make up."""
        self._of_torch_names |= replaced.reached_by(functions)

    def iterated(self, items: Iterable[Any]) -> None:
        """The program went through a set of these constants, in an order that comes from their hashes."""
        for item in items:
            if not isinstance(item, (int, float)):
                self._hashes[item] = hash(item)

    def shown(self, source: Any, text: str) -> None:
        """Dynamo keeps the text of an object without having looked at what it is made of."""
        try:
            self._is(("call", ("name", "str"), parse(source.name if source is not None else "")), text)
        except NotPortableError as error:
            self.failure = f"the text of an object was taken for a constant: {error}"

    def lacks(self, source: str, key: Any) -> None:
        """A key was looked up in a dict, was not there, and no guard says so."""
        try:
            entry = (parse(source), key, False)
            self._contained[_core.digest(entry)] = entry
        except NotPortableError as error:
            self.failure = f"{source} has no key {key!r:.80}: {error}"

    def _say(self, source: str, what: str, said: Callable[[Expression], None]) -> None:
        """Calls `said` with the expression of a source. Where there is none, `what` was taken for a constant, and fails."""
        if (found := _OF_DYNAMO.search(source)) is not None and (found[1] is None or builds.is_of_build(found[1])):
            return
        try:
            said(parse(source))
        except NotPortableError as error:
            self.failure = f"{what} was taken for a constant: {error}"

    def listed(self, source: str, keys: list[Any]) -> None:
        """The program went through a dict, or asked how many items it has, and no guard says so."""
        self._say(source, f"the list of the keys of {source}", lambda of: self._is(("call", ("name", "list"), of), keys))

    def has_keys(self, source: str, value: Any) -> None:
        """A dict or a set is gone through, or so many items of it counted: guards take True for 1, or know the number alone."""
        with contextlib.suppress(NotPortableError):  # objects, which are guarded by their identities
            digest = digest_of_keys(value)
            self._say(source, f"the keys of {source}", lambda of: self._keys.update({source: (of, digest)}))

    def equal_by_bits(self, source: str, value: Any) -> None:
        """A guard finds it equal to this value, which others are equal to, too."""
        self._say(source, source, lambda of: self._is(of, value))

    def _is(self, expression: Expression, value: Any) -> None:
        self._values[_core.digest((expression, value))] = expression, value

    def dir_of(self, source: Any, value: Any) -> None:
        """The program has asked which names there are."""

        def said(of: Expression) -> None:
            if not isinstance(value, types.ModuleType):
                raise NotPortableError("more than what it is made of decides")
            self._dirs[source.name] = of, dir(value)

        self._say(source.name, f"dir() of {source.name}", said)

    def gives(self, source: Any, name: str) -> None:
        """A module was asked for an attribute that it makes, if it does."""
        self._say(
            source.name,
            f"{name} of {source.name}",
            lambda of: self._is(("call", ("name", "hasattr"), of, ("const", name)), True),
        )

    def of_input(self, source: Any, name: str, value: Any) -> None:
        """An attribute of a tensor was read that no guard speaks of: whether it is true, or there at all."""
        is_there = value is not None and value is not False
        self._say(
            source.name, f"{source.name}.{name}", lambda of: self._of_inputs.update({(source.name, name): (of, name, is_there)})
        )

    def held(self, source: str, value: Any) -> None:
        """Dynamo has taken something as it is, without a guard."""
        self._say(source, source, lambda of: self._held.update({source: (of, state.describe_called(value, self.met))}))

    def asked(self, name: str) -> None:
        """An attribute of this name was looked up, in the class of an object perhaps."""
        self._asked.add(name)

    def has_not(self, source: Any, name: str) -> None:
        """An attribute was asked for that an object, its class apart from __getattr__ included, does not have."""
        if (source.name, name) not in self._absent:
            self._say(
                source.name, f"the lack of {name} in {source.name}", lambda of: self._absent.update({(source.name, name): of})
            )

    def executed(self, function: types.FunctionType, module: str) -> None:
        """A function of the program ran."""
        self._executed[id(function.__code__)] = function.__code__
        self.modules.add(module)
        self.met.update(state.owners(module, function.__qualname__))

    def given(self, classes: Iterable[type]) -> None:
        """Functions of the program that ran were given these, or objects of them."""
        self.met.update(cls for cls in classes if not builds.is_of_exact_build(cls))

    def holding(self, function: types.FunctionType, module: str, name: str) -> None:
        """Describes what a function that ran holds, to which this name leads."""
        under = tuple(each.__code__.co_qualname for each in state.functions_under(module, name))  # with what wraps it
        self._functions[module, name] = state.describe_function(function, self.met), under

    def read(self, module: str, chain: chains.Chain) -> Any:
        """A function that ran has read a global, and attributes of it. Returns the value."""
        value, chain = chains.of_module(sys.modules[module], chain)
        if chain[-1] == chains.CHOSEN:
            with contextlib.suppress(NotPortableError):  # it is said in another way
                state.describe(chains.of_module(sys.modules[module], chain[:-1])[0], self.met)
        self._reads[module, chain] = content = state.describe(value, self.met)
        self.operators.update({name: registrations.of(name) for name in registrations.names_of(value)})
        if len(_core.encode(content)) > _LARGEST:
            raise NotPortableError(f"it reads {'.'.join(chain)}, which is too large to be compared")
        return value

    def places(self) -> tuple[sharing.Place, ...]:
        """Returns the names that lead to what code that ran holds and reads."""
        names = {name for code in self._executed.values() for name in names_in(code)} | self.met.names
        return sharing.places(self._reads, self._functions, self.classes(), names)

    def executed_codes(self) -> Collection[types.CodeType]:
        return self._executed.values()

    def used_of_tensors(self, names: Iterable[str]) -> None:
        """Attributes of these names were used, of tensors perhaps: Dynamo takes what torch.Tensor has for granted."""
        self._of_program = True
        self._of_tensors.update(name for name in names if hasattr(torch.Tensor, name))

    def looked_up_in_metaclass(self, metaclass: type, name: str) -> None:
        """Dynamo has looked for an attribute of a class in its metaclass."""
        if not builds.is_of_exact_build(metaclass):
            self.met.add(metaclass)
            self._of_metaclasses.add(name)

    def classes(self) -> Iterator[type]:
        """Those of the program that what ran has to do with, and their bases."""
        return (base for base in {base for cls in self.met for base in cls.__mro__} if not builds.is_of_exact_build(base))

    def installed(self, name: str) -> None:
        """A function that ran may have asked whether there is a module or distribution of this name."""
        self._installed[name] = state.installed(name)

    def missing(self, module: str, names: Iterable[str]) -> None:
        """A function that ran may have asked a module for these names, which it does not have."""
        self._missing.update((module, name) for name in names)

    def unshadowed(self, module: str, names: Collection[str]) -> None:
        """Names of builtins were read in a module that does not have them."""
        self._unshadowed.setdefault(module, set()).update(names)
        for name in vars(builtins).keys() & set(names) - _OF_SITE:
            self.read(builtins.__name__, (name,))

    def instance_checked(self, cls: type, of: tuple[type, ...], result: bool) -> None:
        """Dynamo has asked whether `cls` is a subclass of any of these, which more than their bases decides."""
        try:
            entry = operands.reference(cls), tuple(map(operands.reference, of)), result
            if issubclass(cls, of) is not result:
                raise NotPortableError("its own attributes decided")
            self._instances[_core.digest(entry)] = entry
        except (NotPortableError, TypeError) as error:
            self.failure = f"isinstance() of a {cls.__qualname__} object was taken for a constant: {error}"

    def is_instance(self, source: str, of: tuple[type, ...], result: bool) -> None:
        """Dynamo has asked whether an object is an instance of any of these, which more than its class decides."""

        def said(it: Expression) -> None:
            classes = tuple(map(operands.reference, of))
            self._isinstance[source, classes] = it, classes, result

        self._say(source, f"isinstance() of {source}", said)

    def unguarded(self, source: Any, create: Any) -> None:
        """Dynamo did without the guard that `create` (a method of GuardBuilder) would have made for `source`."""
        annotations = source
        while annotations is not None and getattr(annotations, "member", None) != "__annotations__":
            annotations = getattr(annotations, "base", None)
        if annotations is not None:
            self._unguarded[annotations.name, "", None] = lambda builder: self.shown(annotations, str(builder.get(annotations)))
        keywords = getattr(create, "keywords", {})
        kind = getattr(getattr(create, "func", create), "__name__", "?")
        if kind not in unguarded_values.BY_BUILD:
            key = keywords.get("key")
            of = key if isinstance(key, (str, bytes, int)) else id(key)
            self._unguarded[source.name, kind, of] = lambda builder: self._resolve(kind, source, builder, key)

    def guards_built(self, builder: Any) -> None:
        """The values behind the sources can be asked for now."""
        try:
            for resolve in self._unguarded.values():
                resolve(builder)
        except Exception as error:
            self.failure = f"unguarded value: {error}"
        self._unguarded.clear()

    def _resolve(self, kind: str, source: Any, builder: Any, key: Any) -> None:
        if kind in unguarded_values.OF_CONTENT:
            entry = (parse(source.name), key, "NOT" not in kind)
            self._contained[_core.digest(entry)] = entry
        elif (compared := unguarded_values.compared(kind, source.name, builder.get(source))) is not None:
            self._is(*compared)

    def type_guarded(self, cls: type) -> None:
        self._classes[id(cls)] = cls

    def constant_guarded(self, value: Any) -> None:
        """Members of enums are compared by name, registered constants as they say; what they stand for is in their class."""
        if isinstance(value, enum.Enum) or pytree.is_constant_class(type(value)):
            self.type_guarded(type(value))
        elif isinstance(value, type):
            self.type_guarded(value)
        elif isinstance(value, (tuple, list, set, frozenset)):
            for item in value:
                self.constant_guarded(item)

    def distinct(self, sources: Iterable[str]) -> None:
        """These lead to different objects, and no guard says so: what the frame does to one does nothing to the others."""
        self._distinct.clear()
        for source in sources:
            with contextlib.suppress(NotPortableError):  # in ways that no expression has: torch's accessors by functions
                if (expression := parse(source)) not in self._distinct:
                    self._distinct.append(expression)

    def lie(self, tensors: dict[str, torch.Tensor]) -> None:
        """Writing to one of these shows in those that lie in the same memory, and in no others."""
        self._memory.clear()
        for source, number, offset in state.in_memory(tensors):
            with contextlib.suppress(NotPortableError):
                self._memory.append((parse(source), number, offset))

    def is_same(self, sources: Sequence[str]) -> None:
        """These lead to one object, which torch does not guard. A part of a source stands for something else than it says."""
        if len(sources) > 1 and sources[-1].removeprefix(sources[0])[:1] not in (".", "["):
            with contextlib.suppress(NotPortableError):
                self._same[sources[0], sources[-1]] = parse(sources[0]), parse(sources[-1])

    def hookless(self, module_source: str, hooks: str) -> None:
        """A module without hooks of this kind, which Dynamo does not guard."""
        self._hookless.setdefault(module_source, set()).add(hooks)
        self._asked.add("forward")

    def ordered(self, source: str, value: Any) -> None:
        """A dict whose order matters. Guards see the order of insertion; that of an OrderedDict is another."""
        if isinstance(value, collections.OrderedDict):
            inserted = {id(key): index for index, key in enumerate(dict.keys(value))}
            self._orders[source] = tuple(inserted[id(key)] for key in value)

    def add_to(self, program: _core.GuardProgram, traced: Iterable[types.CodeType]) -> None:
        """Appends the check, if there is anything to check. NotPortableError with the reason when it cannot be said."""
        if self.failure is not None:
            raise NotPortableError(self.failure)
        self.lookups.add_to(program)
        checks: dict[str, Any] = {
            "attributes": self.attributes.described(),
            "absent": tuple((expression, name) for (_, name), expression in self._absent.items()),
            "calls": tuple(self._calls.values()),
            "contained": tuple(self._contained.values()),
            "distinct": tuple(self._distinct) if len(self._distinct) > 1 else (),
            "hashes": tuple(self._hashes.items()),
            "hookless": tuple((parse(source), tuple(sorted(hooks))) for source, hooks in self._hookless.items()),
            "functions": tuple((*where, *content) for where, content in sorted(self._functions.items())),
            "inlined": tuple(sorted(self._inlined)),
            "installed": tuple(sorted(self._installed.items())),
            "instances": tuple(self._instances.values()),
            "isinstance": tuple(self._isinstance.values()),
            "keys": tuple(self._keys.values()),
            "memory": tuple(self._memory) if self._writes and len(self._memory) > 1 else (),
            "modules": tuple(sorted(self.modules)),
            "operators": operands.claims_of_tensors(operands.OPERATORS) if self._of_program else b"",
            "orders": tuple((parse(source), order) for source, order in self._orders.items()),
            "missing": tuple(sorted(self._missing)),
            "of_torch": tuple(sorted(self._of_torch.items(), key=lambda each: (each[0].module, each[0].qualname))),
            "registrations": tuple(sorted(self.operators.items())),
            "replaced": (names := tuple(sorted(self._of_torch_names))) and (names, replaced.digest(names)),
            "same": tuple(self._same.values()),
            "dirs": tuple(self._dirs.values()),
            "of_inputs": tuple(self._of_inputs.values()),
            "held": tuple(self._held.values()),
            "shared": sharing.described(self.places(), self.compares_identities),
            "reads": tuple((*where, content) for where, content in sorted(self._reads.items())),
            "tensors": self._of_tensors and (tuple(sorted(self._of_tensors)), operands.claims_of_tensors(self._of_tensors)),
            "unshadowed": tuple((module, tuple(sorted(names))) for module, names in sorted(self._unshadowed.items()) if names),
            "values": tuple(self._values.values()),
        }
        if self._hookless:
            module = symbols.module("torch.nn.modules.module")
            checks["global_hooks"] = tuple((name, len(getattr(module, name))) for name in _HOOKS)
        description = self._describe_classes(list(traced))
        if description["roots"]:
            checks["classes"] = description
        checks = {name: value for name, value in checks.items() if value}
        if checks:
            program.add("named_check", (0,), (NAME, (checks,)), "", ["what Dynamo takes for granted"])

    def _describe_classes(self, traced: Sequence[types.CodeType]) -> dict[str, Any]:
        known = {id(code) for code in traced} | self._executed.keys()
        read = {name for code in self._executed.values() for name in names_in(code)}
        read |= self.met.names
        if self._of_metaclasses:
            read |= self._of_metaclasses | {name for code in traced for name in code.co_names}
        needed, count = set(read), -1
        while count != len(self.met):  # what attributes of classes hold is made with further ones
            count = len(self.met)
            if read & BY_ANY_NAME:
                read |= {classes.ANY_NAME, *(name for cls in self.classes() for name in vars(cls))}
            roots = {**self._classes, **{id(cls): cls for cls in self.met}}
            description = classes.describe(
                roots.values(), lambda code: id(code) in known, read, needed, self.met, self._asked, self.enums.read_by_member
            )
        return description

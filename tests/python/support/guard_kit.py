"""Guards built by torch's own GuardBuilder while coldframe records, and the same guards replayed from a package."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch._dynamo.guards as dynamo
from torch._dynamo.source import LocalSource
from torch._guards import Guard, Source

from coldframe import _core
from coldframe.torch.capture import listeners, listening
from coldframe.torch.guards.hosted import replay
from coldframe.torch.guards.native import steps_of
from coldframe.torch.guards.record import Recording

Locals = dict[str, Any]
listeners.install()


@contextmanager
def recording() -> Iterator[Recording]:
    """Within it, the guards that are built on this thread are recorded."""
    made = listening.local.recording = Recording()
    try:
        yield made
    finally:
        listening.local.recording = None


class Kit:
    """A GuardBuilder over a frame with the given locals and globals."""

    def __init__(self, frame: Locals, namespace: Locals, ordered: Sequence[Source] = (), **graph: Any) -> None:
        names = ", ".join(frame)
        code = next(c for c in compile(f"def f({names}): pass", "f", "exec").co_consts if isinstance(c, types.CodeType))
        self.manager = object.__new__(dynamo.CheckFunctionManager)
        self.manager._weakrefs = {}
        self.manager.shape_code_parts = None
        made = {"guard_on_key_order": set(ordered), "export": False, "input_source_to_sizes_strides": {}}
        self.manager.output_graph = types.SimpleNamespace(**{**made, "compile_on_one_rank": False, **graph})
        self.wrapper = dynamo.GuardManagerWrapper()
        self.root = self.wrapper.root
        self.namespace = namespace
        self.builder = dynamo.GuardBuilder(
            code,
            self.manager.id_ref,
            lambda source: source.name,
            self.manager.lookup_weakrefs,
            frame,
            namespace,
            self.wrapper,
            self.manager,
        )

    def node(self, source: Source) -> Any:
        """torch's guard manager of a source."""
        return self.builder.get_guard_manager_from_source(source)

    def check(self, source: Source, kind: str, **keywords: Any) -> None:
        """The guard that GuardBuilder's method `kind` makes."""
        getattr(self.builder, kind)(Guard(source, getattr(dynamo.GuardBuilder, kind)), **keywords)

    def equal(self, source: Source) -> None:
        self.check(source, "CONSTANT_MATCH")

    def tensor(self, source: Source, dynamic: Sequence[int] = ()) -> None:
        """A tensor's guard; sizes and strides of `dynamic` dimensions are left open."""
        value = self.builder.get(source)
        size = [None if i in dynamic else n for i, n in enumerate(value.shape)]
        stride = [None if i in dynamic else n for i, n in enumerate(value.stride())]
        self.manager.output_graph.input_source_to_sizes_strides[source] = {"size": size, "stride": stride}
        self.check(source, "TENSOR_MATCH")


@dataclass
class Frame:
    """Locals to check guards with, in a state of the process. `locals` None: those that the guards were made for."""

    locals: Locals | Callable[[], Locals] | None = None
    state: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass
class Case:
    """Guards of given kinds, frames that they hold for (the one they were made for, too), and frames that they refuse."""

    name: str
    kinds: tuple[str, ...]
    locals: Locals | Callable[[], Locals]
    build: Callable[[Kit], None]
    fails: list[Frame]
    holds: list[Frame] = field(default_factory=list)
    ordered: tuple[Source, ...] = ()
    namespace: Locals = field(default_factory=dict)
    state: Callable[[], AbstractContextManager[Any]] = nullcontext  # in which the guards are made
    graph: dict[str, Any] = field(default_factory=dict)  # attributes of the OutputGraph that GuardBuilder asks for


@dataclass
class Both:
    """The guards that torch built, those replayed from a package on disk, and the steps that the native engine runs instead."""

    original: Any
    replayed: Any
    program: _core.GuardProgram
    locals: Locals
    namespace: Locals
    steps: _core.Steps

    def __post_init__(self) -> None:
        self.engine = _core.GuardEngine(self.steps)
        for _ in range(3):  # then it is reduced to words, where the frame holds
            self.engine.check(tuple(self.locals), tuple(self.locals.values()), self.namespace)


def local(name: str) -> LocalSource:
    return LocalSource(name)


def locals_of(made: Locals | Callable[[], Locals]) -> Locals:
    return made() if callable(made) else made


def build(case: Case, path: Path) -> Both:
    """Builds the guards of `case`, writes them into a package at `path`, and replays what is read from there."""
    frame = locals_of(case.locals)
    with case.state(), recording() as made:
        kit = Kit(frame, case.namespace, case.ordered, **case.graph)
        case.build(kit)
        program = through_disk(made.finish(), path)
    steps = steps_of(program, tuple(frame), case.namespace, set())
    return Both(kit.root, replay(program, case.namespace), program, frame, case.namespace, steps)


def through_disk(program: _core.GuardProgram, path: Path) -> _core.GuardProgram:
    """`program` as another process would read it."""
    code = _core.CodeObject.from_code(through_disk.__code__)
    entry = _core.CodeEntry(code, __name__)
    entry.add_guarded_code(_core.GuardedCode(program, code))
    package = _core.Package()
    package.codes = [entry]
    package.write(path)
    read = _core.Package.open(path).codes[0].guarded_codes[0].guards
    assert read == program
    return read


def verdicts(both: Both, frame: Frame) -> tuple[bool, bool]:
    """Returns the verdicts of the original and the replayed guards on a frame, each asked in all the ways that torch has."""
    values = both.locals if frame.locals is None else locals_of(frame.locals)
    with frame.state():
        said = _verdict(both.original, values), _verdict(both.replayed, values)
        if values.keys() == both.locals.keys():
            ordered = tuple(values[name] for name in both.locals)
            # Twice by the engine that has seen the frames before, which may know this one by words, and by a new one.
            for engine in (both.engine, both.engine, _core.GuardEngine(both.steps)):
                refused = engine.check(tuple(both.locals), ordered, both.namespace)
                assert (refused == -1) is said[1], (said, refused)
        return said


def _verdict(root: Any, values: Locals) -> bool:
    said = root.check(values)
    assert root.check_verbose(values).result is said
    return bool(said)

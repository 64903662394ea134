"""The CompilePackage that Dynamo talks to while it compiles a callable of ours.

Dynamo calls the methods below by their names. Each contains its own failures: an error here would reach the user as an
InternalTorchDynamoError, so it becomes a bypass with a reason, and the program runs on as with plain torch.compile.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch.utils import _pytree as pytree

from ... import _core
from ...errors import MissError, NotPortableError
from .. import graphs
from ..fingerprint import locate
from ..guards import registrations
from ..seam import cxx, gc_pause, generation, symbols
from ..seam.eager import run_eagerly
from ..seam.process import Lock
from ..seam.stats import stats
from . import listening, shapes
from .deferred_backend import own_backend
from .frame import FrameCapture, contain
from .misses import Miss
from .registry import BackendKey, Caller, Graph, registry

if TYPE_CHECKING:
    from ..serve.hosted import Install

_F = TypeVar("_F", bound=Callable[..., Any])


def _contained(method: _F) -> _F:
    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            frame = listening.current()
            if isinstance(frame, FrameCapture):
                frame.bypass(f"{method.__name__}: {error}")
            contain(error)
            return None

    return wrapper  # type: ignore[return-value]


NO_MORE = "torch compiled no more variants of it when the package was made"
_FOUND_LATE = "it was found when the call was under way: later ones are served"

# Dynamo counts its graphs, and adds a random id.
_NAME_OF_TORCH = re.compile(r"__compiled_fn_\d+_[0-9a-f]{8}(_[0-9a-f]{4}){3}_[0-9a-f]{12}")


def _device_type(graph: Any) -> str:
    """Returns the type of device that a graph needs: where it has several, not "cpu"."""
    package = symbols.module("torch._dynamo.package")
    if generation.current().devices_of_graphs:
        return str(package._collapse_device_types(package._graph_device_types(graph)))
    return str(package._graph_device_type(graph))


def _graph_name(backend_id: str, artifact: Any) -> str:
    """The name of a graph in packages: from its content, the same in every process."""
    if _NAME_OF_TORCH.fullmatch(backend_id):
        return graphs.name_by_content(artifact)
    return backend_id


def runs_with(backend_key: BackendKey) -> Callable[[Any], bool]:
    """A guard: whether a callable of equal backend and options runs. torch shares a code's loaded entries with everybody."""

    def serves(frame_locals: Any) -> bool:
        running = listening.local.running
        return bool(running) and running[-1].backend_key == backend_key

    return serves


_LIMITS = ("recompile_limit", "accumulated_recompile_limit")


def _tensors(values: dict[str, Any]) -> tuple[bool, bool]:
    """Returns whether there are tensors among the values, and whether modules among them have any."""
    leaves = pytree.tree_leaves(values)
    modules = (leaf for leaf in leaves if isinstance(leaf, torch.nn.Module))
    own = any(True for module in modules for _ in itertools.chain(module.parameters(), module.buffers()))
    return any(isinstance(leaf, torch.Tensor) for leaf in leaves), own


def _is_unbuilt(values: dict[str, Any]) -> bool:
    """True if a lazily built module still lacks its parameters: Dynamo guards what its first call leaves."""
    lazy = torch.nn.modules.lazy.LazyModuleMixin
    modules = (each for leaf in pytree.tree_leaves(values) if isinstance(leaf, torch.nn.Module) for each in leaf.modules())
    return any(isinstance(each, lazy) and each.has_uninitialized_params() for each in modules)


def _skips_code(error: BaseException) -> bool:
    exc = symbols.module("torch._dynamo.exc")
    return isinstance(error, (exc.Unsupported, exc.SkipFrame)) and error.frame_exec_strategy is None


def _is_limited(entry: _core.CodeEntry) -> bool:
    """Returns whether torch compiled no more variants of the entry, and would not here."""
    if not entry.skipped or entry.bypass_reason != NO_MORE:
        return False
    config = symbols.module("torch._dynamo.config")
    raised = any(getattr(config, name) > config._config[name].default for name in _LIMITS)
    return not raised or len(entry.guarded_codes) >= config.recompile_limit


class Owner(Protocol):
    """The owner of a capture: it decides over misses, and hears of what happens."""

    def missed(self, miss: Miss) -> Any:
        """None to compile the frame, or what Dynamo is to do instead. May raise MissError."""

    def entering(self, begins: bool, compiles: bool) -> bool:
        """Notes a frame that nothing serves, before anything is counted; `begins`: a call may begin with it; `compiles`:
        it would be compiled now. Whether something more was loaded that may serve it. May raise."""

    @property
    def keeps_limits(self) -> bool:
        """True if calls run as they are when none serves, where torch compiled no more variants of their first frame."""

    def compiling(self, frame: str) -> None: ...
    def compiled(self) -> None: ...
    def call_finished(self) -> None: ...


class CapturePackage:
    """Dynamo's view of one compiled callable of ours: what it compiles, what serves it, and which graphs it runs.

    Not thread-safe beyond what Dynamo needs: frames are thread-local.
    """

    is_coldframe = True
    keeps_unknown_backends = False  # whether somebody else may know how to save what coldframe cannot

    def __init__(self, owner: Owner | None = None) -> None:
        self._owner = owner
        self.target: Any = None
        self.backend: Any = None
        self.backend_key: BackendKey = None
        self.caller = Caller()
        self.own: set[str] = set()  # names of the graphs that it compiled
        self.used: set[str] = set()  # names of those that it ran, and of compilations without a graph
        self.limited: set[int] = set()  # ids of the codes of which torch compiles no more variants
        self.given_up: set[int] = set()  # ids of the codes that cannot be compiled on this host
        self.nopython = False  # fullgraph=True: what cannot be one graph is refused at each call
        self.loaded = False  # whether there is a package that should have served
        self.outdated = ""  # why that package does not fit any more
        # Whether torch found nothing to compile in this frame, with which a call begins, when such a call was made before.
        self.has_nothing: Callable[[_core.CodeEntry], bool] = lambda entry: False
        self.unrecorded: list[str] = []  # why frames that are no part of any package are not
        self.installs: list[Install] = []
        self.misses: deque[Miss] = deque(maxlen=100)  # the last ones
        self.compiler_config: Callable[[], Any] | None = None
        self.context: Any = None  # Dynamo's, which the callable enters at each call
        self._told: set[int] = set()  # ids of the codes whose shapes of earlier processes Dynamo knows
        self.repeated: set[str] = set()  # names of graphs that ran more than once within a call
        self.reentered = False  # whether the frame with which a call begins was compiled when the call was under way
        self.namespace: dict[str, Any] = {}
        self.depth = 0  # calls that are running
        self.ran: set[str] = set()  # names of what the last call ran
        self.made_under: dict[str, dict[str, Any]] | None = None  # the settings when the callable was made
        self._lock = Lock()
        self._counted = 0  # graphs that are accounted for in the statistics
        self._foreign = 0  # graphs that it ran, which somebody else compiled and no package of its holds
        self._registry_version = 0
        self._changes = 0

    @property
    def owner(self) -> Any:
        return self._owner or self

    def of(self, target: Any) -> None:
        """Notes what is compiled: a function, method or module."""
        self.target = target

    def compiled_by(self, backend: Any, options: dict[str, Any]) -> None:
        """Notes the backend, as the user named it, and the portable options."""
        self.backend = backend
        self.backend_key = (_core.digest(options), backend)

    @functools.cached_property
    def entries(self) -> set[int]:
        """Ids of the codes with which a call begins."""
        return locate.entry_codes(self.target)

    def is_initialized(self) -> bool:
        return True

    def use_backend(self, backend: Any) -> Any:
        """The backend that Dynamo is to use in place of the one that torch.compile made."""
        self.compiler_config = getattr(backend, "get_compiler_config", None)
        return own_backend(backend)

    def optimize_context(self, context: Any) -> None:
        """Notes the context that torch made for this package: the compiled callable enters it at each call."""
        context.enter_exit_hooks.append(self._enter)
        self.context = context

    def _enter(self) -> Callable[[], None]:
        with self._lock:
            if self.depth == 0:
                self.ran = set()
            self.depth += 1
        listening.enter(self)
        return self._leave

    def _leave(self) -> None:
        self.ran |= listening.leave()
        self._count_hits()
        with self._lock:
            self.depth -= 1
            outermost = self.depth == 0
        if outermost:
            self.owner.call_finished()

    def _count_hits(self) -> None:
        if len(self.used) == self._counted:
            return
        self._counted = len(self.used)
        loaded = set()
        for done in self.installs:
            for variant in done.variants:
                loaded.update(variant.graphs)
                if not variant.served and not self.used.isdisjoint(variant.graphs):
                    variant.served = True
                    stats.add(hits=1, seconds_saved=variant.compile_seconds)
        self._foreign = len(self.used - loaded - self.own)

    def version(self) -> tuple[int, int]:
        """Another one when there may be something new to save."""
        if self._registry_version != registry.version:
            self._registry_version = registry.version
            self._changes = registry.changes(self.caller.codes | self.entries)
        return self._changes + len(self.limited), self._foreign

    def limit_reached(self, code: types.CodeType) -> None:
        """Notes that torch has compiled as many variants of `code` as it does."""
        self._frame(code)  # it may have been others that compiled them
        self.limited.add(id(code))

    def cannot_save(self, reason: str) -> None:
        """Notes why a frame that is about to be compiled cannot be saved."""
        stats.count_bypass(reason)
        self.unrecorded.append(reason)

    def not_compiled(self, code: types.CodeType, error: Exception) -> Any:
        """Notes that `code` could not be compiled: None where that is for the program to hear, or what Dynamo is to do."""
        if self._owner is None or not cxx.is_missing(error):
            return None
        self.given_up.add(id(code))
        name = locate.frame_name(code, self.namespace.get("__name__", "?"), self.target)
        self.unrecorded.append(f"{name}: {cxx.REASON}")
        cxx.note_missing()
        return run_eagerly(cxx.REASON, inner_as_known=True)

    def adopt(self, done: Install) -> None:
        """Takes the code objects that a loaded package has variants for: a new variant belongs to the same entry."""
        self.loaded = True
        self.installs.append(done)
        for code, entry in done.entries:
            registry.record(code, entry.module, entry.role)
            self.caller.codes.add(id(code))

    def before_compile(
        self, code: types.CodeType, namespace: dict[str, Any], frame_locals: Any, closure: shapes.Closure
    ) -> Any:
        """Notes a frame that nothing serves: None to compile it, or what Dynamo is to do. May raise MissError."""
        begins = id(code) in self.entries
        if begins and self._find_more(code, frame_locals, begins):
            return run_eagerly(_FOUND_LATE, inner_as_known=True)
        self.namespace = namespace
        name = locate.frame_name(code, namespace.get("__name__", "?"), self.target)
        known = self._known(code)
        # A call without tensors may have nothing to compile although others had. A module may compute with its own, though.
        skipped = [entry for entry in known if entry.skipped]
        passed, own = _tensors(frame_locals) if skipped else (True, True)
        nothing = run_eagerly("torch found nothing to compile in it when the package was made")
        if any(entry.role == "resume" and not entry.guarded_codes for entry in skipped) or (skipped and not passed and not own):
            return nothing
        if begins and any(self.has_nothing(entry) for entry in skipped):
            return nothing
        if self._is_given_up(code):
            return run_eagerly(NO_MORE, inner_as_known=True)
        if any(entry.guarded_codes for entry in known) and _is_unbuilt(frame_locals):
            stats.count_bypass(f"{name}: the call that builds a lazily built module runs as it is; later ones are served")
            return run_eagerly("it builds a lazily built module", inner_as_known=True)
        if not begins and self._find_more(code, frame_locals, begins):
            return run_eagerly(_FOUND_LATE, inner_as_known=True)
        if id(code) in self.given_up:
            return run_eagerly(cxx.REASON, inner_as_known=True)
        if self.loaded:
            reasons = [v.explain(frame_locals, namespace) for done in self.installs for v in done.variants_of(code)]
            bypass = next((entry.bypass_reason for entry in known if entry.bypassed), "")
            miss = Miss(name, reasons or ([self.outdated] if self.outdated else []), bypass)
            self.misses.append(miss)
            stats.count_miss("guard" if reasons else "outdated" if self.outdated else "absent")
            try:
                instead = self.owner.missed(miss)
            except MissError:
                if passed:
                    raise
                instead = nothing
            if instead is not None:
                return instead
        self._tell_shapes(code, closure, self._known(code))
        self.reentered = self.reentered or (begins and any(listening.local.ran[-1:]))
        stats.add(compiles=1)
        self.owner.compiling(name)
        return None

    def _known(self, code: types.CodeType) -> list[_core.CodeEntry]:
        return [entry for done in self.installs for found, entry in done.entries if found is code]

    def _is_given_up(self, code: types.CodeType) -> bool:
        if id(code) not in self.entries:
            return any(_is_limited(entry) or (entry.skipped and entry.guarded_codes) for entry in self._known(code))
        return self.owner.keeps_limits and any(_is_limited(entry) for entry in self._known(code))

    def _find_more(self, code: types.CodeType, frame_locals: Any, begins: bool) -> bool:
        """Returns whether the owner loads more just now, and that serves the frame."""
        while self.owner.entering(begins, not self._is_given_up(code)):
            if any(variant.serves(frame_locals) for done in self.installs for variant in done.variants_of(code)):
                return True
        return False

    @_contained
    def _tell_shapes(self, code: types.CodeType, closure: shapes.Closure, known: list[_core.CodeEntry]) -> None:
        if id(code) not in self._told:
            self._told.add(id(code))
            shapes.tell(code, closure, [guarded.guards for entry in known for guarded in entry.guarded_codes])

    @contextmanager
    def code_context(self, code: types.CodeType) -> Iterator[None]:
        frame = self._frame(code)
        listening.local.frames.append(frame)
        try:
            with frame.listening(), graphs.capturing(self.backend):
                yield
        except BaseException as error:
            if _skips_code(error) and frame.record is not None and not self.nopython:
                frame.dynamo_code = None  # torch runs this code eagerly from now on
            else:
                frame.record = None
            raise
        finally:
            listening.local.frames.pop()
            listening.local.recording = None
            if frame.record is not None or frame.reason is not None:
                try:
                    frame.finish()
                except Exception as error:
                    frame.bypassed(str(error))
                    contain(error)

    def _frame(self, code: types.CodeType) -> FrameCapture:
        try:
            module = self.namespace.get("__name__")
            found = sys.modules.get(module) if isinstance(module, str) else None
            if found is None or vars(found) is not self.namespace:
                raise NotPortableError(f"function {code.co_qualname!r} has globals that belong to no imported module")
            record = registry.find(code)
            if record is None:
                source = locate.find(code, str(module), self.target)
                record = registry.record(code, str(module), "entry" if source.startswith("target") else "user_function")
            self.caller.codes.add(id(code))
            return FrameCapture(record, self)
        except Exception as error:
            contain(error)
            return FrameCapture(None, self, str(error))

    @_contained
    def add_guarded_code(self, guards_state: bytes, dynamo_code: types.CodeType) -> None:
        frame = listening.current()
        assert isinstance(frame, FrameCapture)
        frame.dynamo_code = dynamo_code

    @_contained
    def add_inlined_source(self, sources: list[types.CodeType]) -> None:
        frame = listening.current()
        assert isinstance(frame, FrameCapture)
        frame.traced.extend(sources)
        for code in sources:
            record = registry.find(code)
            if record is None or record.role != "resume":
                frame.sources.add(code)

    @_contained
    def add_resume_function(self, python_code: types.CodeType, python_module: str, function_name: str) -> None:
        registry.record(python_code, python_module, "resume")
        self.caller.codes.add(id(python_code))

    @_contained
    def add_import_source(self, alias: str, module_name: str) -> None:
        frame = listening.current()
        assert isinstance(frame, FrameCapture)
        frame.imports[alias] = module_name

    def add_backend_id(self, backend_id: str, backend: Any | None = None) -> None:
        frame = listening.current()
        assert isinstance(frame, FrameCapture)
        self.own.add(backend_id)
        try:
            with gc_pause.paused():
                artifact = graphs.artifact_for(backend_id, backend, self.backend)
            frame.backends[backend_id] = Graph(_graph_name(backend_id, artifact), artifact)
        except Exception as error:
            frame.backends[backend_id] = Graph(backend_id, None, str(error))
            if not self.keeps_unknown_backends:
                frame.unportable[backend_id] = str(error)
            contain(error)

    @_contained
    def update_device_type(self, graph: Any) -> None:
        frame = listening.current()
        assert isinstance(frame, FrameCapture)
        if graph is not None:
            for each in registrations.with_inner(graph):
                frame.premises.calls(each)
        frame.device_type = _device_type(graph)

    def bypass_current_entry(self) -> None:
        frame = listening.current()
        if isinstance(frame, FrameCapture):
            frame.bypass("Dynamo cannot put this graph into a package")

    bypass_current_compile = bypass_current_entry  # its name since torch 2.15

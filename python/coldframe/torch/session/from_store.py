"""A callable that is served from a store: looked up when it is called, saved after each compilation."""

from __future__ import annotations

import copy
import functools
import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ... import _core
from ...errors import MissError, NotPortableError, PackageError
from ..capture.build import build, merge
from ..capture.misses import Miss
from ..capture.registry import Caller, registry
from ..fingerprint import environment
from ..seam.modes import is_transforming
from ..seam.process import Lock
from ..seam.stats import stats
from ..serve.callable import can_be_served
from ..serve.native import Native
from .calls import Call, NotLookedUp, Slot, Step, calls
from .packages import beside, for_other_calls, without, without_structure
from .peers import may_wait_for_peers, seconds_to_wait
from .reasons import ABSENT, Reasons
from .session import Session
from .structure import Structure
from .writer import Led, writer

log = logging.getLogger("coldframe")

_GENERAL_VARIANTS = 8  # packages kept for calls of a general structure
_ATTEMPTS = 8


@dataclass(eq=False)
class StoredSession(Session):
    """As Session, with a store in place of a file. Nothing of the store's may fail the program."""

    store: _core.Store | None = None
    read_only: bool = False
    single_flight: bool = True
    _slots: dict[bytes, Slot] = field(default_factory=dict)
    _last: Slot | None = None
    _seeking: Lock = field(default_factory=Lock)
    adopted = 0  # how often packages were found
    _limited = 0  # of how many frames torch compiles no more variants
    _begins_uncompiled = False  # nothing is heard of a call until it is under way
    _reasons: Reasons = field(default_factory=Reasons)
    _dropped: set[str] = field(default_factory=set)  # names of graphs that lack a backward which was wanted
    _assigned: set[str] = field(default_factory=set)  # names of compiled variants that belong to a slot

    def slot_of(self, structure: Structure) -> Slot:
        self._last = self._slots.setdefault(structure.exact, Slot(structure))
        return self._last

    compiles_when_called = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.capture.has_nothing = self._has_nothing
        self.capture.loaded = self.on_miss != "compile"  # what the store lacks is a miss even if it has nothing

    def missed(self, miss: Miss) -> Any:
        if self.on_miss == "error":
            raise MissError(f"nothing in the store serves {miss}; with on_miss='compile' it would be compiled now")
        return super().missed(miss)

    def again(self, target: Any) -> Any:
        how: dict[str, Any] = {"store": self.store, "read_only": self.read_only, "single_flight": self.single_flight}
        return StoredSession(target, self.options, self.on_miss, **how).serve()

    def reduce(self) -> Any:
        return _compiled_again, (self.target, self.options)

    def as_torch(self) -> Any:
        with self.serving.lock:
            made = super().as_torch()
            if isinstance(made, torch.nn.Module) and not hasattr(made.dynamo_ctx, "_serves"):
                made.dynamo_ctx = _serving(made.dynamo_ctx, self.again)
            return made

    # A call.

    def call_hosted(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or is_transforming():
            return super().call_hosted(*args, **kwargs)
        call = Call(self, args, kwargs)
        calls.running.append(call)
        try:
            if self.serving.hosted is None or self._begins_uncompiled:
                steps = self._steps[:-1] if may_wait_for_peers(self.target) else self._steps
                if (native := self._found(call, steps)) is not None:
                    return native.dispatcher(*args, **kwargs)
            if self.on_miss == "eager" and self._package is None:
                return self._run_uncompiled(*args, **kwargs)
            for _ in range(_ATTEMPTS):
                try:
                    return super().call_hosted(*args, **kwargs)
                except NotLookedUp as not_yet:
                    if (native := self._found(call, not_yet.steps)) is not None:
                        return native.dispatcher(*args, **kwargs)
            return super().call_hosted(*args, **kwargs)
        finally:
            calls.running.pop()
            led = call.slot.led if "slot" in vars(call) else None
            if led is not None and not call.slot.publishing:
                led.end()  # it failed, or there was nothing to compile

    def _run_uncompiled(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function as it is: the store has nothing, and Dynamo, which is not imported, would find nothing either."""
        stats.count_miss("absent")
        self.capture.misses.append(Miss(".".join(self.key()[:2]), []))
        return self.target(*args, **kwargs)

    def _found(self, call: Call, steps: Sequence[Step]) -> Native | None:
        """Returns what serves, if there is more in the store and it can be served natively."""
        return self.serving.native if self._look_up(call, steps) else None

    def entering(self, begins: bool, compiles: bool) -> bool:
        """Dynamo is about to compile. Nothing of the call has run yet if it is the frame with which the call begins."""
        call = self._running()
        steps = self._steps if compiles else self._steps[:-1]
        if call is None or call.slot.sought >= len(steps):
            return False
        if begins and not (self.capture.depth > 1 or self.capture.ran or call.has_begun()):
            raise NotLookedUp(steps)
        return self._look_up(call, steps)

    def _has_nothing(self, entry: _core.CodeEntry) -> bool:
        call = self._running()
        found = [each for package in call.slot.packages for each in package.codes] if call is not None else []
        return any(each.python_code == entry.python_code and each.skipped and not each.guarded_codes for each in found)

    def _running(self) -> Call | None:
        running = calls.running
        return running[-1] if running and running[-1].session is self else None

    # Looking a structure up, step by step; after each that finds something the call is tried again.

    @property
    def _steps(self) -> Sequence[Step]:
        return self._find_exact, self._find_general, self._wait

    def _look_up(self, call: Call, steps: Sequence[Step]) -> bool:
        """Returns whether there is something that may serve the call, and has not been tried for it."""
        slot = call.slot
        with self._seeking:
            while self.adopted == call.adopted and slot.sought < len(steps):
                step = steps[slot.sought]
                slot.sought += 1
                try:
                    self.adopted += step(slot)
                except PackageError as error:
                    self._refused(slot, error.code, str(error))
                except Exception as error:
                    self.contained("load", error)
            found, call.adopted = self.adopted != call.adopted, self.adopted  # maybe by another thread
            return found

    def _find_exact(self, slot: Slot) -> bool:
        found = self._find(slot, slot.structure.exact)
        slot.packages.extend(found)
        return self._adopt(found)

    def _find_general(self, slot: Slot) -> bool:
        found = [for_other_calls(package) for package in self._find(slot, slot.structure.general)]
        return self._adopt([package for package in found if package.codes])

    def _wait(self, slot: Slot) -> bool:
        if not self.single_flight or self.read_only or self.store is None or self.on_miss != "compile":
            return False
        known = list(slot.known)
        role, flight = self.store.join(self.key(), slot.structure.exact, known=known, wait=seconds_to_wait())
        if flight is not None:
            slot.led = Led(flight, functools.partial(self._publish, slot))
            writer.lead(slot.led)
        if role != "served":
            return False
        slot.sought -= 1  # what has come may be for other calls of this structure
        return self._find_exact(slot)

    def _find(self, slot: Slot, structure: bytes) -> list[_core.Package]:
        """Packages in the store, not known so far, that fit this process."""
        if self.store is None:
            return []
        variants, refusals = self.store.get(self.key(), structure)
        for _, code, message in refusals:
            self._refused(slot, code, message)
        found: list[_core.Package] = []
        for variant, package in variants:
            if variant in slot.known or any(variant == other.general for other in self._slots.values()):
                continue  # published by this process itself
            slot.known[variant] = False
            try:
                self.check(package)
                environment.check(package.environment)
                package.verify()
                for_all = without_structure(package)
                for graph in self._dropped:
                    for_all = without(for_all, graph)
            except PackageError as error:
                self._refused(slot, error.code, str(error))
                continue
            slot.known[variant] = structure == slot.structure.exact
            found.append(for_all)
        return found

    def _refused(self, slot: Slot, code: str, reason: str) -> None:
        stats.count_miss(code)
        slot.refusals.append(f"{code}: {reason}")
        log.info("a package in the store is not used: %s", reason)

    def _adopt(self, found: list[_core.Package]) -> bool:
        """Serves these packages beside what is served already."""
        if not found:
            return False
        new, *others = found
        for other in others:
            new = beside(new, other)
        with self.serving.lock:
            before = self.capture.loaded, self._package
            try:
                self._serve_also(new)
            except BaseException:
                self.capture.loaded, self._package = before
                raise
        stats.add(loads=1, installed_variants=sum(len(entry.guarded_codes) for entry in new.codes))
        return True

    def _serve_also(self, new: _core.Package) -> None:
        everything = new if self._package is None else beside(new, self._package)
        self.capture.loaded, self._package = True, everything
        self._begins_uncompiled |= not any(entry.role == "entry" and entry.guarded_codes for entry in new.codes)
        self.serving.outdate()
        if self.capture.own:
            self.serving.catch_up()
        elif self.serving.make_native(everything):
            self.serving.switch()  # the store is looked into again where that serves nothing
        if self.serving.native is None or self.capture.installs or self.serving.hosted is not None:
            self._install(new if self.capture.installs else everything)

    # Saving.

    def call_finished(self) -> None:
        self._progress.finish()
        try:
            version = self.capture.version()
            call = self._running()
            slot = call.slot if call is not None and version != self._saved_version else self._last
            if slot is None or version == self._saved_version:
                return
            self._saved_version = version
            slot.names |= self.capture.ran | self._newly_compiled()
            if self._limited != (limited := len(self.capture.limited)):
                self._limited = limited  # what serves calls like this one is all that there is
                slot.names |= self.capture.own | self.capture.used
            slot.settings = environment.settings()
            if self.store is not None and not self.read_only:
                slot.publishing = True
                writer.submit(functools.partial(self._publish, slot))
                slot.unstored.add(self._reasons.bypasses(self.capture))
                refusals, slot.refusals = slot.refusals, []
                writer.submit(functools.partial(self._note, slot, *self._reasons.of_call(self.capture, refusals)))
        except Exception as error:
            self.contained("save", error)

    def _note(self, slot: Slot, reasons: list[str], why: str | None = None) -> None:
        """Tells people why what a call compiled had to be, and why it is not stored."""
        reasons = [*reasons, *slot.unstored.take()] or [ABSENT] * (why is not None)
        if self.store is not None and reasons:
            key = self.key()
            self.store.note_miss(f"{key[0]}.{key[1]}", reasons, why)

    def _newly_compiled(self) -> set[str]:
        """Names of variants: one without a graph is not among what ran in the call that compiled it."""
        capture = self.capture
        view = list(registry.view(capture.caller, set(), capture.backend_key))
        new = {variant.name for _, variants in view for variant in variants} - self._assigned
        self._begins_uncompiled |= any(record.trivial and id(record.code) in capture.entries for record, _ in view)
        self._assigned |= new
        return new

    def _publish(self, slot: Slot) -> None:
        """Puts what the calls of the slot's structure compiled or ran, and what was found for them, into the store."""
        try:
            pending = self._put(slot)
        except (NotPortableError, PackageError, OSError) as error:
            pending = False
            stats.count_bypass(f"not stored: {error}")
            slot.unstored.add([str(error)])
        except Exception as error:
            pending = False
            self.contained("save", error)
        if slot.led is not None and not pending:
            slot.led.end()

    def _put(self, slot: Slot) -> bool:
        """Returns whether some of it lacks its backward, which is compiled later."""
        assert self.store is not None
        with self.serving.lock:
            view = copy.copy(self.capture)
            # What belongs to other structures is left out.
            view.caller, view.used = Caller(self.capture.caller.codes), set(slot.names)
            view.made_under = slot.settings
            built = build(view, self.key(), self.portable_options)
            package = built.package
            slot.unstored.add(built.bypasses)
            compiled = weakref.WeakMethod(self._backward_compiled)
            for artifact in built.pending_artifacts:
                artifact.on_backward = artifact.on_backward or (lambda: (hears := compiled()) and hears(slot))
            if not all(artifact.pending for artifact in built.pending_artifacts):
                self._backward_compiled(slot)  # before anybody listened
            for known in slot.packages:
                merge(package, known)
        if not any(entry.guarded_codes or entry.skipped for entry in package.codes):
            return False
        merged = [variant for variant, is_merged in slot.known.items() if is_merged]
        exact = self.store.publish(package, slot.structure.exact, replaces=merged)["id"]
        for variant in merged:
            del slot.known[variant]
        slot.known[exact], slot.packages = True, [package]
        older = [slot.general] if slot.general is not None else []
        general = self.store.publish(package, slot.structure.general, replaces=older, keep=_GENERAL_VARIANTS)
        slot.general = general["id"]
        stats.add(saves=1)
        return bool(built.pending_artifacts)

    def _backward_compiled(self, slot: Slot) -> None:
        writer.submit(functools.partial(self._publish, slot))
        writer.submit(functools.partial(self._note, slot, []))

    def drop(self, graph: str) -> None:
        self._dropped.add(graph)
        for slot in self._slots.values():
            slot.packages = [without(package, graph) for package in slot.packages]
        super().drop(graph)


def _serving(context: Any, serve: Callable[[Any], Any]) -> Any:
    """Dynamo's context of a compiled module as frameworks call it, to compile other methods like that module: by `serve`."""
    cls: Any = type(context)

    def call(self: Any, target: Any) -> Any:
        return serve(target) if can_be_served(target) else cls.__call__(self, target)

    made = copy.copy(context)
    made.__class__ = type(cls.__name__, (cls,), {"__call__": call, "_serves": serve})
    return made


def _compiled_again(target: Any, options: dict[str, Any]) -> Any:
    """Unpickled: served from the store of that process, if it has one."""
    return torch.compile(target, **options)


Call.begins_in = StoredSession.call_hosted.__code__

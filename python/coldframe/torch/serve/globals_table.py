"""The globals, skipped codes and variants of all hosted installs of this process, counted: packages may share them."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import InvalidArgumentError
from ..capture import listening
from ..guards.explain import with_present
from ..seam import symbols
from ..seam.process import Lock, after_fork

_ABSENT = object()


@dataclass(eq=False)
class LoadedVariant:
    """One guarded code, ready to be served. `root` is torch's RootGuardManager."""

    code: types.CodeType
    root: Any
    wrapper: Any
    dynamo_code: types.CodeType
    graphs: list[str]  # names of the globals under which its graphs lie; without a graph, one that its guards give
    compile_seconds: float
    served: bool = False

    def serves(self, frame_locals: Any) -> bool:
        try:
            return bool(self.root.check(dict(frame_locals)))
        except Exception:  # of a guard over objects that raise
            return False

    def explain(self, frame_locals: Any, namespace: dict[str, Any]) -> str:
        """The text of the guard that refuses a frame with these locals and globals, and what it finds."""
        present = dict(frame_locals)
        try:
            info = self.root.check_verbose(present)
        except Exception as error:  # a guard over objects that raise
            return f"a guard could not be evaluated: {type(error).__name__}: {error}"
        parts = [with_present(str(part), present, namespace) for part in info.verbose_code_parts]
        return "; ".join(parts) or "no guard refuses it now"


@dataclass(eq=False)
class _Global:
    value: Any
    previous: Any
    complete: bool  # nothing better can be put in its place
    identity: Any
    users: int = 1


class Table:
    """The globals, skipped code objects and variants of this process. What it shares is taken out by the last who put it in."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.busy = 0  # installs that are under way
        self.globals: dict[tuple[int, str], _Global] = {}  # by id of the module, which its users keep
        self.skipped: dict[int, list[types.CodeType]] = {}  # by id of the code: it, once for each user
        self.variants: dict[int, list[LoadedVariant]] = {}

    def put(self, module: types.ModuleType, name: str, make: Callable[[], Any], complete: bool, identity: Any) -> None:
        with self.lock:
            self._put(module, name, make, complete, identity)

    def _put(self, module: types.ModuleType, name: str, make: Callable[[], Any], complete: bool, identity: Any) -> None:
        held = self.globals.get((id(module), name))
        if held is not None:
            if held.identity != identity:
                raise InvalidArgumentError(f"{name!r} of module {module.__name__!r} is another graph, of another package")
            if complete and not held.complete:
                vars(module)[name] = held.value = make()
                held.complete = True
            held.users += 1
            return
        value = make()
        previous = vars(module).get(name, _ABSENT)
        vars(module)[name] = value
        self.globals[id(module), name] = _Global(value, previous, complete, identity)

    def drop(self, module: types.ModuleType, name: str) -> None:
        held = self.globals[id(module), name]
        held.users -= 1
        if held.users:
            return
        del self.globals[id(module), name]
        if held.previous is _ABSENT:
            vars(module).pop(name, None)
        else:
            vars(module)[name] = held.previous

    def skip(self, code: types.CodeType) -> None:
        self.skipped.setdefault(id(code), []).append(code)
        symbols.module("torch._dynamo.eval_frame").skip_code(code)

    def unskip(self, code: types.CodeType) -> None:
        self.skipped[id(code)].pop()
        if self.skipped[id(code)]:
            return
        del self.skipped[id(code)]
        types_ = symbols.module("torch._dynamo.types")
        default = types_.FrameExecStrategy(types_.FrameAction.DEFAULT, types_.FrameAction.DEFAULT)
        symbols.module("torch._dynamo.eval_frame").set_code_exec_strategy(code, default)

    def load(self, variant: LoadedVariant, position: int) -> None:
        kept = self.variants.setdefault(id(variant.code), [])
        kept.insert(position, variant)
        try:
            self._replace(variant.code, kept)
        except BaseException:
            self.unload(variant)
            raise

    def unload(self, variant: LoadedVariant) -> None:
        kept = self.variants[id(variant.code)]
        kept.remove(variant)
        self._replace(variant.code, kept)
        if not kept:
            del self.variants[id(variant.code)]

    def load_again(self) -> None:
        """Puts everything where it was: torch._dynamo.reset() has dropped what lay on code objects that torch has compiled."""
        with self.lock:
            for code, *_ in self.skipped.values():
                symbols.module("torch._dynamo.eval_frame").skip_code(code)
            for variants in self.variants.values():
                self._replace(variants[0].code, variants)

    def forked(self) -> None:
        """In a child no other thread installs anything."""
        self.busy = 0

    def _replace(self, code: types.CodeType, variants: list[LoadedVariant]) -> None:
        eval_frame = symbols.module("torch._C._dynamo.eval_frame")
        eval_frame._reset_precompile_entries(code)
        for variant in variants:
            eval_frame._load_precompile_entry(code, variant.wrapper, variant.dynamo_code)


table = Table()
listening.after_reset.append(table.load_again)
after_fork(table.forked)

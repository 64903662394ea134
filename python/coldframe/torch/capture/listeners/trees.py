"""pytree's registry of nodes: what a frame that is being compiled asks it.

torch guards the registry as a whole, and libraries add to it as they are imported. Here the tracker that stands for it in
Dynamo says what is read of it: as long as types are looked up and nothing else, the answers are what the frame depends on.
Whoever reads it in another way, by whatever method of a dict, depends on all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils import _pytree as pytree

from ...guards.premises import Premises
from ...seam import symbols
from ...seam.patches import Wrap

Current = Callable[[], Premises | None]

_NODES = ("torch.utils._pytree", "SUPPORTED_NODES")
_OF_OPTREE = ("optree.registry", "_NODETYPE_REGISTRY")


def install(wrap: Wrap, current: Current) -> None:
    """Installs the wrappers with `wrap`; `current` yields the premises of the frame that is being compiled, if it is ours."""
    _wrap_tracker(wrap, current)
    _wrap_leaves(wrap, current)


class _Items(dict[Any, Any]):
    """The items of the registry's tracker: lookups are noted one by one; anything else makes them a plain dict again."""

    def __new__(cls, *of: Any) -> Any:
        return super().__new__(cls) if of else {}  # Dynamo makes another dict of the type of one that it has

    def __init__(self, tracker: Any, premises: Premises) -> None:
        super().__init__(tracker.items)
        self.tracker = tracker
        self.premises = premises

    def plain(self) -> dict[Any, Any]:
        return dict(dict.items(self))

    def read(self) -> dict[Any, Any]:
        self.premises.registry_read = True
        if self.tracker.items is self:
            self.tracker.items = self.plain()
        items: dict[Any, Any] = self.tracker.items
        return items

    def looked_up(self, key: Any) -> None:
        if key.vt.is_python_constant():
            self.premises.lookups.note(*_NODES, key.vt.as_python_constant())
        else:
            self.premises.registry_read = True

    def __contains__(self, key: Any) -> bool:
        self.looked_up(key)
        return super().__contains__(key)

    def __getitem__(self, key: Any) -> Any:
        self.looked_up(key)
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.looked_up(key)
        return super().get(key, default)


_OF_THE_CLASS = frozenset(["__class_getitem__", "__doc__", "__getattribute__", "__hash__", "__new__", "fromkeys"])


def _reader(name: str) -> Callable[..., Any]:
    def method(self: _Items, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.read(), name)(*args, **kwargs)

    return method


for _name in vars(dict).keys() - vars(_Items).keys() - _OF_THE_CLASS:
    setattr(_Items, _name, _reader(_name))


def _wrap_tracker(wrap: Wrap, current: Current) -> None:
    def tracks(original: Any) -> Callable[..., Any]:
        def track_mutable(self: Any, item: Any, variable: Any, *rest: Any) -> Any:
            premises = current()
            if premises is not None and item is pytree.SUPPORTED_NODES:
                variable.items = _Items(variable, premises)
            return original(self, item, variable, *rest)

        return track_mutable

    def realizes(original: Any) -> Callable[..., Any]:
        def realize_key_vt(self: Any, key: Any) -> None:
            items = self.items
            if isinstance(items, _Items) and key in self:
                self.items = items.plain()  # of the key, which has been noted, the place is looked for
            try:
                original(self, key)
            finally:
                self.items = items

        return realize_key_vt

    wrap(symbols.module("torch._dynamo.side_effects").SideEffects, "track_mutable", tracks)
    wrap(symbols.module("torch._dynamo.variables.dicts").ConstDictVariable, "realize_key_vt", realizes)


def _wrap_leaves(wrap: Wrap, current: Current) -> None:
    """Listens where Dynamo maps a function over the leaves of a tree: it asks the registry itself."""
    variable = symbols.module("torch._dynamo.variables.user_defined").UserDefinedObjectVariable

    def make(original: Any) -> Callable[..., Any]:
        def call_tree_map_branch(self: Any, tx: Any, function: Any, mapped: Any, rest: Any, kwargs: Any, *path: Any) -> Any:
            if (premises := current()) is not None:
                if not str(getattr(getattr(function, "fn", None), "__module__", "")).startswith("optree"):
                    premises.lookups.note(*_NODES, self.value_type)
                else:
                    premises.lookups.note(*_OF_OPTREE, self.value_type)
                    namespace = kwargs.get("namespace")
                    if namespace is not None and namespace.is_python_constant():
                        premises.lookups.note(*_OF_OPTREE, (namespace.as_python_constant(), self.value_type))
            return original(self, tx, function, mapped, rest, kwargs, *path)

        return call_tree_map_branch

    for name in ("call_tree_map_branch", "call_tree_map_with_path_branch"):
        wrap(variable, name, make)

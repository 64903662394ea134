"""A backend that Dynamo prepares only when it compiles with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class DeferredBackend:
    """Dynamo's form of a backend, `prepare(backend)`, made at the first compilation.

    Preparing imports Inductor, which takes longer than everything else that a load does, and which a callable that a package
    serves never needs.
    """

    def __init__(self, backend: Any, prepare: Callable[[Any], Any]) -> None:
        functools.update_wrapper(self, backend)
        self.__name__ = getattr(backend, "compiler_name", type(backend).__name__)
        self._torchdynamo_orig_backend = backend
        self._prepare = prepare
        self._prepared: Any = None

    def __call__(self, graph: Any, inputs: Any, **kwargs: Any) -> Any:
        if self._prepared is None:
            self._prepared = self._prepare(self._torchdynamo_orig_backend)
        return self._prepared(graph, inputs, **kwargs)


_backend_types: dict[type, type] = {}


def own_backend(backend: Any) -> Any:
    """Gives the backend object that torch.compile just made a subclass of its type, equal only to others of that subclass.

    Dynamo reuses an entry of its cache for every callable whose backend is equal. So it never takes an entry that was
    compiled before coldframe listened, and still shares entries between our callables of equal options.
    """
    cls: Any = type(backend)
    own = _backend_types.get(cls)
    if own is None:

        def equal(self: Any, other: object) -> bool:
            return type(other) is type(self) and cls.__eq__(self, other) is True

        members = {"__eq__": equal, "__hash__": cls.__hash__, "is_coldframe": True}
        own = _backend_types[cls] = type(f"Coldframe{cls.__name__}", (cls,), members)
    backend.__class__ = own
    return backend

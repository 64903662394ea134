"""A backend that Dynamo prepares only when it compiles with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class DeferredBackend:
    """What Dynamo makes of a backend, `prepare(backend)`, made at the first compilation.

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

"""Exclusive wall time by label: what a nested label takes is not counted to the label around it."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Clock:
    """For one thread, the one that made it; calls on others are not timed."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._nested: list[float] = []
        self._thread = threading.get_ident()

    @contextmanager
    def time(self, label: str) -> Iterator[None]:
        if threading.get_ident() != self._thread:
            yield
            return
        self._nested.append(0.0)
        begin = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - begin
            self.seconds[label] += elapsed - self._nested.pop()
            self.calls[label] += 1
            if self._nested:
                self._nested[-1] += elapsed

    def timed(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.time(label):
                return function(*args, **kwargs)

        return wrapper

    def wrap(self, owner: Any, name: str, label: str) -> None:
        """Times every call of `owner.name`, a function of a module, a class or an instance's attribute."""
        found = vars(owner)[name]
        if isinstance(found, (staticmethod, classmethod)):
            setattr(owner, name, type(found)(self.timed(found.__func__, label)))
        elif isinstance(owner, type) and not hasattr(found, "__get__"):
            setattr(owner, name, staticmethod(self.timed(found, label)))
        else:
            setattr(owner, name, self.timed(found, label))

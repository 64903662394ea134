"""Values of guards that no name leads to, as calls that make equal ones, and the types of such values."""

from __future__ import annotations

import collections
import copyreg
from typing import Any

from torch.utils import _pytree as pytree

from .. import _core
from ..errors import IncompatiblePackageError, NotPortableError

# Types that CPython gives no name. The core looks here, as in `types`.
odict_keys = type(collections.OrderedDict[Any, Any]().keys())
odict_values = type(collections.OrderedDict[Any, Any]().values())
odict_items = type(collections.OrderedDict[Any, Any]().items())

_NEW = vars(copyreg)["__newobj__"]  # how pickle names cls.__new__(cls, *args)
_VIEWS: dict[type, tuple[str, bool]] = {
    type({}.keys()): ("keys", False),
    type({}.items()): ("items", False),
    odict_keys: ("keys", True),
    odict_items: ("items", True),
}


def portable(value: Any) -> Any:
    """The value, or a `Construct` that makes an equal one: of a view of a dict, and of a constant registered with pytree."""
    if type(value) in _VIEWS:
        name, ordered = _VIEWS[type(value)]
        items: Any = dict(value) if name == "items" else dict.fromkeys(value)
        if not ordered:
            return _core.Construct(_core.ImportRef("builtins", f"dict.{name}"), (items,))
        made = _core.Construct(_core.ImportRef("collections", "OrderedDict"), (items,))
        return _core.Construct(_core.ImportRef("collections", f"OrderedDict.{name}"), (made,))
    if pytree.is_constant_class(type(value)) and not isinstance(value, type):
        return _reduced(value)
    return value


def _reduced(value: Any) -> Any:
    # As pickle and copy take it apart.
    reduced = value.__reduce_ex__(2)
    if not isinstance(reduced, tuple) or any(reduced[3:]) or reduced[0] not in (_NEW, type(value)):
        raise NotPortableError(f"a constant of class {type(value).__qualname__!r}, which is pickled in a way of its own")
    callee, args, *state = reduced
    made = _core.Construct(_core.ImportRef(__name__, "made"), (callee, args, state[0] if state else None))
    if (again := made.resolve()) != value or type(again) is not type(value):
        raise NotPortableError(f"a constant of class {type(value).__qualname__!r}: what is made again of it is not equal")
    return made


def made(callee: Any, args: tuple[Any, ...], state: Any) -> Any:
    """The object of this reduction. IncompatiblePackageError unless it is of a class registered as a constant here."""
    cls = args[0] if callee is _NEW and args else callee
    if not isinstance(cls, type) or not pytree.is_constant_class(cls):
        raise IncompatiblePackageError(f"{cls!r:.80} is no class that is registered with pytree as a constant")
    value = callee(*args)
    if state is None:
        return value
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return value
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    value.__dict__.update(attributes or {})
    for name, each in (slots or {}).items():
        object.__setattr__(value, name, each)
    return value

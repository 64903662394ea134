"""Values of a recipe back to Python objects. record_graph.py describes the format.

Thread-safety: one Decoder a thread. Failure: IncompatiblePackageError for what this torch does not have, CorruptPackageError
from blobs, InternalError for a recipe that no capture writes.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch

from ..._core import Blob, Construct, ImportRef
from ...errors import CorruptPackageError, IncompatiblePackageError, InternalError
from ..seam import symbols
from . import stand_ins
from .kinds import RestoreContext

_functionalization = symbols.module("torch._C._functionalization")

TAG = "$"
# In which module the function of the same name builds a node of this kind. What only some graphs need is imported for these.
_BUILDERS = {
    **dict.fromkeys(
        [
            *("forward", "runtime_wrapper", "torch_function_disabled", "generated", "deduplicated", "boxed", "selected"),
            *("split_part", "fx"),
        ],
        "restore_callables",
    ),
    "inductor": "restore_inductor",
    "autograd": "restore_training",
    "hooks_disabled": "restore_training",
    "native_autograd": "autograd",
}


class Decoder:
    def __init__(self, backend_id: str, blobs: Iterable[Blob], context: RestoreContext) -> None:
        self.backend_id = backend_id
        self.context = context
        self._blobs = {blob.name: blob for blob in blobs}
        self._plain: dict[str, Callable[[dict[str, Any]], Any]] = {
            "dict": lambda value: {self.value(key): self.value(item) for key, item in value["items"]},
            "tensor": self._tensor,
            "stand_in": lambda value: stand_ins.STAND_INS[value["module"], value["name"]],
            "view_sequence": lambda value: stand_ins.ViewMetaSequence([self._view(view) for view in value["views"]]),
            "tangent": lambda value: stand_ins.TangentMeta(value["size"], value["stride"], self.value(value["memory_format"])),
            "state": self._state,
            "pickle": lambda value: pickle.loads(self.blob(value["blob"]).read()),
            "callable": self._callable,
        }

    def build(self, node: dict[str, Any]) -> Callable[..., Any]:
        """The callable that a node describes. Boxed nodes take one list, which they may clear; `forward` takes arguments."""
        kind = node["node"]
        if kind not in _BUILDERS:
            raise InternalError(f"{self.backend_id}: nothing builds a {kind!r} node")
        module = importlib.import_module(f".{_BUILDERS[kind]}", __package__)
        made: Callable[..., Any] = getattr(module, kind)(self, node)
        return made

    def blob(self, name: str) -> Blob:
        try:
            return self._blobs[name]
        except KeyError:
            raise CorruptPackageError(f"{self.backend_id}: the blob {name!r} is missing") from None

    def value(self, value: Any) -> Any:
        kind = type(value)
        if kind is dict:
            return self._plain[value[TAG]](value)
        if kind is tuple or kind is list or kind is set or kind is frozenset:
            return kind(self.value(item) for item in value)
        if kind is slice:
            return slice(self.value(value.start), self.value(value.stop), self.value(value.step))
        if kind is ImportRef:
            return self.resolve(value)
        if kind is Construct:
            return value.resolve()
        return value

    def resolve(self, reference: ImportRef) -> Any:
        """The object, with a note in the context when a module of torch's compiler had to be imported for it."""
        name = reference.module
        if name not in sys.modules and name.startswith("torch."):
            self.context.imported.add(name)
            if name.startswith("torch._functorch."):
                symbols.module("torch._dynamo")  # the two import each other, and only this order works
        if name == "torch" and reference.qualname.startswith("ops."):
            return self._operator(reference.qualname)
        return reference.resolve()

    def _operator(self, qualname: str) -> Any:
        found: Any = torch
        for part in qualname.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise IncompatiblePackageError(
                    f"{self.backend_id} calls the operator torch.{qualname}, which nothing has registered in this process: "
                    "import the library that does before loading"
                ) from None
        return found

    def _tensor(self, value: dict[str, Any]) -> torch.Tensor:
        data = self.blob(value["blob"]).read()
        storage = torch.empty(len(data), dtype=torch.uint8)
        if data:
            storage.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dtype = getattr(torch, value["dtype"])
        flat = storage.view(dtype) if data else storage.to(dtype)
        return flat.as_strided(tuple(value["size"]), tuple(value["stride"]), 0)

    def _view(self, value: dict[str, Any]) -> Any:
        return getattr(_functionalization, value["type"])(self.value(value["state"]))

    def _state(self, value: dict[str, Any]) -> Any:
        made = object.__new__(self.resolve(value["type"]))
        made.__dict__.update({key: self.value(item) for key, item in value["state"]})
        return made

    def _callable(self, value: dict[str, Any]) -> Any:
        return self.build(value["node"])

"""Python objects that compiled callables hold, as Values of a recipe; bytes go into blobs.

What cannot be written as Values is pickled into a blob, which turns the artifact into an aot_autograd_bundle and is listed in
its description; what cannot even be pickled is not portable. The Encoder keeps no object that it was given.

Thread-safety: one Encoder a capture, used under its lock. Failure: NotPortableError, naming the object and where it hangs.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import torch

from ..._core import Blob, Construct, ImportRef, import_ref
from ...errors import NotPortableError
from ..seam import aot
from . import stand_ins
from .kernels import KernelReport
from .restore_values import TAG

_COMPILER = ("torch._dynamo", "torch._inductor", "torch._functorch", "torch._higher_order_ops")
_MAX_CONSTANT_BYTES = 64 << 20
_TRACES = ("tangent_source_stack_traces",)  # for the text of an error alone, with paths of this host


# Objects through which a graph calls NumPy's functions, and what each is made of.
_NUMPY_WRAPPERS = {
    ("torch._dynamo.utils", "numpy_to_tensor_wrapper"): "f",
    ("torch._dynamo.utils", "numpy_method_wrapper"): "method",
    ("torch._dynamo.utils", "numpy_operator_wrapper"): "op",
}


class Encoder:
    """Collects the blobs and the facts about one artifact while its callable is walked."""

    def __init__(self, backend_id: str, encode_callable: Callable[[Encoder, Any, str], dict[str, Any]]) -> None:
        self.backend_id = backend_id
        self.blobs: dict[str, Blob] = {}
        self.kernels = KernelReport()
        self.imports: set[str] = set()
        self.opaque: list[str] = []
        self.uses_inductor = False
        self.autograd_nodes: list[dict[str, Any]] = []  # one; more where the graph was split
        self.backwards: list[tuple[Any, dict[str, Any]]] = []  # torch's compilers of those still to come, and their nodes
        self._encode_callable = encode_callable

    def node(self, target: Any, where: str) -> dict[str, Any]:
        return self._encode_callable(self, target, where)

    def add_blob(self, prefix: str, data: bytes) -> str:
        name = f"{prefix}.{hashlib.sha256(data).hexdigest()}"
        if name not in self.blobs:
            self.blobs[name] = Blob(name, data)
        return name

    def value(self, obj: Any, where: str) -> Any:
        kind = type(obj)
        if obj is None or obj is ... or kind in (bool, int, float, complex, str, bytes):
            return obj
        if kind in (tuple, list, set, frozenset):
            return kind(self.value(item, f"{where}[{index}]") for index, item in enumerate(obj))
        if kind is dict:
            items = [(self.value(key, where), self.value(item, f"{where}[{key!r}]")) for key, item in obj.items()]
            return {TAG: "dict", "items": items}
        if kind is slice:
            return slice(*(self.value(part, where) for part in (obj.start, obj.stop, obj.step)))
        if kind is range:
            return obj
        if kind is torch.Size:
            return Construct(ImportRef("torch", "Size"), (tuple(self.value(size, where) for size in obj),))
        if kind is torch.device:
            return Construct(ImportRef("torch", "device"), (str(obj),))
        if kind in (torch.dtype, torch.memory_format, torch.layout):
            return ImportRef("torch", str(obj).removeprefix("torch."))
        if isinstance(obj, enum.Enum) or (hasattr(kind, "__members__") and obj.name in kind.__members__):
            return self.reference(kind, where, f".{obj.name}")
        if isinstance(obj, torch.Tensor):
            return self.tensor(obj, where)
        special = self._special(obj, where)
        return special if special is not None else self.pickled(obj, where)

    def _special(self, obj: Any, where: str) -> Any:
        stand_in = (getattr(obj, "__module__", None), getattr(obj, "__qualname__", None))
        if stand_in in stand_ins.STAND_INS:
            return {TAG: "stand_in", "module": stand_in[0], "name": stand_in[1]}
        reference = self.find_reference(obj)
        if reference is not None:
            return reference
        if (wrapped := _NUMPY_WRAPPERS.get((type(obj).__module__, type(obj).__name__))) is not None:
            argument = self.value(getattr(obj, wrapped), f"{where}.{wrapped}")
            return Construct(self.reference(type(obj), where), (argument,))
        if callable(obj):
            return {TAG: "callable", "node": self.node(obj, where)}
        if type(obj).__module__ == "torch._C._functionalization":
            return None
        if isinstance(obj, aot.view_meta_sequence()):
            return {TAG: "view_sequence", "views": [self._view(view, where) for view in obj.sequence]}
        if dataclasses.is_dataclass(obj) and type(obj).__module__.startswith("torch._functorch."):
            fields = {**vars(obj), **{name: None for name in _TRACES if name in vars(obj)}}
            state = [(key, self.value(item, f"{where}.{key}")) for key, item in fields.items()]
            return {TAG: "state", "type": self.reference(type(obj), where), "state": state}
        return None

    def _view(self, view: Any, where: str) -> dict[str, Any]:
        return {"type": type(view).__name__, "state": self.value(tuple(view.as_tuple()), where)}

    def find_reference(self, obj: Any) -> ImportRef | None:
        """Returns the name that imports `obj` again, or None."""
        found = _operator_reference(obj)
        if found is None and isinstance(obj, types.BuiltinFunctionType | types.FunctionType):
            name = obj.__name__
            found = ImportRef("torch", name) if getattr(torch, name, None) is obj else None
        if found is None and isinstance(
            obj, types.ModuleType | type | types.FunctionType | types.BuiltinFunctionType | types.MethodDescriptorType
        ):
            try:
                found = import_ref(obj)
            except NotPortableError:
                return None
        if found is not None and found.module.startswith(_COMPILER):
            self.imports.add(found.module)
        return found

    def reference(self, obj: Any, where: str, suffix: str = "") -> ImportRef:
        found = self.find_reference(obj)
        if found is None:
            raise NotPortableError(f"{where}: {obj!r} cannot be imported again in another process")
        return ImportRef(found.module, found.qualname + suffix)

    def tensor(self, tensor: torch.Tensor, where: str) -> dict[str, Any]:
        """A constant that the compiler folded into the graph: a plain CPU tensor, by its bytes."""
        if isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad:
            raise NotPortableError(f"{where}: a parameter's value is part of the compiled code")
        if type(tensor) is not torch.Tensor or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise NotPortableError(f"{where}: a constant of type {type(tensor).__name__} on {tensor.device}")
        if tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
            raise NotPortableError(f"{where}: a quantized, conjugated or negated constant")
        extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.size(), tensor.stride(), strict=True))
        count = extent if tensor.numel() else 0
        if count * tensor.element_size() > _MAX_CONSTANT_BYTES:
            raise NotPortableError(f"{where}: a constant of {count * tensor.element_size()} bytes")
        flat = tensor.detach().as_strided((count,), (1,))
        data = bytes(flat.contiguous().view(torch.uint8).numpy()) if count else b""
        return {
            TAG: "tensor",
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "size": list(tensor.size()),
            "stride": list(tensor.stride()),
            "blob": self.add_blob("tensor", data),
        }

    def pickled(self, obj: Any, where: str) -> dict[str, Any]:
        try:
            data = pickle.dumps(obj)
        except Exception as error:
            raise NotPortableError(f"{where}: {type(obj).__name__} cannot be pickled: {error}") from error
        self.opaque.append(f"{where}: {type(obj).__module__}.{type(obj).__qualname__}")
        return {TAG: "pickle", "blob": self.add_blob("pickle", data)}


def _operator_reference(obj: Any) -> ImportRef | None:
    ops = sys.modules["torch._ops"]
    if isinstance(obj, ops._OpNamespace):
        return ImportRef("torch", f"ops.{obj.name}")
    if obj is torch.ops:
        return ImportRef("torch", "ops")
    if isinstance(obj, ops.OpOverload | ops.OpOverloadPacket):
        return ImportRef("torch", f"ops.{obj}")
    return None

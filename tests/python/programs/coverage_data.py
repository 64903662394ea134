"""Coverage: structures of inputs and outputs, and effects on tensors."""

from __future__ import annotations

import collections
import dataclasses
import enum
from typing import Any, NamedTuple

import torch
from coverage_kit import Table, attempt, matrix, vector
from steps import Program

STRUCTURES = "dataclass, namedtuple, ModelOutput, nested pytree inputs and outputs"
EFFECTS = "in-place mutation, views and aliases of inputs and outputs, inputs that alias each other"
REGISTERS = "transformers registers pytree nodes, and a process that serves need not import it"
TABLE = Table()
covers = TABLE.covers


@dataclasses.dataclass
class Batch:
    left: torch.Tensor
    right: torch.Tensor
    scale: float = 2.0
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    width: int
    name: str = "frozen"


class Pair(NamedTuple):
    first: torch.Tensor
    second: Any = None


class Kind(enum.IntEnum):
    SMALL = 1
    LARGE = 5


def uses_dataclass(batch: Batch, frozen: Frozen) -> Batch:
    return Batch(batch.left * batch.scale + frozen.width, batch.right - len(batch.tags), batch.scale + 1, [*batch.tags, "out"])


@covers(STRUCTURES, "dataclasses in and out, frozen and not, with other values between calls")
def dataclasses_in_and_out() -> Program:
    def use(f: Any) -> Any:
        outputs = []
        for scale, width, tags in ((2.0, 3, []), (3.0, 3, []), (2.0, 4, ["a"]), (2.0, 3, [])):
            result = f(Batch(vector(), vector() + 1, scale, tags), Frozen(width))
            outputs.append([type(result).__name__, dataclasses.asdict(result)])
        return outputs

    return Program(uses_dataclass, use)


def mutates_dataclass(batch: Batch) -> torch.Tensor:
    batch.left = batch.left * 2
    batch.tags.append("seen")
    batch.scale += 1
    return batch.left + batch.right


@covers(STRUCTURES, "a dataclass that the function writes to")
def dataclass_written() -> Program:
    def use(f: Any) -> Any:
        batch = Batch(vector(), vector() + 1)
        return [f(batch), f(batch), dataclasses.asdict(batch)]

    return Program(mutates_dataclass, use)


def uses_pairs(pairs: list[Pair]) -> Pair:
    total = sum(pair.first for pair in pairs)
    return Pair(total, Pair(pairs[0].first * 2, pairs[-1].second))


@covers(STRUCTURES, "named tuples of typing and collections, nested, in and out")
def named_tuples() -> Program:
    def use(f: Any) -> Any:
        result = f([Pair(vector(), 1), Pair(vector() + 1, "text")])
        return [type(result).__name__, tuple(result[:1]), tuple(result.second)]

    return Program(uses_pairs, use)


def model_output(x: torch.Tensor) -> Any:
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    return BaseModelOutputWithPooling(last_hidden_state=x.sin(), pooler_output=x.sum(-1))


def reads_output(output: Any) -> torch.Tensor:
    return output.last_hidden_state + output["pooler_output"].unsqueeze(-1) + output[0] * len(output)


@covers(STRUCTURES, "a ModelOutput as output", apart=REGISTERS)
def model_output_made() -> Program:
    def use(f: Any) -> Any:
        result = f(matrix())
        return [type(result).__name__, dict(result), list(result.keys()), result.hidden_states]

    return Program(model_output, use)


@covers(STRUCTURES, "a ModelOutput as input, read by attribute, key and index", apart=REGISTERS)
def model_output_read() -> Program:
    return Program(reads_output, lambda f: f(model_output(matrix())))


def nested(tree: Any) -> Any:
    flat, spec = torch.utils._pytree.tree_flatten(tree)
    changed = [leaf * 2 if isinstance(leaf, torch.Tensor) else leaf for leaf in flat]
    return torch.utils._pytree.tree_unflatten(changed, spec)


@covers(STRUCTURES, "a pytree of dict, list, tuple, OrderedDict and defaultdict")
def nested_pytree() -> Program:
    def use(f: Any) -> Any:
        ordered = collections.OrderedDict([("z", vector()), ("a", [vector(3), 2.5, None])])
        default = collections.defaultdict(list, {"k": [vector(2)]})
        result = f({"one": (vector(), ordered), "two": default})
        return [list(result), list(result["one"][1].items()), dict(result["two"]), type(result["two"]).__name__]

    return Program(nested, use)


def containers(x: torch.Tensor, keys: set[str], names: frozenset[str], items: collections.deque[int], r: range) -> Any:
    items.append(len(keys))
    return x * len(keys | names) + sum(items) + len(r), {"a" in keys: x}, dict(zip(r, items, strict=False))


@covers(STRUCTURES, "set, frozenset, deque and range arguments")
def container_arguments() -> Program:
    def use(f: Any) -> Any:
        items = collections.deque([1, 2], maxlen=5)
        outputs = [f(vector(), {"a", "b"}, frozenset("c"), items, range(3)) for _ in range(2)]
        return outputs, list(items)

    return Program(containers, use)


def set_operations(x: torch.Tensor, names: set[str]) -> Any:
    known = {"cuda", "cpu", "xpu", "mps"} | names
    common = known & {"cpu", "meta", "other"}
    if x.device.type not in known or common.isdisjoint(names) or not common <= known:
        return x - 1
    return x * len(known - common)


@covers(STRUCTURES, "operations of sets of strings, whose order is another one in each process")
def set_algebra() -> Program:
    return Program(set_operations, lambda f: [f(vector(), {"cpu", "tpu"}), f(vector(), {"none"})])


def with_enum(x: torch.Tensor, kind: Kind, table: dict[Kind, float]) -> torch.Tensor:
    return x * table[kind] if kind is Kind.LARGE else x + kind


@covers(STRUCTURES, "enum members as arguments and as keys of a dict")
def enums() -> Program:
    table = {Kind.SMALL: 1.5, Kind.LARGE: 2.5}
    return Program(with_enum, lambda f: [f(vector(), kind, table) for kind in (Kind.SMALL, Kind.LARGE, Kind.SMALL)])


def keyed(table: dict[Any, torch.Tensor]) -> Any:
    return {key: value + i for i, (key, value) in enumerate(table.items())}


@covers(STRUCTURES, "dict keys: numbers, tuples, None; order and a missing key matter")
def dict_keys() -> Program:
    tables = [{1: vector(), (2, "b"): vector(), None: vector()}, {None: vector(), 1: vector()}, {1: vector(), None: vector()}]
    return Program(keyed, lambda f: [list(f(table).items()) for table in tables])


# Effects on tensors.


def mutates_all(x: torch.Tensor, y: torch.Tensor, flag: bool) -> Any:
    x.add_(1)
    y[1:].copy_(x[1:])
    y.t_() if y.dim() == 2 else None
    if flag:
        x.unsqueeze_(0)
    return x * 2, y


@covers(EFFECTS, "data and metadata of inputs are mutated; an input is returned")
def mutations() -> Program:
    def use(f: Any) -> Any:
        outputs = []
        for flag in (False, True):
            x, y = vector(), vector() + 5
            z, same = f(x, y, flag)
            outputs.append([x, y, z, same is y])
        return outputs

    return Program(mutates_all, use)


def aliases(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.mul_(2)
    return x + y


@covers(
    EFFECTS, "inputs that are the same, that overlap, and that do not, in one program", not_as_eager="overlaps are not seen"
)
def aliasing_inputs() -> Program:
    def use(f: Any) -> Any:
        outputs = []
        for kind in ("apart", "same", "overlap", "view", "apart"):
            base = torch.arange(12.0)
            x, y = base[:6], {"same": base[:6], "overlap": base[3:9], "view": base[:6].view(6)}.get(kind, base[6:])
            y = x if kind == "same" else y
            outputs.append([f(x, y), base])
        return outputs

    return Program(aliases, use)


def view_chain(x: torch.Tensor) -> Any:
    y = x.view(2, 3)
    z = y[0].unsqueeze(-1)
    w = x * 2
    return y, z, w, w.t() if w.dim() > 1 else w[1:], x.detach(), x.expand(2, 6)


@covers(EFFECTS, "outputs that are views of inputs, of each other, and of an intermediate", not_as_eager="other bases")
def view_outputs() -> Program:
    def use(f: Any) -> Any:
        x = vector()
        y, z, w, part, detached, wide = f(x)
        x.add_(100)
        w.add_(7)
        return [y, z, w, part, detached, wide, y._base is x, part._base is not None, wide.data_ptr() == x.data_ptr()]

    return Program(view_chain, use)


def writes_global_tensor(x: torch.Tensor) -> torch.Tensor:
    STATE.add_(x)
    HISTORY.append(x * 2)
    return STATE * 2


STATE = torch.zeros(6)
HISTORY: list[torch.Tensor] = []


@covers(EFFECTS, "a tensor and a list of the module are changed")
def global_tensor() -> Program:
    STATE.zero_()
    HISTORY.clear()
    return Program(writes_global_tensor, lambda f: [f(vector()), f(vector()), STATE, list(HISTORY)])


def strided(x: torch.Tensor) -> Any:
    return x.contiguous() + 1, x.is_contiguous(), x.to(memory_format=torch.channels_last) * 2


@covers(EFFECTS, "strides: channels_last, transposed and sliced inputs; strides of outputs")
def strides() -> Program:
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    inputs = [x, x.to(memory_format=torch.channels_last), x.transpose(2, 3), torch.arange(48.0).reshape(1, 2, 3, 8)[..., ::2]]
    return Program(strided, lambda f: [f(x) for x in inputs])


def out_argument(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    torch.add(x, 1, out=out)
    return torch.sin(x, out=torch.empty(6))


@covers(EFFECTS, "out= arguments")
def out_arguments() -> Program:
    def use(f: Any) -> Any:
        out = torch.zeros(6)
        return [f(vector(), out), out]

    return Program(out_argument, use)


def attributes(x: torch.Tensor) -> Any:
    y = x * 2
    y.note = "kept"
    return y, x.requires_grad, x.is_leaf, x.grad is None, getattr(x, "tag", None)


@covers(EFFECTS, "attributes set on tensors, and read from an input")
def tensor_attributes() -> Program:
    def use(f: Any) -> Any:
        x = vector()
        first = f(x)
        x.tag = "marked"
        second = f(x)
        return first, first[0].note, second, attempt(lambda: second[0].note)

    return Program(attributes, use)

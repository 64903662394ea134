"""Guards on tensors and on torch's global state, with frames that they hold for and frames that they refuse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch._dynamo.decorators as decorators
import torch._dynamo.guards as dynamo
import torch._dynamo.source as sources
import torch.autograd.forward_ad as forward_ad
from guard_cases_access import case
from guard_kit import Case, Frame, Kit, local
from guard_objects import Mode
from torch import nn
from torch._C._dynamo.guards import GlobalStateGuard
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters
from torch.utils._python_dispatch import TorchDispatchMode

x, y, z = local("x"), local("y"), local("z")
ROOT = sources.GlobalStateSource()


class Sub(torch.Tensor):
    pass


class OtherMode(Mode):
    pass


class Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def match(*dynamic: int) -> Callable[[Kit], None]:
    return lambda kit: kit.tensor(x, dynamic)


def tensor(name: str, good: Any, bad: list[Any], also: list[Any] | None = None, dynamic: tuple[int, ...] = ()) -> Case:
    return case(f"tensor_match:{name}", "tensor_match", match(*dynamic), good, bad, also, kinds=("dimension_marking",))


def inference() -> torch.Tensor:
    with torch.inference_mode():
        return torch.zeros(2)


def marked(mark: str, *dims: int, shape: tuple[int, ...] = (4, 4), **keywords: Any) -> torch.Tensor:
    made = torch.zeros(shape)
    for dim in dims:
        getattr(decorators, mark)(made, dim, **keywords)
    return made


def marking(name: str, good: Any, bad: list[Any], also: list[Any]) -> Case:
    return case(f"dimension_marking:{name}", "dimension_marking", match(0, 1), good, bad, also)


def requires_grad(made: torch.Tensor) -> torch.Tensor:
    return made.requires_grad_()


def unaliased(kit: Kit) -> None:
    managers = [kit.node(source) for source in (x, y, z)]
    dynamo.install_no_tensor_aliasing_guard(managers, ["L['x']", "L['y']", "L['z']"], ["check_no_aliasing(x, y, z)"], None)


def overlapping(kit: Kit) -> None:
    dynamo.install_storage_overlapping_guard([kit.node(x), kit.node(y)], [kit.node(z)], ["check_overlapping"], None)


def three(*tensors: torch.Tensor) -> Frame:
    return Frame(dict(zip("xyz", tensors, strict=True)))


def global_state(name: str, *bad: Callable[[], AbstractContextManager[Any]], also: Any = (), state: Any = None) -> Case:
    def build(kit: Kit) -> None:
        kit.manager.output_graph.global_state_guard = GlobalStateGuard()
        kit.check(ROOT, "GLOBAL_STATE")

    state = state or contextlib.nullcontext
    holds = [Frame(state=make) for make in also]
    return Case(f"global_state:{name}", ("global_state",), {}, build, [Frame(state=make) for make in bad], holds, state=state)


@contextmanager
def setting(setter: Callable[[Any], Any], value: Any, before: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(before)


def default_device(device: str | None) -> AbstractContextManager[Any]:
    return torch.device(device) if device else contextlib.nullcontext()


@contextmanager
def current_device(device: torch.device | None) -> Iterator[None]:
    import torch.utils._device as module

    before, module.CURRENT_DEVICE = module.CURRENT_DEVICE, device
    try:
        yield
    finally:
        module.CURRENT_DEVICE = before


def device_guard(kit: Kit) -> None:
    kit.manager.output_graph.current_device = torch.utils._device.CURRENT_DEVICE
    kit.check(ROOT, "DEFAULT_DEVICE")


def mode_stack(kit: Kit) -> None:
    kit.manager.torch_function_mode_stack = torch.overrides._get_current_function_mode_stack()
    kit.check(ROOT, "TORCH_FUNCTION_STATE")


@contextmanager
def modes(*stack: Any) -> Iterator[None]:
    with contextlib.ExitStack() as entered:
        for mode in stack:
            entered.enter_context(mode)
        yield


def dual_level(kit: Kit) -> None:
    kit.manager.output_graph.dual_level = forward_ad._current_level
    kit.check(ROOT, "DUAL_LEVEL")


def functorch(kit: Kit) -> None:
    kit.manager.output_graph.functorch_layers = retrieve_all_functorch_interpreters()
    kit.check(ROOT, "FUNCTORCH_STACK_MATCH")


@contextmanager
def vmap(size: int = 3, randomness: str = "error") -> Iterator[None]:
    torch._C._functorch._vmap_increment_nesting(size, randomness)
    try:
        yield
    finally:
        torch._C._functorch._vmap_decrement_nesting()


@contextmanager
def grad() -> Iterator[None]:
    torch._C._functorch._grad_increment_nesting()
    try:
        yield
    finally:
        torch._C._functorch._grad_decrement_nesting()


def saved_hooks(kit: Kit) -> None:
    kit.check(ROOT, "AUTOGRAD_SAVED_TENSORS_HOOKS")


def inlineable_hooks() -> AbstractContextManager[Any]:
    pack, unpack = (torch.fx.symbolic_trace(lambda value: value + 0) for _ in range(2))
    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def plain_hooks() -> AbstractContextManager[Any]:
    return torch.autograd.graph.saved_tensors_hooks(lambda value: value, lambda value: value)


def state_case(name: str, kind: str, build: Any, bad: list[Any], also: list[Any], state: Any = None, **more: Any) -> Case:
    frames = [Frame(state=make) for make in also]
    more.setdefault("state", state or contextlib.nullcontext)
    return Case(name, (kind,), {}, build, [Frame(state=make) for make in bad], frames, **more)


base = torch.zeros(12)
threads = torch.get_num_threads()
low_precision = {"setter": torch.set_float32_matmul_precision, "before": "highest"}

TENSORS = [
    tensor(
        "dtype",
        torch.zeros(2),
        [torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.int64), 1, None],
        [torch.ones(2)],
    ),
    tensor("shape", torch.zeros(2, 3), [torch.zeros(3, 2), torch.zeros(6), torch.zeros(2, 3, 1)], [torch.ones(2, 3)]),
    tensor("stride", torch.zeros(2, 3), [torch.zeros(3, 2).T, torch.zeros(2, 6)[:, ::2]], [torch.zeros(4, 3)[:2]]),
    tensor("channels last", torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last), [torch.zeros(2, 3, 4, 4)]),
    tensor("scalar", torch.tensor(1.0), [torch.zeros(1), torch.zeros(0), torch.tensor(1)], [torch.tensor(2.0)]),
    tensor("empty", torch.zeros(0, 3), [torch.zeros(0), torch.zeros(1, 3)], [torch.zeros(0, 3)]),
    tensor("requires grad", torch.zeros(2), [requires_grad(torch.zeros(2))]),
    tensor(
        "needs no grad",
        requires_grad(torch.zeros(2)),
        [torch.zeros(2), torch.zeros(2).detach()],
        [requires_grad(torch.ones(2))],
    ),
    tensor(
        "integers",
        torch.zeros(2, dtype=torch.int64),
        [torch.zeros(2, dtype=torch.int32), torch.zeros(2, dtype=torch.bool)],
    ),
    tensor("device", torch.zeros(2, device="meta"), [torch.zeros(2)], [torch.ones(2, device="meta")]),
    tensor(
        "parameter",
        nn.Parameter(torch.zeros(2)),
        [requires_grad(torch.zeros(2)), torch.zeros(2)],
        [nn.Parameter(torch.ones(2))],
    ),
    tensor("not a parameter", requires_grad(torch.zeros(2)), [nn.Parameter(torch.zeros(2))]),
    tensor("subclass", torch.zeros(2).as_subclass(Sub), [torch.zeros(2)], [torch.ones(2).as_subclass(Sub)]),
    tensor("not a subclass", torch.zeros(2), [torch.zeros(2).as_subclass(Sub)]),
    tensor("conjugated", torch.zeros(2, dtype=torch.complex64), [torch.zeros(2, dtype=torch.complex64).conj()]),
    tensor(
        "not negated",
        torch.zeros(2, dtype=torch.complex64).conj().imag,
        [torch.zeros(4)[::2], torch.zeros(2)],
        [torch.ones(2, dtype=torch.complex64).conj().imag],
    ),
    tensor("inference", torch.zeros(2), [inference()]),
    tensor(
        "dynamic size",
        torch.zeros(2, 3),
        [torch.zeros(2, 4), torch.zeros(2, 3, 3)],
        [torch.zeros(5, 3), torch.zeros(1, 3)],
        dynamic=(0,),
    ),
    Case(
        "tensor_match:autocast",
        ("tensor_match",),
        {"x": torch.zeros(2)},
        match(),
        [Frame()],
        [Frame(state=lambda: torch.autocast("cpu"))],
        state=lambda: torch.autocast("cpu"),
    ),
    marking(
        "none",
        torch.zeros(4, 4),
        [
            marked("mark_dynamic", 0),
            marked("mark_static", 0),
            marked("maybe_mark_dynamic", 1),
            marked("mark_unbacked", 0),
        ],
        [torch.ones(5, 5)],
    ),
    marking(
        "dynamic",
        marked("mark_dynamic", 0, 1),
        [marked("mark_static", 0)],
        [marked("mark_dynamic", 0), marked("mark_dynamic", 1), torch.zeros(4, 4)],
    ),
    marking(
        "one dynamic",
        marked("mark_dynamic", 0),
        [marked("mark_dynamic", 0, 1), marked("mark_dynamic", 1)],
        [marked("mark_dynamic", 0), torch.zeros(4, 4)],
    ),
    marking(
        "unbacked",
        marked("mark_unbacked", 0, shape_id="n"),
        [marked("mark_unbacked", 0, shape_id="m"), marked("mark_unbacked", 0), marked("mark_unbacked", 1)],
        [marked("mark_unbacked", 0, shape_id="n")],
    ),
    Case(
        "no_tensor_aliasing",
        ("no_tensor_aliasing",),
        {"x": base, "y": base.clone(), "z": base.clone()},
        unaliased,
        [three(base, base, base.clone()), three(base.clone(), base, base)],
        [three(base, base[:], base.view(3, 4))],
    ),
    Case(
        "storage_overlapping",
        ("storage_overlapping",),
        {"x": base[:6], "y": base[3:9], "z": base[9:]},
        overlapping,
        [three(base[:3], base[3:9], base[9:]), three(base[:6], base[3:9], base[8:]), three(base, base, base)],
        [three(base[:4], base[2:6], base[6:7])],
    ),
    global_state("grad mode", torch.no_grad, torch.inference_mode, also=[torch.enable_grad]),
    global_state("no grad", torch.enable_grad, contextlib.nullcontext, state=torch.no_grad),
    global_state("autocast", lambda: torch.autocast("cpu"), lambda: torch.autocast("cpu", torch.float16)),
    global_state(
        "autocast dtype",
        lambda: torch.autocast("cpu", torch.float16),
        contextlib.nullcontext,
        lambda: torch.autocast("cpu", cache_enabled=False),
        state=lambda: torch.autocast("cpu"),
    ),
    global_state("torch function", torch._C.DisableTorchFunctionSubclass, torch._C.DisableTorchFunction),
    global_state("default dtype", lambda: setting(torch.set_default_dtype, torch.float64, torch.float32)),
    global_state("deterministic", lambda: setting(torch.use_deterministic_algorithms, True, False)),
    global_state("threads", lambda: setting(torch.set_num_threads, threads + 1, threads)),
    global_state(
        "matmul precision",
        lambda: setting(value="medium", **low_precision),
        state=lambda: setting(value="highest", **low_precision),  # which is not what nobody has set
    ),
    state_case(
        "default_device",
        "default_device",
        device_guard,
        [lambda: current_device(torch.device("meta")), lambda: current_device(torch.device("cpu"))],
        [contextlib.nullcontext],
    ),
    state_case(
        "default_device:cpu",
        "default_device",
        device_guard,
        [contextlib.nullcontext, lambda: current_device(torch.device("meta"))],
        [lambda: current_device(torch.device("cpu"))],
        lambda: current_device(torch.device("cpu")),
    ),
    state_case(
        "torch_function_mode_stack", "torch_function_mode_stack", mode_stack, [lambda: Mode(1)], [contextlib.nullcontext]
    ),
    state_case(
        "torch_function_mode_stack:two",
        "torch_function_mode_stack",
        mode_stack,
        [contextlib.nullcontext, lambda: Mode(1), lambda: modes(OtherMode(1), Mode(1)), lambda: modes(Mode(1), Mode(1))],
        [lambda: modes(Mode(5), OtherMode(6))],
        lambda: modes(Mode(1), OtherMode(2)),
    ),
    state_case("dual_level", "dual_level", dual_level, [forward_ad.dual_level], [contextlib.nullcontext]),
    state_case(
        "dual_level:inside",
        "dual_level",
        dual_level,
        [contextlib.nullcontext],
        [forward_ad.dual_level],
        forward_ad.dual_level,
    ),
    state_case("named_check:functorch none", "named_check", functorch, [grad, vmap], [contextlib.nullcontext]),
    state_case(
        "named_check:functorch vmap",
        "named_check",
        functorch,
        [contextlib.nullcontext, grad, lambda: vmap(3, "same"), lambda: modes(vmap(), grad())],
        [vmap],
        vmap,
    ),
    state_case(
        "named_check:functorch grad",
        "named_check",
        functorch,
        [contextlib.nullcontext, vmap, lambda: modes(torch.no_grad(), grad())],
        [grad],
        grad,
    ),
    state_case(
        "named_check:saved tensors hooks",
        "named_check",
        saved_hooks,
        [inlineable_hooks],
        [contextlib.nullcontext, plain_hooks],
    ),
]

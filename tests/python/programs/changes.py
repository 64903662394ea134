"""One guarded thing changes after loading: sequences of calls, followed with coldframe and with torch.compile alone."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

import coldframe
from coldframe import _core


@dataclass
class Story:
    """A target with arguments; `change` changes something of them, or `other` are arguments of another sort."""

    target: Any
    args: tuple[Any, ...]
    change: Callable[[], Any] = lambda: None
    other: tuple[Any, ...] | None = None
    state: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext  # in which the call after the change is made
    options: dict[str, Any] = field(default_factory=lambda: {"backend": "eager", "dynamic": False})


class Kind(enum.Enum):
    PLAIN = 2.0
    LOUD = 200.0


class Settings:
    def __init__(self) -> None:
        self.scale = 2.0
        self.name = "relu"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 3)
        self.dropout = nn.Dropout(1.0)
        self.settings = Settings()
        self.shift = 1.0
        self.factors = [1.0, 2.0]


def vector(*shape: int, **keywords: Any) -> torch.Tensor:
    return torch.arange(6.0, **keywords).reshape(*(shape or (2, 3))) / 4


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2.0


def hundredfold(x: torch.Tensor) -> torch.Tensor:
    return x * 200.0


def on_module(forward: Callable[..., torch.Tensor], change: Callable[[nn.Module], Any], **more: Any) -> Story:
    """`forward` as that of a class of its own, so that nothing else is compiled for its code."""
    model = type(forward.__name__, (Net,), {"forward": forward, "__module__": __name__})()
    globals()[forward.__name__] = type(model)
    return Story(model, (vector(),), lambda: change(model), **more)


TABLE: dict[str, Any] = {}


def input_dtype() -> Story:
    def by_dtype(x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.dtype == torch.float32 else x * 3

    return Story(by_dtype, (vector(),), other=(vector().double(),))


def input_shape() -> Story:
    def by_shape(x: torch.Tensor) -> torch.Tensor:
        return x * x.shape[0]

    return Story(by_shape, (vector(),), other=(vector(3, 2),))


def input_rank() -> Story:
    def by_rank(x: torch.Tensor) -> torch.Tensor:
        return x * x.ndim

    return Story(by_rank, (torch.tensor(3.0),), other=(vector(),))


def input_strides() -> Story:
    def by_strides(x: torch.Tensor) -> torch.Tensor:
        return x * x.stride(0)

    return Story(by_strides, (vector(),), other=(vector(3, 2).T,))


def config_value() -> Story:
    def ByConfig(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return self.linear(x) * self.settings.scale

    return on_module(ByConfig, lambda model: setattr(model.settings, "scale", 200.0))


def config_name() -> Story:
    def ByName(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return getattr(torch, self.settings.name)(x - 0.5)

    return on_module(ByName, lambda model: setattr(model.settings, "name", "sin"))


def module_attribute() -> Story:
    def ByAttribute(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return self.linear(x) + self.shift

    return on_module(ByAttribute, lambda model: setattr(model, "shift", 100.0))


def list_item() -> Story:
    def ByItem(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return self.linear(x) * self.factors[1]

    return on_module(ByItem, lambda model: model.factors.__setitem__(1, 200.0))


def evaluation() -> Story:
    def ByMode(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return self.dropout(self.linear(x))

    return on_module(ByMode, lambda model: model.eval())


def replaced_parameter() -> Story:
    def ByParameter(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return self.linear(x)

    def replace(model: nn.Module) -> None:
        model.linear.weight = nn.Parameter(vector(2, 3))
        model.linear.bias = nn.Parameter(torch.ones(2))

    return on_module(ByParameter, replace)


def replaced_submodule() -> Story:
    def BySubmodule(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return self.linear(x)

    return on_module(BySubmodule, lambda model: setattr(model, "linear", nn.Tanh()))


def frozen_parameter() -> Story:
    def ByGrad(self: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: N802
        return self.linear(x) * (2 if self.linear.weight.requires_grad else 3)

    return on_module(ByGrad, lambda model: model.requires_grad_(False))


def grad_mode() -> Story:
    def by_grad_mode(x: torch.Tensor) -> torch.Tensor:
        return x * (2 if torch.is_grad_enabled() else 3)

    return Story(by_grad_mode, (vector(),), state=torch.no_grad)


def autocast() -> Story:
    def by_autocast(x: torch.Tensor) -> torch.Tensor:
        return (x @ x.T).float()

    return Story(by_autocast, (vector() * 1.001,), state=lambda: torch.autocast("cpu", torch.bfloat16))


def default_dtype() -> Story:
    @contextlib.contextmanager
    def double_precision() -> Iterator[None]:
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)

    def by_default_dtype(x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones(3)

    return Story(by_default_dtype, (vector(),), state=double_precision)


def enum_argument() -> Story:
    def by_enum(x: torch.Tensor, kind: Kind) -> torch.Tensor:
        return x * kind.value

    return Story(by_enum, (vector(), Kind.PLAIN), other=(vector(), Kind.LOUD))


def closure_cell() -> Story:
    factor = 2.0

    def by_cell(x: torch.Tensor) -> torch.Tensor:
        return x * factor

    def change() -> None:
        nonlocal factor
        factor = 200.0

    return Story(by_cell, (vector(),), change)


def default() -> Story:
    def by_default(x: torch.Tensor, factor: float = 2.0) -> torch.Tensor:
        return x * factor

    return Story(by_default, (vector(),), lambda: setattr(by_default, "__defaults__", (200.0,)))


def inner_default() -> Story:
    def inner(x: torch.Tensor, factor: float = 2.0) -> torch.Tensor:
        return x * factor

    def by_inner_default(x: torch.Tensor) -> torch.Tensor:
        return inner(x)

    return Story(by_inner_default, (vector(),), lambda: setattr(inner, "__defaults__", (200.0,)))


def function_of_a_table() -> Story:
    TABLE["function"] = double

    def by_table(x: torch.Tensor) -> torch.Tensor:
        return TABLE["function"](x)

    return Story(by_table, (vector(),), lambda: TABLE.update(function=hundredfold))


STORIES: dict[str, Callable[[], Story]] = {
    story.__name__.replace("_", " "): story
    for story in (
        input_dtype, input_shape, input_rank, input_strides, config_value, config_name, module_attribute, list_item, evaluation,
        replaced_parameter, replaced_submodule, frozen_parameter, grad_mode, autocast, default_dtype, enum_argument,
        closure_cell, default, inner_default, function_of_a_table,
    )
}  # fmt: skip


def before(story: Story, call: Any) -> torch.Tensor:
    return call(*story.args).detach().clone()


def after(story: Story, call: Any) -> torch.Tensor:
    with story.state():
        return call(*(story.other or story.args)).detach().clone()


def make(name: str, path: Path) -> None:
    story = STORIES[name]()
    compiled = coldframe.compile(story.target, **story.options)
    before(story, compiled)
    coldframe.save(compiled, path)


def follow(name: str, path: Path, second: Path) -> dict[str, Any]:
    """Loads, calls, changes, calls twice, and saves what there is then."""
    story = STORIES[name]()
    loaded = coldframe.load(path, story.target)
    counts = [coldframe.stats()]
    outputs = []
    for step in (before, after, after):
        if step is after and len(outputs) == 1:
            story.change()
        outputs.append(step(story, loaded))
        counts.append(coldframe.stats())
    report = coldframe.save(loaded, second)
    variants = sum(len(entry.guarded_codes) for entry in _core.Package.open(second).codes)
    misses = [str(miss) for miss in coldframe.explain(loaded).misses]
    return {"outputs": outputs, "counts": counts, "misses": misses, "variants": (report.variants, variants)}


def follow_plain(name: str) -> list[torch.Tensor]:
    story = STORIES[name]()
    compiled = torch.compile(story.target, **story.options)
    outputs = [before(story, compiled)]
    story.change()
    return [*outputs, after(story, compiled), after(story, compiled)]


def serve_both(name: str, path: Path) -> list[torch.Tensor]:
    """Both variants, in a process that compiles nothing."""
    story = STORIES[name]()
    loaded = coldframe.load(path, story.target, on_miss="error")
    outputs = [before(story, loaded)]
    story.change()
    return [*outputs, after(story, loaded)]


def refuse(name: str, path: Path) -> str:
    """The message of the MissError after the change."""
    story = STORIES[name]()
    loaded = coldframe.load(path, story.target, on_miss="error")
    before(story, loaded)
    story.change()
    try:
        after(story, loaded)
    except coldframe.MissError as error:
        return str(error)
    raise AssertionError("no miss")


def run_eagerly(name: str, path: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """After the change with on_miss="eager": twice the loaded one, then the target itself."""
    story = STORIES[name]()
    loaded = coldframe.load(path, story.target, on_miss="eager")
    before(story, loaded)
    story.change()
    return after(story, loaded), after(story, loaded), after(story, story.target)

"""Coverage: modules and what can be done to them."""

from __future__ import annotations

from typing import Any

import torch
from coverage_breaks import logged, note
from coverage_kit import Table, matrix, vector
from steps import Program
from torch import nn
from torch.nn.utils import parametrizations, parametrize

MODULES = "modules with submodule lists and dicts, shared parameters, buffers, hooks"
UTILS = "parametrizations, weight norm, torch.nn.utils, lazily built modules"
TABLE = Table()
covers = TABLE.covers


class Lists(nn.Module):
    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.heads = nn.ModuleDict({"sum": nn.Identity(), "wide": nn.Linear(4, 2)})
        self.scales = nn.ParameterDict({"a": nn.Parameter(torch.ones(4)), "b": nn.Parameter(torch.full((4,), 2.0))})
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 1.0, 1.0]))
        self.register_buffer("missing", None)
        if tied:
            self.layers[1].weight = self.layers[0].weight
            self.layers[2] = self.layers[0]

    def forward(self, x: torch.Tensor, head: str = "sum") -> torch.Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(x).relu() if index % 2 else layer(x)
        for scale in self.scales.values():
            x = x * scale
        if self.missing is not None:
            x = x + self.missing
        return self.heads[head](x * self.mask)


@covers(MODULES, "ModuleList, ModuleDict, ParameterDict and buffers; a submodule picked by a string")
def lists_and_dicts() -> Program:
    return Program(Lists().eval(), lambda f: [f(matrix()), f(matrix(), "wide"), f(matrix(), head="sum")])


@covers(MODULES, "shared parameters and a submodule that stands twice in a list, untied between calls")
def shared_parameters() -> Program:
    model = Lists(tied=True).eval()

    def use(f: Any) -> Any:
        outputs = [f(matrix())]
        model.layers[0].weight.mul_(2.0)
        outputs.append(f(matrix()))
        model.layers[1].weight = nn.Parameter(torch.ones(4, 4))
        outputs.append(f(matrix()))
        return outputs

    return Program(model, use)


@covers(MODULES, "a buffer that was None gets a tensor; a submodule is added and one replaced between calls")
def module_is_changed() -> Program:
    model = Lists().eval()

    def use(f: Any) -> Any:
        outputs = [f(matrix())]
        model.missing = torch.ones(4)
        outputs.append(f(matrix()))
        model.layers.append(nn.Linear(4, 4, bias=False))
        model.layers[3].weight.fill_(0.5)
        outputs.append(f(matrix()))
        model.heads["sum"] = nn.Tanh()
        outputs.append(f(matrix()))
        return outputs

    return Program(model, use)


class Modal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.flag = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        return x * 2 if self.flag else x * 3


@covers(MODULES, "train(), eval() and an attribute flipped between calls; running statistics")
def modes() -> Program:
    model = Modal()

    def use(f: Any) -> Any:
        outputs = []
        for training, flag in ((True, True), (False, True), (False, False), (True, True)):
            model.train(training).flag = flag
            outputs.append(f(matrix()))
        return outputs, dict(model.named_buffers())

    return Program(model, use)


@covers(MODULES, "parameters replaced by load_state_dict, copy_, .data and to(dtype)")
def weights_replaced() -> Program:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    state = {"0.weight": torch.ones(4, 4), "0.bias": torch.zeros(4)}

    def use(f: Any) -> Any:
        outputs = [f(matrix())]
        model.load_state_dict(state)
        outputs.append(f(matrix()))
        model[0].weight.copy_(torch.eye(4))
        outputs.append(f(matrix()))
        model[0].weight.data = torch.eye(4) * 3
        outputs.append(f(matrix()))
        model.load_state_dict(state, assign=True)
        outputs.append(f(matrix()))
        model.double()
        outputs.append(f(matrix().double()))
        return outputs

    return Program(model, use)


def before(module: nn.Module, args: Any, kwargs: Any) -> Any:
    return (args[0] + 1,), kwargs


def after(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
    return output * 2


def after_talking(module: nn.Module, args: Any, output: torch.Tensor) -> None:
    note(tuple(output.shape))


class Talks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.sin()).cos()


@covers(MODULES, "hooks of the target and of a submodule, with keywords, removed between calls")
def hooks_removed() -> Program:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh()).eval()
    handles = [
        model.register_forward_pre_hook(before, with_kwargs=True),
        model.register_forward_hook(after),
        model[0].register_forward_hook(after),
    ]

    def use(f: Any) -> Any:
        outputs = [f(matrix())]
        for handle in handles:
            handle.remove()
            outputs.append(f(matrix()))
        return outputs

    return Program(model, use)


@covers(MODULES, "a hook of a submodule that breaks the graph")
def hook_breaks() -> Program:
    model = Talks().eval()
    model.linear.register_forward_hook(after_talking)
    return Program(model, logged(lambda f: [f(matrix()), f(matrix())]))


@covers(MODULES, "a hook that is a closure over a list that collects outputs")
def hook_collects() -> Program:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh()).eval()
    collected: list[torch.Tensor] = []

    def collect(module: nn.Module, args: Any, output: torch.Tensor) -> None:
        collected.append(output)

    model[0].register_forward_hook(collect)
    return Program(model, lambda f: [f(matrix()), f(matrix()), list(collected)])


@covers(MODULES, "forward replaced on the instance")
def forward_replaced() -> Program:
    model = nn.Linear(4, 4).eval()

    def forward(x: torch.Tensor) -> torch.Tensor:
        return nn.Linear.forward(model, x) * 2

    model.forward = forward
    return Program(model, lambda f: f(matrix()))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[str, torch.Tensor] = {}
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if "seen" in self.cache:
            x = x + self.cache["seen"]
        self.cache["seen"] = x.detach() * 1
        return x * 2


@covers(MODULES, "a dict of tensors and a counter that forward writes")
def module_with_cache() -> Program:
    model = Counting()
    return Program(model, lambda f: [[f(vector()) for _ in range(3)], model.calls, model.cache])


class Getattr(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "extra":
                return 3.0
            raise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * self.extra


@covers(MODULES, "a module with a __getattr__ of its own")
def module_getattr() -> Program:
    return Program(Getattr().eval(), lambda f: f(matrix()))


@covers(MODULES, "methods of a compiled module other than forward, and its attributes")
def module_methods() -> Program:
    model = Lists().eval()

    def use(f: Any) -> Any:
        output = f(matrix())
        f.layers[0].weight.fill_(0.25)
        f.extra_attribute = 3
        names = sorted(name.replace("_orig_mod.", "") for name, _ in f.named_parameters())
        return output, f(matrix()), names, [len(list(f.children())) > 0, f.training, f.extra_attribute]

    return Program(model, use)


# torch.nn.utils and parametrizations.


class Symmetric(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.triu() + x.triu(1).mT


@covers(UTILS, "a parametrization of the user's")
def parametrized() -> Program:
    model = nn.Linear(4, 4).eval()
    parametrize.register_parametrization(model, "weight", Symmetric())
    return Program(model, lambda f: [f(matrix()), f(matrix())])


@covers(UTILS, "parametrizations.weight_norm in a model")
def weight_norm() -> Program:
    return Program(Frozen(parametrizations.weight_norm(nn.Linear(4, 4))).eval(), lambda f: f(matrix()))


@covers(UTILS, "parametrizations.spectral_norm, which has buffers")
def spectral_norm() -> Program:
    model = parametrizations.spectral_norm(nn.Linear(4, 4)).eval()
    return Program(model, lambda f: [f(matrix()), f(matrix())])


@covers(UTILS, "the older torch.nn.utils.weight_norm, a forward pre-hook")
def old_weight_norm() -> Program:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.utils.weight_norm(nn.Linear(4, 4)).eval()
    return Program(model, lambda f: [f(matrix()), f(matrix())])


def flattens(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = nn.utils.parameters_to_vector(model.parameters())
    return y.sum() + x


@covers(UTILS, "torch.nn.utils.parameters_to_vector")
def parameter_vector() -> Program:
    model = nn.Linear(4, 4)
    return Program(flattens, lambda f: f(model, vector()))


@covers(UTILS, "a lazily built module, run once before it is compiled")
def lazy_built() -> Program:
    model = nn.Sequential(nn.LazyLinear(3), nn.Tanh()).eval()
    torch.manual_seed(0)
    model(matrix())
    return Program(model, lambda f: [f(matrix()), f(matrix())])


@covers(
    UTILS, "a lazily built module that the first call builds: after a load this call runs as it is, the later ones are served"
)
def lazy_unbuilt() -> Program:
    model = nn.Sequential(nn.LazyLinear(3), nn.Tanh()).eval()

    def use(f: Any) -> Any:
        outputs = [f(matrix()).shape]
        model[0].weight.fill_(0.5)
        model[0].bias.fill_(0.25)
        return [*outputs, f(matrix()), f(matrix())]

    return Program(model, use)


def calls_functional(model: nn.Module, state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return torch.func.functional_call(model, state, (x,))


@covers(UTILS, "torch.func.functional_call with other parameters")
def functional_call() -> Program:
    model = nn.Linear(4, 4)
    state = {"weight": torch.eye(4), "bias": torch.ones(4)}
    return Program(calls_functional, lambda f: f(model, state, matrix()))


@covers(UTILS, "torch.nn.utils.fusion and a deep copy of a module")
def fused_copy() -> Program:
    import copy

    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm2d(2).eval()
    model = copy.deepcopy(nn.utils.fusion.fuse_conv_bn_eval(convolution, norm))
    return Program(model, lambda f: f(vector(4).reshape(1, 1, 2, 2)))


@covers(UTILS, "a recurrent module: torch leaves it out", nothing="torch runs the frame as it is")
def recurrent() -> Program:
    model = nn.GRU(4, 3, batch_first=True).eval()
    return Program(model, lambda f: f(matrix(6, 4).reshape(2, 3, 4)))


class Frozen(nn.Module):
    """Chooses by isinstance, getattr and hasattr."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.inner, nn.Linear) and hasattr(self.inner, "bias"):
            return self.inner(x) + getattr(self, "shift", 1.0)
        return self.inner(x)


@covers(MODULES, "one class with other submodules: isinstance, hasattr and getattr decide")
def chosen_by_class() -> Program:
    def use(f: Any) -> Any:
        outputs = [f(matrix())]
        f.shift = 2.0
        outputs.append(f(matrix()))
        f.inner = nn.Tanh()
        return [*outputs, f(matrix())]

    return Program(Frozen(nn.Linear(4, 4)).eval(), use)

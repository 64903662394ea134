"""Random changes of everything that a model's guards look at, and what three executors of the guards say after each."""

from __future__ import annotations

import inspect
import random
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch._dynamo.guards as dynamo
import torch.nn.modules.module as module_hooks
import zoo
from torch import nn

import coldframe
from coldframe import _core
from coldframe.torch.guards.hosted import replay
from coldframe.torch.guards.native import steps_of
from coldframe.torch.session.sessions import session_of

Undo = Callable[[], Any]
ABSENT = object()


class Executors:
    """The guards of a model's frame: as torch built them, as torch replays them, and as the native engine runs them."""

    def __init__(self, name: str, path: Path) -> None:
        self.module, self.args, self.kwargs = zoo.make(name)
        heard = mock.Mock()  # no function of ours: such a one would count
        hook = mock.patch.object(dynamo, "guard_manager_testing_hook_fn", heard)
        with torch.no_grad(), hook:
            compiled = coldframe.compile(self.module, backend="eager")
            compiled(*self.args, **self.kwargs)
            coldframe.save(compiled, path)
            self.loaded = coldframe.load(path, self.module)  # which keeps the globals that the guards read
            native = session_of(self.loaded).serving.native
        assert native is not None
        (frame,) = native.frames
        self.function = frame.function
        self.inline = frame.inline
        self.names = native.dispatcher.names
        self.namespace = self.function.__globals__
        self.program = frame.entry.guarded_codes[0].guards
        (manager, *_), _ = heard.call_args_list[0]
        self.torch = manager.root
        self.steps = steps_of(self.program, self.names, self.namespace, set())
        self.replayed = replay(self.program, self.namespace)
        self.engine = _core.GuardEngine(self.steps)

    def locals(self) -> dict[str, Any]:
        if self.inline:
            return {"args": self.args, "kwargs": self.kwargs, "fn": self.module}
        bound = inspect.signature(self.function, follow_wrapped=False).bind(self.module, *self.args, **self.kwargs)
        bound.apply_defaults()
        closure = self.function.__closure__ or ()
        free = {n: c.cell_contents for n, c in zip(self.function.__code__.co_freevars, closure, strict=True)}
        return {**bound.arguments, **free}

    def verdicts(self) -> dict[str, bool]:
        frame = self.locals()
        values = tuple(frame[name] for name in self.names)

        def ask(engine: _core.GuardEngine) -> bool:
            return engine.check(self.names, values, self.namespace) == -1

        return {
            "reduced": ask(self.engine),
            "again": ask(self.engine),
            "native": ask(_core.GuardEngine(self.steps)),
            "replayed": bool(self.replayed.check(frame)),
            "torch": bool(self.torch.check(frame)),
        }


class Changes:
    """Random changes; each gives what undoes it."""

    def __init__(self, executors: Executors, seed: int) -> None:
        self.on = executors
        self.random = random.Random(seed)

    def kinds(self) -> list[Callable[[], Undo | None]]:
        return [value for name, value in inspect.getmembers(self, inspect.ismethod) if name.startswith("change_")]

    def module(self) -> nn.Module:
        return self.random.choice(list(self.on.module.modules()))

    def set_in(self, owner: Any, key: str, value: Any) -> Undo:
        before = vars(owner).get(key, ABSENT)
        setattr(owner, key, value)
        return lambda: delattr(owner, key) if before is ABSENT else setattr(owner, key, before)

    def put(self, container: Any, key: Any, value: Any) -> Undo:
        """The order of a dict is restored as well."""
        before = dict(container)
        container[key] = value

        def undo() -> None:
            container.clear()
            container.update(before)

        return undo

    def other(self, value: Any) -> Any:
        match value:
            case bool():
                return not value
            case int() | float():
                return value + 1
            case str():
                return value + "x"
            case list() | tuple() | set():
                return type(value)([*value, 1])
            case dict():
                return {**value, "more": 1}
        return None

    def change_attribute(self) -> Undo | None:
        state = vars(self.module())
        plain = [key for key, value in state.items() if isinstance(value, (bool, int, float, str, tuple))]
        return self.put(state, key, self.other(state[key])) if plain and (key := self.random.choice(plain)) else None

    def change_attribute_through_setattr(self) -> Undo | None:
        module = self.module()
        plain = [key for key, value in vars(module).items() if isinstance(value, (bool, int, float, str))]
        return (
            self.set_in(module, key, self.other(getattr(module, key))) if plain and (key := self.random.choice(plain)) else None
        )

    def change_config(self) -> Undo | None:
        configs = [module.config for module in self.on.module.modules() if hasattr(module, "config")]
        if not configs:
            return None
        config = self.random.choice(configs)
        plain = [key for key, value in vars(config).items() if isinstance(value, (bool, int, float, str))]
        key = self.random.choice(plain)
        return self.put(vars(config), key, self.other(vars(config)[key]))

    def change_container_of_a_module(self) -> Undo | None:
        state = vars(self.module())
        key = self.random.choice([key for key, value in state.items() if isinstance(value, dict)])
        return self.put(state, key, dict(state[key]))

    def change_new_attribute(self) -> Undo:
        return self.set_in(self.module(), "something_new", 1)

    def change_deleted_attribute(self) -> Undo:
        state = vars(self.module())
        before = dict(state)
        del state[self.random.choice(sorted(state))]
        return lambda: (state.clear(), state.update(before))

    def change_dict_of_a_module(self) -> Undo:
        module = self.module()
        before = module.__dict__
        object.__setattr__(module, "__dict__", dict(before))
        return lambda: object.__setattr__(module, "__dict__", before)

    def change_class(self) -> Undo:
        module = self.module()
        before = type(module)
        object.__setattr__(module, "__class__", type(before.__name__, (before,), {}))
        return lambda: object.__setattr__(module, "__class__", before)

    def change_attribute_of_a_class(self) -> Undo:
        cls = type(self.module())
        return self.set_in(cls, self.random.choice(["something_new", "training", "_forward_hooks"]), 1)

    def change_forward_of_a_class(self) -> Undo:
        cls = type(self.module())
        return self.set_in(cls, "forward", lambda module, *args, **kwargs: args[0])

    def change_code_of_forward(self) -> Undo | None:
        function = inspect.unwrap(type(self.module()).forward)
        if not isinstance(function, types.FunctionType) or function.__closure__:
            return None
        before = function.__code__
        function.__code__ = before.replace(co_name="other")
        return lambda: setattr(function, "__code__", before)

    def change_submodule(self) -> Undo:
        modules = self.random.choice([module._modules for module in self.on.module.modules() if module._modules])
        key = self.random.choice(sorted(modules))
        return self.put(modules, key, self.random.choice([None, nn.Identity(), nn.Linear(2, 2)]))

    def change_order_of_submodules(self) -> Undo:
        modules = self.random.choice([module._modules for module in self.on.module.modules() if len(module._modules) > 1])
        before = dict(modules)
        key = self.random.choice(sorted(modules))
        modules[key] = modules.pop(key)
        return lambda: (modules.clear(), modules.update(before))

    def tensor(self) -> tuple[dict[str, Any], str]:
        states = [state for module in self.on.module.modules() for state in (module._parameters, module._buffers)]
        return self.random.choice([(state, name) for state in states for name, value in state.items() if value is not None])

    def change_parameter(self) -> Undo:
        state, key = self.tensor()
        old = state[key]
        made = self.random.choice(
            [
                lambda: old.detach().clone(),
                lambda: nn.Parameter(old.detach().clone(), requires_grad=old.requires_grad),
                lambda: nn.Parameter(torch.ones(3), requires_grad=old.requires_grad),
                lambda: old.detach().double(),
                lambda: None,
            ]
        )()
        return self.put(state, key, made)

    def change_tensor_in_place(self) -> Undo:
        state, key = self.tensor()
        tensor = state[key]
        if self.random.random() < 0.3 and tensor.is_floating_point():
            before = tensor.requires_grad
            tensor.requires_grad_(not before)
            return lambda: tensor.requires_grad_(before)
        data = tensor.data
        tensor.data = self.random.choice([data.clone(), data.double(), data.unsqueeze(0), torch.ones(2)])
        return lambda: setattr(tensor, "data", data)

    def change_attribute_of_a_tensor(self) -> Undo:
        state, key = self.tensor()
        tensor = state[key]
        before = dict(vars(tensor))
        if self.random.random() < 0.5:
            tensor.something_new = 1
        else:
            torch._dynamo.mark_static(tensor, 0)
        return lambda: (vars(tensor).clear(), vars(tensor).update(before))

    def change_hook(self) -> Undo:
        handle = self.module().register_forward_hook(lambda *args: None)
        return handle.remove

    def change_global_hook(self) -> Undo:
        return module_hooks.register_module_forward_pre_hook(lambda *args: None).remove

    def change_mode(self) -> Undo:
        module = self.module()
        before = module.training
        module.training = not before
        return lambda: setattr(module, "training", before)

    def change_input(self) -> Undo:
        before = self.on.args
        first, *rest = before
        ways: list[Callable[[], Any]] = [
            lambda: first.clone(),
            lambda: first[:1],
            lambda: first.repeat_interleave(2, 0)[::2],
            lambda: first.double() if first.is_floating_point() else first.float(),
            lambda: first.tolist(),
            lambda: nn.Parameter(first, requires_grad=False),
            lambda: next(self.on.module.parameters()),
        ]
        self.on.args = (self.random.choice(ways)(), *rest)
        return lambda: setattr(self.on, "args", before)

    def change_count_of_arguments(self) -> Undo:
        before = self.on.kwargs
        if self.on.inline or "kwargs" in self.on.names:
            self.on.kwargs = {**before, "something": 1}
        return lambda: setattr(self.on, "kwargs", before)

    def change_global(self) -> Undo:
        """One that the guards read, of the frame's own module or of one that it imports."""
        imported = [
            value for name, value in self.on.namespace.items() if isinstance(value, types.ModuleType) and "__cold" in name
        ]
        aliases = [module for module in imported if module is not inspect]  # which this file needs whole
        namespace = vars(self.random.choice(aliases)) if aliases and self.random.random() < 0.7 else self.on.namespace
        read = {op.operands[0] for op in self.on.program.ops if op.kind in ("dict_getitem", "getattr") and op.operands}
        names = sorted(name for name in read if isinstance(name, str) and name in namespace and not name.startswith("__"))
        if not names:
            namespace["something_new"] = self.random.random()
            return lambda: namespace.pop("something_new")
        return self.rebind(namespace, self.random.choice(names))

    def rebind(self, namespace: dict[str, Any], name: str) -> Undo:
        before = namespace[name]
        namespace[name] = object()
        return lambda: namespace.__setitem__(name, before)

    def change_busy_global(self) -> Undo:
        self.on.namespace["busy"] = self.random.random()
        return lambda: None

    def change_state_of_torch(self) -> Undo:
        stack = ExitStack()
        ways: list[Callable[[], Any]] = [
            lambda: torch.enable_grad(),
            lambda: torch.inference_mode(),
            lambda: torch.autocast("cpu", dtype=torch.bfloat16),
            lambda: torch.device("meta"),
            lambda: torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t),
            lambda: torch.overrides.BaseTorchFunctionMode(),
        ]
        stack.enter_context(self.random.choice(ways)())
        return stack.close


def mutate(name: str, path: Path, count: int) -> dict[str, tuple[int, int]]:
    """By kind of change: how often the guards held after it, and how often they did not."""
    # torch skips tensors of modules whose dicts have not changed, and so overlooks marks that are set on them.
    torch._dynamo.config.skip_tensor_guards_with_matching_dict_tags = False
    torch._dynamo.config.guard_nn_modules_using_dict_tags = False
    on = Executors(name, path)
    changes = Changes(on, seed=len(name))
    held = dict.fromkeys(["reduced", "again", "native", "replayed", "torch"], True)
    seen: dict[str, tuple[int, int]] = {}
    with torch.no_grad():
        for kind in _rounds(changes, count):
            on.engine = _core.GuardEngine(on.steps)
            for _ in range(2):
                assert on.verdicts() == held, f"before {kind.__name__}: {on.verdicts()}"
            assert on.engine.reduction is not None, kind
            if (undo := kind()) is None:
                continue
            try:
                said = on.verdicts()
                more = on.verdicts()
            finally:
                undo()
            assert said == more and len(set(said.values())) == 1, f"{kind.__name__}: {said}, then {more}"
            yes, no = seen.get(kind.__name__, (0, 0))
            seen[kind.__name__] = (yes + said["torch"], no + (not said["torch"]))
    return seen


def _rounds(changes: Changes, count: int) -> Iterator[Callable[[], Undo | None]]:
    kinds = changes.kinds()
    for number in range(count):
        yield kinds[number % len(kinds)]

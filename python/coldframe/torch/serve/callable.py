"""The callable that serves a target on the native path: a module for a module, a function for a function, as torch.compile
gives them.

Dynamo may trace this file: when somebody compiles a caller, it looks through to the target.
"""

from __future__ import annotations

import copy
import functools
import types
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.modules.module as module_hooks

from ... import _core
from ..seam import symbols

CALLS = ("__call__", "_wrapped_call_impl", "_call_impl")  # through which a call of a module comes to its forward
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
GLOBAL_HOOKS = (
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
    "_global_forward_pre_hooks",
    "_global_forward_hooks",
    "_global_forward_hooks_always_called",
    "_global_forward_hooks_with_kwargs",
)


class Session(Protocol):
    """The session of a served module."""

    def again(self, target: Any) -> Any:
        """The same for another target: a copy of the module."""

    def reduce(self) -> Any:
        """As object.__reduce__."""

    def as_torch(self) -> Any:
        """Returns what torch.compile makes of the target."""


# What torch.compile's modules have of their own and keep. Where it is not here it is asked of one that torch makes then.
OF_TORCH = frozenset(
    {
        "_aot_compile",
        "_call_lazy_check",
        "_initialize",
        "_load_aot_compiled_module",
        "_opt_mod_attributes",
        "_save_aot_compiled_module",
        "_torchdynamo_orig_callable",
        "_torchdynamo_wrapper_id",
        "dynamo_ctx",
        "get_compiler_config",
    }
)
_OWN = OF_TORCH | {"_orig_mod", "_native", "_session", "_super_module_initialized", "__dict__"}


class NativeModule(torch.nn.Module):
    """Mirrors its module in everything but the call, as torch._dynamo.OptimizedModule does."""

    is_served = True  # see locate.uncompiled

    def __init__(self, module: torch.nn.Module, native: Callable[..., Any], session: Session) -> None:
        object.__setattr__(self, "_orig_mod", module)
        object.__setattr__(self, "_super_module_initialized", False)
        super().__init__()
        object.__setattr__(self, "_super_module_initialized", True)
        del self.__dict__["_orig_mod"]
        self._modules["_orig_mod"] = module
        object.__setattr__(self, "_native", native)
        object.__setattr__(self, "_session", session)
        self._torchdynamo_orig_callable = module.forward  # Dynamo compiles that when it is given this module
        self._torchdynamo_wrapper_id = id(self)

    def __copy__(self) -> Any:
        return self._session.again(self._orig_mod)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = memo[id(self)] = self._session.again(copy.deepcopy(self._orig_mod, memo))
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._session.reduce()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # isinstance(compiled, torch._dynamo.OptimizedModule) holds, as for torch.compile, once somebody can ask.
        eval_frame = symbols.imported("torch._dynamo.eval_frame")
        return NativeModule if eval_frame is None else eval_frame.OptimizedModule

    # Without hooks of its own it is served at once, else as any module is called: by `forward`.
    __call__ = _core.ModuleCall(
        "_native", HOOKS, tuple(vars(module_hooks)[name] for name in GLOBAL_HOOKS), torch.nn.Module.__call__
    )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return self._orig_mod(*args, **kwargs)
        return self._native(*args, **kwargs)

    @property
    def training(self) -> bool:
        return bool(self._orig_mod.training)

    @training.setter
    def training(self, value: bool) -> None:
        if self._super_module_initialized:
            self._orig_mod.training = value

    def __len__(self) -> int:
        return len(self._orig_mod)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._session.as_torch() if name in OF_TORCH else self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _OWN or hasattr(type(self), name):
            super().__delattr__(name)
        else:
            delattr(self._orig_mod, name)

    def __dir__(self) -> list[str]:
        found = list(self._orig_mod.__dir__())
        return found + [name for name in super().__dir__() if name not in found]


NativeModule.__name__ = "OptimizedModule"  # as people and frameworks read it; found again by its __qualname__


def runs_hooks(target: Any) -> bool:
    """Returns whether a call of a module runs hooks before its forward."""
    if not isinstance(target, torch.nn.Module):
        return False
    return any(vars(target)[name] for name in HOOKS) or any(vars(module_hooks)[name] for name in GLOBAL_HOOKS)


def can_be_served(target: Any) -> bool:
    """Returns whether `target` is a function, a method, or a module that is called as modules are: `serving` makes something
    for."""
    if isinstance(target, torch.nn.Module):
        plain = all(getattr(type(target), name) is getattr(torch.nn.Module, name) for name in CALLS)
        return plain and not hasattr(target, "_initialize_hook") and isinstance(type(target).forward, types.FunctionType)
    function = target.__func__ if isinstance(target, types.MethodType) else target
    return isinstance(function, types.FunctionType)


def serving(target: Any, call: Callable[..., Any], session: Session) -> tuple[Any, Callable[[Any], None]]:
    """The callable that users get for `target`, and what changes its `call`, which serves its calls."""
    if isinstance(target, torch.nn.Module):
        module = NativeModule(target, call, session)
        found = weakref.ref(module)

        def change(call: Callable[..., Any]) -> None:
            if (module := found()) is not None:
                object.__setattr__(module, "_native", call)

        return module, change
    calls = [call]

    @functools.wraps(target)
    def served(*args: Any, **kwargs: Any) -> Any:
        return calls[0](*args, **kwargs)

    served._torchdynamo_orig_callable = target  # type: ignore[attr-defined]
    served._torchdynamo_inline = target  # type: ignore[attr-defined]
    served._session = session  # type: ignore[attr-defined]
    served._torchdynamo_wrapper_id = id(served)  # type: ignore[attr-defined]
    served._is_torch_compile = True  # type: ignore[attr-defined]
    served._isolate_recompiles_id = -1  # type: ignore[attr-defined]  # nobody asked for it
    served.get_compiler_config = lambda: session.as_torch().get_compiler_config()  # type: ignore[attr-defined]
    served.aot_compile = lambda *args: session.as_torch().aot_compile(*args)  # type: ignore[attr-defined]
    return served, functools.partial(calls.__setitem__, 0)

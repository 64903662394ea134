"""The private symbols of torch 2.13 that coldframe stands on, in one place.

Each is fetched on first use, so that importing this module costs nothing; `probe` fetches them all and says which one a
different torch lacks. A new torch generation gets a module like this one.
"""

from __future__ import annotations

import contextvars
import gc
import importlib
import sys
from typing import Any

from ..errors import IncompatiblePackageError

GENERATION = "2.13"

_SYMBOLS: dict[str, tuple[str, ...]] = {
    "torch._C._dynamo.guards": (
        "DictGuardManager",
        "GlobalStateGuard",
        "GuardManager",
        "RootGuardManager",
        "install_no_tensor_aliasing_guard",
        "install_object_aliasing_guard",
        "install_storage_overlapping_guard",
    ),
    "torch._C._dynamo.eval_frame": (
        "_load_precompile_entry",
        "_reset_precompile_entries",
        "set_fullgraph_compiled_frame_count",
    ),
    "torch._dynamo": ("optimize", "reset_code_caches"),
    "torch._dynamo.config": ("caching_precompile",),
    "torch._dynamo.convert_frame": ("ConvertFrameReturn", "_compile"),
    "torch._dynamo.eval_frame": (
        "OptimizeContext",
        "OptimizedModule",
        "get_compiler_fn",
        "innermost_fn",
        "set_code_exec_strategy",
        "skip_code",
    ),
    "torch._dynamo.exc": ("SkipFrame", "Unsupported"),
    "torch._dynamo.external_utils": ("wrap_inline",),
    "torch._dynamo.guards": (
        "CheckFunctionManager",
        "GuardBuilder",
        "GuardManagerType",
        "GuardManagerWrapper",
        "_get_closure_vars",
    ),
    "torch._dynamo.output_graph": ("OutputGraph", "get_builtins_dict"),
    "torch._dynamo.package": ("DynamoStore", "PrecompileCacheArtifact", "_graph_device_type"),
    "torch._dynamo.pgo": ("CodeId", "FrameStateSizeEntry", "auto_dynamic", "auto_unset", "get_code_state"),
    "torch._dynamo.symbolic_convert": ("InstructionTranslatorBase", "_import_module"),
    "torch._dynamo.trace_rules": ("add",),
    "torch._dynamo.types": ("FrameAction", "FrameExecStrategy"),
    "torch._library.custom_ops": ("OPDEFS",),
}


def module(name: str) -> Any:
    """A private module of torch, with every symbol that coldframe uses present. IncompatiblePackageError otherwise."""
    try:
        found = imported(name) or _import(name)
    except ImportError as error:
        raise IncompatiblePackageError(_message(name)) from error
    for symbol in _SYMBOLS.get(name, ()):
        if not hasattr(found, symbol):
            raise IncompatiblePackageError(_message(f"{name}.{symbol}"))
    return found


def imported(name: str) -> Any:
    """A module of torch that has been imported; None where it has not. One that another thread is importing is waited for."""
    for each in (".".join(name.split(".")[:2]), name):  # a package first: its modules import one another
        if _is_initializing(sys.modules.get(each)):
            importlib.import_module(each)
    found = sys.modules.get(name)
    return None if _is_initializing(found) else found


def _is_initializing(module: Any) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


replaced: Any = None  # what was torch.compile before automatic mode, while that is enabled


plain = contextvars.ContextVar("plain", default=False)  # torch.compile is called for ourselves: automatic mode stays out


def torch_compile(model: Any, **options: Any) -> Any:
    """torch.compile as it is without automatic mode, also where others have wrapped it before or since."""
    import torch

    token = plain.set(True)
    try:
        return (torch.compile if replaced is None else replaced)(model, **options)
    finally:
        plain.reset(token)


def _import(name: str) -> Any:
    # Importing Dynamo makes half a million objects and next to no garbage; looking for it would take half as long again.
    enabled = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if enabled:
            gc.enable()


def probe() -> None:
    """Raises IncompatiblePackageError, naming the first symbol that this torch lacks."""
    for name in _SYMBOLS:
        module(name)


def _message(what: str) -> str:
    import torch

    return f"torch {torch.__version__} has no {what}: this coldframe knows torch {GENERATION}; install a matching pair"

"""The demands of a package on the place that runs it, and the check of this place.

Exact where the bytecode or the ABI demands it (python, torch); a superset for CPU instruction sets; of the settings only
those that change generated code and are not at their default. Every refusal names the field, the recorded and the present
value.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable
from typing import Any

import torch

from ... import _core
from ...errors import CorruptPackageError, IncompatiblePackageError, NotPortableError
from ..seam import symbols
from . import objects, overrides, state

_EXACT = ("python_implementation", "python_version", "python_magic", "soabi", "torch_version", "torch_git", "machine")
_CONFIGS = ("torch._dynamo.config", "torch._functorch.config", "torch._inductor.config")
_OVERRIDES = "torch.library"

# Settings that say where things are kept, how much is logged or how the compiler itself runs, not what it generates.
_INERT = (
    "aot_inductor.",
    "autotune_local_cache",
    "autotune_remote_cache",
    "bundled_autograd_cache",
    "caching_precompile",
    "compile_threads",
    "cpp.cache_",
    "cpp.cxx",
    "cuda.cutlass_dir",
    "enable_autograd_cache",
    "enable_cpp_symbolic_shape_guards",
    "enable_remote_autograd_cache",
    "force_disable_caches",
    "fx_graph_cache",
    "fx_graph_remote_cache",
    "log",
    "recompile_limit",
    "accumulated_recompile_limit",
    "report_guard_failures",
    "strict_precompile",
    "suppress_errors",
    "trace.",
    "use_lamba_guard_for_object_aliasing",
    "verbose",
    "worker_start_method",
)

# Which sizes are dynamic: torch sets them while it compiles with dynamic=True or False, and guards say what came of them.
_OF_SIZES = ("assume_static_by_default", "automatic_dynamic_shapes")


def while_compiling(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns those of the settings that must be the same where what was compiled under them is served."""
    kept = {module: {key: value for key, value in of.items() if key not in _OF_SIZES} for module, of in found.items()}
    return {module: of for module, of in kept.items() if of}


def describe(
    device_types: Iterable[str] = ("cpu",),
    cpu_features: Iterable[str] = (),
    options: dict[str, Any] | None = None,
    compiled_under: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The environment of a package made here, with the instruction sets its kernels use, its compile options and the settings
    under which it was compiled: those of now when None."""
    devices = set(device_types)
    device_type = next((d for d in sorted(devices) if d != "cpu"), "cpu")
    return {
        **_present(),
        "device_type": device_type,
        "libc": _core.libc_version(),
        "cpu_features": sorted(set(cpu_features)),
        "device": _device(device_type),
        "settings": {"options": options or {}, **(settings() if compiled_under is None else compiled_under)},
    }


def check(recorded: dict[str, Any], with_settings: bool = True) -> None:
    """Raises IncompatiblePackageError for the first field in which this place differs, with both values."""
    present = _present()
    for name in _EXACT:
        if recorded[name] != present[name]:
            raise _refusal(name, recorded[name], present[name])
    missing = sorted(set(recorded["cpu_features"]) - usable_cpu_features())
    if missing:
        limit = os.environ.get("ATEN_CPU_CAPABILITY")
        reason = f" (ATEN_CPU_CAPABILITY={limit})" if limit else ""
        raise IncompatiblePackageError(
            f"cpu_features: the kernels need {', '.join(missing)}, which may not be used here{reason}: "
            "compile again on this host"
        )
    device = _device(recorded["device_type"])
    for name, value in recorded["device"].items():
        if device.get(name) != value:
            raise _refusal(f"device.{name}", value, device.get(name))
    if with_settings:
        check_settings(recorded, settings())


def check_settings(recorded: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises IncompatiblePackageError for the first setting that is not the one of the recorded environment, with both."""
    before = recorded["settings"]  # by name: nothing is looked up or made of what the package says
    for module in (*_CONFIGS, _OVERRIDES):
        old, new = before.get(module, {}), now.get(module, {})
        if not isinstance(old, dict):
            raise CorruptPackageError(f"{module}: not settings but {old!r:.80}")
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                raise _refusal(f"{module}.{name}", old.get(name, "the default"), new.get(name, "the default"))


def usable_cpu_features() -> set[str]:
    """Instruction sets of this CPU that torch is allowed to use: ATEN_CPU_CAPABILITY narrows them."""
    features = set(_core.cpu_features())
    limit = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    if limit in ("default", "avx2"):
        features = {f for f in features if not f.startswith(("avx512", "amx"))}
    if limit == "default":
        features = {f for f in features if not f.startswith(("avx", "fma", "f16c", "xop"))}
    return features


def _refusal(field: str, recorded: Any, present: Any) -> IncompatiblePackageError:
    return IncompatiblePackageError(
        f"{field}: the package was made with {recorded!r}, here it is {present!r}: compile again, or use the recorded one"
    )


def _present() -> dict[str, Any]:
    return {
        "python_implementation": sys.implementation.name,
        "python_version": platform.python_version(),
        "python_magic": importlib.util.MAGIC_NUMBER.hex(),
        "soabi": sysconfig.get_config_var("SOABI") or "",
        "torch_version": str(torch.__version__),
        "torch_git": torch.version.git_version or "",
        "machine": platform.machine(),
    }


def _device(device_type: str) -> dict[str, str]:
    if device_type != "cuda" or not torch.cuda.is_available():
        return {}
    name = torch.cuda.get_device_name()
    major, minor = torch.cuda.get_device_capability()
    return {"name": name, "capability": f"{major}.{minor}", "toolkit": torch.version.cuda or ""}


def settings() -> dict[str, dict[str, Any]]:
    """Per config module that is imported: the settings that are not at their default and change generated code,
    as a package holds them; and what the program has put in the place of torch's operators.

    A module that is not imported has its defaults: nobody can have changed what is not there.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in _CONFIGS:
        module = symbols.imported(name)
        if module is None:
            continue
        # Undoing a patch leaves the default as an override: it is the value that counts.
        values = {
            key: _portable(getattr(module, key))
            for key in _names(name)
            if not module._is_default(key) and getattr(module, key) != module._config[key].default
        }
        if values:
            found[name] = values
    if replaced := overrides.found():
        found[_OVERRIDES] = replaced
    return found


@functools.cache
def _names(module: str) -> list[str]:
    """The settings of a module that count. Aliases are another module's."""
    config = symbols.imported(module)._config
    return [key for key in sorted(config) if not key.startswith(_INERT) and getattr(config[key], "alias", None) is None]


def _portable(value: Any) -> Any:
    try:
        return _core.portable(value)
    except NotPortableError:
        return f"{type(value).__module__}.{type(value).__qualname__} {_core.digest(_content(value)).hex()}"


def _content(value: Any, depth: int = 0) -> dict[str, Any]:
    """Returns what a value is like: where more than its attributes says that, these, as far as they can be described."""
    try:
        return state.describe(value)
    except NotPortableError:
        held = objects.attributes(value) if depth < state.DEPTH // 2 else {}
        return {"type": state.key_of(type(value)), "state": {name: _content(each, depth + 1) for name, each in held.items()}}

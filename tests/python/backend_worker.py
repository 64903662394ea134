"""The two processes of the backend tests.

    python backend_worker.py compile FOLDER CASE...    compiles with torch.compile, saves artifacts and what they returned
    python backend_worker.py serve FOLDER CASE...      restores them without a compiler and compares

`serve` prints one JSON line a case; every way to start a process raises in it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)

SEED = 1234


def snapshot(values: Any) -> list[Any]:
    """Copies of flat values that later mutation does not reach."""
    return [value.detach().clone() if isinstance(value, torch.Tensor) else value for value in values]


def copy_args(args: list[Any]) -> list[Any]:
    """Fresh inputs equal to `args`: aliasing between them, leaves, parameters and strides kept."""
    storages: dict[int, torch.UntypedStorage] = {}
    copies: dict[int, Any] = {}
    result: list[Any] = []
    for arg in args:
        if not isinstance(arg, torch.Tensor):
            result.append(arg)
            continue
        if id(arg) not in copies:
            key = arg.untyped_storage()._cdata
            if key not in storages:
                storages[key] = arg.untyped_storage().clone()
            copy = torch.empty(0, dtype=arg.dtype).set_(storages[key], arg.storage_offset(), arg.size(), arg.stride())
            if isinstance(arg, torch.nn.Parameter):
                copy = torch.nn.Parameter(copy, arg.requires_grad)
            copies[id(arg)] = copy.requires_grad_(arg.requires_grad)
        result.append(copies[id(arg)])
    return result


def exercise(compiled: Any, saved: list[Any], *, grad: bool, backward: bool, autocast: bool) -> dict[str, Any]:
    """Calls a graph twice on fresh inputs: its outputs, gradients, and what it did to the inputs."""
    record: dict[str, Any] = {"calls": []}
    for _ in range(2):
        args = copy_args(saved)
        torch.manual_seed(SEED)
        with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = list(compiled(*args))
        grad_after = torch.is_grad_enabled()
        gradients: list[Any] = []
        tensors = [out for out in outputs if isinstance(out, torch.Tensor)]
        if backward:
            loss = sum(out.float().square().sum() for out in tensors if out.requires_grad)
            leaves = [arg for arg in args if isinstance(arg, torch.Tensor) and arg.requires_grad]
            gradients = list(torch.autograd.grad(loss, leaves, allow_unused=True))
        storages = {arg.untyped_storage()._cdata: index for index, arg in enumerate(args) if isinstance(arg, torch.Tensor)}
        record["calls"].append(
            {
                "outputs": snapshot(outputs),
                "args": snapshot(args),
                "gradients": snapshot(gradients),
                "versions": [arg._version for arg in args if isinstance(arg, torch.Tensor)],
                "aliases": [storages.get(out.untyped_storage()._cdata) for out in tensors],
                "views": [out._is_view() for out in tensors],
                "requires_grad": [out.requires_grad for out in tensors],
                "strides": [out.stride() for out in tensors],
                "grad_after": grad_after,
            }
        )
    return record


def compile_case(folder: Path, name: str) -> None:
    import torch._dynamo.output_graph as output_graph
    from backend_cases import CASES

    from coldframe._core import Package
    from coldframe.errors import NotPortableError
    from coldframe.torch import backends

    torch._dynamo.reset()
    torch.manual_seed(0)
    case = CASES[name]()
    captured: list[tuple[Any, list[Any], Any]] = []
    refused: list[str] = []
    original = output_graph.OutputGraph.call_user_compiler
    seconds = 0.0

    def call_user_compiler(self: Any, gm: Any, example_inputs: Any) -> Any:
        nonlocal seconds
        compiled = original(self, gm, example_inputs)
        start = time.perf_counter()
        try:
            result = backends.artifact_for(f"graph_{len(captured)}", compiled, case.options.get("backend", "inductor"))
        except NotPortableError as error:
            refused.append(str(error))
            return compiled
        seconds += time.perf_counter() - start
        index = len(captured)
        captured.append((result, [], compiled))

        def recorded(*args: Any) -> Any:
            if not captured[index][1]:
                captured[index][1].extend(copy_args(list(args)))
            return compiled(*args)

        return recorded

    output_graph.OutputGraph.call_user_compiler = call_user_compiler
    start = time.perf_counter()
    try:
        with (
            backends.capturing(case.options.get("backend", "inductor")),
            torch.set_grad_enabled(case.grad),
            torch.autocast("cpu", torch.bfloat16, enabled=case.autocast),
        ):
            args = copy_args(list(case.args))
            result = torch.compile(case.target, **case.options)(*args)
        output_graph.OutputGraph.call_user_compiler = original
        torch.set_grad_enabled(True)
        if case.backward:
            tensors = [out for out in torch.utils._pytree.tree_leaves(result) if isinstance(out, torch.Tensor)]
            sum(out.float().square().sum() for out in tensors if out.requires_grad).backward()
    finally:
        output_graph.OutputGraph.call_user_compiler = original
    total = time.perf_counter() - start
    with torch.set_grad_enabled(case.grad), torch.autocast("cpu", torch.bfloat16, enabled=case.autocast):
        eager = None if case.random else case.target(*copy_args(list(case.args)))
    leaves = torch.utils._pytree.tree_leaves
    package = Package()
    graphs = []
    for result_of, args, compiled in captured:
        settings = {"grad": case.grad, "backward": case.backward, "autocast": case.autocast}
        record = exercise(compiled, args, **settings)
        torch.set_grad_enabled(True)
        pending = isinstance(result_of, backends.Pending)
        graphs.append({"args": args, "settings": settings, "record": record, "pending": pending and result_of.pending})
        package.artifacts = [*package.artifacts, result_of.snapshot() if pending else result_of]
    package.write(folder / f"{name}.cfp")
    torch.save(
        {
            "graphs": graphs,
            "refused": refused,
            "compiled": snapshot(leaves(result)),
            "eager": None if eager is None else snapshot(leaves(eager)),
            "capture_seconds": seconds,
            "total_seconds": total,
        },
        folder / f"{name}.pt",
    )


def forbid_processes() -> None:
    import _posixsubprocess
    import subprocess

    def forbidden(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"a process was started: {args[:1]}")

    for owner, function in [
        (subprocess, "Popen"), (os, "posix_spawn"), (os, "posix_spawnp"), (os, "fork"), (os, "system"), (os, "popen"),
        (os, "execv"), (os, "execve"), (_posixsubprocess, "fork_exec"),
    ]:  # fmt: skip
        setattr(owner, function, forbidden)


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Where two records differ, bit for bit."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        same = (
            first.dtype == second.dtype
            and first.shape == second.shape
            and bytes(first.contiguous().view(-1).view(torch.uint8).numpy())
            == bytes(second.contiguous().view(-1).view(torch.uint8).numpy())
        )
        return [] if same else [f"{where}: {first} != {second}"]
    if isinstance(first, dict):
        return [text for key in first for text in differences(first[key], second[key], f"{where}.{key}")]
    if isinstance(first, list | tuple):
        if len(first) != len(second):
            return [f"{where}: lengths {len(first)} and {len(second)}"]
        pairs = zip(first, second, strict=True)
        return [text for index, (a, b) in enumerate(pairs) for text in differences(a, b, f"{where}[{index}]")]
    return [] if first == second else [f"{where}: {first!r} != {second!r}"]


def serve_case(folder: Path, name: str) -> dict[str, Any]:
    from coldframe._core import Package
    from coldframe.torch import backends

    saved = torch.load(folder / f"{name}.pt", weights_only=False)
    package = Package.open(folder / f"{name}.cfp")
    answer: dict[str, Any] = {"case": name, "graphs": [], "refused": saved["refused"], "differences": []}
    before = set(sys.modules)
    for artifact, graph in zip(package.artifacts, saved["graphs"], strict=True):
        context = backends.RestoreContext()
        start = time.perf_counter()
        restored = backends.restore(artifact, context)
        milliseconds = (time.perf_counter() - start) * 1e3
        record = exercise(restored, graph["args"], **graph["settings"])
        torch.set_grad_enabled(True)
        answer["differences"] += differences(graph["record"], record)
        answer["graphs"].append(
            {
                **backends.describe(artifact),
                "pending": graph["pending"],
                "milliseconds": milliseconds,
                "imported": sorted(context.imported),
            }
        )
    compiler = ("torch._dynamo", "torch._inductor", "torch._functorch", "torch._higher_order_ops", "triton")
    answer["modules"] = sorted(module for module in set(sys.modules) - before if module.startswith(compiler))
    if saved["eager"] is not None:
        answer["eager_error"] = max(
            (
                float((a.to(torch.complex128) - b.to(torch.complex128)).abs().max() / (1 + b.to(torch.complex128).abs().max()))
                for a, b in zip(saved["compiled"], saved["eager"], strict=True)
                if isinstance(a, torch.Tensor) and a.numel()
            ),
            default=0.0,
        )
    answer["capture_seconds"], answer["total_seconds"] = saved["capture_seconds"], saved["total_seconds"]
    return answer


def main(command: str, folder: Path, names: list[str]) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    if command == "compile":
        for name in names:
            compile_case(folder, name)
        return
    forbid_processes()
    for name in names:
        print(json.dumps(serve_case(folder, name)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

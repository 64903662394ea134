"""Steps of the processes of the backend tests: compile and save artifacts; restore them elsewhere and compare."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves

SEED = 1234
COMPILER = ("torch._dynamo", "torch._inductor", "torch._functorch", "torch._higher_order_ops", "triton")


def snapshot(values: Any) -> list[Any]:
    """Copies of flat values that later mutation does not reach."""
    return [_plain(value.detach().clone()) if isinstance(value, torch.Tensor) else value for value in values]


def _plain(tensor: torch.Tensor) -> Any:
    if not is_traceable_wrapper_subclass(tensor):
        return tensor
    return [type(tensor).__name__, *(_plain(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])]


def copy_args(args: list[Any]) -> list[Any]:
    """Fresh inputs equal to `args`: aliasing between them, leaves, parameters and strides kept."""
    storages: dict[int, torch.UntypedStorage] = {}
    copies: dict[int, Any] = {}

    def copy(arg: Any) -> Any:
        if is_traceable_wrapper_subclass(arg):
            return arg.detach().clone()
        key = arg.untyped_storage()._cdata
        if key not in storages:
            storages[key] = arg.untyped_storage().clone()
        made = torch.empty(0, dtype=arg.dtype).set_(storages[key], arg.storage_offset(), arg.size(), arg.stride())
        return torch.nn.Parameter(made, arg.requires_grad) if isinstance(arg, torch.nn.Parameter) else made

    for arg in args:
        if isinstance(arg, torch.Tensor) and id(arg) not in copies:
            copies[id(arg)] = copy(arg).requires_grad_(arg.requires_grad)
    return [copies.get(id(arg), arg) for arg in args]


def exercise(compiled: Any, saved: list[Any], *, grad: bool, backward: bool, autocast: bool) -> list[dict[str, Any]]:
    """Calls a graph twice on fresh inputs: its outputs, their gradients, and what the calls did to the inputs."""
    calls = []
    for _ in range(2):
        args = copy_args(saved)
        torch.manual_seed(SEED)
        with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = list(compiled(*args))
            grad_after = torch.is_grad_enabled()
        inputs = [arg for arg in args if isinstance(arg, torch.Tensor)]
        tensors = [out for out in outputs if isinstance(out, torch.Tensor)]
        gradients: list[Any] = []
        if backward:
            leaves = [arg for arg in inputs if arg.requires_grad]
            gradients = list(torch.autograd.grad(_loss(tensors), leaves, allow_unused=True))
        storages = {arg.untyped_storage()._cdata: index for index, arg in enumerate(inputs)}
        calls.append(
            {
                "outputs": snapshot(outputs),
                "inputs": snapshot(inputs),
                "gradients": snapshot(gradients),
                "versions": [arg._version for arg in inputs],
                "aliases": [storages.get(out.untyped_storage()._cdata) for out in tensors],
                "views": [out._is_view() for out in tensors],
                "requires_grad": [out.requires_grad for out in tensors],
                "strides": [out.stride() for out in tensors],
                "grad_after": grad_after,
            }
        )
    return calls


def _loss(outputs: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([out.float().square().sum() for out in outputs if out.requires_grad]).sum()


class Capture:
    """Takes the artifact of each graph that Dynamo compiles inside, and what the bytecode calls it with."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.graphs: list[tuple[Any, list[Any], Any]] = []  # captured, arguments of the first call, what Dynamo has
        self.refused: list[str] = []
        self.seconds = 0.0

    def __enter__(self) -> Capture:
        import torch._dynamo.output_graph as output_graph

        from coldframe.torch import graphs

        self._owner, self._original = output_graph.OutputGraph, output_graph.OutputGraph.call_user_compiler
        self._capturing = graphs.capturing(self.backend)
        self._capturing.__enter__()
        capture, original = self, self._original

        def call_user_compiler(graph: Any, module: Any, example_inputs: Any) -> Any:
            return capture._add(original(graph, module, example_inputs))

        self._owner.call_user_compiler = call_user_compiler
        return self

    def __exit__(self, *details: Any) -> None:
        self._owner.call_user_compiler = self._original
        self._capturing.__exit__(*details)

    def _add(self, compiled: Any) -> Any:
        from coldframe.errors import NotPortableError
        from coldframe.torch import graphs

        start = time.perf_counter()
        try:
            captured = graphs.artifact_for(f"graph_{len(self.graphs)}", compiled, self.backend)
        except NotPortableError as error:
            self.refused.append(str(error))
            return compiled
        self.seconds += time.perf_counter() - start
        args: list[Any] = []
        self.graphs.append((captured, args, compiled))

        def recorded(*given: Any) -> Any:
            if not args:
                args.extend(copy_args(list(given)))
            return compiled(*given)

        return recorded

    def artifacts(self) -> list[Any]:
        return [captured.snapshot() if hasattr(captured, "snapshot") else captured for captured, _, _ in self.graphs]


def compile_case(name: str, folder: Path) -> dict[str, Any]:
    """Compiles a case and leaves a package of its artifacts and a record of what its graphs do."""
    from backend_cases import CASES

    from coldframe._core import Package

    torch.manual_seed(0)
    case = CASES[name]()
    settings = {"grad": case.grad, "backward": case.backward, "autocast": case.autocast}
    with (
        Capture(case.options.get("backend", "inductor")) as capture,
        torch.set_grad_enabled(case.grad),
        torch.autocast("cpu", torch.bfloat16, enabled=case.autocast),
    ):
        compiled = torch.compile(case.target, **case.options)(*copy_args(list(case.args)))
    torch.set_grad_enabled(True)
    if case.backward:
        _loss([out for out in tree_leaves(compiled) if isinstance(out, torch.Tensor)]).backward()
    with torch.set_grad_enabled(case.grad), torch.autocast("cpu", torch.bfloat16, enabled=case.autocast):
        eager = None if case.random else case.target(*copy_args(list(case.args)))
    package = Package()
    package.artifacts = capture.artifacts()
    package.write(folder / f"{name}.cfp")
    pending = [getattr(captured, "pending", None) for captured, _, _ in capture.graphs]
    graphs = [
        {"args": args, "settings": settings, "record": exercise(graph, args, **settings)} for _, args, graph in capture.graphs
    ]
    torch.save(graphs, folder / f"{name}.pt")
    return {
        "refused": capture.refused,
        "pending": pending,
        "compiled": snapshot(tree_leaves(compiled)),
        "eager": None if eager is None else snapshot(tree_leaves(eager)),
    }


def serve_case(name: str, folder: Path) -> list[dict[str, Any]]:
    """Restores the artifacts of a case and calls them as the process that compiled it did."""
    import backend_cases  # noqa: F401  the operators and types that the graphs use

    from coldframe._core import Package
    from coldframe.torch import graphs

    made = torch.load(folder / f"{name}.pt", weights_only=False)
    answers = []
    for artifact, graph in zip(Package.open(folder / f"{name}.cfp").artifacts, made, strict=True):
        context = graphs.RestoreContext()
        before = set(sys.modules)
        restored = graphs.restore(artifact, context)
        record = exercise(restored, graph["args"], **graph["settings"])
        torch.set_grad_enabled(True)
        answers.append(
            {
                **graphs.describe(artifact),
                "expected": graph["record"],
                "served": record,
                "imported": sorted(context.imported),
                "modules": sorted(module for module in set(sys.modules) - before if module.startswith(COMPILER)),
            }
        )
    return answers


def fingerprints(names: list[str]) -> dict[str, list[str]]:
    """Digests of everything in the artifacts of cases, compiled one after another."""
    import hashlib

    from backend_cases import CASES

    from coldframe._core import encode

    found: dict[str, list[str]] = {}
    for name in names:
        torch.manual_seed(0)
        case = CASES[name]()
        with Capture("inductor") as capture, torch.set_grad_enabled(case.grad):
            torch.compile(case.target, **case.options)(*copy_args(list(case.args)))
        found[name] = [
            hashlib.sha256(encode(artifact.recipe) + b"".join(sorted(blob.digest for blob in artifact.blobs))).hexdigest()
            for artifact in capture.artifacts()
        ]
    return found

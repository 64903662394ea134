"""Steps of the tests in test_backend_rules.py: each runs in a process of its own and answers with what it saw."""

from __future__ import annotations

import gc
import hashlib
import sys
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from backend_steps import Capture

from coldframe._core import Artifact, Blob, Package
from coldframe.torch import graphs


def captured(target: Any, *args: Any, backend: Any = "aot_eager", **options: Any) -> Capture:
    """Compiles and calls `target`; torch forgets it when the caller resets it."""
    with Capture(backend) as capture:
        torch.compile(target, backend=backend, **options)(*args)
    return capture


def reopened(capture: Capture, folder: Path) -> list[Artifact]:
    """The artifacts as they are in a file."""
    package = Package()
    package.artifacts = capture.artifacts()
    package.write(folder / "package.cfp")
    return Package.open(folder / "package.cfp").artifacts


def outcome(call: Callable[[], Any]) -> str:
    """The error that a call raises, or "" when it raises none."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def square(x: torch.Tensor) -> torch.Tensor:
    return (x * x).sin()


def missing_backward(folder: Path) -> dict[str, Any]:
    x = torch.randn(3, requires_grad=True)
    (artifact,) = reopened(captured(square, x), folder)
    asked: list[str] = []
    restored = graphs.restore(artifact, graphs.RestoreContext(missing_backward=asked.append))
    (out,) = restored(x)
    out.sum().backward()
    gradient = x.grad
    (expected,) = torch.autograd.grad(square(x).sum(), x)
    same = torch.equal(out, square(x)) and torch.allclose(gradient, expected)
    return {"same": same, "asked": asked, "id": artifact.backend_id}


def growing(folder: Path) -> dict[str, Any]:
    """A pending artifact before, after and long after its backward was compiled."""
    x = torch.randn(3, requires_grad=True)
    capture = captured(square, x)
    ((pending, args, compiled),) = capture.graphs
    states = [(pending.pending, graphs.describe(pending.snapshot())["backward"])]
    compiled(*args)[0].sum().backward()
    states.append((pending.pending, graphs.describe(pending.snapshot())["backward"]))
    capture.graphs.clear()
    del compiled
    torch._dynamo.reset()
    gc.collect()
    (out,) = graphs.restore(pending.snapshot())(x)
    gradient = torch.autograd.grad(out.sum(), x)[0]
    (expected,) = torch.autograd.grad(square(x).sum(), x)
    return {"states": states, "failure": pending.failure, "error": float((gradient - expected).abs().max())}


def refused_autograd_uses(folder: Path) -> dict[str, list[str]]:
    """The restored graph refuses what torch refuses on a compiled one, in the same words."""

    def twice_backward(graph: Any) -> None:
        x = torch.randn(3, requires_grad=True)
        (gradient,) = torch.autograd.grad(graph(x)[0].sum(), x, create_graph=True)
        gradient.sum().backward()

    def retained(graph: Any) -> None:
        x = torch.randn(3, requires_grad=True)
        graph(x)[0].sum().backward(retain_graph=True)

    def deterministic(graph: Any) -> None:
        x = torch.randn(3, requires_grad=True)
        (out,) = graph(x)
        torch.use_deterministic_algorithms(True)
        try:
            out.sum().backward()
        finally:
            torch.use_deterministic_algorithms(False)

    def mutated(graph: Any) -> None:
        x = torch.randn(3, requires_grad=True)
        (out,) = graph(x)
        with torch.no_grad():
            x.add_(1)
        out.sum().backward()

    def under_vmap(graph: Any) -> None:
        torch.func.vmap(lambda x: graph(x)[0])(torch.randn(2, 3, requires_grad=True)).sum().backward()

    capture = captured(square, torch.randn(3, requires_grad=True))
    ((_, args, compiled),) = capture.graphs
    compiled(*args)[0].sum().backward()
    (artifact,) = reopened(capture, folder)
    restored = graphs.restore(artifact)
    uses = (twice_backward, retained, deterministic, mutated, under_vmap)
    return {use.__name__: [outcome(lambda u=use, g=graph: u(g)) for graph in (compiled, restored)] for use in uses}


def tangents(folder: Path) -> dict[str, float]:
    """Gradients that come in another layout than the backward was compiled for."""
    x = torch.randn(4, 6, requires_grad=True)
    capture = captured(square, x)
    ((_, args, compiled),) = capture.graphs
    compiled(*args)[0].sum().backward()
    restored = graphs.restore(reopened(capture, folder)[0])
    made = {
        "transposed": torch.randn(6, 4).t(),
        "expanded": torch.ones(()).expand(4, 6),
        "strided": torch.randn(4, 12)[:, ::2],
        "parameter": torch.randn(4, 6),
    }
    errors = {}
    for name, tangent in made.items():
        found = torch.autograd.grad(restored(x)[0], x, tangent)[0]
        errors[name] = float((found - torch.autograd.grad(square(x), x, tangent)[0]).abs().max())
    return errors


def third_party() -> dict[str, Any]:
    def compiler(module: Any, inputs: Any) -> Any:
        def compiled(x: torch.Tensor) -> Any:
            return module.forward(x)

        return compiled

    unknown = captured(square, torch.randn(3), backend=compiler)

    def serialize(backend_id: str, compiled: Any) -> Any:
        return {"text": "square"}, [Blob("payload", b"bytes")]

    def restore(artifact: Artifact, context: Any) -> Any:
        assert artifact.recipe["text"] == "square" and artifact.blobs[0].read() == b"bytes"
        return lambda x: (square(x),)

    graphs.register_artifact_kind("tests_square", serialize=serialize, restore=restore, backends=[compiler])
    again = outcome(lambda: graphs.register_artifact_kind("tests_square", serialize=serialize, restore=restore))
    torch._dynamo.reset()
    (artifact,) = captured(square, torch.randn(3), backend=compiler).artifacts()
    x = torch.randn(3)
    result = graphs.restore(artifact)(x)[0]
    graphs.unregister_artifact_kind("tests_square")
    return {
        "unknown": unknown.refused,
        "again": again,
        "kind": artifact.kind,
        "same": torch.equal(result, square(x)),
        "unregistered": outcome(lambda: graphs.restore(artifact)),
    }


def nothing_is_held(folder: Path) -> dict[str, Any]:
    """After torch forgot a compilation, its captured artifact keeps neither parameters nor graphs nor inputs alive."""
    model = torch.nn.Linear(3, 3)
    x = torch.randn(2, 3)
    modules: list[Any] = []

    def backend(module: Any, inputs: Any) -> Any:
        from torch._dynamo.backends.debugging import aot_eager

        modules.append(weakref.ref(module))
        return aot_eager(module, inputs)

    with Capture(backend) as capture:
        torch.compile(model, backend=backend)(x)
    references = [weakref.ref(model.weight), weakref.ref(x), *modules]
    captured_only = [artifact for artifact, _, _ in capture.graphs]
    del model, x, capture
    torch._dynamo.reset()
    gc.collect()
    return {"alive": [reference() is not None for reference in references], "captured": len(captured_only)}


def hidden_from_dynamo(folder: Path) -> dict[str, Any]:
    """Restored graphs are neither traced nor compiled when other code that Dynamo compiles calls them."""
    w = torch.randn(3, requires_grad=True)
    capture = captured(square, w)
    ((_, args, compiled),) = capture.graphs
    compiled(*args)[0].sum().backward()
    restored = graphs.restore(reopened(capture, folder)[0])
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    traced: list[str] = []

    def backend(module: Any, inputs: Any) -> Any:
        traced.append(module.code)
        return module.forward

    def step(x: torch.Tensor) -> torch.Tensor:
        loss = restored(x + 1)[0].sum()
        loss.backward()
        return loss * 2

    torch.compile(step, backend=backend)(w)
    gradient = w.grad.clone()
    w.grad = None
    square(w + 1).sum().backward()
    return {"error": float((gradient - w.grad).abs().max()), "traced": [code for code in traced if "sin" in code]}


def kernels(folder: Path) -> dict[str, Any]:
    """One graph with a native kernel: what is refused when its bytes are not those that were loaded."""
    from coldframe.torch.graphs import kernels as recorded

    capture = captured(square, torch.randn(8), backend="inductor")
    ((artifact, _, compiled),) = capture.graphs
    digests = {blob.digest for blob in artifact.blobs if blob.name.startswith("kernel.")}
    kept = {path: recorded.without_paths(Path(path).read_bytes(), path) for path in recorded._loaded}
    loaded = [path for path, library in kept.items() if hashlib.sha256(library).digest() in digests]
    source = next(blob.read().decode() for blob in artifact.blobs if blob.name.startswith("source."))
    with open(loaded[0], "ab") as file:
        file.write(b"\0")
    changed = outcome(lambda: graphs.artifact_for("changed", compiled, "inductor"))
    Path(loaded[0]).unlink()
    gone = outcome(lambda: graphs.artifact_for("gone", compiled, "inductor"))
    package = Package()
    package.artifacts = [artifact]
    package.write(folder / "kernels.cfp")
    return {
        "loaded": len(loaded),
        "changed": changed,
        "gone": gone,
        "source": "at::vec::Vectorized" in source or "out_ptr0" in source,
        "code": "out_ptr0" in repr(artifact.recipe),
    }


def missing_blob() -> str:
    capture = captured(square, torch.randn(8), backend="inductor")
    (artifact,) = capture.artifacts()
    return outcome(lambda: graphs.restore(Artifact("graph", artifact.kind, artifact.recipe, [])))


def frozen() -> list[str]:
    import torch._inductor.config as config

    model = torch.nn.Linear(4, 4).eval()
    with config.patch(freezing=True), torch.no_grad(), Capture("inductor") as capture:
        torch.compile(model)(torch.randn(2, 4))
    return capture.refused


def threads() -> dict[str, Any]:
    torch.set_num_threads(2)
    (artifact,) = captured(lambda x: x.sin() + 1, torch.randn(1 << 16), backend="inductor").artifacts()
    return graphs.describe(artifact)


def capability() -> dict[str, Any]:
    (artifact,) = captured(square, torch.randn(64), backend="inductor").artifacts()
    return graphs.describe(artifact)


def unknown_operator(folder: Path) -> str:
    """An operator of a library that the restoring process has not imported: an error that names it, at load."""
    library = torch.library.Library("coldframe_missing", "DEF")
    library.define("double(Tensor x) -> Tensor")
    library.impl("double", lambda x: x * 2, "CompositeExplicitAutograd")
    torch.library.register_fake("coldframe_missing::double", torch.empty_like, lib=library)
    capture = captured(lambda x: torch.ops.coldframe_missing.double(x), torch.randn(3), backend="inductor")
    reopened(capture, folder)
    return "\n".join(capture.refused)


def restored(folder: Path) -> str:
    (artifact,) = Package.open(folder / "package.cfp").artifacts
    return outcome(lambda: graphs.restore(artifact))


def another_format() -> str:
    artifact = Artifact("graph", "inductor_native", {"format": 999, "root": {}}, [])
    return outcome(lambda: graphs.restore(artifact))


def broken_capture() -> list[str]:
    """An error inside the capture is a reason, never the user's error."""
    from coldframe.torch.graphs import record_graph

    def fail(*args: Any) -> Any:
        raise ZeroDivisionError("a defect")

    original, record_graph.encode_callable = record_graph.encode_callable, fail
    try:
        capture = captured(square, torch.randn(3), backend="eager")
    finally:
        record_graph.encode_callable = original
    return capture.refused


def eager_imports_no_inductor() -> bool:
    captured(square, torch.randn(3), backend="eager")
    return "torch._inductor.compile_fx" not in sys.modules


def not_portable() -> list[str]:
    """Reasons name what cannot be saved and where it hangs."""

    def closure(module: Any, inputs: Any) -> Any:
        from torch._dynamo.backends.debugging import aot_eager

        inner = aot_eager(module, inputs)
        return types.MethodType(lambda self, *args: inner(*args), object())

    return captured(square, torch.randn(3), backend=closure).refused


def damaged(folder: Path) -> dict[str, Any]:
    capture = captured(square, torch.randn(8), backend="inductor")
    reopened(capture, folder)
    path = folder / "package.cfp"
    sound = path.read_bytes()

    def load() -> None:
        for artifact in Package.open(path).artifacts:
            graphs.restore(artifact)
            for blob in artifact.blobs:
                blob.read()

    errors = []
    for position in range(64, len(sound), len(sound) // 40):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
        errors.append(outcome(load))
    path.write_bytes(sound)
    return {"sound": outcome(load), "damaged": errors}

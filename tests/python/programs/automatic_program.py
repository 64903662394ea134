"""A user's program, which knows nothing of coldframe but for what it prints at its end: `automatic_program.py NAME`.

The last line is JSON: the program's answer, coldframe.stats(), and whether Dynamo was imported.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch


class Net(torch.nn.Module):
    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(size, 16), torch.nn.Linear(16, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x))) + x


def net(size: int = 8) -> Net:
    torch.manual_seed(0)
    return Net(size)


def ones(*sizes: int) -> torch.Tensor:
    return torch.ones(*sizes) / 2


def wait(x: torch.Tensor) -> torch.Tensor:
    """Takes long to compile, so that others come meanwhile."""
    return x.sin() * 2


# Of no file and no module, so that it is no part of what is compiled.
_SLOWLY = """
def slowly(graph, examples):
    if started := os.environ.get("TEST_STARTED"):
        with open(started, "a") as file:
            file.write(f"{os.getpid()}\\n")
    time.sleep(float(os.environ.get("TEST_COMPILE_SECONDS", "0")))
    return original(graph, examples)
"""


def with_slow_compiler(function: Any) -> Any:
    """torch.compile with a backend that everybody knows by name, and that takes its time."""
    scope = {"os": os, "time": time, "original": torch._dynamo.lookup_backend("eager")}
    exec(_SLOWLY, scope)
    torch._dynamo.backends.registry._COMPILER_FNS["eager"] = scope["slowly"]
    return torch.compile(function, backend="eager")


def decorated() -> Any:
    @torch.compile(backend="eager")
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    return double(ones(3)).sum().item()


def wrapped() -> Any:
    """torch.compile is replaced once more, by somebody who calls what he found."""
    found = torch.compile
    torch.compile = lambda *args, **kwargs: found(*args, **kwargs)
    return model()


def model() -> Any:
    with torch.no_grad():
        return torch.compile(net(), backend="eager")(ones(2, 8)).sum().item()


def explicitly() -> Any:
    """coldframe.compile beside what is served by itself, and a file of it."""
    import coldframe

    compiled = coldframe.compile(net(), backend="eager")
    with torch.no_grad():
        result = compiled(ones(2, 8)).sum().item()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.cfp")
        coldframe.save(compiled, path)
        with torch.no_grad():
            assert coldframe.load(path, net(), on_miss="error")(ones(2, 8)).sum().item() == result
    return result


def kernels() -> Any:
    with torch.no_grad():
        return torch.compile(net())(ones(2, 8)).sum().item()


def in_place() -> Any:
    made = net()
    made.compile(backend="eager")
    with torch.no_grad():
        return made(ones(2, 8)).sum().item()


def blocks() -> Any:
    made = torch.nn.Sequential(*(net() for _ in range(4)))
    for block in made:
        block.compile(backend="eager")
    with torch.no_grad():
        return made(ones(2, 8)).sum().item()


def train() -> Any:
    made = net()
    compiled, optimizer = torch.compile(made, backend="aot_eager"), torch.optim.SGD(made.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = compiled(ones(2, 8)).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def forward_alone() -> Any:
    return torch.compile(net(), backend="aot_eager")(ones(2, 8)).sum().item()


def shapes() -> Any:
    """Many calls that share nothing, each with a package of its own."""
    compiled = torch.compile(wait, backend="eager", dynamic=False)
    found = []
    for size in map(int, os.environ["TEST_SIZES"].split()):
        found.append(compiled(ones(size)).sum().item())
    return found


def growing() -> Any:
    compiled = torch.compile(wait, backend="eager")
    return [compiled(ones(size)).sum().item() for size in (3, 4, 5, 6)]


def herd() -> Any:
    return with_slow_compiler(wait)(ones(4)).sum().item()


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def triple(x: torch.Tensor) -> torch.Tensor:
    return x * 3


def rewrapped() -> Any:
    """Wraps torch.compile while that is served, and goes on with the wrapper when it is not, and when it is again.

    For each of these times: how often the wrapper was called, and how many sessions there were.
    """
    import coldframe
    from coldframe.torch import automatic

    served, calls, sessions = torch.compile, [], []
    original = automatic.StoredSession.serve
    automatic.StoredSession.serve = lambda self: sessions.append(self) or original(self)

    def wrapper(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return served(*args, **options)

    torch.compile = wrapper
    counts = []
    for enable, function in ((True, double), (False, double), (True, triple), (False, triple), (True, double)):
        coldframe.enable() if enable else coldframe.disable()
        assert enable or torch.compile is wrapper
        torch._dynamo.reset()
        calls.clear(), sessions.clear()
        assert torch.equal(torch.compile(function, backend="eager")(ones(4)), function(ones(4)))
        coldframe.flush()
        counts.append((len(calls), len(sessions)))
    return counts


def child() -> Any:
    """Starts itself in every way there is; the others' answers and counters."""
    own = decorated()
    import coldframe

    coldframe.flush()
    started = subprocess.run([sys.executable, __file__, "decorated"], capture_output=True, text=True, check=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        spawned = pool.apply(answer, ("decorated",))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        forked = pool.apply(answer, ("model",))
    return own, json.loads(started.stdout.splitlines()[-1]), spawned, forked


FACTOR = int(os.environ.get("TEST_FACTOR", "2"))


def by_factor() -> Any:
    torch.use_deterministic_algorithms("TEST_DETERMINISTIC" in os.environ)
    return torch.compile(lambda x: x * FACTOR, backend="eager")(ones(3)).sum().item()


def is_even(x: torch.Tensor, count: int) -> torch.Tensor:
    print("even", file=sys.stderr)
    return x.sin() if count == 0 else is_odd(x * 2, count - 1)


def is_odd(x: torch.Tensor, count: int) -> torch.Tensor:
    print("odd", file=sys.stderr)
    return x.cos() if count == 0 else is_even(x * 3, count - 1)


def recursion() -> Any:
    """The last call begins with a frame that the one before it compiled on its way."""
    compiled = torch.compile(is_even, backend="eager")
    return [compiled(ones(3), count).sum().item() for count in (2, 1)]


def killed_at_once() -> Any:
    """A process that never ends by itself has written what it compiled."""
    import coldframe

    result = decorated()
    deadline = time.monotonic() + 60
    while not coldframe.stats()["saves"] and time.monotonic() < deadline:
        time.sleep(0.01)
    print(json.dumps({"answer": result, "stats": coldframe.stats(), "dynamo": True}), flush=True)
    os.kill(os.getpid(), 9)


def answer(name: str) -> dict[str, Any]:
    programs: dict[str, Callable[[], Any]] = globals()
    result = programs[name]()
    import coldframe

    coldframe.flush(float(os.environ.get("TEST_FLUSH_SECONDS", "60")))
    return {"answer": result, "stats": coldframe.stats(), "dynamo": "torch._dynamo" in sys.modules}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1])))

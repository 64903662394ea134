"""A training program with DistributedDataParallel or FSDP: `distributed_program.py NAME`, as automatic_program.py."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

import automatic_program
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

BACKEND = os.environ.get("TEST_BACKEND", "aot_eager")
BUCKET = float(os.environ.get("TEST_BUCKET_MB", "1"))  # smaller than one of the model's matrices: each is a part of its own


class Net(torch.nn.Module):
    def __init__(self, width: int = 520) -> None:
        super().__init__()
        self.first, self.middle = torch.nn.Linear(8, width), torch.nn.Linear(width, width)
        self.wide, self.last = torch.nn.Linear(width, width), torch.nn.Linear(width, 1)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        x = torch.relu(self.first(x))
        skipped = x.sin()
        return self.last(torch.tanh(self.wide(torch.relu(self.middle(x)))) + skipped)


def made(how: str) -> tuple[Net, torch.nn.Module]:
    torch.manual_seed(0)
    model = Net()
    if how == "outer":
        return model, torch.compile(DistributedDataParallel(model, bucket_cap_mb=BUCKET), backend=BACKEND)  # type: ignore[return-value]
    model.compile(backend=BACKEND)
    return model, model if how == "alone" else DistributedDataParallel(model, bucket_cap_mb=BUCKET)


def nodes(result: torch.Tensor) -> int:
    """Returns the number of nodes of the graph that backward() will run: a graph that was not split is one."""
    found, left = set(), [result.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in found:
            found.add(node)
            left.extend(each for each, _ in node.next_functions)
    return len(found)


def train(how: str, sizes: tuple[int, ...] = (4, 4)) -> tuple[str, int]:
    """The weights after it, to the last bit, and how many nodes backward() ran at last."""
    count = 0
    model, replica = made(how)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step, size in enumerate(sizes):
        torch.manual_seed(step)
        loss = replica(torch.randn(size, 8)).square().mean()
        count = nodes(loss)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values())).hexdigest(), count


def forward_alone() -> float:
    return float(made("inner")[1](torch.ones(4, 8)).detach().sum())


def growing() -> tuple[str, int]:
    return train("inner", (4, 6, 7, 4))


def sharded() -> list[float]:
    """Blocks whose parameters are gathered, from all ranks, before each runs. The sums of their weights after it."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(automatic_program.Net() for _ in range(3)))
    for block in model:
        block.compile(backend=BACKEND)
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        torch.manual_seed(10 * step + dist.get_rank())
        model(torch.randn(4, 8)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return [parameter.full_tensor().detach().sum().item() for parameter in model.parameters()]  # type: ignore[attr-defined]


def answer(name: str) -> Any:
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    store = dist.FileStore(os.environ["TEST_RENDEZVOUS"], ranks) if ranks > 1 else dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    try:
        return {"forward_alone": forward_alone, "growing": growing, "sharded": sharded}.get(name, lambda: train(name))()
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    setattr(automatic_program, sys.argv[1], lambda: answer(sys.argv[1]))
    print(json.dumps(automatic_program.answer(sys.argv[1])))

"""Training on several processes with DistributedDataParallel, whose compiled graphs all ranks and all runs share.

    torchrun --nproc-per-node 4 examples/ddp_train.py      # one rank compiles; run it again: no rank compiles anything

Entries of the store know no ranks. Of the ranks that need a graph at the same time one compiles it, forward and backward, and
the others load it. The store is a directory that all processes of a host see (here $COLDFRAME_DIR, or `coldframe` in the user's
cache directory); `coldframe.enable(remote=...)` shares it among hosts.

torch's DDPOptimizer splits the graph where the buckets end, so that gradients are sent while others are computed. What it
makes is stored as it is, part by part; packages made for buckets of one size serve no others.

Runs on CPU by gloo. On GPUs it is "nccl", and the model and the data on `cuda:{LOCAL_RANK}`.
"""

from __future__ import annotations

import hashlib
import os
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import coldframe


class Net(torch.nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(width, 32), torch.nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def digest(model: torch.nn.Module) -> str:
    """Returns the digest of the weights, to the last bit."""
    data = b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())
    return hashlib.sha256(data).hexdigest()[:16]


def train(rank: int, backend: str, steps: int = 5) -> None:
    torch.manual_seed(0)  # the same weights on each rank, and in each run
    model = Net()
    model.compile(backend=backend)
    replica = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    data = torch.Generator().manual_seed(rank)  # other data on each rank
    for _ in range(steps):
        x = torch.randn(8, 16, generator=data)
        loss = (replica(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"rank {rank} weights: {digest(model)} compiled: {coldframe.stats()['compiles']}\n", end="", flush=True)


def main(backend: str = "inductor") -> None:
    coldframe.enable()
    dist.init_process_group("gloo")
    try:
        train(int(os.environ["RANK"]), backend)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:2])

"""Regional compilation: the repeated block of a transformer is compiled once, and kept as one package.

    python examples/regional.py      # compiles one block; run it again: it compiles nothing

Compiling the blocks one by one (`block.compile()`) instead of the whole model takes as long as compiling one of them, because
all have the same code and the same shapes. coldframe stores it as one package, whatever the number of blocks is: a model with
more layers is served by it as well.
"""

from __future__ import annotations

import sys

import torch

import coldframe


class Block(torch.nn.Module):
    """Attention and a small network, each beside a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.second_norm = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.mixed, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.network = torch.nn.Sequential(
            torch.nn.Linear(width, 4 * width), torch.nn.GELU(), torch.nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        mixed = self.mixed(self.norm(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.network(self.second_norm(x))


class Transformer(torch.nn.Module):
    def __init__(self, layers: int, width: int = 32, heads: int = 2, words: int = 97) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(words, width)
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = torch.nn.Linear(width, words)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def main(layers: int = 4, backend: str = "inductor") -> None:
    coldframe.enable()
    torch.manual_seed(0)
    model = Transformer(layers).eval()
    tokens = torch.arange(32).view(2, 16)
    with torch.no_grad():
        expected = model(tokens)
        for block in model.blocks:
            block.compile(backend=backend)
        logits = model(tokens)
    torch.testing.assert_close(logits, expected)
    print("answer:", logits.sum().item())
    print("compiled:", coldframe.stats()["compiles"])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])

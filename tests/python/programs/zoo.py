"""Small models with random weights, and the inputs they are called with. Deterministic: every process builds the same ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Built = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]


class BasicBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(x + self.bn2(self.conv2(y)))


class SmallResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList([BasicBlock(8), BasicBlock(8)])
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


def mlp() -> Built:
    layers = (nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64), nn.LayerNorm(64))
    return nn.Sequential(*layers).eval(), (torch.randn(8, 64),), {}


def resnet() -> Built:
    return SmallResNet().eval(), (torch.randn(2, 3, 16, 16),), {}


def encoder() -> Built:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), (torch.randn(2, 12, 32),), {}


def bert() -> Built:
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)
    return BertModel(config).eval(), (torch.randint(0, 1000, (2, 16)),), {}


def gpt2() -> Built:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=1000, n_embd=64, n_layer=2, n_head=4)
    return GPT2LMHeadModel(config).eval(), (torch.randint(0, 1000, (2, 16)),), {"use_cache": False}


def llama() -> Built:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=1000,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    return LlamaForCausalLM(config).eval(), (torch.randint(0, 1000, (2, 16)),), {"use_cache": False}


def hf_resnet() -> Built:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
    return ResNetModel(config).eval(), (torch.randn(1, 3, 32, 32),), {}


MODELS: dict[str, Callable[[], Built]] = {
    "mlp": mlp,
    "resnet": resnet,
    "encoder": encoder,
    "bert": bert,
    "gpt2": gpt2,
    "llama": llama,
    "hf_resnet": hf_resnet,
}


def make(name: str) -> Built:
    torch.manual_seed(0)
    return MODELS[name]()


def tensors(output: Any) -> list[torch.Tensor]:
    """The tensors of a model's output, in order."""
    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (tuple, list)):
        return [tensor for item in output for tensor in tensors(item)]
    return []

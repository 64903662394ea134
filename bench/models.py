"""Models that are measured: an MLP, a small ResNet and an encoder in plain torch; of transformers a BERT and a GPT-2 of six
layers, a small Llama and a ResNet."""

from __future__ import annotations

import torch

from tests.python.programs import zoo


def bert(layers: int = 6) -> zoo.Built:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=8000, hidden_size=256, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=1024
    )
    return BertModel(config).eval(), (torch.randint(0, 8000, (2, 64)),), {}


def gpt2() -> zoo.Built:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=8000, n_embd=256, n_layer=6, n_head=4)
    return GPT2LMHeadModel(config).eval(), (torch.randint(0, 8000, (2, 64)),), {"use_cache": False}


MODELS = {
    "mlp": zoo.mlp,
    "resnet": zoo.resnet,
    "encoder": zoo.encoder,
    "bert": bert,
    "gpt2": gpt2,
    "llama": zoo.llama,
    "hf_resnet": zoo.hf_resnet,
    "bert of 4 layers": lambda: bert(layers=4),
}


def make(name: str) -> zoo.Built:
    """The model with random weights and its inputs: the same ones in every process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return MODELS[name]()


def relative_difference(output: object, reference: object) -> float:
    """The largest |output - reference| over the largest |reference|, over all tensors. Infinite when the shapes differ."""
    pairs = list(zip(zoo.tensors(output), zoo.tensors(reference), strict=True))
    if not pairs or any(a.shape != b.shape for a, b in pairs):
        return float("inf")
    worst = max(float((a - b).abs().max()) / max(float(b.abs().max()), 1e-30) for a, b in pairs)
    return worst if worst == worst else float("inf")

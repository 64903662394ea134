"""More models of transformers, of every family: what each is called with, in inference and in one training step.

Tiny, with random weights, and deterministic: every process builds the same ones. Without dropout, so that a training step can
be compared with eager's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
import transformers
import zoo
from steps import Program
from torch import nn

Inputs = dict[str, Any]
Built = tuple[nn.Module, Inputs, Inputs]  # the model, what it is called with, what else in training

MODELS: dict[str, Callable[[], Built]] = {}

TEXT = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DECODER = {**TEXT, "num_key_value_heads": 2}
EXPERTS = {**DECODER, "num_experts_per_tok": 2}
SEQUENCES = {
    "vocab_size": 100,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
VISION = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
AUDIO = {
    **TEXT,
    "conv_dim": [16, 16],
    "conv_stride": [5, 2],
    "conv_kernel": [10, 3],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "apply_spec_augment": False,
}


def model(function: Callable[[], Built]) -> Callable[[], Built]:
    MODELS[function.__name__] = function
    return function


def without_dropout(config: Any) -> Any:
    for name, value in list(vars(config).items()):
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)
        elif isinstance(value, transformers.PretrainedConfig):
            without_dropout(value)
    return config


def make(kind: str, head: str, **config: Any) -> nn.Module:
    return getattr(transformers, head)(without_dropout(getattr(transformers, f"{kind}Config")(**config)))


def tokens(length: int = 16) -> torch.Tensor:
    return torch.randint(5, 100, (2, length))


def image() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32)


def encoder(kind: str, **config: Any) -> Built:
    mask = torch.ones(2, 16, dtype=torch.long)
    mask[1, 12:] = 0
    return make(kind, f"{kind}Model", **{**TEXT, **config}), {"input_ids": tokens(), "attention_mask": mask}, {}


def decoder(kind: str, **config: Any) -> Built:
    given = tokens()
    return make(kind, f"{kind}ForCausalLM", **config), {"input_ids": given, "use_cache": False}, {"labels": given}


def sequences(kind: str, **config: Any) -> Built:
    given = {"input_ids": tokens(), "decoder_input_ids": tokens(8), "use_cache": False}
    return make(kind, f"{kind}ForConditionalGeneration", **config), given, {"labels": tokens(8)}


# Encoders.


@model
def distilbert() -> Built:
    return encoder("DistilBert", dim=32, hidden_dim=64, n_layers=1, n_heads=4)


@model
def roberta() -> Built:
    return encoder("Roberta")


@model
def deberta_v2() -> Built:
    return encoder("DebertaV2", relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=8)


@model
def modernbert() -> Built:
    return encoder("ModernBert", num_hidden_layers=2, cls_token_id=1, sep_token_id=2, local_attention=8)


# Decoders.


@model
def gpt_neox() -> Built:
    return decoder("GPTNeoX", **DECODER)


@model
def qwen3() -> Built:
    return decoder("Qwen3", **DECODER, head_dim=8)


@model
def gemma2() -> Built:
    return decoder("Gemma2", **{**DECODER, "num_hidden_layers": 2}, head_dim=8, sliding_window=8)


# Encoder-decoders.


@model
def t5() -> Built:
    heads = {"num_heads": 4, "num_layers": 1, "num_decoder_layers": 1, "decoder_start_token_id": 0}
    return sequences("T5", vocab_size=100, d_model=32, d_kv=8, d_ff=64, pad_token_id=0, **heads)


@model
def bart() -> Built:
    return sequences("Bart", **SEQUENCES, max_position_embeddings=64)


# Vision, and vision with text.


@model
def vit() -> Built:
    return make("ViT", "ViTForImageClassification", **VISION), {"pixel_values": image()}, {"labels": torch.tensor([0, 1])}


@model
def swin() -> Built:
    config = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}
    return make("Swin", "SwinModel", **config), {"pixel_values": image()}, {}


@model
def convnext() -> Built:
    layers = {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2}
    classes = torch.tensor([0, 1])
    return make("ConvNext", "ConvNextForImageClassification", **layers), {"pixel_values": image()}, {"labels": classes}


@model
def clip() -> Built:
    text, vision = {**TEXT, "projection_dim": 16}, {**VISION, "projection_dim": 16}
    made = make("CLIP", "CLIPModel", text_config=text, vision_config=vision, projection_dim=16)
    return made, {"input_ids": tokens(), "pixel_values": image(), "return_loss": True}, {}


# Audio.


@model
def whisper() -> Built:
    sizes = {"num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 32}
    made = make("Whisper", "WhisperForConditionalGeneration", **SEQUENCES, **sizes)
    given = {"input_features": torch.randn(2, 8, 32), "decoder_input_ids": tokens(8), "use_cache": False}
    return made, given, {"labels": tokens(8)}


@model
def wav2vec2() -> Built:
    return make("Wav2Vec2", "Wav2Vec2Model", **AUDIO), {"input_values": torch.randn(2, 400)}, {}


# Mixtures of experts.


@model
def mixtral() -> Built:
    return decoder("Mixtral", **EXPERTS, num_local_experts=4)


@model
def qwen2_moe() -> Built:
    return decoder("Qwen2Moe", **EXPERTS, num_experts=4, moe_intermediate_size=32, shared_expert_intermediate_size=32)


# State spaces.


@model
def mamba() -> Built:
    return decoder("Mamba", vocab_size=100, hidden_size=32, num_hidden_layers=1, state_size=8)


@model
def mamba2() -> Built:
    heads = {"num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 8}
    return decoder("Mamba2", vocab_size=100, hidden_size=32, num_hidden_layers=1, state_size=8, **heads)


def program(name: str) -> Program:
    """`name` is that of a model, "inference" or "training", and a backend, with blanks between."""
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()  # the models share a wrapper, of which torch compiles no more than eight variants
    which, mode, backend = name.split()
    made, inputs, more = MODELS[which]()
    options = {"backend": backend}
    if mode == "inference":
        return Program(made.eval(), lambda call: zoo.tensors(call(**inputs)), options)
    return Program(made.train(), lambda call: step(made, call, {**inputs, **more}), options, grad=True)


def step(model: nn.Module, call: Callable[..., Any], inputs: Inputs) -> Any:
    """A training step, and the loss and gradients of the next one."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = loss(call(**inputs))
    before.backward()
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    optimizer.step()
    optimizer.zero_grad()
    after = loss(call(**inputs))
    after.backward()
    return before, gradients, dict(model.named_parameters()), after, {n: p.grad for n, p in model.named_parameters()}


def loss(output: Any) -> torch.Tensor:
    """The model's own, or one over all that it gives."""
    if output.get("loss") is not None:
        found: torch.Tensor = output["loss"]
        return found
    return torch.stack([t.square().mean() for t in zoo.tensors(output) if t.requires_grad]).sum()

"""Text generation with transformers, whose forward pass is compiled once and then served from a store.

    python examples/generate.py      # compiles; run it again: it compiles nothing

`coldframe.enable()` is the only word about coldframe: `generate` and `torch.compile` are used as ever. The store is the
directory $COLDFRAME_DIR, or `coldframe` in the user's cache directory. `generate` calls the forward pass first with the whole
prompt and then with one token at a time, so more than one graph is compiled; the static cache keeps their shapes the same for
every further token.

The model is a small random Llama, made from a config: nothing is downloaded. Needs transformers, and a C++ compiler in the
first run.
"""

from __future__ import annotations

import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import coldframe


def main(backend: str = "inductor") -> None:
    coldframe.enable()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=97,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            eos_token_id=None,
        )
    ).eval()
    model.forward = torch.compile(model.forward, backend=backend)
    prompt = torch.tensor([[5, 17, 42, 3, 8]])
    mask = torch.ones_like(prompt)
    tokens = model.generate(prompt, attention_mask=mask, max_new_tokens=8, do_sample=False, cache_implementation="static")
    print("tokens:", tokens[0].tolist())
    print("compiled:", coldframe.stats()["compiles"])


if __name__ == "__main__":
    main(*sys.argv[1:2])

"""Programs of libraries that compile models: `python library_programs.py NAME...` prints what came out, and how often coldframe
compiled.

None of them knows of coldframe. Models are tiny and have random weights; nothing is downloaded.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

BACKEND = "aot_eager"


def data() -> DataLoader[Any]:
    x = torch.linspace(-1, 1, 64).reshape(16, 4)
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8)


def numbers(module: torch.nn.Module) -> list[float]:
    return [parameter.detach().double().sum().item() for parameter in module.parameters()]


def lightning_module() -> Any:
    from library_lightning import Regression

    return Regression()


def lightning_trainer() -> list[float]:
    import lightning

    module = lightning_module()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=2, default_root_dir=tempfile.mkdtemp(), **quiet)
    trainer.fit(torch.compile(module, backend=BACKEND), data(), data())
    return [*numbers(module), trainer.callback_metrics["loss"].item()]


def lightning_fabric() -> list[float]:
    import lightning

    fabric = lightning.Fabric(accelerator="cpu")
    plain = lightning_module().net
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.01)
    module, optimizer = fabric.setup(torch.compile(plain, backend=BACKEND), optimizer)
    for x, y in fabric.setup_dataloaders(data()):
        fabric.backward((module(x) - y).square().mean())
        optimizer.step()
        optimizer.zero_grad()
    return numbers(plain)


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=64, n_positions=32, **no_dropout))


def evaluated_then_trained(model: Any, backward: Callable[[torch.Tensor], None]) -> list[float]:
    ids = torch.arange(24).reshape(2, 12)
    model.eval()
    with torch.no_grad():
        outputs = [model(input_ids=ids).logits.double().sum().item()]
    model.train()
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    for _ in range(3):
        loss = model(input_ids=ids, labels=ids).loss
        backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        outputs.append(loss.item())
    return outputs


def accelerate_prepare() -> list[float]:
    return accelerated(use_regional_compilation=False)


def accelerate_regional() -> list[float]:
    return accelerated(use_regional_compilation=True)


def accelerated(**options: bool) -> list[float]:
    from accelerate import Accelerator
    from accelerate.utils import TorchDynamoPlugin

    accelerator = Accelerator(cpu=True, dynamo_plugin=TorchDynamoPlugin(backend=BACKEND, **options))
    return evaluated_then_trained(accelerator.prepare(gpt2()), accelerator.backward)


def accelerate_compile_regions() -> list[float]:
    from accelerate.utils import compile_regions

    return evaluated_then_trained(compile_regions(gpt2(), backend=BACKEND), torch.Tensor.backward)


def peft_lora() -> list[float]:
    import peft

    model = peft.get_peft_model(gpt2(), peft.LoraConfig(r=2, target_modules=["c_attn"], lora_dropout=0.0, fan_in_fan_out=True))
    return evaluated_then_trained(torch.compile(model, backend=BACKEND), torch.Tensor.backward)


def diffusers_compile() -> list[float]:
    from diffusers import UNet2DModel

    blocks = {"down_block_types": ("DownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "UpBlock2D")}
    sizes = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": (8, 16)}
    model = UNet2DModel(**sizes, **blocks, layers_per_block=1, norm_num_groups=4, add_attention=False).eval()
    model.compile(backend=BACKEND)
    x = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    with torch.no_grad():
        for step in (9, 5, 1):
            x = x - 0.1 * model(x, step).sample
    return [x.double().sum().item(), x.double().abs().sum().item()]


def diffusers_repeated_blocks() -> list[float]:
    from diffusers import FluxTransformer2DModel

    sizes = {"in_channels": 4, "attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": 6}
    axes = {"pooled_projection_dim": 5, "axes_dims_rope": (2, 2, 4)}
    model = FluxTransformer2DModel(**sizes, **axes, num_layers=2, num_single_layers=2).eval()
    model.compile_repeated_blocks(backend=BACKEND, fullgraph=True)
    x, words = torch.linspace(-1, 1, 64).reshape(1, 16, 4), torch.linspace(0, 1, 18).reshape(1, 3, 6)
    given = {"pooled_projections": torch.ones(1, 5), "img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(3, 3)}
    with torch.no_grad():
        for step in (0.9, 0.5, 0.1):
            x = x - 0.1 * model(hidden_states=x, encoder_hidden_states=words, timestep=torch.tensor([step]), **given).sample
    return [x.double().sum().item(), x.double().abs().sum().item()]


def sentence_transformers_compile() -> list[float]:
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = Path(tempfile.mkdtemp())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cold", "frame", "is", "fast"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(folder)
    transformer = models.Transformer(str(folder))
    model = SentenceTransformer(modules=[transformer, models.Pooling(16), models.Normalize()], device="cpu").eval()
    model.compile(backend=BACKEND)
    outputs = []
    with torch.no_grad():
        for sentences in (["a cold frame"], ["a frame is cold"], ["a cold frame is fast", "is a frame cold"]):
            outputs += model(model.preprocess(sentences))["sentence_embedding"].double().square().cumsum(1)[:, 3].tolist()
    return outputs


def answer(name: str) -> dict[str, Any]:
    coldframe = sys.modules.get("coldframe")
    torch._dynamo.reset()
    torch.manual_seed(0)
    before = coldframe.stats()["compiles"] if coldframe else 0
    try:
        made: dict[str, Any] = {"outputs": globals()[name]()}
    except Exception as error:
        made = {"error": "".join(traceback.format_exception(error)[-8:])}
    if coldframe:
        coldframe.flush()
        made |= {"compiles": coldframe.stats()["compiles"] - before, "errors": coldframe.stats()["errors"]}
    return made


def main() -> None:
    torch._dynamo.config.recompile_limit = 32  # modules of torch's own classes share one code object
    print(json.dumps({name: answer(name) for name in sys.argv[1:]}))


if __name__ == "__main__":
    main()

"""Tiny random rewards in the formats they are published in, for tests.

Each builder writes a folder and gives back what a user of the stock libraries would have: modules
to compute the score by hand. Weights are stored as float16.
"""

import json
from pathlib import Path

import open_clip
import timm
import tiny
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (
    BlipTextConfig,
    BlipTextModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    GPT2Config,
    GPT2LMHeadModel,
)

SIZE = 16  # pixels a side that all of them look at
ARCHITECTURE = "tiny-hps"


def hps(folder: Path) -> nn.Module:
    """HPSv2.1 as imscore saves it: an open_clip model, its names behind "model."."""
    folder.mkdir()
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": SIZE,
            "patch_size": 8,
            "layers": 1,
            "width": 32,
            "head_width": 16,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    (folder / f"{ARCHITECTURE}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{ARCHITECTURE}.json")
    torch.manual_seed(0)
    clip = _stored(open_clip.CLIP(**open_clip.get_model_config(ARCHITECTURE)))
    _save(folder, {"model.": clip})
    return clip


def pickscore(folder: Path) -> CLIPModel:
    """PickScore as transformers saves it, tokenizer and processor beside it."""
    words = tiny.tokenizer(folder)
    CLIPImageProcessor(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    ).save_pretrained(folder)
    tower = {"hidden_size": 32, "intermediate_size": 64}
    tower |= {"num_hidden_layers": 1, "num_attention_heads": 2}
    text = tower | {"vocab_size": len(words), "max_position_embeddings": tiny.TOKENS}
    text |= {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    vision = tower | {"image_size": SIZE, "patch_size": 8}
    torch.manual_seed(1)
    clip = _stored(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)))
    clip.half().save_pretrained(folder)
    return clip.float()


def aesthetic(folder: Path) -> tuple[CLIPVisionModelWithProjection, nn.Sequential]:
    """LAION's predictor as imscore saves it: CLIP's image encoder, and the layers on it."""
    folder.mkdir()
    torch.manual_seed(2)
    config = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=1,
        image_size=SIZE,
        patch_size=8,
        projection_dim=16,
    )
    clip, layers = _stored(CLIPVisionModelWithProjection(config)), _stored(_layers(16))
    _save(folder, {"clip.": clip, "mlp.layers.": layers})
    return clip, layers


def imagereward(folder: Path) -> tuple[nn.Module, BlipTextModel, nn.Sequential]:
    """ImageReward as published: a BLIP of the first release, whose image encoder is timm's."""
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tiny.WORDS]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(3)
    vision = timm.models.VisionTransformer(
        img_size=SIZE, patch_size=8, embed_dim=64, depth=2, num_heads=1, num_classes=0
    )
    config = BlipTextConfig(
        vocab_size=len(words),
        hidden_size=128,
        encoder_hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=40,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id"), 0),
    )
    text = BlipTextModel(config, add_pooling_layer=False)
    parts = {"blip.visual_encoder.": vision, "blip.text_encoder.": text}
    parts |= {"mlp.layers.": _layers(128), "blip.vision_proj.": nn.Linear(64, 8)}
    _save(folder, {prefix: _stored(module) for prefix, module in parts.items()})
    return vision, text, parts["mlp.layers."]


def promptist(folder: Path) -> GPT2LMHeadModel:
    """A GPT-2 as transformers saves it, with a tokenizer of its kind."""
    words = tiny.tokenizer(folder)
    torch.manual_seed(4)
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"), words.eos_token_id)
    config = GPT2Config(
        vocab_size=len(words), n_positions=128, n_embd=32, n_layer=2, n_head=2, **ends
    )
    model = _stored(GPT2LMHeadModel(config))
    model.save_pretrained(folder)
    return model


def _layers(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 8), nn.Dropout(0.2), nn.Linear(8, 4), nn.Linear(4, 1))


def _stored(module: nn.Module) -> nn.Module:
    """The module with weights that float16 holds; larger than at first, so that they matter."""
    for name, weight in module.named_parameters():
        larger = 3 * weight.data if weight.ndim > 1 else weight.data
        weight.data = (weight.data if name.endswith("logit_scale") else larger).half().float()
    return module.eval()


def _save(folder: Path, parts: dict[str, nn.Module]) -> None:
    tensors = {
        prefix + name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for prefix, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    save_file(tensors, folder / "model.safetensors")

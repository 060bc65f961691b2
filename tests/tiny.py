"""Tiny random checkpoints in the stock formats, for tests.

Each builder writes a folder that plain diffusers or open_clip loads, in a fraction of a second:
real files and real code paths, but no meaning. Weights are stored as float16, like the toy's.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, SchedulerMixin, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WORDS = ["a", "the", "on", "in", "red", "blue", "green", "blurry", "ball", "box", "star", "boat"]
WORDS += ["tree", "house", "sea", "sky"]
TOKENS = 16  # the length prompts are padded to, start and end counted


def tokenizer(folder: Path) -> CLIPTokenizer:
    """Writes a byte-level BPE tokenizer: every text has tokens, and `WORDS` have few."""
    merges = dict.fromkeys(
        (word[:end], word[end] + ("</w>" if end + 1 == len(word) else ""))
        for word in WORDS
        for end in range(1, len(word))
    )
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]))
    files = {"vocab": str(folder / "vocab.json"), "merges": str(folder / "merges.txt")}
    result = CLIPTokenizer(**files, model_max_length=TOKENS)
    result.save_pretrained(folder)
    return result


def ddim(**settings: Any) -> DDIMScheduler:
    """Stable Diffusion's own schedule, but for the settings given."""
    stock = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    return DDIMScheduler(**stock | settings)


def stable_diffusion(folder: Path, scheduler: SchedulerMixin | None = None) -> Path:
    """Writes a `StableDiffusionPipeline` of 16 x 16 pixels, its latents 4 x 8 x 8."""
    words = tokenizer(folder / "tokenizer")
    parts = {
        "text_encoder": _text_encoder(words),
        "unet": _unet(),
        "vae": _vae(),
        "scheduler": scheduler or ddim(),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", type(parts["scheduler"]).__name__],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _text_encoder(words: CLIPTokenizer) -> CLIPTextModel:
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return CLIPTextModel(config).half()


def _unet() -> UNet2DConditionModel:
    torch.manual_seed(1)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=8,
    ).half()


def _vae() -> AutoencoderKL:
    torch.manual_seed(2)
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=16,
    ).half()


def clip(folder: Path, resize_mode: str = "shortest") -> Path:
    """Writes an open_clip folder, for "local-dir:FOLDER", that looks at 16 x 16 pixels."""
    import open_clip

    words = tokenizer(folder)
    vision = {"image_size": 16, "patch_size": 8, "layers": 1, "width": 32, "head_width": 16}
    text = {"context_length": TOKENS, "vocab_size": len(words), "hf_tokenizer_name": "local"}
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": vision,
            "text_cfg": text | {"width": 32, "heads": 2, "layers": 1},
        },
        "preprocess_cfg": {
            "mean": [0.4, 0.5, 0.6],
            "std": [0.2, 0.3, 0.25],
            "interpolation": "bicubic",
            "resize_mode": resize_mode,
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(3)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder

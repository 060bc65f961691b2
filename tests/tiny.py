"""Tiny random checkpoints in the stock formats, for tests.

Each builder writes a folder that plain diffusers or open_clip loads, in a fraction of a second:
real files and real code paths, but no meaning. Weights are stored as float16, like the toy's.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SchedulerMixin,
)
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    T5TokenizerFast,
)

WORDS = ["a", "the", "on", "in", "red", "blue", "green", "blurry", "ball", "box", "star", "boat"]
WORDS += ["tree", "house", "sea", "sky"]
TOKENS = 16  # the length prompts are padded to, start and end counted


# What a network has at tiny width, by its class.
SIZES: dict[str, dict[str, Any]] = {
    "UNet2DConditionModel": {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    },
    "SD3Transformer2DModel": {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 64,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 64,
        "pos_embed_max_size": 16,
    },
    "FluxTransformer2DModel": {
        "in_channels": 16,
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 32,
        "pooled_projection_dim": 32,
        "axes_dims_rope": (4, 6, 6),
    },
    "PixArtTransformer2DModel": {
        "sample_size": 8,
        "num_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "cross_attention_dim": 32,
        "caption_channels": 32,
        "in_channels": 4,
        "out_channels": 8,
    },
    "SanaTransformer2DModel": {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 16,
        "cross_attention_dim": 32,
        "caption_channels": 32,
        "timestep_scale": 0.5,
    },
    "ZImageTransformer2DModel": {
        "in_channels": 4,
        "dim": 32,
        "n_layers": 1,
        "n_refiner_layers": 1,
        "n_heads": 2,
        "n_kv_heads": 2,
        "cap_feat_dim": 32,
        "axes_dims": [4, 6, 6],
        "axes_lens": [512, 16, 16],
    },
    "AutoencoderKL": {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 8,
        "latent_channels": 4,
        "sample_size": 16,
    },
    "AutoencoderDC": {
        "latent_channels": 4,
        "attention_head_dim": 8,
        "encoder_block_types": "ResBlock",
        "decoder_block_types": "ResBlock",
        "encoder_block_out_channels": (8, 8, 16),
        "decoder_block_out_channels": (8, 8, 16),
        "encoder_layers_per_block": (1, 1, 1),
        "decoder_layers_per_block": (1, 1, 1),
        "encoder_qkv_multiscales": ((), (), ()),
        "decoder_qkv_multiscales": ((), (), ()),
    },
}
# What SDXL's denoiser has beside them.
SDXL_SIZES = {
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 32,
}


SEEDS = {"UNet2DConditionModel": 1, "AutoencoderKL": 2}  # of their random weights; 5 for others


def network(kind: str, **settings: Any) -> Any:
    """A tiny random network of a class of diffusers."""
    torch.manual_seed(SEEDS.get(kind, 5))
    result = getattr(diffusers, kind)(**SIZES[kind] | settings)
    for name in ("x_pad_token", "cap_pad_token"):  # of Z-Image, which are not set at random
        if hasattr(result, name):
            torch.nn.init.normal_(getattr(result, name))
    return result.half()


def tokenizer(folder: Path, known: Sequence[str] = WORDS, tokens: int = TOKENS) -> CLIPTokenizer:
    """Writes a byte-level BPE tokenizer: every text has tokens, and the known words have few."""
    merges = dict.fromkeys(
        (word[:end], word[end] + ("</w>" if end + 1 == len(word) else ""))
        for word in known
        for end in range(1, len(word))
    )
    letters = sorted(ByteLevel.alphabet())
    entries = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]))
    files = {"vocab": str(folder / "vocab.json"), "merges": str(folder / "merges.txt")}
    result = CLIPTokenizer(**files, model_max_length=tokens)
    result.save_pretrained(folder)
    return result


def t5_tokenizer(folder: Path) -> T5TokenizerFast:
    """Writes a unigram tokenizer in the manner of T5's: `WORDS` are one token, others letters."""
    signs = sorted({letter for word in WORDS for letter in word} | {",", "\u2581"})
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"\u2581{word}", -1.0) for word in WORDS] + [(sign, -4.0) for sign in signs]
    result = T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512)
    result.save_pretrained(folder)
    return result


def sentencepiece_tokenizer(folder: Path) -> T5Tokenizer:
    """Writes the tokenizer of `t5_tokenizer` in sentencepiece's format alone, as PixArt's is."""
    from sentencepiece import sentencepiece_model_pb2

    signs = sorted({letter for word in WORDS for letter in word} | {",", "\u2581"})
    model = sentencepiece_model_pb2.ModelProto()
    for piece in ("<pad>", "</s>"):
        model.pieces.add(piece=piece, type="CONTROL")
    model.pieces.add(piece="<unk>", type="UNKNOWN")
    for score, pieces in {-1.0: [f"\u2581{word}" for word in WORDS], -4.0: signs}.items():
        for piece in pieces:
            model.pieces.add(piece=piece, score=score)
    model.trainer_spec.model_type, model.trainer_spec.unk_id = 1, 2
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(model.SerializeToString())
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 300}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return T5Tokenizer.from_pretrained(folder)


def gemma_tokenizer(folder: Path) -> GemmaTokenizer:
    """Writes a tokenizer in the manner of Gemma's: a start token and no end; `WORDS` are one."""
    signs = sorted({letter for word in WORDS for letter in word} | {",", "\u2581"})
    starts = [(word[:end], word[end]) for word in WORDS for end in range(1, len(word))]
    merges = list(dict.fromkeys(starts + [("\u2581", word) for word in WORDS]))
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *signs, *map("".join, merges)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    result = GemmaTokenizer(vocab=vocabulary, merges=merges)
    result.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", pieces.index("<bos>"))]
    )
    result.save_pretrained(folder)
    return result


def qwen_tokenizer(folder: Path) -> Qwen2Tokenizer:
    """Writes a tokenizer in the manner of Qwen's, with a template for chats; `WORDS` are one."""
    words = ["user", *WORDS]
    starts = [(word[:end], word[end]) for word in words for end in range(1, len(word))]
    merges = list(dict.fromkeys(starts + [("\u0120", word) for word in words]))
    pieces = ["<|endoftext|>", *sorted(ByteLevel.alphabet()), *map("".join, merges)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    result = Qwen2Tokenizer(vocab=vocabulary, merges=merges)
    result.add_tokens(["<|start|>", "<|end|>", "<think>"], special_tokens=True)
    result.chat_template = (
        "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|start|>{% endif %}"
        "{% if not enable_thinking %}<think>{% endif %}"
    )
    result.save_pretrained(folder)
    return result


def ddim(**settings: Any) -> DDIMScheduler:
    """Stable Diffusion's own schedule, but for the settings given."""
    return DDIMScheduler(**NOISE | {"clip_sample": False, "set_alpha_to_one": False} | settings)


def euler(kind: type = EulerDiscreteScheduler, **settings: Any) -> SchedulerMixin:
    """SDXL's own schedule, but for the settings given."""
    return kind(**NOISE | {"timestep_spacing": "leading"} | settings)


NOISE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
}


def stable_diffusion(folder: Path, scheduler: SchedulerMixin | None = None, **words: Any) -> Path:
    """Writes a `StableDiffusionPipeline` of 16 x 16 pixels, its latents 4 x 8 x 8.

    `words` are settings of its tokenizer.
    """
    words = tokenizer(folder / "tokenizer", **words)
    parts = {
        "text_encoder": clip_text(words),
        "unet": network("UNet2DConditionModel"),
        "vae": network("AutoencoderKL"),
    }
    index = {
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    parts |= {"scheduler": scheduler or ddim()}
    return save(folder, "StableDiffusionPipeline", parts, index, ["CLIPTokenizer"])


def sdxl(folder: Path, scheduler: SchedulerMixin | None = None) -> Path:
    """Writes a `StableDiffusionXLPipeline` of 16 x 16 pixels."""
    words, _ = (tokenizer(folder / name) for name in ("tokenizer", "tokenizer_2"))
    more = {"addition_embed_type": "text_time", **SDXL_SIZES}
    parts = {
        "text_encoder": clip_text(words),
        "text_encoder_2": clip_text(words, CLIPTextModelWithProjection, seed=4),
        "unet": network("UNet2DConditionModel", **more),
        "vae": network("AutoencoderKL"),
        "scheduler": scheduler or euler(),
    }
    index = {"force_zeros_for_empty_prompt": True}
    return save(folder, "StableDiffusionXLPipeline", parts, index, ["CLIPTokenizer"] * 2)


def sd3(folder: Path, t5: bool = True, **settings: Any) -> Path:
    """Writes a `StableDiffusion3Pipeline` of 16 x 16 pixels, with its T5 or without.

    `settings` are of its transformer; those of 3.5 are `qk_norm` and `dual_attention_layers`.
    """
    words, _ = (tokenizer(folder / name) for name in ("tokenizer", "tokenizer_2"))
    transformer = network("SD3Transformer2DModel", **settings)
    parts = {
        "text_encoder": clip_text(words, CLIPTextModelWithProjection),
        "text_encoder_2": clip_text(words, CLIPTextModelWithProjection, seed=4),
        "text_encoder_3": t5_encoder(t5_tokenizer(folder / "tokenizer_3"), 64) if t5 else None,
        "transformer": transformer,
        "vae": network("AutoencoderKL", shift_factor=0.06),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    kinds = ["CLIPTokenizer", "CLIPTokenizer", "T5TokenizerFast" if t5 else None]
    return save(folder, "StableDiffusion3Pipeline", parts, {}, kinds)


def flux(folder: Path, dev: bool = True) -> Path:
    """Writes a `FluxPipeline`; dev has an input for guidance, schnell has none."""
    words = tokenizer(folder / "tokenizer")
    transformer = network("FluxTransformer2DModel", guidance_embeds=dev)
    shift = {"shift": 3.0, "use_dynamic_shifting": True} if dev else {"shift": 1.0}
    parts = {
        "text_encoder": clip_text(words),
        "text_encoder_2": t5_encoder(t5_tokenizer(folder / "tokenizer_2"), 32),
        "transformer": transformer,
        "vae": network("AutoencoderKL", shift_factor=0.06),
        "scheduler": FlowMatchEulerDiscreteScheduler(**shift),
    }
    return save(folder, "FluxPipeline", parts, {}, ["CLIPTokenizer", "T5TokenizerFast"])


def pixart_sigma(folder: Path) -> Path:
    """Writes a `PixArtSigmaPipeline` of 16 x 16 pixels.

    Its solver is of first order, as every step is here; the published one is of second. The
    transformer goes by its old name, as in the published files.
    """
    transformer = network("PixArtTransformer2DModel")
    parts = {
        "text_encoder": t5_encoder(t5_tokenizer(folder / "tokenizer"), 32),
        "transformer": transformer,
        "vae": network("AutoencoderKL"),
        "scheduler": DPMSolverMultistepScheduler(solver_order=1),
    }
    save(folder, "PixArtSigmaPipeline", parts, {}, ["T5TokenizerFast"])
    for file in ("model_index.json", "transformer/config.json"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace("PixArtTransformer2D", "Transformer2D"))
    return folder


def sana(folder: Path) -> Path:
    """Writes a `SanaPipeline` of 32 x 32 pixels; its solver is of first order, as for PixArt."""
    words = gemma_tokenizer(folder / "tokenizer")
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
    parts = {
        "text_encoder": gemma_encoder(words),
        "transformer": network("SanaTransformer2DModel"),
        "vae": network("AutoencoderDC", scaling_factor=0.4),
        "scheduler": DPMSolverMultistepScheduler(solver_order=1, **flow),
    }
    return save(folder, "SanaPipeline", parts, {}, ["GemmaTokenizer"])


def z_image(folder: Path) -> Path:
    """Writes a `ZImagePipeline`."""
    words = qwen_tokenizer(folder / "tokenizer")
    transformer = network("ZImageTransformer2DModel")
    parts = {
        "text_encoder": qwen_encoder(words),
        "transformer": transformer,
        "vae": network("AutoencoderKL", shift_factor=0.06),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    return save(folder, "ZImagePipeline", parts, {}, ["Qwen2Tokenizer"])


def save(folder: Path, pipeline: str, parts: dict, index: dict, tokenizers: list) -> Path:
    """Writes the parts that are not None, and the index that names their classes."""
    index = index | {"_class_name": pipeline}
    for number, kind in enumerate(tokenizers, 1):
        name = "tokenizer" if number == 1 else f"tokenizer_{number}"
        index[name] = ["transformers" if kind else None, kind]
    for name, part in parts.items():
        index[name] = [None, None]
        if part is not None:
            part.save_pretrained(folder / name)
            index[name] = [type(part).__module__.partition(".")[0], type(part).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def clip_text(
    words: CLIPTokenizer, kind: type = CLIPTextModel, seed: int = 0, **settings: Any
) -> CLIPTextModel:
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=words.model_max_length,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        **settings,
    )
    return kind(config).half()


def t5_encoder(words: T5TokenizerFast, width: int) -> T5EncoderModel:
    torch.manual_seed(6)
    config = T5Config(
        vocab_size=len(words),
        d_model=width,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config).half()


def gemma_encoder(words: GemmaTokenizer) -> Gemma2Model:
    torch.manual_seed(6)
    config = Gemma2Config(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    return Gemma2Model(config).half()


def qwen_encoder(words: Qwen2Tokenizer) -> Qwen3Model:
    torch.manual_seed(6)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    return Qwen3Model(config).half()


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

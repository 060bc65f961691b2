"""Stable Diffusion 1.4, XL and 3 medium with their published configurations and random weights.

Speed and memory do not depend on weights. So the networks are built from their configurations with
random weights, directly on their device and in their dtype, and nothing is downloaded. Their images
are noise, so searches find nothing; only the cost is measured.

Words and tokenizer are those of the toy world. Its token ids are the first ids of the real
vocabularies, and each word has one or a few tokens, as in the real ones. The T5 of Stable Diffusion
3 is left out, as users may do; its 256 tokens are processed as zeros.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import open_clip
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, SD3Transformer2DModel, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from dpodiff import SphericalCLIP
from dpodiff.models.devices import choose_device, default_dtype
from dpodiff.models.flow import StableDiffusion3
from dpodiff.models.latent import LatentDiffusion
from dpodiff.models.parts import place
from dpodiff.models.sdxl import StableDiffusionXL
from dpodiff.models.stable_diffusion import StableDiffusion
from dpodiff.toy.model import FOLDER

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """The published configuration of a model.

    Attributes:
        family: class of the model.
        pipeline: pipeline class of diffusers, called with the parts.
        networks: functions that build the networks, by the names of the parts.
        schedule: configuration of the scheduler.
    """

    family: type[LatentDiffusion]
    pipeline: Callable[..., DiffusionPipeline]
    networks: Mapping[str, Callable[[], nn.Module]]
    schedule: Config

    def model(self, name: str, pixels: int | None = None) -> LatentDiffusion:
        """Return a new model for images of `pixels` per side, or of its default size.

        On a GPU all parts except the decoder are in half precision, as in `dpodiff.load`.
        """
        device = choose_device()
        dtype = default_dtype(device, self.family.half)
        parts = self._parts(device, dtype)
        for part in parts.values():
            if isinstance(part, nn.Module):
                place(part, device)
        model = self.family(**parts, schedule=self.schedule, name=name, device=device)
        model.image_size = pixels or model.image_size
        return model

    def stock(self, model: LatentDiffusion) -> DiffusionPipeline:
        """Return the pipeline of diffusers with its own networks, all in the dtype of the model."""
        kind = getattr(diffusers, self.schedule["_class_name"])
        scheduler = kind.from_config(self.schedule)
        return self.pipeline(**self._parts(model.device, model.dtype), scheduler=scheduler)

    def _parts(self, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        torch.manual_seed(0)
        for name, build in self.networks.items():
            with torch.device(device):
                network = build().eval()
            parts[name] = network.to(torch.float32 if name == "vae" else dtype)
            if name.startswith("text_encoder"):
                parts[name.replace("text_encoder", "tokenizer")] = tokenizer()
        return parts


def tokenizer() -> CLIPTokenizer:
    """Return the toy world's tokenizer, for texts as long as those of a real model."""
    return CLIPTokenizer.from_pretrained(FOLDER, subfolder="tokenizer", model_max_length=77)


def text_encoder(kind: type, **config: Any) -> nn.Module:
    words = tokenizer()
    ends = {f"{end}_token_id": getattr(words, f"{end}_token_id") for end in ("bos", "eos", "pad")}
    return kind(CLIPTextConfig(**config | ends))


def random_clip(architecture: str = "ViT-B-32-quickgelu") -> SphericalCLIP:
    """Return the loss of DPO-Diff with random weights."""
    torch.manual_seed(0)
    weights = open_clip.create_model(architecture, pretrained=None).half().state_dict()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        save_file({name: value.contiguous() for name, value in weights.items()}, path)
        return SphericalCLIP(architecture, str(path))


CLIP_L = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
}
CLIP_G = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}

SD_V1_4 = Architecture(
    StableDiffusion,
    partial(
        diffusers.StableDiffusionPipeline,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ),
    {
        "text_encoder": partial(text_encoder, CLIPTextModel, **CLIP_L),
        "unet": partial(
            UNet2DConditionModel,
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            layers_per_block=2,
            attention_head_dim=8,
            cross_attention_dim=768,
        ),
        "vae": partial(AutoencoderKL, **VAE, sample_size=512, scaling_factor=0.18215),
    },
    # Published with PNDM, which needs one more call of the denoiser than steps.
    NOISE | {"_class_name": "DDIMScheduler", "clip_sample": False, "set_alpha_to_one": False},
)
SDXL = Architecture(
    StableDiffusionXL,
    partial(diffusers.StableDiffusionXLPipeline, add_watermarker=False),
    {
        "text_encoder": partial(text_encoder, CLIPTextModel, **CLIP_L),
        "text_encoder_2": partial(text_encoder, CLIPTextModelWithProjection, **CLIP_G),
        "unet": partial(
            UNet2DConditionModel,
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
            layers_per_block=2,
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ),
        "vae": partial(AutoencoderKL, **VAE, sample_size=1024, scaling_factor=0.13025),
    },
    NOISE | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"},
)
SD3_MEDIUM = Architecture(
    StableDiffusion3,
    partial(diffusers.StableDiffusion3Pipeline, text_encoder_3=None, tokenizer_3=None),
    {
        "text_encoder": partial(text_encoder, CLIPTextModelWithProjection, **CLIP_L),
        "text_encoder_2": partial(text_encoder, CLIPTextModelWithProjection, **CLIP_G),
        "transformer": partial(
            SD3Transformer2DModel,
            sample_size=128,
            num_layers=24,
            num_attention_heads=24,
            attention_head_dim=64,
            in_channels=16,
            out_channels=16,
            joint_attention_dim=4096,
            caption_projection_dim=1536,
            pooled_projection_dim=2048,
            pos_embed_max_size=192,
        ),
        "vae": partial(
            AutoencoderKL,
            **VAE,
            sample_size=1024,
            latent_channels=16,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
    },
    {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "num_train_timesteps": 1000},
)
ARCHITECTURES = {"sd-v1-4": SD_V1_4, "sdxl": SDXL, "sd3": SD3_MEDIUM}

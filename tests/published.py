"""What the published models that have a name here are made of: classes, files, settings and sizes.

Written down from the public configuration files of the hub's repositories and the defaults of
diffusers' classes. `settings` are what the package or the stock networks rely on at any size: a
tiny checkpoint has the same. `sizes` make the published model large. `FILES` are read from each
folder; large weights are in several files with an index beside them.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """A folder of a pipeline: class, settings at any size, and sizes of the published one."""

    kind: str
    settings: dict[str, Any]
    sizes: dict[str, Any]


@dataclass(frozen=True)
class Published:
    """A published pipeline.

    Attributes:
        pipeline: class that its model_index.json names.
        parts: its folders but for tokenizers.
        tokenizers: classes of its tokenizers.
        image_size: in pixels.
        latent: channels, height and width.
        parameters: of the denoiser's file in billions, tables of positions counted, as its card or
            paper says.
        steps: of the sampler, by the card or the stock pipeline.
        index: further entries of model_index.json.
    """

    pipeline: str
    parts: dict[str, Part]
    tokenizers: tuple[str, ...]
    image_size: int
    latent: tuple[int, int, int]
    parameters: float
    steps: int
    index: dict[str, Any] = field(default_factory=dict)


# By folder, its number left out.
FILES = {
    "scheduler": {"scheduler_config.json"},
    "text_encoder": {"config.json", "model.safetensors"},
    "unet": {"config.json", "diffusion_pytorch_model.safetensors"},
    "transformer": {"config.json", "diffusion_pytorch_model.safetensors"},
    "vae": {"config.json", "diffusion_pytorch_model.safetensors"},
}
# By class of the tokenizer. T5Tokenizer is PixArt's, which has no tokenizer.json.
TOKENIZER_FILES = {
    "CLIPTokenizer": {"tokenizer_config.json", "vocab.json", "merges.txt"},
    "T5TokenizerFast": {"tokenizer_config.json", "tokenizer.json"},
    "T5Tokenizer": {"tokenizer_config.json", "spiece.model"},
    "GemmaTokenizerFast": {"tokenizer_config.json", "tokenizer.json"},
    "Qwen2Tokenizer": {"tokenizer_config.json", "tokenizer.json"},
}

# Text encoders.
CLIP_SIZES = {"vocab_size": 49408, "max_position_embeddings": 77}


def clip_l(kind: str = "CLIPTextModel") -> Part:
    sizes = {"hidden_size": 768, "intermediate_size": 3072, "projection_dim": 768}
    sizes |= {"num_hidden_layers": 12, "num_attention_heads": 12}
    return Part(kind, {"hidden_act": "quick_gelu"}, CLIP_SIZES | sizes)


def clip_h() -> Part:
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "projection_dim": 512}
    sizes |= {"num_hidden_layers": 23, "num_attention_heads": 16}
    return Part("CLIPTextModel", {"hidden_act": "gelu"}, CLIP_SIZES | sizes)


def clip_g() -> Part:
    sizes = {"hidden_size": 1280, "intermediate_size": 5120, "projection_dim": 1280}
    sizes |= {"num_hidden_layers": 32, "num_attention_heads": 20}
    return Part("CLIPTextModelWithProjection", {"hidden_act": "gelu"}, CLIP_SIZES | sizes)


T5_XXL = Part(
    "T5EncoderModel",
    {"feed_forward_proj": "gated-gelu"},
    {"vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240}
    | {"num_layers": 24, "num_heads": 64},
)
GEMMA = Part(
    "Gemma2Model",
    {},
    {"vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216, "head_dim": 256}
    | {"num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4},
)
QWEN = Part(
    "Qwen3Model",
    {},
    {"vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "head_dim": 128}
    | {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8},
)


# Autoencoders.
def vae(latent: int = 4, size: int = 512, **settings: Any) -> Part:
    sizes = {
        "latent_channels": latent,
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "sample_size": size,
    }
    return Part("AutoencoderKL", settings, sizes)


SD_VAE = vae(scaling_factor=0.18215)
SDXL_VAE = vae(size=1024, scaling_factor=0.13025, force_upcast=True)
SD3_VAE = vae(
    16, 1024, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False,
    use_post_quant_conv=False,
)  # fmt: skip
FLUX_VAE = vae(
    16, 1024, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
    use_post_quant_conv=False,
)  # fmt: skip
_DC_BLOCKS = ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3
_DC_SCALES = ((), (), (), (5,), (5,), (5,))
DC_AE = Part(
    "AutoencoderDC",
    {"scaling_factor": 0.41407},
    {
        "latent_channels": 32,
        "attention_head_dim": 32,
        "encoder_block_types": _DC_BLOCKS,
        "decoder_block_types": _DC_BLOCKS,
        "encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
        "decoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
        "encoder_layers_per_block": (2, 2, 2, 3, 3, 3),
        "decoder_layers_per_block": (3, 3, 3, 3, 3, 3),
        "encoder_qkv_multiscales": _DC_SCALES,
        "decoder_qkv_multiscales": _DC_SCALES,
        "downsample_block_type": "Conv",
        "upsample_block_type": "interpolate",
    },
)

# Denoisers.
_UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
SD_UNET = Part(
    "UNet2DConditionModel",
    {"in_channels": 4, "out_channels": 4, "use_linear_projection": False},
    _UNET | {"cross_attention_dim": 768, "attention_head_dim": 8},
)


def sd2_unet(size: int) -> Part:
    return Part(
        "UNet2DConditionModel",
        {"in_channels": 4, "out_channels": 4, "use_linear_projection": True},
        _UNET
        | {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "sample_size": size},
    )


def sdxl_unet(size: int = 128) -> Part:
    return Part(
        "UNet2DConditionModel",
        {
            "in_channels": 4,
            "out_channels": 4,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "time_cond_proj_dim": None,
        },
        {
            "sample_size": size,
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
            "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
            "layers_per_block": 2,
            "transformer_layers_per_block": (1, 2, 10),
            "attention_head_dim": (5, 10, 20),
            "cross_attention_dim": 2048,
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    )


def sd3_transformer(
    layers: int = 24, positions: int = 192, norm: str | None = None, dual: int = 0
) -> Part:
    # One head a layer, by the rule of the family.
    sizes = {
        "sample_size": 128,
        "in_channels": 16,
        "out_channels": 16,
        "num_layers": layers,
        "num_attention_heads": layers,
        "attention_head_dim": 64,
        "joint_attention_dim": 4096,
        "caption_projection_dim": 64 * layers,
        "pooled_projection_dim": 2048,
        "pos_embed_max_size": positions,
        "dual_attention_layers": tuple(range(dual)),
    }
    return Part("SD3Transformer2DModel", {"patch_size": 2, "qk_norm": norm}, sizes)


def flux_transformer(guided: bool) -> Part:
    sizes = {
        "in_channels": 64,
        "num_layers": 19,
        "num_single_layers": 38,
        "num_attention_heads": 24,
        "attention_head_dim": 128,
        "joint_attention_dim": 4096,
        "pooled_projection_dim": 768,
        "axes_dims_rope": (16, 56, 56),
    }
    return Part("FluxTransformer2DModel", {"patch_size": 1, "guidance_embeds": guided}, sizes)


def pixart_transformer(size: int = 128) -> Part:
    sizes = {
        "sample_size": size,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 28,
        "num_attention_heads": 16,
        "attention_head_dim": 72,
        "cross_attention_dim": 1152,
        "caption_channels": 4096,
    }
    settings = {"patch_size": 2, "norm_type": "ada_norm_single", "norm_elementwise_affine": False}
    return Part("Transformer2DModel", settings, sizes)  # of old, read as PixArtTransformer2DModel


SANA_TRANSFORMER = Part(
    "SanaTransformer2DModel",
    {"patch_size": 1},
    {
        "sample_size": 32,
        "in_channels": 32,
        "out_channels": 32,
        "num_layers": 20,
        "num_attention_heads": 70,
        "attention_head_dim": 32,
        "num_cross_attention_heads": 20,
        "cross_attention_head_dim": 112,
        "cross_attention_dim": 2240,
        "caption_channels": 2304,
    },
)
Z_TRANSFORMER = Part(
    "ZImageTransformer2DModel",
    {"all_patch_size": (2,), "all_f_patch_size": (1,), "qk_norm": True},
    {
        "in_channels": 16,
        "dim": 3840,
        "n_layers": 30,
        "n_refiner_layers": 2,
        "n_heads": 30,
        "n_kv_heads": 30,
        "cap_feat_dim": 2560,
    },
)

# Schedulers.
_LATENT = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}


def scheduler(kind: str, **settings: Any) -> Part:
    latent = {} if kind.startswith(("Flow", "DPM")) else _LATENT
    return Part(kind, latent | settings, {})


PNDM = scheduler("PNDMScheduler", skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
DDIM_V = scheduler(
    "DDIMScheduler", prediction_type="v_prediction", set_alpha_to_one=False, steps_offset=1,
    clip_sample=False,
)  # fmt: skip
EULER = scheduler("EulerDiscreteScheduler", timestep_spacing="leading", steps_offset=1)
TURBO = scheduler("EulerDiscreteScheduler", timestep_spacing="trailing")
XL_TURBO = scheduler("EulerAncestralDiscreteScheduler", timestep_spacing="trailing")
FLOW = scheduler("FlowMatchEulerDiscreteScheduler", shift=3.0, use_dynamic_shifting=False)
FLUX_FLOW = scheduler(
    "FlowMatchEulerDiscreteScheduler", shift=3.0, use_dynamic_shifting=True, base_shift=0.5,
    max_shift=1.15, base_image_seq_len=256, max_image_seq_len=4096,
)  # fmt: skip
SCHNELL_FLOW = scheduler("FlowMatchEulerDiscreteScheduler", shift=1.0, use_dynamic_shifting=False)
DPM = scheduler("DPMSolverMultistepScheduler", beta_schedule="linear", prediction_type="epsilon")
DPM_FLOW = scheduler(
    "DPMSolverMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True,
    flow_shift=3.0,
)  # fmt: skip


CHECKED = {
    "safety_checker": ("stable_diffusion", "StableDiffusionSafetyChecker"),
    "feature_extractor": ("transformers", "CLIPImageProcessor"),
}
UNCHECKED = {
    "safety_checker": (None, None),
    "feature_extractor": (None, None),
    "requires_safety_checker": False,
}


def sd1() -> Published:
    parts = {"text_encoder": clip_l(), "unet": SD_UNET, "vae": SD_VAE, "scheduler": PNDM}
    return Published(
        "StableDiffusionPipeline", parts, ("CLIPTokenizer",), 512, (4, 64, 64), 0.86, 50, CHECKED
    )


def sd2(size: int, sampler: Part, steps: int = 50) -> Published:
    parts = {"text_encoder": clip_h(), "unet": sd2_unet(size // 8), "vae": SD_VAE}
    parts |= {"scheduler": sampler}
    latent = (4, size // 8, size // 8)
    return Published(
        "StableDiffusionPipeline", parts, ("CLIPTokenizer",), size, latent, 0.865, steps, UNCHECKED
    )


def sdxl(size: int, sampler: Part, steps: int) -> Published:
    parts = {"text_encoder": clip_l(), "text_encoder_2": clip_g(), "unet": sdxl_unet(size // 8)}
    parts |= {"vae": SDXL_VAE, "scheduler": sampler}
    latent = (4, size // 8, size // 8)
    return Published(
        "StableDiffusionXLPipeline", parts, ("CLIPTokenizer",) * 2, size, latent, 2.6, steps,
        {"force_zeros_for_empty_prompt": True},
    )  # fmt: skip


def sd3(transformer: Part, billions: float) -> Published:
    parts = {
        "text_encoder": clip_l("CLIPTextModelWithProjection"),
        "text_encoder_2": clip_g(),
        "text_encoder_3": T5_XXL,
        "transformer": transformer,
        "vae": SD3_VAE,
        "scheduler": FLOW,
    }
    words = ("CLIPTokenizer", "CLIPTokenizer", "T5TokenizerFast")
    return Published("StableDiffusion3Pipeline", parts, words, 1024, (16, 128, 128), billions, 28)


def flux(guided: bool, sampler: Part, steps: int) -> Published:
    parts = {
        "text_encoder": clip_l(),
        "text_encoder_2": T5_XXL,
        "transformer": flux_transformer(guided),
        "vae": FLUX_VAE,
        "scheduler": sampler,
    }
    words = ("CLIPTokenizer", "T5TokenizerFast")
    return Published("FluxPipeline", parts, words, 1024, (16, 128, 128), 12.0, steps)


def pixart(size: int) -> Published:
    parts = {"text_encoder": T5_XXL, "transformer": pixart_transformer(size // 8)}
    parts |= {"vae": SDXL_VAE, "scheduler": DPM}
    latent = (4, size // 8, size // 8)
    return Published("PixArtSigmaPipeline", parts, ("T5Tokenizer",), size, latent, 0.6, 20)


PUBLISHED = {
    "sd-v1-4": sd1(),
    "sd-v1-5": sd1(),
    "sd-v2-base": sd2(512, PNDM),
    "sd-v2-1": sd2(768, DDIM_V),
    "sd-turbo": sd2(512, TURBO, steps=1),
    "sdxl": sdxl(1024, EULER, 50),
    "sdxl-turbo": sdxl(512, XL_TURBO, 1),
    "sd3-medium": sd3(sd3_transformer(), 2.0),
    "sd3.5-medium": sd3(sd3_transformer(positions=384, norm="rms_norm", dual=13), 2.5),
    "sd3.5-large": sd3(sd3_transformer(38, norm="rms_norm"), 8.1),
    "flux": flux(True, FLUX_FLOW, 28),
    "flux-schnell": flux(False, SCHNELL_FLOW, 4),
    "pixart-sigma": pixart(1024),
    "pixart-sigma-512": pixart(512),
    "sana": Published(
        "SanaPipeline",
        {"text_encoder": GEMMA, "transformer": SANA_TRANSFORMER, "vae": DC_AE}
        | {"scheduler": DPM_FLOW},
        ("GemmaTokenizerFast",),
        1024,
        (32, 32, 32),
        1.6,
        20,
    ),
    "z-image-turbo": Published(
        "ZImagePipeline",
        {"text_encoder": QWEN, "transformer": Z_TRANSFORMER, "vae": FLUX_VAE, "scheduler": FLOW},
        ("Qwen2Tokenizer",),
        1024,
        (16, 128, 128),
        6.0,
        8,
    ),
}
# Names, those of one layout once.
LAYOUTS = {repr(published): name for name, published in reversed(PUBLISHED.items())}.values()

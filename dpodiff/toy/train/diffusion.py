"""Stage `diffusion`: the denoiser and its text encoder, on latents.

The text encoder starts from the text tower of the trained CLIP, as in Stable Diffusion, and goes on
learning at a lower rate. v-prediction; the loss of nearly clean latents is bounded as in min-SNR
weighting (Hang et al., 2023).
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from dpodiff.toy.captions import training_caption
from dpodiff.toy.render import render_batch
from dpodiff.toy.scenes import Scene
from dpodiff.toy.train.data import training_scenes
from dpodiff.toy.train.fitting import Recipe, fit
from dpodiff.toy.train.tokenizer import LENGTH

SNR_BOUND = 5.0
POOL_BATCH = 128


def build_scheduler():
    """Stable Diffusion's noise schedule, predicting v, sampled by DDIM."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def build_unet(text_width: int = 128):
    """An untrained denoiser of 16 x 16 x 4 latents; it looks at the text at 8 x 8 and 4 x 4."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(48, 96, 144),
        layers_per_block=1,
        cross_attention_dim=text_width,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        attention_head_dim=[1, 3, 4],  # diffusers' name for the number of heads
        norm_num_groups=8,
    )


def text_encoder_from(clip_folder: Path):
    """A transformers `CLIPTextModel` with the weights of an open_clip text tower."""
    import json

    from transformers import CLIPTextConfig, CLIPTextModel

    text = json.loads((clip_folder / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    end = text["vocab_size"] - 1
    config = CLIPTextConfig(
        vocab_size=text["vocab_size"],
        hidden_size=text["width"],
        intermediate_size=4 * text["width"],
        num_hidden_layers=text["layers"],
        num_attention_heads=text["heads"],
        max_position_embeddings=text["context_length"],
        hidden_act="gelu",
        projection_dim=text["width"],
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )
    encoder = CLIPTextModel(config)
    weights = load_file(clip_folder / "open_clip_model.safetensors")
    prefix = "text_model." if any(k.startswith("text_model.") for k in encoder.state_dict()) else ""
    encoder.load_state_dict({prefix + k: v.float() for k, v in _renamed(weights).items()})
    return encoder


def _renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """open_clip's names of a text tower -> transformers' names."""
    plain = {
        "token_embedding.weight": "embeddings.token_embedding.weight",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_final.weight": "final_layer_norm.weight",
        "ln_final.bias": "final_layer_norm.bias",
    }
    parts = {
        "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
    }  # fmt: skip
    renamed = {new: weights[old] for old, new in plain.items()}
    for key, value in weights.items():
        if not key.startswith("transformer.resblocks."):
            continue
        _, _, layer, rest = key.split(".", 3)
        target = f"encoder.layers.{layer}."
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            for name, third in zip("qkv", value.chunk(3)):
                renamed[f"{target}self_attn.{name}_proj.{kind}"] = third
        else:
            part, kind = rest.rsplit(".", 1)
            renamed[f"{target}{parts[part]}.{kind}"] = value
    return renamed


@torch.no_grad()
def latent_pool(
    vae, count: int, path: Path, device: str, seed: int = 0
) -> tuple[torch.Tensor, list[Scene]]:
    """Latents (count, 4, 16, 16), fp16 and scaled, of seeded training scenes, kept in `path`."""

    def batches():
        for start in range(0, count, POOL_BATCH):
            rng = np.random.default_rng([seed, start])
            yield training_scenes(min(POOL_BATCH, count - start), rng), rng

    stored = load_file(path)["latents"] if path.exists() else torch.empty(0, 4, 16, 16)
    if len(stored) == count:
        return stored, [scene for scenes, _ in batches() for scene in scenes]
    latents, all_scenes = [], []
    for scenes, rng in tqdm(batches(), "latents", total=-(-count // POOL_BATCH)):
        images = torch.from_numpy(render_batch(scenes, rng)).to(device)
        mean = vae.encode(2 * images - 1).latent_dist.mean
        latents.append((mean * vae.config.scaling_factor).half().cpu())
        all_scenes += scenes
    save_file({"latents": torch.cat(latents)}, path)
    return torch.cat(latents), all_scenes


def train_diffusion(
    text_encoder, tokenizer, pool: tuple, folder: Path, device: str, recipe: Recipe
) -> nn.ModuleDict:
    """Train denoiser and text encoder together; returns both with averaged weights."""
    latents, scenes = pool
    torch.manual_seed(recipe.seed)
    unet = build_unet(text_encoder.config.hidden_size)
    model = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder}).to(device)
    scheduler = build_scheduler()

    def loss(step, rng, generator):
        index = rng.integers(len(latents), size=recipe.batch)
        texts = [training_caption(scenes[i], rng) for i in index]
        tokens = tokenizer(
            texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        clean = latents[index].float()
        noise = torch.randn(clean.shape, generator=generator)
        times = torch.randint(1000, (recipe.batch,), generator=generator)
        noisy = scheduler.add_noise(clean, noise, times)
        target = scheduler.get_velocity(clean, noise, times)
        text = model["text_encoder"](tokens.input_ids.to(device)).last_hidden_state
        guess = model["unet"](noisy.to(device), times.to(device), text).sample
        error = (guess - target.to(device)).square().mean((1, 2, 3))
        return (error * v_weight(scheduler.alphas_cumprod[times]).to(device)).mean()

    fit("diffusion", model, loss, recipe, folder)
    return model


def v_weight(alpha_bar: torch.Tensor) -> torch.Tensor:
    """Weight of the v loss: one in noise, falling where the signal-to-noise ratio exceeds 5.

    An error e in v is an error of e^2 / (1 + SNR) in x0; the bound keeps the nearly clean steps,
    which are easy and many, from taking the network's capacity.
    """
    snr = alpha_bar / (1 - alpha_bar)
    return (snr + 1).clamp(max=SNR_BOUND + 1) / (snr + 1)

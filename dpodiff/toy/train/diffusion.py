"""Stage `diffusion`: the denoiser and its text encoder, on latents.

The text encoder starts from the text tower of the trained CLIP, as in Stable Diffusion, and is
trained further with a lower learning rate. The model uses v-prediction. The loss of nearly clean
latents is bounded as in min-SNR weighting (Hang et al., 2023).
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from dpodiff.toy.captions import training_caption
from dpodiff.toy.render import render_with_covers
from dpodiff.toy.scenes import Scene
from dpodiff.toy.train.data import training_scenes
from dpodiff.toy.train.fitting import Recipe, fit
from dpodiff.toy.train.tokenizer import LENGTH

SNR_BOUND = 5.0
THING_WEIGHT = 5.0
DEFECT_SHARE = 0.2  # share of the images, besides the typical defects of their backgrounds
# Scenes with these are drawn more often: the shapes of planes and fish are learned last.
HARD_OBJECTS, HARD_WEIGHT = ("plane", "fish"), 2.0
POOL_BATCH = 128


def build_scheduler():
    """Return Stable Diffusion's noise schedule for v-prediction, sampled by DDIM."""
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


def build_unet(text_width: int = 128, seed: int = 0, *, small: bool = False):
    """Return an untrained denoiser of 16 x 16 x 4 latents with text attention at 8 x 8 and 4 x 4.

    Args:
        text_width: width of the text embedding.
        seed: seed of its weights.
        small: two thirds of the width, with less than half of the weights.
    """
    from diffusers import UNet2DConditionModel

    torch.manual_seed(seed)  # layers initialize their weights with the global generator
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64, 96) if small else (48, 96, 144),
        layers_per_block=1,
        cross_attention_dim=text_width,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        # diffusers' name for the number of heads; its type allows one number only.
        attention_head_dim=(1, 2, 3) if small else (1, 3, 4),  # pyright: ignore[reportArgumentType]
        norm_num_groups=8,
    )


def text_encoder_from(clip_folder: Path):
    """Return a transformers `CLIPTextModel` with the weights of an open_clip text tower."""
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
    """Convert open_clip's names of a text tower to transformers' names."""
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


@dataclasses.dataclass(frozen=True)
class Pool:
    """Encoded training images.

    latents (n, 4, 16, 16) in fp16, scaled; cover (n, 16, 16) in fp16, the coverage of each cell by
    things; scenes, the content of the images.
    """

    latents: torch.Tensor
    cover: torch.Tensor
    scenes: list[Scene]


@torch.no_grad()
def latent_pool(vae, count: int, path: Path, device: str, seed: int = 0) -> Pool:
    """Encode `count` seeded training images, or read them from `path` if the file exists."""

    def batches():
        for start in range(0, count, POOL_BATCH):
            rng = np.random.default_rng([seed, start])
            number = min(POOL_BATCH, count - start)
            yield training_scenes(number, rng, defect_share=DEFECT_SHARE, typical=True), rng

    stored = load_file(path) if path.exists() else {}
    if "latents" in stored and len(stored["latents"]) == count:
        known = [scene for scenes, _ in batches() for scene in scenes]
        return Pool(latents=stored["latents"], cover=stored["cover"], scenes=known)
    latents, covers, all_scenes = [], [], []
    for scenes, rng in tqdm(batches(), "latents", total=-(-count // POOL_BATCH)):
        rendered, cover = render_with_covers(scenes, rng)
        images = torch.from_numpy(rendered).to(device)
        mean = vae.encode(2 * images - 1).latent_dist.mean
        latents.append((mean * vae.config.scaling_factor).half().cpu())
        covers.append(torch.nn.functional.max_pool2d(torch.from_numpy(cover), 4).half())
        all_scenes += scenes
    pool = Pool(latents=torch.cat(latents), cover=torch.cat(covers), scenes=all_scenes)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"latents": pool.latents, "cover": pool.cover}, path)
    return pool


def train_diffusion(
    unet,
    text_encoder,
    tokenizer,
    pool: Pool,
    folder: Path,
    device: str,
    recipe: Recipe,
    *,
    name: str = "diffusion",
) -> nn.ModuleDict:
    """Train the denoiser and the text encoder together; return both with averaged weights."""
    model = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder}).to(device)
    scheduler: Any = build_scheduler()  # its type annotations are outdated
    cumulative = np.cumsum([scene_weight(scene) for scene in pool.scenes])

    def loss(step, rng, generator):
        index = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], recipe.batch))
        texts = [training_caption(pool.scenes[i], rng) for i in index]
        tokens = tokenizer(
            texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        clean = pool.latents[index].float()
        noise = torch.randn(clean.shape, generator=generator)
        times = spread_times(recipe.batch, generator)
        noisy = scheduler.add_noise(clean, noise, times)
        target = scheduler.get_velocity(clean, noise, times)
        text = model["text_encoder"](tokens.input_ids.to(device)).last_hidden_state
        guess = model["unet"](noisy.to(device), times.to(device), text).sample
        error = (guess - target.to(device)).square().mean(1)  # (batch, 16, 16)
        weight = cell_weight(pool.cover[index].float()) * v_weight(
            scheduler.alphas_cumprod[times]
        ).view(-1, 1, 1)
        return (error * weight.to(device)).mean()

    fit(name, model, loss, recipe, folder)
    return model


def spread_times(count: int, generator: torch.Generator) -> torch.Tensor:
    """Return one timestep of 0 ... 999 from each of `count` equally likely strata.

    The strata reduce the variance. The density ~ t^(2/3) favors noise, where the prompt matters
    most.
    """
    parts = torch.arange(count) + torch.rand(count, generator=generator)
    return (1000 * (parts / count) ** 0.6).long().clamp(max=999)


def scene_weight(scene: Scene) -> float:
    """Return the frequency of a scene of the pool in training, relative to an ordinary one."""
    return HARD_WEIGHT if any(thing.object in HARD_OBJECTS for thing in scene.things) else 1.0


def cell_weight(cover: torch.Tensor) -> torch.Tensor:
    """Return the loss weight of each cell; cells with things are few but important.

    The best prediction of a cell does not depend on its weight, but the use of capacity does.
    """
    weight = 1 + THING_WEIGHT * (cover > 0.05).float()
    return weight / weight.mean((1, 2), keepdim=True)


def v_weight(alpha_bar: torch.Tensor) -> torch.Tensor:
    """Return the weight of the v loss: 1 for noise, decreasing above a signal-to-noise ratio of 5.

    An error e in v is an error of e^2 / (1 + SNR) in x0. The bound prevents the nearly clean steps,
    which are easy and many, from using the network's capacity.
    """
    snr = alpha_bar / (1 - alpha_bar)
    return (snr + 1).clamp(max=SNR_BOUND + 1) / (snr + 1)

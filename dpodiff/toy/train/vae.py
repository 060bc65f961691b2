"""Stage `vae`: 64 x 64 x 3 images to 16 x 16 x 4 latents and back.

It is trained on 32 x 32 crops around the things, since flat background teaches little, and then on
whole images. The loss is the absolute error of values and edges; a squared error would blur icons.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dpodiff.toy.render import render_batch
from dpodiff.toy.train.data import training_scenes
from dpodiff.toy.train.fitting import Recipe, fit

CROP = 32
WHOLE_SHARE = 0.25  # share of the steps, at the end, with whole images
KL_WEIGHT = 5e-4
EDGE_WEIGHT = 0.5


def build_vae():
    """Return an untrained autoencoder without attention, so that training on crops generalizes."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        # Its type annotations allow one level only.
        block_out_channels=(16, 32, 64),  # pyright: ignore[reportArgumentType]
        down_block_types=("DownEncoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType]
        up_block_types=("UpDecoderBlock2D",) * 3,  # pyright: ignore[reportArgumentType]
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
    )


def train_vae(folder: Path, device: str, recipe: Recipe):
    """Train the autoencoder; its scaling factor is 1 / standard deviation of the latents."""
    vae: Any = build_vae()  # diffusers' wrapped `to` hides the type
    vae.to(device)

    def loss(step, rng, generator):
        whole = step >= (1 - WHOLE_SHARE) * recipe.steps
        count = recipe.batch // 4 if whole else recipe.batch
        pictures = render_batch(training_scenes(count, rng), rng)
        images = torch.from_numpy(pictures if whole else _crops(pictures, rng)).to(device)
        return _loss(vae, 2 * images - 1, generator)

    fit("vae", vae, loss, recipe, folder)
    vae.register_to_config(scaling_factor=1 / _spread(vae, device))
    return vae


def _crops(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random crops (B, 3, 32, 32) of images (B, 3, 64, 64), most often of the center."""
    corners = np.clip(rng.normal(16, 10, (len(pictures), 2)), 0, 32).astype(int)
    return np.stack([p[:, y : y + CROP, x : x + CROP] for p, (y, x) in zip(pictures, corners)])


def _loss(vae, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    posterior = vae.encode(images).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(images.device)
    error = vae.decode(posterior.mean + posterior.std * noise).sample - images
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return error.abs().mean() + EDGE_WEIGHT * edges + KL_WEIGHT * kl


@torch.no_grad()
def _spread(vae, device: str) -> float:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(render_batch(training_scenes(256, rng), rng)).to(device)
    return vae.encode(2 * images - 1).latent_dist.mean.std().item()

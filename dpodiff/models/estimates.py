"""Estimated cost of images on a CPU, from the numbers of parameters and steps.

Each parameter of a denoiser is multiplied and added once at each position of its layer: all tokens
of a transformer, the pixels of its resolution in a U-Net. Compared with the operation counts of the
published architectures, the estimate is 0.9 times as much for Stable Diffusion 1.4, 1.0 for SDXL,
0.8 for PixArt-Sigma and 1.9 for Stable Diffusion 3. The speed of the machine is measured.
"""

import functools
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from dpodiff.models.batches import ON_CPU
from dpodiff.models.latent import LatentDiffusion, channels_of

LARGE = 10**8  # parameters of a denoiser whose cost is worth a warning
SEARCH = 160  # images of a default search: 40 evaluations of 4 seeds
SHARE = 0.6  # speed of a U-Net relative to plain matrix products
SIDE = 512  # size of the matrices whose product is timed


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a model.

    Attributes:
        parameters: parameters of the denoiser.
        seconds: time of one image with all steps and both branches of guidance.
        weights: bytes of all networks.
        working: memory of the decoder in bytes, for each image of a batch.
    """

    parameters: int
    seconds: float
    weights: int
    working: int


def estimate(model: LatentDiffusion) -> Estimate:
    """Return the estimated cost of a model on this CPU, with its current settings."""
    networks = (model.denoiser, model.vae, *(encoder.network for encoder in model.text_encoders))
    rows = model.steps * (2 if model.guidance > 1 else 1)
    # The decoder's last block holds three tensors with its number of input channels.
    channels = channels_of(model.vae)[:2][-1]
    return Estimate(
        parameters=_count(model.denoiser),
        seconds=rows * operations(model) / (SHARE * products_a_second(model.dtype)),
        weights=sum(p.nbytes for network in networks for p in network.parameters()),
        working=3 * channels * model.image_size**2 * model.vae.dtype.itemsize,
    )


def operations(model: LatentDiffusion) -> int:
    """Return the multiply-adds of one row of the denoiser, without those of attention scores."""
    return 2 * sum(count * positions for count, positions in _layers(model))


def _layers(model: LatentDiffusion) -> Iterator[tuple[int, int]]:
    """Yield the parameters of each layer, and the positions at which they are used."""
    network = model.denoiser
    if not isinstance(network, UNet2DConditionModel):
        yield _count(network), (model.latent_size // model.patch) ** 2
        return
    levels = list(range(len(network.down_blocks)))
    blocks = [*zip(network.down_blocks, levels), *zip(network.up_blocks, reversed(levels))]
    if network.mid_block is not None:
        blocks.append((network.mid_block, levels[-1]))
    for block, level in blocks:
        yield _count(block), (model.latent_size >> level) ** 2


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@functools.cache
def products_a_second(dtype: torch.dtype) -> float:
    """Measure the multiply-adds per second of a matrix product on this CPU."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        seconds.append(time.perf_counter() - began)
    return 2 * SIDE**3 / min(seconds)


def warn_of_cpu(model: Any) -> None:
    """Warn about the cost of a large model on a CPU.

    Warns:
        UserWarning: if the model is large and on a CPU, with an estimate of time and memory.
    """
    if not isinstance(model, LatentDiffusion) or model.device.type != "cpu":
        return
    cost = estimate(model)
    if cost.parameters < LARGE:
        return
    warnings.warn(
        f"{model.name} is on the CPU, and its denoiser has {cost.parameters / 1e9:.1f} billion "
        f"parameters. Estimated, not measured: an image of {model.steps} steps takes "
        f"{_duration(cost.seconds)}, a search of {SEARCH} images "
        f"{_duration(SEARCH * cost.seconds)}; the weights take {cost.weights / 1e9:.1f} GB, and "
        f"each image of a batch {cost.working / 1e9:.1f} GB (batch_size, {ON_CPU} if not given). "
        "A GPU is faster (device='cuda', or 'mps' on a Mac). Fewer steps (model.steps) and smaller "
        "images (model.image_size) also save time",
        stacklevel=3,
    )


def _duration(seconds: float) -> str:
    """Return a duration in a suitable unit."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {seconds:.0f} seconds" if seconds >= 10 else f"about {seconds:.1g} seconds"

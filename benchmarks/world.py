"""The worlds of the benchmarks: a model, its loss, a space, and the same model in diffusers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import Report
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from random_models import ARCHITECTURES, Architecture, random_clip
from torch import nn
from transformers.utils import logging as transformers_logging

import dpodiff
from dpodiff import Model, Space, SphericalCLIP
from dpodiff.models.latent import LatentDiffusion
from dpodiff.toy.model import FOLDER
from dpodiff.toy.prompts import hard_prompts
from dpodiff.toy.words import NPLIB, toy_lexicon

PROMPT = "a small red plane in the sky"


@dataclass(frozen=True)
class World:
    """Functions that load new parts, so that no text is cached before the timing starts.

    Attributes:
        model, loss: functions that load the model and its loss.
        space: space of candidates.
        stock: the pipeline of diffusers on the device and in the dtype of the model.
        hard: function from a number to spaces of hard prompts; None if none are known.
    """

    model: Callable[[], LatentDiffusion]
    loss: Callable[[], SphericalCLIP]
    space: Space
    stock: Callable[[Model], DiffusionPipeline]
    hard: Callable[[int], list[Space]] | None = None


def on_world(measure: Callable[..., Report]) -> Callable[..., Report]:
    """Return a measurement that takes the name of a world instead of the world."""

    def measure_on(*, world: str, **settings: Any) -> Report:
        return measure(named_world(world), **settings)

    return measure_on


def named_world(name: str) -> World:
    """Return the toy world, or one of `ARCHITECTURES`: "sd-v1-4", or "sd-v1-4 at 1024" pixels."""
    for logging in (diffusers_logging, transformers_logging):  # no progress bars around a table
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    if name == "toy":
        return toy_world()
    architecture, _, pixels = name.partition(" at ")
    return random_world(ARCHITECTURES[architecture], name, int(pixels) if pixels else None)


def toy_world() -> World:
    """Return the toy model with the default space of `dpodiff.improve`."""
    stock = partial(stock_pipeline, FOLDER)
    return World(dpodiff.load, SphericalCLIP, toy_space(), stock, hard=hard_spaces)


def random_world(
    architecture: Architecture,
    name: str,
    pixels: int | None = None,
    loss: Callable[[], SphericalCLIP] = random_clip,
) -> World:
    """Return a real architecture with random weights, with the toy world's space."""
    model = partial(architecture.model, name, pixels)
    return World(model, loss, toy_space(), architecture.stock)


def toy_space(prompt: str = PROMPT) -> Space:
    antonyms = dpodiff.antonym_space(prompt, lexicon=toy_lexicon())
    return antonyms + dpodiff.nplib_space(prompt, words=NPLIB)


def hard_spaces(count: int) -> list[Space]:
    return [toy_space(prompt) for prompt in hard_prompts(count)]


def stock_pipeline(folder: Path, model: Model) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(folder).to(model.device, model.dtype)


def stock_images(
    pipeline: DiffusionPipeline,
    prompts: Sequence[str],
    negative_prompts: Sequence[str],
    seeds: Sequence[int],
    model: Model,
) -> torch.Tensor:
    """Make one batch of images (batch, 3, height, width) in [0, 1], as `Model.generate` does."""
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        list(prompts),
        negative_prompt=list(negative_prompts),
        num_inference_steps=model.steps,
        guidance_scale=model.guidance,
        height=model.image_size,
        width=model.image_size,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
    ).images
    return images.float()


def weight_bytes(model: LatentDiffusion, loss: SphericalCLIP) -> int:
    """Return the size in bytes of the networks of the model and of the loss."""
    texts = [encoder.network for encoder in model.text_encoders]
    networks: list[nn.Module] = [model.denoiser, model.vae, loss.clip, *texts]
    return sum(
        tensor.nbytes
        for network in networks
        for tensor in (*network.parameters(), *network.buffers())
    )

"""What the benchmarks run on: a model, its loss and a space, and the same model in diffusers."""

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
    """Ways to load the parts afresh, so that no text is known before the clock starts.

    Attributes:
        model, loss: load the model, and what judges its images.
        space: of candidates.
        stock: the pipeline of diffusers as its user gets it, where the model runs, in its dtype.
        hard: from a number to as many spaces of hard prompts; None where nothing is known to be.
    """

    model: Callable[[], LatentDiffusion]
    loss: Callable[[], SphericalCLIP]
    space: Space
    stock: Callable[[Model], DiffusionPipeline]
    hard: Callable[[int], list[Space]] | None = None


def on_world(measure: Callable[..., Report]) -> Callable[..., Report]:
    """The same measurement, given the name of a world for the world."""

    def measure_on(*, world: str, **settings: Any) -> Report:
        return measure(named_world(world), **settings)

    return measure_on


def named_world(name: str) -> World:
    """The toy world, or one of `ARCHITECTURES`: "sd-v1-4", or "sd-v1-4 at 1024" pixels a side."""
    for logging in (diffusers_logging, transformers_logging):  # a table needs no bars around it
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    if name == "toy":
        return toy_world()
    architecture, _, pixels = name.partition(" at ")
    return random_world(ARCHITECTURES[architecture], name, int(pixels) if pixels else None)


def toy_world() -> World:
    """The toy model, and the space that `dpodiff.improve` searches by default."""
    stock = partial(stock_pipeline, FOLDER)
    return World(dpodiff.load, SphericalCLIP, toy_space(), stock, hard=hard_spaces)


def random_world(
    architecture: Architecture,
    name: str,
    pixels: int | None = None,
    loss: Callable[[], SphericalCLIP] = random_clip,
) -> World:
    """A real architecture with random weights, and the toy world's space."""
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
    """One batch of images (batch, 3, height, width) in [0, 1], as `Model.generate` makes them."""
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
    """What the networks themselves take, of the model and of the loss."""
    texts = [encoder.network for encoder in model.text_encoders]
    networks: list[nn.Module] = [model.denoiser, model.vae, loss.clip, *texts]
    return sum(
        tensor.nbytes
        for network in networks
        for tensor in (*network.parameters(), *network.buffers())
    )

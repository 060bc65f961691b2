"""What the benchmarks run on: a model, its loss and a space, and the same model in diffusers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

import dpodiff
from dpodiff.models.toy import FOLDER
from dpodiff.toy.words import NPLIB, toy_lexicon

PROMPT = "a small red plane in the sky"


@dataclass(frozen=True)
class World:
    """Ways to load the parts afresh, so that no text is known before the clock starts.

    Attributes:
        model, loss: load the model, and what judges its pictures.
        space: of candidates.
        folder: of the same model, as diffusers saves it.
    """

    model: Callable[[], dpodiff.Model]
    loss: Callable[[], dpodiff.SphericalCLIP]
    space: dpodiff.Space
    folder: Path


def toy_world() -> World:
    """The toy model, and the space that `dpodiff.improve` searches by default."""
    for logging in (diffusers_logging, transformers_logging):  # a table needs no bars around it
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    antonyms = dpodiff.antonym_space(PROMPT, lexicon=toy_lexicon())
    space = antonyms + dpodiff.nplib_space(PROMPT, words=NPLIB)
    return World(dpodiff.load, dpodiff.SphericalCLIP, space, FOLDER)


def stock_pipeline(folder: Path, model: dpodiff.Model) -> StableDiffusionPipeline:
    """The pipeline of diffusers as its user gets it, where `model` runs and in its dtype."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder).to(model.device, model.dtype)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def stock_images(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    negative_prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
) -> torch.Tensor:
    """One batch of images (batch, 3, height, width) in [0, 1], as `Model.generate` makes them."""
    images = pipeline(
        list(prompts),
        negative_prompt=list(negative_prompts),
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
    ).images
    return images.float()

"""Train the toy world from scratch.

python -m dpodiff.toy.train                       # every stage, about five hours on two cores
python -m dpodiff.toy.train --stage diffusion     # one stage; continues after an interruption
python -m dpodiff.toy.train --scale 0.001         # a test run
"""

import argparse
import dataclasses
import json
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from dpodiff.toy import WEIGHTS
from dpodiff.toy.train.fitting import Recipe, averaged

if TYPE_CHECKING:
    from dpodiff.toy.train.recognition import Pool

STAGES = ("tokenizer", "vae", "clip", "diffusion", "small", "judge", "matcher", "prompts", "card")

RECIPES = {
    "vae": Recipe(steps=5500, batch=16, lr=1.5e-3),
    "clip": Recipe(steps=2500, batch=96, weight_decay=0.05),
    "clip-heldout": Recipe(steps=2000, batch=96, weight_decay=0.05, seed=1),
    "judge": Recipe(steps=2400, batch=64, seed=2),
    "matcher": Recipe(steps=3000, batch=24, seed=5),
    "diffusion": Recipe(
        steps=9_700, batch=32, shards=2, ema=0.999, decay_share=0.065, slow="text_encoder"
    ),
    "small": Recipe(
        steps=14_000, batch=32, lr=1.2e-3, ema=0.999, decay_share=0.25, slow="text_encoder", seed=21
    ),
}
# Recipes for further training of existing weights, with --warm.
WARM = {
    "judge": Recipe(steps=1200, batch=64, lr=7e-4, seed=4),
    "matcher": Recipe(steps=2400, batch=32, lr=1.2e-3, seed=8),
    "diffusion": Recipe(
        steps=4_000,
        batch=16,
        shards=2,
        lr=6e-4,
        ema=0.99,
        decay_share=0.09,
        slow="text_encoder",
        seed=3,
    ),
}
POOL, WARM_POOL, SMALL_POOL = 40_000, 24_000, 20_000  # encoded images for the denoisers
SMALL_SEED = 21  # seed of the small denoiser's initial weights and its images
LABELED = 8_000  # images for the judge, and other ones for the matcher
LABELED_SEEDS = {"judge": 11, "matcher": 12}


@dataclasses.dataclass(frozen=True)
class Workshop:
    """The folders and the device of a training run."""

    weights: Path
    runs: Path
    device: str
    scale: float = 1.0
    warm: bool = False

    @property
    def pipeline(self) -> Path:
        return self.weights / "stable-diffusion"

    @property
    def small(self) -> Path:
        return self.weights / "stable-diffusion-small"

    def recipe(self, name: str) -> Recipe:
        recipe = WARM.get(name, RECIPES[name]) if self.warm else RECIPES[name]
        return dataclasses.replace(recipe, steps=max(2, round(self.scale * recipe.steps)))


def tokenizer(shop: Workshop) -> None:
    from dpodiff.toy.train.tokenizer import train_tokenizer

    train_tokenizer(shop.pipeline / "tokenizer")


def vae(shop: Workshop) -> None:
    from dpodiff.toy.train.vae import train_vae

    _save_half(train_vae(shop.runs, shop.device, shop.recipe("vae")), shop.pipeline / "vae")


def clip(shop: Workshop) -> None:
    from dpodiff.toy.train.clip import train_clip

    for name in ("clip", "clip-heldout"):
        recipe = shop.recipe(name)
        source = shop.pipeline / "tokenizer"
        train_clip(name, shop.weights / name, source, shop.runs, shop.device, recipe)


def judge(shop: Workshop) -> None:
    from dpodiff.toy.judge import Judge
    from dpodiff.toy.train.judge import train_judge

    path = shop.weights / "judge.safetensors"
    first = Judge.load(path) if shop.warm else None
    pool = _labeled(shop, "judge")
    train_judge(shop.runs, path, shop.device, shop.recipe("judge"), pool, first)


def matcher(shop: Workshop) -> None:
    from dpodiff.toy.matcher import Matcher
    from dpodiff.toy.train.matcher import train_matcher

    path = shop.weights / "matcher.safetensors"
    first = Matcher.load(path) if shop.warm else None
    pool = _labeled(shop, "matcher")
    train_matcher(shop.runs, path, shop.device, shop.recipe("matcher"), pool, first)


def _labeled(shop: Workshop, name: str) -> "Pool":
    from dpodiff.toy.train.recognition import Denoiser, labeled_pool

    count = max(64, round(shop.scale * LABELED))
    path = shop.runs / f"labeled-{name}.safetensors"
    return labeled_pool(Denoiser(shop.pipeline), count, path, LABELED_SEEDS[name])


def diffusion(shop: Workshop) -> None:
    from diffusers import AutoencoderKL

    from dpodiff.toy.train import diffusion as stage
    from dpodiff.toy.train.tokenizer import load_tokenizer

    autoencoder: Any = AutoencoderKL.from_pretrained(shop.pipeline / "vae")
    autoencoder.to(shop.device)
    count = max(256, round(shop.scale * (WARM_POOL if shop.warm else POOL)))
    pool = stage.latent_pool(autoencoder, count, shop.runs / "latents.safetensors", shop.device)
    unet, text_encoder = _first_weights(shop)
    words = load_tokenizer(shop.pipeline / "tokenizer")
    recipe = shop.recipe("diffusion")
    model = stage.train_diffusion(unet, text_encoder, words, pool, shop.runs, shop.device, recipe)
    save_pipeline(shop.pipeline, model["unet"], model["text_encoder"])


def small(shop: Workshop) -> None:
    """Train a second denoiser on other images, to study transfer between models."""
    from diffusers import AutoencoderKL

    from dpodiff.toy.train import diffusion as stage
    from dpodiff.toy.train.tokenizer import load_tokenizer

    autoencoder: Any = AutoencoderKL.from_pretrained(shop.pipeline / "vae")
    autoencoder.to(shop.device)
    count = max(256, round(shop.scale * SMALL_POOL))
    path = shop.runs / "latents-small.safetensors"
    pool = stage.latent_pool(autoencoder, count, path, shop.device, SMALL_SEED)
    unet, encoder = _first_small_weights(shop)
    words = load_tokenizer(shop.pipeline / "tokenizer")
    model = stage.train_diffusion(
        unet, encoder, words, pool, shop.runs, shop.device, shop.recipe("small"), name="small"
    )
    save_small_pipeline(shop, model["unet"], model["text_encoder"])


def _first_small_weights(shop: Workshop):
    """Return the initial denoiser and text encoder of the second model."""
    from dpodiff.toy.train.diffusion import build_unet, text_encoder_from

    encoder = text_encoder_from(shop.weights / "clip")
    return build_unet(encoder.config.hidden_size, SMALL_SEED, small=True), encoder


def _first_weights(shop: Workshop):
    """Return the initial denoiser and text encoder: new ones, or existing ones with --warm."""
    from dpodiff.toy.train.diffusion import build_unet, text_encoder_from

    if not shop.warm:
        return build_unet(), text_encoder_from(shop.weights / "clip")
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel.from_pretrained(shop.pipeline / "unet")
    return unet, CLIPTextModel.from_pretrained(shop.pipeline / "text_encoder").float()


def save_pipeline(folder: Path, unet, text_encoder) -> None:
    """Write a complete `StableDiffusionPipeline` folder."""
    from dpodiff.toy.train.diffusion import build_scheduler

    _save_half(unet, folder / "unet")
    _save_half(text_encoder, folder / "text_encoder")
    build_scheduler().save_pretrained(folder / "scheduler")
    parts = {
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
    }
    index = {"_class_name": "StableDiffusionPipeline", **parts, "requires_safety_checker": False}
    (folder / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")


def save_small_pipeline(shop: Workshop, unet, text_encoder) -> None:
    """Write the folder of the second model, with copies of the tokenizer and the autoencoder."""
    for part in ("tokenizer", "vae"):
        shutil.copytree(shop.pipeline / part, shop.small / part, dirs_exist_ok=True)
    save_pipeline(shop.small, unet, text_encoder)


def export_unfinished(shop: Workshop, stage: str) -> None:
    """Write the averaged weights of an unfinished training run of a denoiser, to inspect them.

    Args:
        shop: folders of the run.
        stage: "diffusion" or "small".
    """
    if stage == "small":
        first, save = _first_small_weights(shop), partial(save_small_pipeline, shop)
    else:
        first = _first_weights(dataclasses.replace(shop, warm=False))
        save = partial(save_pipeline, shop.pipeline)
    model = torch.nn.ModuleDict(dict(zip(("unet", "text_encoder"), first, strict=True)))
    model.load_state_dict(averaged(shop.runs / f"{stage}.safetensors"))
    save(model["unet"], model["text_encoder"])


def prompts(shop: Workshop) -> None:
    from dpodiff import load
    from dpodiff.toy.matcher import load_matcher
    from dpodiff.toy.train.prompts import write_prompt_sets

    write_prompt_sets(load("toy", shop.device), load_matcher(shop.device))


def card(shop: Workshop) -> None:
    from dpodiff.toy.train.card import write_card

    write_card(shop.weights, shop.device)


def _save_half(module, folder: Path) -> None:
    """Call `save_pretrained` with weights as fp16 and without paths of this machine."""
    module.save_pretrained(folder)
    config = folder / "config.json"
    settings = json.loads(config.read_text())
    settings.pop("_name_or_path", None)  # path of the initial weights
    config.write_text(json.dumps(settings, indent=2) + "\n")
    for path in folder.glob("*.safetensors"):
        half = {k: v.half().contiguous() for k, v in load_file(path).items()}
        save_file(half, path, metadata={"format": "pt"})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stage", choices=STAGES, help="only this stage; default: all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--runs", type=Path, default=Path("runs/toy"), help="checkpoints and logs")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all numbers of steps")
    parser.add_argument(
        "--export",
        choices=("diffusion", "small"),
        help="write the weights of this unfinished stage",
    )
    parser.add_argument(
        "--warm",
        action="store_true",
        help="continue from the existing weights",
    )
    options = parser.parse_args(arguments)
    shop = Workshop(options.out, options.runs, options.device, options.scale, options.warm)
    if options.export:
        return export_unfinished(shop, options.export)
    for stage in [options.stage] if options.stage else STAGES:
        start = time.monotonic()
        globals()[stage](shop)
        print(f"{stage}: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()

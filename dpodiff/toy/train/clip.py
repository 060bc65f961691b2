"""Stage `clip`: two contrastive models of images and captions, in open_clip's format.

A batch consists of families: a scene and twins of it with one attribute changed, which is the
object in half of the families. Random batches can be distinguished by colors and backgrounds, and
teach no shapes. For the same reason every image is also matched with captions that only name an
object.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from dpodiff.toy.captions import STYLES, caption, stated, training_caption
from dpodiff.toy.render import render_batch
from dpodiff.toy.scenes import (
    BACKGROUNDS,
    COLORS,
    DEFECTS,
    OBJECTS,
    RELATIONS,
    SIZES,
    Scene,
    Thing,
    pick,
)
from dpodiff.toy.train.data import held_out, training_scenes
from dpodiff.toy.train.fitting import Recipe, fit
from dpodiff.toy.train.tokenizer import LENGTH

# Small ResNets, which learn shapes from few images. The held-out one has other widths and depths.
VISION = {
    "clip": {"layers": [1, 1, 1, 1], "width": 24, "image_size": 64, "head_width": 64},
    "clip-heldout": {"layers": [1, 2, 1, 1], "width": 16, "image_size": 64, "head_width": 64},
}
TEXT = {
    "clip": {"width": 128, "heads": 4, "layers": 4},
    "clip-heldout": {"width": 96, "heads": 3, "layers": 3},
}
TWINS = 3  # twins of each scene
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")


def write_config(name: str, folder: Path, tokenizer: Path) -> None:
    """Write a `local-dir:` model folder of open_clip without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in TOKENIZER_FILES:
        shutil.copy(tokenizer / file, folder / file)
    size = len(json.loads((tokenizer / "vocab.json").read_text()))
    text = {"context_length": LENGTH, "vocab_size": size, "hf_tokenizer_name": "clip"}
    config = {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": VISION[name],
            "text_cfg": text | TEXT[name],
        },
        "preprocess_cfg": {
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")


def train_clip(name: str, out: Path, tokenizer: Path, folder: Path, device: str, recipe: Recipe):
    """Train one CLIP and write it to `out` as fp16 safetensors."""
    import open_clip

    write_config(name, out, tokenizer)
    torch.manual_seed(recipe.seed)  # open_clip initializes weights with the global generator
    model: Any = open_clip.create_model(f"local-dir:{out}", load_weights=False).to(device)
    tokenize = open_clip.get_tokenizer(f"local-dir:{out}")

    def loss(step, rng, generator):
        scenes = with_twins(training_scenes(recipe.batch // (1 + TWINS), rng), rng)
        texts = [_described(scene, rng) for scene in scenes]
        images = torch.from_numpy(render_batch(scenes, rng))
        images = (2 * augment(images, generator) - 1).to(device)
        image = model.encode_image(images, normalize=True)
        names = [caption(Scene((Thing(name),)), pick(rng, STYLES), rng) for name in OBJECTS]
        shown = torch.tensor([[_share(scene, name) for name in OBJECTS] for scene in scenes])
        described = _contrastive(model, image, tokenize(texts).to(device))
        return described + _named(model, image, tokenize(names).to(device), shown.to(device))

    fit(name, model, loss, recipe, folder)
    save_clip(model.state_dict(), out)


def save_clip(state: dict[str, torch.Tensor], out: Path) -> None:
    """Write a CLIP's weights as fp16 in open_clip's layout."""
    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    save_file(half, out / "open_clip_model.safetensors")


def with_twins(scenes: list[Scene], rng: np.random.Generator, count: int = TWINS) -> list[Scene]:
    """Return the scenes, and up to `count` twins of each that differ in the same attribute.

    Twins that are held out or already present are left out.
    """
    twins = []
    for scene in scenes:
        kind = _kind(scene, rng)
        family = dict.fromkeys(_twin(scene, kind, rng) for _ in range(count))
        twins += [twin for twin in family if twin != scene and not held_out(twin)]
    return scenes + twins


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Augment images (B, 3, H, W) in [0, 1] with mild noise, blur and brightness, like decoders."""
    draw = torch.rand(3, len(images), 1, 1, 1, generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    soft = torch.nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    images = images + 0.6 * draw[0] * (soft - images)
    return (images * (0.9 + 0.2 * draw[1]) + 0.05 * draw[2] * noise).clamp(0, 1)


def _described(scene: Scene, rng: np.random.Generator) -> str:
    """Return a full caption in most cases, else one of the diffusion model's other kinds."""
    if rng.random() < 0.2:
        return training_caption(scene, rng) or "image"
    return caption(stated(scene, rng), STYLES[int(rng.integers(3))], rng)


def _kind(scene: Scene, rng: np.random.Generator) -> str:
    """Return the attribute in which the twins of a scene differ."""
    if rng.random() < 0.5:
        return "object"
    kinds = ["color", "size", "background", "defect"]
    if len(scene.things) > 1:
        kinds += ["pair"] * 3
    return kinds[int(rng.integers(len(kinds)))]


def _twin(scene: Scene, kind: str, rng: np.random.Generator) -> Scene:
    def other(options, value):
        rest = [option for option in options if option != value]
        return rest[int(rng.integers(len(rest)))]

    if kind == "background":
        return dataclasses.replace(scene, background=other(BACKGROUNDS, scene.background))
    if kind == "defect":
        return dataclasses.replace(scene, defect=other((None, *DEFECTS), scene.defect))
    if kind == "pair":
        if rng.random() < 0.5:
            return dataclasses.replace(scene, relation=other(RELATIONS, scene.relation))
        return dataclasses.replace(scene, things=scene.things[::-1])
    options = {"object": OBJECTS, "color": COLORS, "size": SIZES}[kind]
    things = list(scene.things)
    which = int(rng.integers(len(things)))
    changed = other(options, getattr(things[which], kind))
    things[which] = dataclasses.replace(things[which], **{kind: changed})
    return dataclasses.replace(scene, things=tuple(things))


def _share(scene: Scene, name: str) -> float:
    """Return the share of a scene's things that are this object: 0, 0.5 or 1."""
    return sum(thing.object == name for thing in scene.things) / len(scene.things)


def _named(model, image: torch.Tensor, tokens: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of CLIP's choice among the named objects for each image."""
    text = model.encode_text(tokens, normalize=True)
    logits = model.logit_scale.clamp(max=4.6).exp() * image @ text.T
    return torch.nn.functional.cross_entropy(logits, shown)


def _contrastive(model, image: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the loss of CLIP (Radford et al., 2021) on unit vectors of images and captions."""
    text = model.encode_text(tokens, normalize=True)
    logits = model.logit_scale.clamp(max=4.6).exp() * image @ text.T
    # Equal captions are the same target.
    same = (tokens[:, None] == tokens[None]).all(-1).float()
    target = same / same.sum(1, keepdim=True)
    cross = torch.nn.functional.cross_entropy
    return (cross(logits, target) + cross(logits.T, target)) / 2

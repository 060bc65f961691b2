"""Stage `judge`: the recognizer is trained on renders, and on images processed by a denoiser.

It is trained on all combinations, including held-out scenes, since it must judge them. There are
also images without things, and shapeless blobs in the palette's colors, which it must not take for
things. A part of each batch are new renders, the rest comes from a pool of distorted, duplicated,
decoded and partly denoised images.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from dpodiff.toy.icons import PALETTE
from dpodiff.toy.judge import Judge, Reading
from dpodiff.toy.render import PLACES, SIZE
from dpodiff.toy.scenes import BACKGROUNDS, COLORS, DEFECTS, OBJECTS, SIZES, pick, random_scene
from dpodiff.toy.train.clip import augment
from dpodiff.toy.train.corrupted import Shown
from dpodiff.toy.train.fitting import Recipe, fit
from dpodiff.toy.train.recognition import Pool, partly_defective

EMPTY_SHARE, BLOB_SHARE = 0.08, 0.15
POOL_SHARE = 0.6  # share of a batch
UNSAID = -100  # label of an attribute that is not visible


def train_judge(
    folder: Path,
    out: Path,
    device: str,
    recipe: Recipe,
    pool: Pool,
    first: Judge | None = None,
) -> Judge:
    """Train the judge, from `first` if given, and write it to `out` as fp16 safetensors."""
    torch.manual_seed(recipe.seed)
    judge = (first or Judge()).requires_grad_(True).to(device)
    old = round(POOL_SHARE * recipe.batch)

    def loss(step, rng, generator):
        index = rng.integers(len(pool.shown), size=old)
        fresh = [_drawn(rng) for _ in range(recipe.batch - old)]
        painted = torch.from_numpy(np.stack([image for image, _ in fresh])).permute(0, 3, 1, 2)
        images = torch.cat([pool.images[index].float() / 255, painted])
        shown = [pool.shown[i] for i in index] + [label for _, label in fresh]
        return judge_loss(judge(augment(images, generator).to(device)), shown)

    fit("judge", judge, loss, recipe, folder)
    save_file({k: v.half().contiguous() for k, v in judge.state_dict().items()}, out)
    return judge


def judge_loss(reading: Reading, shown: list[Shown]) -> torch.Tensor:
    """Return the sum of the losses of all visible attributes."""
    device = reading.present.device
    present = torch.zeros(reading.present.shape)
    color = torch.full(reading.present.shape, UNSAID)
    size = torch.full(reading.present.shape, UNSAID)
    place = torch.full(reading.place.shape, float("nan"))
    for i, (scene, things, placed) in enumerate(shown):
        centers = PLACES[scene.relation] if scene.relation else ((32, 33),)
        for thing, center in zip(things, centers):
            if thing is None:
                continue
            k = OBJECTS.index(thing.object)
            present[i, k] = 1
            size[i, k] = SIZES.index(thing.size)
            if scene.defect != "monochrome":
                color[i, k] = COLORS.index(thing.color)
            if placed:
                place[i, k] = torch.tensor(center) / SIZE
    background = torch.tensor([BACKGROUNDS.index(label.scene.background) for label in shown])
    defect = torch.tensor([(None, *DEFECTS).index(label.scene.defect) for label in shown])
    known = ~place.isnan()
    return (
        3 * F.binary_cross_entropy_with_logits(reading.present, present.to(device))
        + _cross(reading.color, color)
        + 0.3 * _cross(reading.size, size)
        + 3 * _mean((reading.place[known.to(device)] - place[known].to(device)).abs())
        + 0.5 * _cross(reading.background, background)
        + _cross(reading.defect, defect)
    )


def _cross(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    said = labels != UNSAID
    return _mean(
        F.cross_entropy(
            logits[said.to(logits.device)], labels[said].to(logits.device), reduction="none"
        )
    )


def _mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean; zero for an empty tensor."""
    return values.sum() / max(1, values.numel())


def _drawn(rng: np.random.Generator) -> tuple[np.ndarray, Shown]:
    """Return a new render (64, 64, 3), sometimes empty or with a blob, and its content."""
    scene = random_scene(rng, pair_share=0.6)
    if rng.random() < EMPTY_SHARE:
        scene = dataclasses.replace(scene, things=(), relation=None)
    image = partly_defective(scene, rng)
    if rng.random() < BLOB_SHARE:
        _paint_blob(image, rng)
    return image, Shown(scene, scene.things, scene.defect not in ("cropped", "duplicate"))


def _paint_blob(image: np.ndarray, rng: np.random.Generator) -> None:
    """Paint an irregular blob on an image (64, 64, 3), in place."""
    y, x = np.mgrid[:SIZE, :SIZE]
    center, radius = rng.integers(6, SIZE - 6, 2), rng.uniform(3, 9)
    angle = np.arctan2(y - center[1], x - center[0])
    wobble = 1 + 0.35 * np.sin(rng.integers(2, 4) * angle + rng.uniform(0, 6))
    inside = np.hypot(x - center[0], y - center[1]) < radius * wobble
    image[inside] = np.array(PALETTE[pick(rng, COLORS)], np.float32) / 255

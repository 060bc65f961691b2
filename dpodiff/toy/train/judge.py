"""Stage `judge`: the recognizer learns from renders with augmentation.

It sees every combination (held-out scenes too, for it must judge them), images without a thing,
and shapeless blobs in the palette's colors, which it must not take for a thing. Since generated
images show defects in part (one more copy and not two, faint bands), half of the defects are so.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from dpodiff.toy.icons import PALETTE
from dpodiff.toy.judge import Judge, Reading
from dpodiff.toy.render import PLACES, SIZE, render
from dpodiff.toy.scenes import BACKGROUNDS, COLORS, DEFECTS, OBJECTS, SIZES, Scene, random_scene
from dpodiff.toy.train.clip import augment
from dpodiff.toy.train.fitting import Recipe, fit

EMPTY_SHARE, BLOB_SHARE = 0.08, 0.15
PARTIAL_SHARE = 0.5  # of the defects
UNSAID = -100  # label of what does not show


def train_judge(
    folder: Path, out: Path, device: str, recipe: Recipe, first: Judge | None = None
) -> Judge:
    """Train the judge, from `first` if given, and write it to `out` as fp16 safetensors."""
    torch.manual_seed(recipe.seed)
    judge = (first or Judge()).requires_grad_(True).to(device)

    def loss(step, rng, generator):
        scenes = [_scene(rng) for _ in range(recipe.batch)]
        pictures = _with_blobs(partly_defective(scenes, rng), rng)
        images = augment(torch.from_numpy(pictures), generator).to(device)
        return judge_loss(judge(images), scenes)

    fit("judge", judge, loss, recipe, folder)
    save_file({k: v.half().contiguous() for k, v in judge.state_dict().items()}, out)
    return judge


def judge_loss(reading: Reading, scenes: list[Scene]) -> torch.Tensor:
    """Sum of the losses of all attributes that show on the images."""
    device = reading.present.device
    present = torch.zeros(reading.present.shape)
    color = torch.full(reading.present.shape, UNSAID)
    size = torch.full(reading.present.shape, UNSAID)
    place = torch.full(reading.place.shape, float("nan"))
    for i, scene in enumerate(scenes):
        centers = PLACES[scene.relation] if scene.relation else ((32, 33),)
        for thing, center in zip(scene.things, centers):
            k = OBJECTS.index(thing.object)
            present[i, k] = 1
            size[i, k] = SIZES.index(thing.size)
            if scene.defect != "monochrome":
                color[i, k] = COLORS.index(thing.color)
            if scene.defect not in ("cropped", "duplicate"):
                place[i, k] = torch.tensor(center) / SIZE
    background = torch.tensor([BACKGROUNDS.index(s.background) for s in scenes])
    defect = torch.tensor([(None, *DEFECTS).index(s.defect) for s in scenes])
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
    """The mean; zero where a batch shows nothing of the kind."""
    return values.sum() / max(1, values.numel())


def partly_defective(scenes: list[Scene], rng: np.random.Generator) -> np.ndarray:
    """The images of `render_batch`, with some of the defects weaker, or on one side only."""
    pictures = []
    for scene in scenes:
        seed = int(rng.integers(2**32))
        picture = render(scene, np.random.default_rng(seed))
        if scene.defect not in (None, "cropped") and rng.random() < PARTIAL_SHARE:
            clean = render(scene.without_defect(), np.random.default_rng(seed))
            picture = clean + _part(scene.defect, rng) * (picture - clean)
        pictures.append(picture)
    return np.stack(pictures).transpose(0, 3, 1, 2).copy()


def _part(defect: str, rng: np.random.Generator) -> np.ndarray:
    """How much of a defect each pixel shows, (64, 64, 1) float32."""
    part = np.full((SIZE, SIZE, 1), rng.uniform(0.5, 1), np.float32)
    if defect == "duplicate":  # the copies stand up left and down right
        y, x = np.mgrid[:SIZE, :SIZE]
        side = x + y < SIZE if rng.random() < 0.5 else x + y >= SIZE
        part *= side[..., None]
    return part


def _scene(rng: np.random.Generator) -> Scene:
    scene = random_scene(rng, pair_share=0.6)
    if rng.random() < EMPTY_SHARE:
        return dataclasses.replace(scene, things=(), relation=None)
    return scene


def _with_blobs(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paint a wobbly blob on some images."""
    y, x = np.mgrid[:SIZE, :SIZE]
    for picture in pictures:
        if rng.random() >= BLOB_SHARE:
            continue
        center, radius = rng.integers(6, SIZE - 6, 2), rng.uniform(3, 9)
        angle = np.arctan2(y - center[1], x - center[0])
        wobble = 1 + 0.35 * np.sin(rng.integers(2, 4) * angle + rng.uniform(0, 6))
        inside = np.hypot(x - center[0], y - center[1]) < radius * wobble
        color = PALETTE[COLORS[int(rng.integers(len(COLORS)))]]
        picture[:, inside] = np.array(color, np.float32)[:, None] / 255
    return pictures

"""Images with the typical errors of a denoiser: distorted things, and partial copies.

Renders are cleaner than generated images. A recognizer that is trained on renders only accepts
distorted and duplicated things. `corrupted` changes things before they are rendered, and returns
what is still recognizable.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from dpodiff.toy.render import SIZE, VARIANTS, background, over, thing_layers
from dpodiff.toy.scenes import OBJECTS, Scene, Thing, pick

# Changes to the image of a clean scene, with their shares.
SHARES = {"melt": 0.15, "mix": 0.10, "tear": 0.10, "copy": 0.30, "bend": 0.20, "keep": 0.15}
STRONG, MILD = 0.22, 0.03  # standard deviation of a displacement, relative to the thing's side


class Shown(NamedTuple):
    """The recognizable content of an image.

    `things` has one entry per rendered thing, None if it cannot be recognized.
    """

    scene: Scene
    things: tuple[Thing | None, ...]
    placed: bool  # whether things are placed as the relation says


def corrupted(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Shown]:
    """Return an image (64, 64, 3) of a scene with typical errors of denoisers, and its content."""
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    layers = thing_layers(scene, rng)
    victim = int(rng.integers(len(layers)))
    extra: list[np.ndarray] = []
    if kind == "melt":
        layers[victim] = warped(layers[victim], STRONG * rng.uniform(0.8, 1.5), rng)
    elif kind == "mix":
        layers[victim] = _mixed(scene, victim, layers[victim], rng)
    elif kind == "tear":
        layers[victim] = _torn(layers[victim], rng.uniform(0.15, 0.4), rng)
    elif kind == "copy":
        extra = [_copy(layers[victim], rng) for _ in range(1 + int(rng.random() < 0.4))]
    if kind != "keep":
        layers = [warped(layer, MILD * rng.uniform(0, 1.5), rng) for layer in layers]
    canvas = background(str(scene.background), int(rng.integers(VARIANTS)))
    for layer in (*extra, *layers):
        canvas = over(canvas, layer)
    return np.clip(canvas, 0, 1).astype(np.float32), _shown(scene, kind, victim)


def _shown(scene: Scene, kind: str, victim: int) -> Shown:
    lost = kind in ("melt", "mix", "tear")
    things = tuple(None if lost and i == victim else thing for i, thing in enumerate(scene.things))
    defect = "duplicate" if kind == "copy" else None
    return Shown(dataclasses.replace(scene, defect=defect), things, kind != "copy")


def warped(layer: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return a layer (64, 64, 4) distorted by a smooth random field of `strength` sides."""
    side = _side(layer)
    cells = int(np.clip(round(2.5 * SIZE / side), 3, 12))
    field = torch.from_numpy(rng.normal(0, 1, (1, 2, cells, cells)).astype(np.float32))
    field = F.interpolate(field, (SIZE, SIZE), mode="bicubic", align_corners=True)
    shift = field[0].permute(1, 2, 0) * (2 * strength * side / SIZE)
    axis = (torch.arange(SIZE) + 0.5) * 2 / SIZE - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y], -1) + shift
    pixels = torch.from_numpy(layer).permute(2, 0, 1)[None]
    moved = F.grid_sample(pixels, grid[None], mode="bilinear", align_corners=False)
    return moved[0].permute(1, 2, 0).numpy()


def _side(layer: np.ndarray) -> int:
    """Return the larger side of a layer's thing in pixels, at least 1."""
    cover = layer[..., 3] > 0.5
    return max(1, int(cover.any(0).sum()), int(cover.any(1).sum()))


def _mixed(scene: Scene, victim: int, layer: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return half of a thing and half of another, cut along a line or blended."""
    thing = scene.things[victim]
    others = [name for name in OBJECTS if name != thing.object]
    other = dataclasses.replace(thing, object=pick(rng, others))
    alone = Scene((other,), background=scene.background)
    second = thing_layers(alone, rng)[0]
    second = _moved(_scaled(second, _side(layer)), _center(layer))
    if rng.random() < 0.5:
        return 0.5 * layer + 0.5 * second
    half = _half_plane(layer, 0.5, rng)
    return half * layer + (1 - half) * second


def _torn(layer: np.ndarray, kept: float, rng: np.random.Generator) -> np.ndarray:
    """Return a part of a thing, cut off along a soft line."""
    return warped(layer * _half_plane(layer, kept, rng), MILD, rng)


def _copy(layer: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a copy of a thing at another place, whole or a part, distorted and sometimes faded."""
    if rng.random() < 0.6:
        layer = _half_plane(layer, rng.uniform(0.3, 0.8), rng) * layer
    layer = warped(layer, rng.uniform(0, STRONG), rng) * rng.uniform(0.6, 1)
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(14, 30)
    dx, dy = (round(distance * float(f(angle))) for f in (np.cos, np.sin))
    return _shifted(layer, dx, dy)


def _half_plane(layer: np.ndarray, kept: float, rng: np.random.Generator) -> np.ndarray:
    """Return a soft mask (64, 64, 1) that keeps a share of a layer's coverage, on a random side."""
    y, x = np.mgrid[:SIZE, :SIZE]
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    inside = along[layer[..., 3] > 0.5]
    edge = np.quantile(inside, kept) if inside.size else 0.0
    return (1 / (1 + np.exp(along - edge)))[..., None].astype(np.float32)


def _center(layer: np.ndarray) -> tuple[float, float]:
    y, x = np.nonzero(layer[..., 3] > 0.5)
    return (float(x.mean()), float(y.mean())) if x.size else (SIZE / 2, SIZE / 2)


def _scaled(layer: np.ndarray, side: int) -> np.ndarray:
    """Return a layer whose centered thing is resized to `side` pixels."""
    factor = _side(layer) / max(1, side)
    axis = ((torch.arange(SIZE) + 0.5) * 2 / SIZE - 1) * factor
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pixels = torch.from_numpy(layer).permute(2, 0, 1)[None]
    resized = F.grid_sample(pixels, torch.stack([x, y], -1)[None], align_corners=False)
    return resized[0].permute(1, 2, 0).numpy()


def _moved(layer: np.ndarray, center: tuple[float, float]) -> np.ndarray:
    x, y = _center(layer)
    return _shifted(layer, round(center[0] - x), round(center[1] - y))


def _shifted(layer: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Return a layer shifted by whole pixels; parts outside the frame are lost."""
    moved = np.zeros_like(layer)
    here = np.s_[max(dy, 0) : SIZE + min(dy, 0), max(dx, 0) : SIZE + min(dx, 0)]
    there = np.s_[max(-dy, 0) : SIZE + min(-dy, 0), max(-dx, 0) : SIZE + min(-dx, 0)]
    moved[here] = layer[there]
    return moved

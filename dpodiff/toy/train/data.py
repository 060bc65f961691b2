"""Scenes for training, and held-out scenes."""

import dataclasses
import zlib

import numpy as np

from dpodiff.toy.scenes import Scene, random_scene

HELD_OUT_SHARE = 10  # one scene in ten is held out
MIRRORED = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def held_out(scene: Scene) -> bool:
    """Return whether this combination of objects, colors, relation and background is held out.

    Sizes and defects are ignored, so that no variant of a held-out prompt is used in training.
    """
    things = [(t.object, t.color) for t in scene.things]
    key = repr((things, scene.relation, scene.background))
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def unseen(scene: Scene) -> bool:
    """Return whether training has no wording of the image: neither "A above B" nor "B below A"."""
    if len(scene.things) < 2 or scene.relation is None:
        return held_out(scene)
    other = MIRRORED[scene.relation]
    mirror = dataclasses.replace(scene, things=scene.things[::-1], relation=other)
    return held_out(scene) and held_out(mirror)


def training_scenes(count: int, rng: np.random.Generator, **shares: float | bool) -> list[Scene]:
    """Return random scenes that are not held out; `shares` are passed to `random_scene`."""
    return _draw(count, rng, lambda scene: not held_out(scene), shares)


def held_out_scenes(count: int, rng: np.random.Generator, **shares: float | bool) -> list[Scene]:
    """Return random scenes that are not in training; `shares` are passed to `random_scene`."""
    return _draw(count, rng, unseen, shares)


def _draw(count: int, rng: np.random.Generator, wanted, shares: dict) -> list[Scene]:
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = random_scene(rng, **shares)
        if wanted(scene):
            scenes.append(scene)
    return scenes

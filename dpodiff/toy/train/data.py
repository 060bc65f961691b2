"""Scenes for training, and those kept out of it."""

import zlib

import numpy as np

from dpodiff.toy.scenes import Scene, random_scene

HELD_OUT_SHARE = 10  # one scene in ten is kept for the prompt sets


def held_out(scene: Scene) -> bool:
    """Whether this combination of objects, colours, relation and background is never trained on.

    Sizes and defects do not count, so that no variant of a held-out prompt is seen in training.
    """
    things = [(t.object, t.colour) for t in scene.things]
    key = repr((things, scene.relation, scene.background))
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def training_scenes(count: int, rng: np.random.Generator, **shares: float) -> list[Scene]:
    """Random scenes, none of them held out; `shares` go to `random_scene`."""
    return _draw(count, rng, False, shares)


def held_out_scenes(count: int, rng: np.random.Generator, **shares: float) -> list[Scene]:
    """Random scenes, all of them held out; `shares` go to `random_scene`."""
    return _draw(count, rng, True, shares)


def _draw(count: int, rng: np.random.Generator, out: bool, shares: dict) -> list[Scene]:
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = random_scene(rng, **shares)
        if held_out(scene) is out:
            scenes.append(scene)
    return scenes

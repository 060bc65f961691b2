"""Scenes: the content of an image as data.

A `Scene` has one or two things, a background, and possibly a defect. It also represents what a
caption *states*; then any field may be None, if the caption does not state it.
"""

import dataclasses

import numpy as np

from dpodiff.checks import check_kind, check_share, check_switch
from dpodiff.toy.words import CONCEPTS

OBJECTS = tuple(CONCEPTS["object"])
COLORS = tuple(CONCEPTS["color"])
SIZES = tuple(CONCEPTS["size"])
BACKGROUNDS = tuple(CONCEPTS["background"])
RELATIONS = tuple(CONCEPTS["relation"])
DEFECTS = tuple(CONCEPTS["defect"])

# Typical defects of a background, as photographs at night are dark, and the share of the denoiser's
# training images with this background that have it, stated or not. So images of prompts without a
# defect word have defects, and the helpful negative prompt depends on the prompt. These defects
# keep colors and shapes visible: guidance removes the others.
TYPICAL_DEFECTS = {
    "night": ("dark", 0.6),
    "sea": ("watermark", 0.65),
    "desert": ("duplicate", 0.5),
    "room": ("cropped", 0.55),
    "snow": ("grainy", 0.75),
}

DEFECT_SHARE = 0.3  # share of the training images with a defect, as in web data
PAIR_SHARE = 0.5  # share of the scenes with two things


@dataclasses.dataclass(frozen=True)
class Thing:
    """One object with its color and size; None if a caption does not state it.

    Examples:
        >>> from dpodiff.toy.scenes import Thing
        >>> Thing("ball", "red")
        Thing(object='ball', color='red', size=None)
    """

    object: str | None = None
    color: str | None = None
    size: str | None = None


@dataclasses.dataclass(frozen=True)
class Scene:
    """One or two things (the first stands in `relation` to the second), background and defect.

    Examples:
        >>> from dpodiff.toy.scenes import Scene, Thing
        >>> scene = Scene((Thing("ball", "red"), Thing("cup")), "left of", "sea", "blurry")
        >>> scene.without_defect().defect is None
        True
    """

    things: tuple[Thing, ...] = ()
    relation: str | None = None
    background: str | None = None
    defect: str | None = None

    def without_defect(self) -> "Scene":
        """Return the same scene without a defect."""
        return dataclasses.replace(self, defect=None)


def random_thing(rng: np.random.Generator, other: Thing | None = None) -> Thing:
    """Return a random thing; object and color differ from `other`, so captions are unambiguous."""
    objects = [o for o in OBJECTS if other is None or o != other.object]
    colors = [c for c in COLORS if other is None or c != other.color]
    return Thing(pick(rng, objects), pick(rng, colors), pick(rng, SIZES))


def random_scene(
    rng: np.random.Generator,
    pair_share: float = PAIR_SHARE,
    defect_share: float = DEFECT_SHARE,
    typical: bool = False,
) -> Scene:
    """Return a scene of the training distribution.

    Args:
        rng: random generator.
        pair_share: probability of two things.
        defect_share: probability of a defect; all defects are equally likely.
        typical: whether a background has its typical defect with its own probability.

    Raises:
        ValueError: if an argument is invalid.

    Examples:
        >>> from dpodiff.toy.scenes import random_scene
        >>> scene = random_scene(np.random.default_rng(0), pair_share=0.0)
        >>> len(scene.things), scene.relation
        (1, None)
    """
    check_kind("rng", rng, np.random.Generator, "a numpy.random.Generator")
    check_share("pair_share", pair_share)
    check_share("defect_share", defect_share)
    check_switch("typical", typical)
    first = random_thing(rng)
    pair = rng.random() < pair_share
    things = (first, random_thing(rng, first)) if pair else (first,)
    relation = pick(rng, RELATIONS) if pair else None
    background = pick(rng, BACKGROUNDS)
    defect = pick(rng, DEFECTS) if rng.random() < defect_share else None
    if typical and background in TYPICAL_DEFECTS:
        usual, share = TYPICAL_DEFECTS[background]
        defect = usual if rng.random() < share else defect
    return Scene(things=things, relation=relation, background=background, defect=defect)


def pick(rng: np.random.Generator, options):
    """Return one of a sequence of equally likely options."""
    return options[int(rng.integers(len(options)))]

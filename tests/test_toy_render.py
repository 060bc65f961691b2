import dataclasses
import itertools

import numpy as np
import pytest

from dpodiff.toy.icons import ICONS, PALETTE, icon
from dpodiff.toy.render import VARIANTS, background, render, render_batch
from dpodiff.toy.scenes import (
    BACKGROUNDS,
    COLORS,
    DEFECTS,
    OBJECTS,
    RELATIONS,
    SIZES,
    Scene,
    Thing,
    random_scene,
)

PAIR = Scene((Thing("ball", "red", "large"), Thing("fish", "blue", "large")), "left of", "meadow")


def draw(scene, seed=0):
    return render(scene, np.random.default_rng(seed))


def difference(one, other):
    return np.abs(one - other).mean()


def near(image, color):
    """Where an image (..., 3) has a color of the palette, almost."""
    return np.abs(image - np.array(PALETTE[color]) / 255).max(-1) < 0.06


def changed(scene, seed=0):
    """Where things stand: what differs from the empty background."""
    empty = draw(dataclasses.replace(scene, things=(), relation=None), seed)
    return np.abs(draw(scene, seed) - empty).max(-1) > 0.1


def test_images_are_64_pixels_of_float32_between_0_and_1():
    rng = np.random.default_rng(0)
    images = render_batch([random_scene(rng, defect_share=0.9) for _ in range(40)], rng)
    assert images.shape == (40, 3, 64, 64)
    assert images.dtype == np.float32
    assert images.flags.c_contiguous
    assert images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_a_seed_decides_the_image(defect):
    scene = dataclasses.replace(PAIR, defect=defect)
    np.testing.assert_array_equal(draw(scene, 1), draw(scene, 1))
    assert difference(draw(scene, 1), draw(scene, 2)) > 0


def test_drawing_leaves_the_paintings_as_they_are():
    before = background("sky", 0).copy()
    for seed in range(12):
        draw(dataclasses.replace(PAIR, background="sky", defect="dark"), seed)
    np.testing.assert_array_equal(background("sky", 0), before)


def test_every_object_and_color_has_its_drawing():
    assert tuple(ICONS) == OBJECTS
    assert tuple(PALETTE) == COLORS


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_show_their_color(name):
    for color, (size, least) in itertools.product(COLORS, (("small", 20), ("large", 100))):
        scene = Scene((Thing(name, color, size),), background="night")
        pixels = near(draw(scene), color) & changed(scene)
        assert pixels.sum() >= least, (color, size)


def test_objects_have_different_outlines():
    covers = {name: icon(name, "red", 28)[1] for name in OBJECTS}
    for one, other in itertools.combinations(OBJECTS, 2):
        assert difference(covers[one], covers[other]) > 0.05, (one, other)


def test_colors_are_premultiplied_by_their_coverage():
    color, cover = icon("star", "white", 24)
    assert color.shape == (24, 24, 3) and cover.shape == (24, 24, 1)
    assert (color <= cover + 1e-6).all()


def test_large_things_are_larger():
    areas = {}
    for things, size in itertools.product((1, 2), SIZES):
        scene = dataclasses.replace(
            PAIR,
            things=tuple(dataclasses.replace(t, size=size) for t in PAIR.things[:things]),
            background="night",
        )
        areas[things, size] = changed(scene).sum()
    assert areas[1, "large"] > 2 * areas[1, "small"]
    assert areas[2, "large"] > 2 * areas[2, "small"]


def test_backgrounds_differ_in_all_their_variants():
    for one, other in itertools.combinations(BACKGROUNDS, 2):
        for i, k in itertools.product(range(VARIANTS), repeat=2):
            assert difference(background(one, i), background(other, k)) > 0.1, (one, other)


def test_landscapes_come_in_variants():
    for name in set(BACKGROUNDS) - {"room"}:
        paintings = {background(name, i).tobytes() for i in range(VARIANTS)}
        assert len(paintings) == VARIANTS, name


def test_defects_differ_from_clean_images_and_each_other():
    images = {d: draw(dataclasses.replace(PAIR, defect=d), 3) for d in (None, *DEFECTS)}
    for one, other in itertools.combinations(images, 2):
        assert difference(images[one], images[other]) > 0.02, (one, other)


def test_monochrome_images_have_no_color_and_dark_ones_little_light():
    gray = draw(dataclasses.replace(PAIR, defect="monochrome"))
    assert np.ptp(gray, axis=-1).max() < 1e-6
    assert draw(dataclasses.replace(PAIR, defect="dark")).max() < 0.3


def test_duplicates_show_more_of_the_things():
    scene = Scene((Thing("ball", "red", "small"),), background="night")
    twice = dataclasses.replace(scene, defect="duplicate")
    assert near(draw(twice), "red").sum() > 1.5 * near(draw(scene), "red").sum()


@pytest.mark.parametrize("relation", RELATIONS)
def test_things_stand_where_the_relation_says(relation):
    scene = dataclasses.replace(PAIR, relation=relation, background="night")
    for seed in range(6):
        shown, inside = draw(scene, seed), changed(scene, seed)
        red, blue = (np.argwhere(near(shown, c) & inside).mean(0) for c in ("red", "blue"))
        down, right = red - blue
        side = {"left of": -right, "right of": right, "above": -down, "below": down}[relation]
        across = down if relation in ("left of", "right of") else right
        assert side > 20
        assert abs(across) < 10


def test_a_thing_alone_stands_in_the_middle():
    scene = Scene((Thing("ball", "red", "large"),), background="night")
    for seed in range(6):
        assert np.abs(np.argwhere(changed(scene, seed)).mean(0) - 32).max() < 7


def test_size_and_relation_may_be_left_to_chance():
    scene = Scene((Thing("ball", "red"), Thing("cup", "blue")), background="sea")
    assert len({draw(scene, seed).tobytes() for seed in range(8)}) == 8


@pytest.mark.parametrize(
    "scene",
    [
        Scene((Thing("ball", "red"),)),
        Scene((Thing("ball"),), background="sky"),
        Scene((Thing(None, "red"),), background="sky"),
        Scene((Thing("ball", "red"), Thing("cup")), "above", "sky"),
    ],
)
def test_scenes_that_leave_too_much_unsaid_are_refused(scene):
    with pytest.raises(ValueError, match="needs objects, colors and a background"):
        draw(scene)

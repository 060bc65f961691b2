import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dpodiff.toy.captions import STYLES, parse
from dpodiff.toy.scenes import (
    BACKGROUNDS,
    COLORS,
    DEFECT_SHARE,
    DEFECTS,
    OBJECTS,
    PAIR_SHARE,
    RELATIONS,
    SIZES,
    TYPICAL_DEFECTS,
    random_scene,
)
from dpodiff.toy.train.data import held_out, held_out_scenes, training_scenes
from dpodiff.toy.train.prompts import COUNT, draw_prompts


@pytest.fixture(scope="module")
def scenes():
    rng = np.random.default_rng(0)
    return [random_scene(rng) for _ in range(3000)]


@given(st.integers(0, 2**32))
def test_every_field_of_a_scene_is_drawn(seed):
    scene = random_scene(np.random.default_rng(seed))
    for thing in scene.things:
        assert thing.object in OBJECTS
        assert thing.color in COLORS
        assert thing.size in SIZES
    assert scene.background in BACKGROUNDS
    assert scene.defect in (None, *DEFECTS)
    assert (scene.relation in RELATIONS) == (len(scene.things) == 2)


@given(st.integers(0, 2**32))
def test_the_things_of_a_pair_differ_in_object_and_color(seed):
    first, second = random_scene(np.random.default_rng(seed), pair_share=1.0).things
    assert first.object != second.object
    assert first.color != second.color


def test_pairs_and_defects_have_their_shares(scenes):
    assert np.mean([len(s.things) == 2 for s in scenes]) == pytest.approx(PAIR_SHARE, abs=0.03)
    assert np.mean([s.defect is not None for s in scenes]) == pytest.approx(DEFECT_SHARE, abs=0.03)


def test_backgrounds_have_their_typical_defects_if_asked_for():
    rng = np.random.default_rng(3)
    scenes = [random_scene(rng, defect_share=0.0, typical=True) for _ in range(4000)]
    for background in BACKGROUNDS:
        usual, share = TYPICAL_DEFECTS.get(background, (None, 1.0))
        found = [scene.defect for scene in scenes if scene.background == background]
        assert set(found) <= {None, usual}
        assert found.count(usual) / len(found) == pytest.approx(share, abs=0.07)


def test_all_values_of_an_attribute_are_about_as_frequent(scenes):
    counts = [sum(s.background == name for s in scenes) for name in BACKGROUNDS]
    assert max(counts) < 1.4 * min(counts)


def test_without_defect_changes_nothing_else(scenes):
    dirty = next(s for s in scenes if s.defect)
    clean = dirty.without_defect()
    assert clean.defect is None
    assert (clean.things, clean.relation, clean.background) == (
        dirty.things,
        dirty.relation,
        dirty.background,
    )


def test_about_a_tenth_of_the_scenes_is_held_out(scenes):
    assert np.mean([held_out(s) for s in scenes]) == pytest.approx(0.1, abs=0.02)


def test_a_scene_is_held_out_with_all_its_sizes_and_defects(scenes):
    for scene in filter(held_out, scenes[:200]):
        things = tuple(dataclasses.replace(thing, size=None) for thing in scene.things)
        assert held_out(dataclasses.replace(scene, things=things, defect="dark"))


def test_training_scenes_are_never_held_out():
    rng = np.random.default_rng(1)
    assert not any(map(held_out, training_scenes(500, rng)))
    assert all(map(held_out, held_out_scenes(50, rng)))


def test_shares_go_through_to_the_scenes():
    rng = np.random.default_rng(2)
    scenes = training_scenes(20, rng, pair_share=1.0, defect_share=0.0)
    assert all(len(s.things) == 2 and s.defect is None for s in scenes)


@pytest.mark.parametrize("style", STYLES)
def test_prompts_are_different_and_half_of_them_show_pairs(style):
    prompts = draw_prompts(style)
    assert len(set(prompts)) == COUNT == 100
    assert sum(len(parse(prompt).things) == 2 for prompt in prompts) == COUNT // 2


@pytest.mark.parametrize("style", STYLES)
def test_prompts_state_held_out_scenes_without_a_defect(style):
    for scene in map(parse, draw_prompts(style)):
        assert held_out(scene)
        assert scene.defect is None
        assert all(thing.color and thing.size for thing in scene.things)


def test_prompts_are_drawn_the_same_each_time():
    assert draw_prompts("tags") == draw_prompts("tags")

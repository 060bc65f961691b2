import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dpodiff.toy.captions import known_words, parse
from dpodiff.toy.judge import WEIGHTS, Judge, Reading, relation_between
from dpodiff.toy.render import render, render_batch
from dpodiff.toy.scenes import (
    BACKGROUNDS,
    COLORS,
    DEFECTS,
    OBJECTS,
    SIZES,
    Scene,
    Thing,
    random_scene,
)
from dpodiff.toy.train.corrupted import Shown
from dpodiff.toy.train.judge import judge_loss
from dpodiff.toy.train.recognition import PARTIAL_SHARE, _part, partly_defective
from dpodiff.toy.words import concept_of

SURE = 5.0
SCENE = Scene(
    (Thing("ball", "red", "small"), Thing("cup", "blue", "large")), "left of", "sea", "dark"
)


def a_judge(seed=0):
    torch.manual_seed(seed)
    return Judge(width=8)


def batch(count, seed=0, **shares):
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, **shares) for _ in range(count)]
    return scenes, torch.from_numpy(render_batch(scenes, rng))


def all_shown(scenes):
    """Labels of images on which all can be seen but what a defect hides."""
    return [Shown(s, s.things, s.defect not in ("cropped", "duplicate")) for s in scenes]


def reading_of(scene, places=((0.25, 0.5), (0.75, 0.5))):
    """What a judge would say of an image that shows `scene`, things at `places`."""
    present = torch.full((1, len(OBJECTS)), -SURE)
    attributes = {"color": torch.zeros(1, 12, 8), "size": torch.zeros(1, 12, 2)}
    place = torch.full((1, 12, 2), 0.5)
    for rank, thing in enumerate(scene.things):
        k = OBJECTS.index(thing.object)
        present[0, k] = SURE - rank  # the first thing is the surest
        attributes["color"][0, k, COLORS.index(thing.color)] = SURE
        attributes["size"][0, k, SIZES.index(thing.size)] = SURE
        place[0, k] = torch.tensor(places[rank])
    background, defect = torch.zeros(1, 8), torch.zeros(1, 9)
    background[0, BACKGROUNDS.index(scene.background)] = SURE
    defect[0, (None, *DEFECTS).index(scene.defect)] = SURE
    return Reading(present, **attributes, place=place, background=background, defect=defect)


@pytest.fixture
def told(monkeypatch):
    """A judge that sees what it is told."""

    def build(reading):
        judge = a_judge()
        monkeypatch.setattr(judge, "forward", lambda images: reading)
        return judge

    return build


def check(judge, scene):
    (verdict,) = judge.check(torch.zeros(1, 3, 64, 64), [scene])
    return verdict


def test_a_reading_has_a_row_for_every_object():
    reading = a_judge()(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    shapes = {k.name: tuple(getattr(reading, k.name).shape) for k in dataclasses.fields(reading)}
    assert shapes == {
        "present": (2, 12),
        "color": (2, 12, 8),
        "size": (2, 12, 2),
        "place": (2, 12, 2),
        "background": (2, 8),
        "defect": (2, 9),
    }
    assert ((reading.place > 0) & (reading.place < 1)).all()


@pytest.mark.parametrize(
    ("first", "relation"),
    [
        ((0.2, 0.45), "left of"),
        ((0.8, 0.55), "right of"),
        ((0.45, 0.2), "above"),
        ((0.55, 0.8), "below"),
    ],
)
def test_relations_follow_from_places(first, relation):
    assert relation_between(torch.tensor(first), torch.tensor([0.5, 0.5])) == relation


def test_reading_names_what_is_seen(told):
    assert told(reading_of(SCENE)).read(torch.zeros(1, 3, 64, 64)) == [SCENE]


def test_reading_names_at_most_the_two_surest_objects(told):
    reading = reading_of(SCENE)
    reading.present[0, OBJECTS.index("star")] = 1.0
    assert told(reading).read(torch.zeros(1, 3, 64, 64)) == [SCENE]


@pytest.mark.parametrize("count", [0, 1])
def test_one_thing_or_none_has_no_relation(told, count):
    scene = dataclasses.replace(SCENE, things=SCENE.things[:count], relation=None, defect=None)
    assert told(reading_of(scene)).read(torch.zeros(1, 3, 64, 64)) == [scene]


def test_everything_as_stated_is_right_though_dirty(told):
    verdict = check(told(reading_of(SCENE)), SCENE)
    assert not verdict.pop("clean")
    assert all(verdict.values())
    clean = reading_of(SCENE.without_defect())
    assert all(check(told(clean), SCENE).values())


@pytest.mark.parametrize(
    ("wrong", "change"),
    [
        ("colors", {"things": (Thing("ball", "pink", "small"), SCENE.things[1])}),
        ("sizes", {"things": (SCENE.things[0], Thing("cup", "blue", "small"))}),
        ("relation", {"relation": "above"}),
        ("background", {"background": "snow"}),
    ],
)
def test_one_wrong_attribute_is_told_from_the_rest(told, wrong, change):
    verdict = check(told(reading_of(SCENE)), dataclasses.replace(SCENE, **change))
    assert {name for name, right in verdict.items() if not right} == {wrong, "all", "clean"}


def test_a_missing_object_spoils_what_depends_on_it(told):
    stated = dataclasses.replace(SCENE, things=(Thing("tree"), Thing("cup")))
    verdict = check(told(reading_of(SCENE)), stated)
    assert verdict["background"]
    assert not any(verdict[k] for k in ("objects", "colors", "sizes", "relation", "all"))


def test_what_is_unsaid_is_not_checked(told):
    verdict = check(told(reading_of(SCENE)), Scene((Thing("cup"), Thing("ball"))))
    assert verdict["all"]


def test_more_objects_than_stated_are_no_error(told):
    assert check(told(reading_of(SCENE)), Scene(SCENE.things[:1]))["all"]


@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_the_loss_is_finite_with_empty_scenes(defect):
    scenes, images = batch(4, defect_share=0.0)
    scenes[1] = Scene(background="sky", defect=defect)
    scenes[2] = dataclasses.replace(scenes[2], defect=defect)
    assert judge_loss(a_judge()(images), all_shown(scenes)).isfinite()


@pytest.mark.parametrize(
    ("defect", "hidden"), [("monochrome", "color"), ("cropped", "place"), ("duplicate", "place")]
)
def test_what_a_defect_hides_is_not_taught(defect, hidden):
    scenes, images = batch(2, defect_share=0.0)
    reading = a_judge()(images)
    output = getattr(reading, hidden)
    output.retain_grad()
    scenes[0] = dataclasses.replace(scenes[0], defect=defect)
    judge_loss(reading, all_shown(scenes)).backward()
    assert not output.grad[0].any()
    assert output.grad[1].any()


def test_a_thing_that_cannot_be_recognized_counts_as_absent():
    ball, cup = (OBJECTS.index(thing.object) for thing in SCENE.things)
    reading = reading_of(SCENE)
    for part in (reading.present, reading.color):
        part.requires_grad_()
    judge_loss(reading, [Shown(SCENE, (None, SCENE.things[1]), True)]).backward()
    assert reading.present.grad[0, ball] > 0 > reading.present.grad[0, cup]
    assert not reading.color.grad[0, ball].any()
    assert reading.color.grad[0, cup].any()


def test_the_loss_falls_in_training():
    scenes, images = batch(8, seed=1)
    judge = a_judge()
    optimizer = torch.optim.Adam(judge.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = judge_loss(judge(images), all_shown(scenes))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.6 * losses[0]


def test_saved_judges_are_loaded_as_float32_without_gradients(tmp_path):
    judge = Judge()
    path = tmp_path / "judge.safetensors"
    save_file({k: v.half() for k, v in judge.state_dict().items()}, path)
    loaded = Judge.load(path)
    assert not loaded.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in loaded.parameters())
    expected = judge.color.weight.half().float()
    torch.testing.assert_close(loaded.color.weight, expected, atol=0, rtol=0)


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the judge is not trained yet")
def test_the_shipped_judge_reads_clean_renders():
    scenes, images = batch(50, seed=2, defect_share=0.0)
    right = [verdict["all"] for verdict in Judge.load().check(images, scenes)]
    assert np.mean(right) >= 0.9


@pytest.fixture
def sees_all(told):
    """A judge that finds every object, so that every statement is looked at."""
    present = torch.full((1, len(OBJECTS)), SURE)
    return told(dataclasses.replace(reading_of(SCENE), present=present))


@pytest.mark.parametrize(
    "prompt", ["a red ball under the sky", "above", "a ball, over", "left of a small cup", "under"]
)
def test_a_relation_without_a_second_thing_states_nothing(sees_all, prompt):
    assert parse(prompt).relation is None
    (verdict,) = sees_all.check(torch.zeros(1, 3, 64, 64), [parse(prompt)])
    assert verdict["relation"]


def test_so_it_does_in_a_scene_of_ones_own(sees_all):
    scene = Scene((Thing("ball"),), relation="above")
    (verdict,) = sees_all.check(torch.zeros(1, 3, 64, 64), [scene])
    assert verdict["relation"]


def test_every_prompt_of_known_words_gets_a_verdict(sees_all):
    rng = np.random.default_rng(0)
    words = [*sorted(known_words()), *concept_of(), ","]
    for _ in range(500):
        scene = parse(" ".join(rng.choice(words, rng.integers(0, 9))))
        (verdict,) = sees_all.check(torch.zeros(1, 3, 64, 64), [scene])
        assert all(type(value) is bool for value in verdict.values())


def test_some_training_images_of_the_judge_show_their_defect_in_part():
    scene = Scene((Thing("ball", "red", "small"),), None, "sky", "watermark")
    rng = np.random.default_rng(3)
    images = [partly_defective(scene, rng) for _ in range(40)]
    rng, whole = np.random.default_rng(3), []
    for image in images:
        seed = int(rng.integers(2**32))
        clean = render(scene.without_defect(), np.random.default_rng(seed))
        dirty = render(scene, np.random.default_rng(seed))
        assert np.abs(image - clean).max() >= 0.49 * np.abs(dirty - clean).max()
        whole.append(np.allclose(image, dirty))
        if rng.random() < PARTIAL_SHARE:
            rng.uniform(0.5, 1)
    assert 10 < sum(whole) < 30


def test_copies_may_stand_on_one_side_only():
    scene = Scene((Thing("ball", "red", "small"),), None, "sky", "duplicate")
    masks = [_part("duplicate", np.random.default_rng(seed)) for seed in range(20)]
    assert {(bool(mask[0, 0]), bool(mask[-1, -1])) for mask in masks} == {
        (True, False),
        (False, True),
    }
    assert partly_defective(scene, np.random.default_rng(0)).shape == (64, 64, 3)

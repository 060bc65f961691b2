"""Labeled images for those that recognize: what is spoiled, and what the labels say of it."""

import dataclasses

import numpy as np
import pytest
import torch

from dpodiff.toy.captions import parse
from dpodiff.toy.matcher import LENGTH, content_words
from dpodiff.toy.render import thing_layers
from dpodiff.toy.scenes import Scene, Thing, random_scene
from dpodiff.toy.train import corrupted as spoiling, matcher as stage
from dpodiff.toy.train.corrupted import SHARES, STRONG, Shown, corrupted, warped
from dpodiff.toy.train.fitting import Recipe
from dpodiff.toy.train.judge import train_judge
from dpodiff.toy.train.matcher import UNKNOWN, caption_with_labels, train_matcher
from dpodiff.toy.train.recognition import Pool, labeled_pool

RED, BLUE = Thing("ball", "red", "small"), Thing("cup", "blue", "large")
PAIR = Scene((RED, BLUE), "left of", "sea")
ALL_SHOWN = Shown(PAIR, PAIR.things, True)


def spoiled(monkeypatch, kind, seed=0):
    monkeypatch.setattr(spoiling, "SHARES", dict.fromkeys(SHARES, 0.0) | {kind: 1.0})
    return corrupted(PAIR, np.random.default_rng(seed))


# Spoiled images


@pytest.mark.parametrize("kind", SHARES)
def test_a_spoiled_image_is_an_image_of_its_scene(monkeypatch, kind):
    image, shown = spoiled(monkeypatch, kind)
    assert (image.shape, image.dtype) == ((64, 64, 3), np.float32)
    assert 0 <= image.min() < image.max() <= 1
    assert shown.scene.without_defect() == PAIR


@pytest.mark.parametrize("kind", ["melt", "mix", "tear"])
def test_what_cannot_be_recognized_is_not_among_the_things(monkeypatch, kind):
    left = {spoiled(monkeypatch, kind, seed)[1].things for seed in range(20)}
    assert left == {(RED, None), (None, BLUE)}


def test_copies_are_labeled_duplicate_and_stand_where_no_relation_puts_them(monkeypatch):
    assert spoiled(monkeypatch, "copy")[1] == Shown(
        dataclasses.replace(PAIR, defect="duplicate"), PAIR.things, False
    )


@pytest.mark.parametrize("kind", ["bend", "keep"])
def test_a_thing_that_is_only_bent_is_still_there(monkeypatch, kind):
    assert spoiled(monkeypatch, kind)[1] == ALL_SHOWN


def test_melting_moves_the_thing_and_nothing_but_the_thing():
    rng = np.random.default_rng(0)
    (layer,) = thing_layers(Scene((RED,), background="sea"), rng)
    melted = warped(layer, STRONG, rng)
    cover = layer[..., 3] > 0.5
    assert np.abs(melted - layer)[cover].mean() > 0.1
    assert not melted[:8].any()  # far from a small thing in the middle


# Pools


class Halved:
    """A denoiser that marks what has gone through it: half as bright."""

    def decoded(self, images):
        return images / 2

    def denoised(self, images, texts, start, generator):
        return images / 2


def test_a_pool_is_read_again_with_the_same_labels(tmp_path):
    path = tmp_path / "pool.safetensors"
    pool = labeled_pool(Halved(), 70, path, seed=1)
    assert (pool.images.shape, pool.images.dtype) == ((70, 3, 64, 64), torch.uint8)
    again = labeled_pool(None, 70, path, seed=1)  # makes no image a second time
    assert torch.equal(again.images, pool.images)
    assert again.shown == pool.shown
    assert labeled_pool(Halved(), 70, tmp_path / "other", seed=2).shown != pool.shown


def test_most_images_of_a_pool_have_gone_through_the_denoiser(tmp_path):
    pool = labeled_pool(Halved(), 128, tmp_path / "pool.safetensors", seed=3)
    halved = (pool.images.flatten(1).amax(1) <= 128).float().mean()
    assert 0.6 < halved < 0.95


# Captions with labels


def labels_of(text, shown):
    """Label by content word."""
    return dict(zip(content_words(text), stage._labels(text, shown), strict=False))


def test_a_true_caption_holds_word_by_word():
    text = "a small red ball left of a large blue cup on the sea"
    assert set(labels_of(text, ALL_SHOWN).values()) == {1.0}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a small green ball left of a large blue cup on the sea", {"green"}),
        ("a small red ball left of a tiny blue cup on the sea", {"tiny"}),
        ("a small red ball above a large blue cup on the sea", {"above"}),
        ("a small red ball left of a large blue cup in the sky", {"sky"}),
        ("a large blue cup left of a small red ball on the sea", {"left"}),
        ("a small blue ball left of a large red cup on the sea", {"blue", "red"}),
    ],
)
def test_a_word_that_was_changed_is_wrong_and_the_others_hold(text, wrong):
    labels = labels_of(text, ALL_SHOWN)
    assert {word for word, label in labels.items() if label == 0} == wrong
    assert {label for word, label in labels.items() if word not in wrong} == {1.0}


def test_the_other_relation_of_the_same_image_holds():
    assert labels_of("a blue cup to the right of a red ball", ALL_SHOWN)["right"] == 1


@pytest.mark.parametrize(
    ("shown", "unknown"),
    [
        (Shown(PAIR, (None, BLUE), True), {"small", "red", "left"}),  # melted
        (Shown(PAIR, PAIR.things, False), {"left"}),
        (
            Shown(dataclasses.replace(PAIR, defect="monochrome"), PAIR.things, True),
            {"red", "blue"},
        ),
    ],
)
def test_nobody_can_tell_what_the_image_does_not_show(shown, unknown):
    labels = labels_of("a small red ball left of a large blue cup on the sea", shown)
    assert {word for word, label in labels.items() if label == UNKNOWN} == unknown
    assert labels["ball"] == float(shown.things[0] is not None)
    assert labels["cup"] == labels["sea"] == 1


def test_an_object_that_is_not_there_is_wrong_and_says_nothing_of_its_attributes():
    labels = labels_of("a red star on the sea", ALL_SHOWN)
    assert labels == {"red": UNKNOWN, "star": 0.0, "sea": 1.0}


@pytest.mark.parametrize("changes", [0, 1, 2, 3])
def test_labels_of_drawn_captions_agree_with_what_they_state(changes):
    rng = np.random.default_rng(changes)
    missed = []
    for _ in range(200):
        scene = random_scene(rng, defect_share=0.0)
        text, labels = caption_with_labels(Shown(scene, scene.things, True), changes, rng)
        assert len(labels) == LENGTH >= len(content_words(text))
        assert set(labels[len(content_words(text)) :]) <= {UNKNOWN}
        asked = parse(text)
        assert (0.0 in labels) == (not _agree(asked, scene)), text
        missed.append(0.0 in labels)
    shares = {0: 0.0, 1: 0.75, 2: 0.9, 3: 1.0}
    assert np.mean(missed) == pytest.approx(shares[changes], abs=0.15)


def _agree(asked, scene):
    """Whether a scene has all that a caption states of things of its own, and the background."""
    things = {thing.object: thing for thing in scene.things}
    if asked.background not in (None, scene.background):
        return False
    for thing in asked.things:
        found = things.get(thing.object)
        if found is None:
            return False
        if thing.color not in (None, found.color) or thing.size not in (None, found.size):
            return False
    if asked.relation is None or len(scene.things) < 2:
        return True
    same = asked.things[0].object == scene.things[0].object
    return asked.relation == (scene.relation if same else stage.MIRRORED[scene.relation])


# Training


@pytest.fixture
def pool():
    rng = np.random.default_rng(5)
    scenes = [random_scene(rng, defect_share=0.3) for _ in range(6)]
    images = torch.randint(256, (6, 3, 64, 64), generator=torch.Generator().manual_seed(5))
    return Pool(images.byte(), [Shown(scene, scene.things, True) for scene in scenes])


@pytest.mark.parametrize("train", [train_judge, train_matcher])
def test_a_pool_teaches_and_the_weights_can_be_loaded(tmp_path, pool, train):
    path = tmp_path / "weights.safetensors"
    trained = train(tmp_path, path, "cpu", Recipe(steps=2, batch=4), pool)
    loaded = type(trained).load(path)
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value.half().float())
    again = train(tmp_path / "more", path, "cpu", Recipe(steps=2, batch=4), pool, loaded)
    assert type(again) is type(trained)

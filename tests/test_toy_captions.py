import functools
import json
import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dpodiff.toy import prompts
from dpodiff.toy.captions import (
    STYLES,
    caption,
    known_words,
    parse,
    stated,
    surface_word,
    training_caption,
)
from dpodiff.toy.scenes import Scene, Thing, random_scene
from dpodiff.toy.train.prompts import draw_prompts
from dpodiff.toy.words import BLAME, CONCEPTS, NPLIB, PRAISE

seeds = st.integers(0, 2**32)
styles = st.sampled_from(STYLES)


def words(text):
    return re.findall(r"[a-z]+", text)


@given(seeds, styles, st.booleans())
def test_a_caption_states_the_scene_it_was_written_for(seed, style, complete):
    rng = np.random.default_rng(seed)
    scene = stated(random_scene(rng), rng, complete)
    assert parse(caption(scene, style, rng)) == scene


@given(seeds, styles)
def test_captions_are_written_in_known_words(seed, style):
    rng = np.random.default_rng(seed)
    text = caption(stated(random_scene(rng), rng), style, rng)
    assert set(words(text)) <= known_words()
    assert re.fullmatch(r"[a-z]+(,? [a-z]+)*", text)


@given(seeds)
def test_training_captions_are_written_in_known_words(seed):
    rng = np.random.default_rng(seed)
    assert set(words(training_caption(random_scene(rng), rng))) <= known_words()


@given(seeds, st.sampled_from(["sentence", "chat"]))
def test_articles_fit_the_word_that_follows(seed, style):
    rng = np.random.default_rng(seed)
    text = caption(stated(random_scene(rng), rng), style, rng)
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text)


def test_a_complete_statement_leaves_only_the_defect_unsaid():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scene = random_scene(rng, defect_share=0.5)
        assert stated(scene, rng, complete=True) == scene.without_defect()


def test_most_defects_are_left_unsaid():
    rng = np.random.default_rng(1)
    scenes = [random_scene(rng, defect_share=1.0) for _ in range(500)]
    named = [stated(scene, rng).defect is not None for scene in scenes]
    assert np.mean(named) == pytest.approx(0.15, abs=0.05)


def test_some_training_captions_are_empty_complaints_or_few_tags():
    rng = np.random.default_rng(2)
    scenes = [random_scene(rng, defect_share=0.0) for _ in range(3000)]
    texts = [training_caption(scene, rng) for scene in scenes]
    assert np.mean([not text for text in texts]) == pytest.approx(0.1, abs=0.02)
    library = [bool(text) and set(text.split(", ")) <= set(NPLIB) for text in texts]
    assert np.mean(library) == pytest.approx(0.015, abs=0.01)
    # Hardly a full caption is of single words only: it names things in two words or more.
    few = [bool(re.fullmatch(r"\w+(, \w+){0,2}", text)) for text in texts]
    assert np.mean([a and not b for a, b in zip(few, library)]) == pytest.approx(0.05, abs=0.02)


@functools.cache
def training_texts(defect, count=4000):
    rng = np.random.default_rng(5)
    ball = Scene((Thing("ball", "red", "large"),), background="sky", defect=defect)
    return [training_caption(ball, rng) for _ in range(count)]


def share(texts, words):
    return np.mean([any(word in text.split(", ") for word in words) for text in texts])


def test_training_captions_praise_clean_images_and_blame_defective_ones_with_few_mistakes():
    clean, dirty = ([t for t in training_texts(d) if "ball" in t] for d in (None, "grainy"))
    for usual, unusual, words in ((clean, dirty, PRAISE), (dirty, clean, BLAME)):
        assert 0.1 < share(usual, words) < 0.3
        assert 0 < share(unusual, words) < 0.3 * share(usual, words)


def test_a_complaint_is_right_more_often_than_not_but_not_always():
    texts = {defect: training_texts(defect) for defect in (None, "grainy", "dark")}
    lists = {d: [set(t.split(", ")) for t in texts[d]] for d in texts}
    said = {d: sum({"grainy"} <= words <= set(NPLIB) for words in lists[d]) for d in lists}
    assert said["grainy"] > 5 * said[None] > 0
    # Nor does the word push towards other defects, when an image is guided away from it.
    assert said["dark"] >= 0.5 * said[None]


def test_the_empty_caption_goes_with_fewer_defective_images_than_other_captions():
    kinds = (None, "blurry", "duplicate")
    clean, *dirty = (np.mean([not t for t in training_texts(d)]) for d in kinds)
    assert clean > 1.3 * max(dirty)
    assert min(dirty) > 0.01


def test_common_words_are_drawn_more_often_than_rare_ones():
    rng = np.random.default_rng(3)
    drawn = [surface_word("object", "plane", rng) for _ in range(2000)]
    counts = [drawn.count(word) for word in CONCEPTS["object"]["plane"]]
    assert counts[0] > 0.6 * 2000
    assert counts[0] > counts[1] > counts[2] > counts[-1] > 0


def test_tags_judge_defective_images_badly():
    rng = np.random.default_rng(4)
    ball = Scene((Thing("ball", "red"),), background="sky")
    clean = " ".join(caption(ball, "tags", rng) for _ in range(100))
    dirty = Scene(ball.things, background="sky", defect="grainy")
    dirty = " ".join(caption(dirty, "tags", rng) for _ in range(100))
    assert "masterpiece" in clean and "ugly" not in clean
    assert "ugly" in dirty and "masterpiece" not in dirty


@pytest.mark.parametrize(
    ("text", "scene"),
    [
        ("", Scene()),
        ("hello world", Scene()),
        ("Ball, RED", Scene((Thing("ball", "red"),))),
        ("red, ball", Scene((Thing("ball", "red"),))),
        ("a watermark on water", Scene(background="sea", defect="watermark")),
        (
            "A tiny jet to the left of an amber mug, at dusk",
            Scene((Thing("plane", None, "small"), Thing("cup", "orange")), "left of", "sunset"),
        ),
        ("a ball, a box and a star", Scene((Thing("ball"), Thing("box")))),
    ],
)
def test_prompts_of_people_are_read(text, scene):
    assert parse(text) == scene


@pytest.mark.parametrize("style", ["haiku", "", "Tags"])
def test_unknown_styles_are_refused_with_the_known_ones(style):
    with pytest.raises(ValueError, match="sentence, chat, tags"):
        caption(Scene((Thing("ball"),)), style, np.random.default_rng(0))
    with pytest.raises(ValueError, match="sentence, chat, tags"):
        prompts.prompt_set(style)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("improve", ["tags 9", "tags 8", "chat 8", "chat 7", "sentence 7", "sentence 6"]),
        ("attack", ["sentence 0", "sentence 1", "chat 1", "chat 2", "tags 2", "tags 3"]),
    ],
)
def test_hard_prompts_are_an_equal_share_of_each_set(tmp_path, monkeypatch, task, expected):
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    for shift, style in enumerate(STYLES):
        table = {f"{style} {i}": float(i) for i in range(shift, shift + 8)}
        (tmp_path / f"prompts_{style}.json").write_text(json.dumps(table))
    chosen = prompts.hard_prompts(6, task)
    assert sorted(chosen) == sorted(expected)
    assert chosen[0] == expected[0]


@pytest.mark.parametrize("style", STYLES)
def test_the_shipped_prompts_are_those_of_the_recipe(style):
    if not (prompts.FOLDER / f"prompts_{style}.json").exists():
        pytest.skip("the prompt sets are not measured yet")
    table = prompts.prompt_set(style)
    assert list(table) == draw_prompts(style)
    assert all(0 < loss < np.pi**2 / 2 for loss in table.values())

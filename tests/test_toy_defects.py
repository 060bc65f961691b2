import math

import pytest

from dpodiff.toy.captions import STYLES, parse
from dpodiff.toy.prompts import prompt_set
from dpodiff.toy.scenes import DEFECTS, Scene, Thing
from dpodiff.toy.train.data import unseen
from dpodiff.toy.train.defects import IMAGES, effect, matching, summary, validation_prompts
from dpodiff.toy.train.judge_labels import read_labels, verdict_of, wilson

# Measurements on validation prompts


def test_validation_prompts_are_held_out_and_of_no_record():
    prompts = validation_prompts(30)
    assert len(set(prompts)) == 30
    assert prompts[:12] == validation_prompts(12)
    known = {prompt for style in STYLES for prompt in prompt_set(style)}
    assert not known & set(prompts)
    scenes = [parse(prompt) for prompt in prompts]
    assert all(unseen(scene) and scene.defect is None for scene in scenes)
    assert [len(scene.things) for scene in scenes] == [1, 2] * 15


def verdict(defect=None, right=True):
    return {"all": right, "clean": defect is None, "defect": defect}


def test_a_summary_counts_defects_and_what_is_right():
    table = summary([verdict(), verdict("blurry"), verdict("blurry", False), verdict("dark")])
    assert table["defective"] == 0.75
    assert table["defects"]["blurry"] == 0.5
    assert table["defects"]["watermark"] == 0
    assert (table["all"], table["all_and_clean"], table["images"]) == (0.75, 0.25, 4)


def test_an_effect_tells_harm_to_clean_images_from_defects_removed():
    per = IMAGES  # a prompt
    before = [verdict("blurry")] * per + [verdict()] * per + [verdict()] * per
    after = [verdict()] * per + [verdict("grainy", False)] * per + [verdict()] * per
    table = effect(before, after)
    assert table["defective"] == pytest.approx(1 / 3)
    assert table["change_all"][0] == pytest.approx(-1 / 3)
    assert table["change_all_where_clean"][0] == pytest.approx(-1 / 2)
    assert table["change_clean_where_clean"][0] == pytest.approx(-1 / 2)


def test_matching_takes_from_each_word_the_share_of_its_own_defect():
    before = summary([verdict(defect) for defect in DEFECTS])
    after = {name: summary([verdict(name)] + [verdict()] * 7) for name in DEFECTS}
    after["dark"] = summary([verdict("blurry")] * 8)
    shares = matching(before, after)
    assert shares == {"without": 1.0, "with": pytest.approx(7 / 8)}


# Labels by eye

BALL, FISH = Thing("ball", "red"), Thing("fish", "blue")


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        (Scene((BALL, FISH), "above", "sky"), set()),
        (Scene((FISH, BALL), "below", "sky"), set()),
        (Scene((FISH, BALL), "above", "sky"), {"relation"}),
        (Scene((BALL, Thing("fish", "red")), "above", "sky"), {"colors"}),
        (Scene((BALL, Thing(None, "blue")), "above", "sky"), {"objects", "colors", "relation"}),
        (Scene((BALL,), None, "sky"), {"objects", "colors", "relation"}),
        (Scene((BALL, FISH), "above", "sea"), {"background"}),
        (Scene((BALL, FISH), "above", "sky", "dark"), {"clean"}),
    ],
)
def test_a_label_is_held_against_the_prompt_as_the_judge_does(seen, wrong):
    asked = Scene((Thing("ball", "red", "small"), FISH), "above", "sky")
    verdict = verdict_of(seen, asked)
    missed = {name for name, right in verdict.items() if not right}
    assert missed == wrong | ({"all"} if wrong - {"clean"} else set())


def test_wilson_intervals_are_those_of_the_textbook():
    assert wilson(8, 10) == pytest.approx([0.8, 0.4902, 0.9433], abs=1e-3)
    share, low, high = wilson(0, 20)
    assert (share, low) == (0, pytest.approx(0, abs=1e-9))
    assert 0.1 < high < 0.2
    assert all(map(math.isnan, wilson(0, 0)))


def test_the_shipped_labels_can_be_read_and_name_what_this_world_has():
    labels = read_labels()
    assert len(labels) >= 90
    for label in labels:
        asked = parse(label.prompt)
        assert asked.things and len(label.weights) == 12
        assert label.seen.defect in (None, *DEFECTS)
        assert set(verdict_of(label.seen, asked)) >= {"objects", "all", "clean"}

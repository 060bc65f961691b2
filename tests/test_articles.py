"""The article before a word that changes, and the toy world's prompts, which stay as they were."""

import numpy as np
import pytest

from dpodiff import Dictionary, Slot, Space, emphasis_space, synonym_space
from dpodiff.spaces.articles import with_article
from dpodiff.toy.prompts import hard_prompts
from dpodiff.toy.words import toy_lexicon

WORDS = Dictionary({"old": ["young"], "red": ["orange"], "cat": ["owl"], "large": ["enormous"]})


@pytest.mark.parametrize(
    ("prompt", "candidate", "text"),
    [
        ("an old cat", (1, 0, 0), "a young cat"),
        ("an old cat", (0, 2, 0), "an old"),
        ("An old  cat", (1, 0, 0), "A young  cat"),
        ("a red cat", (1, 0, 0), "an orange cat"),
        ("a red cat", (2, 1, 0), "an owl"),  # dropped before a word that changed
        ("the red cat", (1, 0, 0), "the orange cat"),
        ("a mean cat", (1, 0), "a mean owl"),
    ],
)
def test_an_article_follows_its_word(prompt, candidate, text):
    space = synonym_space(prompt, WORDS, droppable=True)
    assert space.articles
    assert space.decode(candidate[: len(space.slots)]).positive == text


def test_an_article_stays_where_nothing_after_it_changed():
    space = synonym_space("a old cat and an cat", WORDS)
    assert space.decode(space.identity).positive == space.prompt
    assert space.decode((0, 1, 0)).positive == "a old owl and an cat"


@pytest.mark.parametrize(
    ("word", "article"),
    [
        ("unicorn", "a "),
        ("hour", "an "),
        ("umbrella", "an "),
        ("one-eyed cat", "a "),
        ("elf", "an "),
    ],
)
def test_articles_go_by_the_sound(word, article):
    assert with_article("a ", word) == with_article("an ", word) == article


def test_articles_and_weights():
    space = synonym_space("a red cat", WORDS) + emphasis_space("a red cat", [1.2])
    assert str(space.decode((1, 0, 1, 0)).positive) == "an (orange)1.2 cat"


def test_a_space_by_hand_changes_nothing_but_its_slots():
    slot = Slot("red", ("red", "orange"))
    assert Space("a red cat", (slot,)).decode((1,)).positive == "a orange cat"
    space = Space("a red cat", (slot,), articles=True)
    assert space.decode((1,)).positive == "an orange cat"
    assert Space.from_json(space.to_json()) == space


def test_the_prompts_of_the_toy_world_are_what_they_were():
    rng = np.random.default_rng(0)
    for prompt in hard_prompts(40):
        space = synonym_space(prompt, toy_lexicon())
        assert "articles" not in space.to_json()
        for _ in range(20):
            candidate, text, shift = space.sample(rng), prompt, 0
            for index, slot in sorted(
                zip(candidate, space.slots, strict=True), key=lambda pair: pair[1].span
            ):
                start, stop = (shift + place for place in slot.span)
                text = text[:start] + slot.choices[index] + text[stop:]
                shift += len(slot.choices[index]) - len(slot.text)
            assert space.decode(candidate).positive == text

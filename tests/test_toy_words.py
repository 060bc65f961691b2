import itertools

import numpy as np
import pytest

from dpodiff.toy.captions import known_words
from dpodiff.toy.words import (
    BACKGROUND_PHRASES,
    BLAME,
    CONCEPTS,
    NPLIB,
    OPPOSITES,
    PRAISE,
    concept_of,
    rarity,
    toy_lexicon,
    zipf,
)

CONTENT = [*concept_of(), *PRAISE, *BLAME]


def known(text):
    return set(text.split()) <= known_words()


def test_the_world_is_large_enough():
    sizes = {kind: len(concepts) for kind, concepts in CONCEPTS.items()}
    assert sizes["object"] >= 12
    assert min(sizes["color"], sizes["background"], sizes["defect"]) >= 8
    # The two ways to say left and right are all there are.
    words = [ws for kind in sizes if kind != "relation" for ws in CONCEPTS[kind].values()]
    assert all(3 <= len(ws) <= 6 for ws in words)


def test_every_surface_word_belongs_to_one_concept():
    words = [w for concepts in CONCEPTS.values() for ws in concepts.values() for w in ws]
    words += [*PRAISE, *BLAME]
    assert len(words) == len(set(words))


def test_every_concept_is_called_by_its_most_common_word():
    named = [(concept, ws[0]) for concepts in CONCEPTS.values() for concept, ws in concepts.items()]
    assert all(concept == word for concept, word in named)


def test_every_background_word_has_its_phrase():
    words = {w for ws in CONCEPTS["background"].values() for w in ws}
    assert set(BACKGROUND_PHRASES) == words
    assert all(phrase.split()[-1] == word for word, phrase in BACKGROUND_PHRASES.items())


def test_every_content_word_has_known_synonyms_and_opposites():
    lexicon = toy_lexicon()
    for word in CONTENT:
        for answers in (lexicon.synonyms(word), lexicon.antonyms(word)):
            assert answers, word
            assert word not in answers
            assert all(map(known, answers)), (word, answers)


def test_synonyms_mean_the_same_and_opposites_do_not():
    lexicon, meaning = toy_lexicon(), concept_of()
    for word, concept in meaning.items():
        assert all(meaning[other] == concept for other in lexicon.synonyms(word))
        assert all(meaning.get(other) != concept for other in lexicon.antonyms(word))


@pytest.mark.parametrize("kind", ["object", "color", "size", "background", "relation"])
def test_opposites_are_of_the_same_kind(kind):
    opposites = itertools.chain.from_iterable(OPPOSITES[concept] for concept in CONCEPTS[kind])
    assert all(concept_of()[word][0] == kind for word in opposites)


def test_the_negative_prompt_library_is_known():
    assert all(map(known, NPLIB))
    assert len(set(NPLIB)) == len(NPLIB)
    assert {concept_of()[w][1] for w in NPLIB if w in concept_of()} == set(CONCEPTS["defect"])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_zipf_frequencies_fall_and_sum_to_one(count):
    frequencies = zipf(count)
    assert frequencies.shape == (count,)
    assert (np.diff(frequencies) < 0).all()
    assert frequencies.sum() == pytest.approx(1)


def test_rarity_runs_from_the_most_common_word_to_the_rarest():
    scale = rarity()
    assert (scale["red"], scale["ruby"]) == (0, 1)
    assert 0 < scale["crimson"] < scale["scarlet"] < 1

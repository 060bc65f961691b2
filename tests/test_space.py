import copy
import json
import pickle

import numpy as np
import pytest
from helpers import negative_space
from hypothesis import given, strategies as st

from dpodiff import Slot, Space, guidance_space, modifiers_space
from dpodiff.spaces.lexicons.builders import WORD

PLANE = Slot("plane", ("plane", "aircraft", "jet"))
BALL = Slot("ball", ("ball", "sphere"))
RED = Slot("red", ("", "green", "blue"), "negative")

seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 5), max_size=6)


def generator(seed):
    return np.random.default_rng(seed)


@st.composite
def spaces(draw):
    """Spaces over any text, with some of its words and some negative words as slots."""
    prompt = draw(st.text(max_size=40))
    slots = [
        Slot(word.group(), (word.group(), "A", "")[: draw(st.integers(1, 3))], start=word.start())
        for word in WORD.finditer(prompt)
        if word.group() not in ("A", "") and draw(st.booleans())
    ]
    slots += [Slot("", ("", "x", "y"), "negative")] * draw(st.integers(0, 2))
    slots += [Slot("modifier", ("", "x", "y"), "modifier")] * draw(st.integers(0, 2))
    slots += [Slot("guidance", ("", "2", "7.5"), "guidance")] * draw(st.integers(0, 1))
    order = draw(st.permutations(slots))
    return Space(prompt, tuple(order), draw(st.text(max_size=20)))


def test_identity_decodes_to_the_prompts_as_written():
    space = Space("A  plane,and a ball !", (BALL, RED), "ugly , bad")
    assert space.decode(space.identity) == ("A  plane,and a ball !", "ugly , bad")


@given(spaces())
def test_identity_reproduces_any_text(space):
    assert space.decode(space.identity) == (space.prompt, space.negative_prompt)


@given(spaces())
def test_json_round_trip(space):
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_positive_choices_stand_in_the_place_of_their_text():
    space = Space("a plane over a ball", (PLANE, BALL))
    assert space.decode((2, 1)).positive == "a jet over a sphere"


def test_repeated_words_are_slots_of_their_own():
    space = Space("ball on ball", (BALL, BALL))
    assert space.decode((0, 1)).positive == "ball on sphere"


def test_slots_are_whole_words():
    space = Space("a football and a ball", (BALL,))
    assert space.decode((1,)).positive == "a football and a sphere"


def test_an_empty_positive_choice_drops_the_word_and_its_space():
    space = Space("a red ball", (Slot("red", ("red", "")),))
    assert space.decode((1,)).positive == "a ball"


def test_a_dropped_first_word_leaves_no_space_at_the_start():
    space = Space("red ball", (Slot("red", ("red", "")), Slot("ball", ("ball", ""))))
    assert space.decode((1, 0)).positive == "ball"
    assert space.decode((1, 1)).positive == ""


def test_negative_choices_follow_the_negative_prompt():
    space = Space("a plane", (RED, RED), "blurry")
    assert space.decode((1, 2)).negative == "blurry, green, blue"


def test_negative_words_are_not_repeated():
    space = Space("a plane", (RED, RED), "Green, dark")
    assert space.decode((1, 2)).negative == "Green, dark, blue"
    assert Space("a plane", (RED, RED)).decode((1, 1)).negative == "green"


@pytest.mark.parametrize("candidate", [(0,), (0, 0, 0), (3, 0), (0, -1)])
def test_candidates_that_do_not_fit_are_refused(candidate):
    with pytest.raises(ValueError, match="candidate"):
        Space("a plane", (PLANE, RED)).decode(candidate)


@given(sizes, seeds)
def test_samples_fit_and_size_counts_them(sizes, seed):
    space = negative_space(*sizes)
    candidates = list(space)
    assert len(set(candidates)) == space.size
    assert space.sample(generator(seed)) in candidates
    assert space.identity == candidates[0]


def test_samples_are_uniform():
    space, rng = negative_space(3, 2), generator(0)
    counts = np.zeros((3, 2))
    for _ in range(6000):
        counts[space.sample(rng)] += 1
    np.testing.assert_allclose(counts, 1000, atol=120)


@given(sizes, seeds, st.floats(0, 1))
def test_mutants_differ_and_fit(sizes, seed, rate):
    space, rng = negative_space(*sizes), generator(seed)
    parent = space.sample(rng)
    child = space.mutate(parent, rng, rate)
    space.decode(child)
    assert (child != parent) == (space.size > 1)


def test_mutation_rate_is_the_share_of_slots_that_change():
    space, rng = negative_space(*[4] * 400), generator(0)
    child = space.mutate(space.identity, rng, 0.1)
    assert 20 <= np.count_nonzero(child) <= 60
    assert np.all(space.mutate(space.identity, rng, 1.0))


@given(sizes, seeds)
def test_children_take_each_slot_from_a_parent(sizes, seed):
    space, rng = negative_space(*sizes), generator(seed)
    a, b = space.sample(rng), space.sample(rng)
    child = space.crossover(a, b, rng)
    assert all(c in pair for c, pair in zip(child, zip(a, b, strict=True), strict=True))


def test_sizes_beyond_machine_integers():
    space = negative_space(*[10] * 100)
    assert space.size == 10**100
    assert next(iter(space)) == space.identity


def test_spaces_add():
    total = Space("a plane", (PLANE,)) + Space("a plane", (RED,))
    assert total.decode((1, 1)) == ("a aircraft", "green")


def test_spaces_of_different_prompts_do_not_add():
    with pytest.raises(ValueError, match="one prompt"):
        Space("a plane", (PLANE,)) + Space("a ball", (BALL,))


@pytest.mark.parametrize(
    ("text", "choices", "side", "message"),
    [
        ("plane", ("jet",), "positive", "first choice must be 'plane'"),
        ("plane", (), "positive", "first choice must be 'plane'"),
        ("plane", ("plane", "boat"), "negative", "first choice must be ''"),
        ("plane", ("plane", "jet", "jet"), "positive", "all be different"),
        ("plane", ("plane",), "both", "side must be"),
        ("", ("", "jet"), "positive", "piece of the prompt"),
    ],
)
def test_bad_slots_are_named(text, choices, side, message):
    with pytest.raises(ValueError, match=message):
        Slot(text, choices, side)


def test_slot_texts_must_stand_in_the_prompt():
    with pytest.raises(ValueError, match=r"'ball'.*is not in the prompt 'a plane'"):
        Space("a plane", (BALL,))
    with pytest.raises(ValueError, match="or elsewhere"):
        Space("a ball", (Slot("ball", ("ball",), start=1),))


def test_slots_must_not_overlap():
    phrase = Slot("red ball", ("red ball", "sphere"), start=2)
    with pytest.raises(ValueError, match="overlap"):
        Space("a red ball", (phrase, Slot("ball", ("ball",), start=6)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"prompt": 3}, r"space\.prompt must be str"),
        ({"slots": [{"text": "plane"}]}, r"slots\[0\] lacks the field 'choices'"),
        ({"slots": ["plane"]}, r"slots\[0\] must be an object"),
        (
            {"slots": [{"text": "plane", "choices": [1], "side": "positive", "start": None}]},
            r"slots\[0\]\.choices must hold strings",
        ),
        (
            {"slots": [{"text": "plane", "choices": ["jet"], "side": "positive", "start": None}]},
            r"slots\[0\]: positive slot 'plane'.*first choice",
        ),
    ],
)
def test_bad_json_is_named_by_field_and_slot(change, message):
    data = Space("a plane", (PLANE,)).to_json()
    with pytest.raises(ValueError, match=message):
        Space.from_json(data | change)
    with pytest.raises(ValueError, match="lacks the field 'prompt'"):
        Space.from_json({"version": 1})


@given(sizes, seeds, st.integers(1, 4))
def test_samples_near_the_prompt_change_few_slots(sizes, seed, most):
    space = negative_space(*sizes)
    candidate = space.sample_near(generator(seed), most)
    space.decode(candidate)
    changed = np.count_nonzero(candidate)
    assert changed <= most
    assert changed >= 1 or space.size == 1


def test_samples_near_the_prompt_reach_every_small_change():
    space, rng = negative_space(3, 3, 3), generator(0)
    found = {space.sample_near(rng, 2) for _ in range(500)}
    assert found == {candidate for candidate in space if 1 <= np.count_nonzero(candidate) <= 2}


def test_words_are_chosen_where_a_free_slot_has_them():
    space = Space("a plane", (PLANE, RED, RED))
    assert space.choose([]) == space.identity
    assert space.choose(["jet", "Blue", "green"]) == (2, 2, 1)
    with pytest.raises(ValueError, match="'purple' is not a choice"):
        space.choose(["purple"])
    with pytest.raises(ValueError, match="'red' is not a choice of a free slot"):
        Space("a plane", (RED,)).choose(["red"])
    with pytest.raises(ValueError, match="'blue' is not a choice of a free slot"):
        Space("a plane", (RED,)).choose(["green", "blue"])


SHARP = Slot("modifier", ("", "sharp", "crisp"), "modifier")
GUIDANCE = Slot("guidance", ("", "2", "7.5"), "guidance")


def test_modifiers_follow_the_positive_prompt_and_are_not_repeated():
    space = Space("a plane", (SHARP, RED, PLANE, SHARP), "ugly")
    assert space.decode((2, 1, 1, 1)) == ("a aircraft, crisp, sharp", "ugly, green")
    assert space.decode((1, 0, 0, 1)) == ("a plane, sharp", "ugly")


def test_a_candidate_chooses_the_guidance():
    space = Space("a plane", (RED, GUIDANCE))
    assert [space.decode((1, k)).guidance for k in range(3)] == [None, 2.0, 7.5]
    positive, negative = space.decode((1, 2))
    assert (positive, negative) == ("a plane", "green")


def test_prompts_of_another_guidance_are_other_prompts():
    space = Space("a plane", (GUIDANCE,))
    own, low, high = (space.decode((k,)) for k in range(3))
    assert len({own, low, high}) == 3
    assert low != own and own != low and low != high
    assert len({low, space.decode((1,))}) == 1
    assert low != tuple(low)
    for copied in (copy.deepcopy(high), pickle.loads(pickle.dumps(high))):
        assert copied == high and copied.guidance == 7.5
    assert "guidance=7.5" in repr(high)


@pytest.mark.parametrize("wrong", ["", "1", "0.5", "much", "nan", "inf"])
def test_guidance_that_is_no_number_above_1_is_refused(wrong):
    with pytest.raises(ValueError, match="numbers above 1|all be different"):
        Slot("guidance", ("", wrong), "guidance")


def test_two_guidance_slots_are_refused():
    with pytest.raises(ValueError, match="at most one guidance slot"):
        Space("a plane", (GUIDANCE, GUIDANCE))


@pytest.mark.parametrize("side", ["negative", "modifier", "guidance"])
def test_slots_outside_of_the_prompt_have_no_start(side):
    with pytest.raises(ValueError, match=f"a {side} slot has no place"):
        Slot("guidance", ("", "2"), side, start=0)


def test_the_models_own_guidance_is_no_choice_beside_itself():
    assert guidance_space("a plane", own=5.0).slots[0].choices == ("", "2", "3", "7.5")
    assert guidance_space("a plane", [4], negative_prompt="ugly").negative_prompt == "ugly"


def test_modifiers_of_the_prompt_are_no_choice():
    space = modifiers_space("a sharp plane", ["sharp", "crisp", "detailed"], slots=1)
    assert space.slots[0].choices == ("", "crisp", "detailed")

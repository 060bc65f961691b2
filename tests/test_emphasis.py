"""Weights of words: what a space makes of them, and how a text encoder applies them."""

import pickle

import numpy as np
import pytest
import tiny
import torch

import dpodiff
from dpodiff import BlackBox, Objective, Similarity, Slot, Space, emphasis_space
from dpodiff.gradients import mix
from dpodiff.models import load
from dpodiff.spaces import Prompts
from dpodiff.weighted_text import WeightedText, plain

RED = Slot("red", ("", "0.8", "1.2"), "emphasis")


def gray(*job):
    return np.full((8, 8, 3), 0.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny.stable_diffusion(tmp_path_factory.mktemp("sd"))
    return load(str(folder), device="cpu")


def test_a_candidate_reads_as_compel_writes_it():
    space = emphasis_space("a red ball, at the sea")
    assert [slot.text for slot in space.slots] == ["red", "ball", "sea"]
    assert str(space.decode((1, 0, 2)).positive) == "a (red)0.8 ball, at the (sea)1.2"
    assert plain(space.decode((1, 0, 2)).positive) == space.prompt


def test_parentheses_of_a_prompt_stay_text():
    space = emphasis_space("a (red)1.2 ball", locked=["1", "2"])
    own, other = space.decode((0, 0)).positive, space.decode((0, 1)).positive
    assert own == "a (red)1.2 ball"
    assert type(own) is str
    assert str(other) == r"a \(red\)1.2 (ball)0.8"


def test_what_a_word_becomes_has_its_weight():
    synonyms = Slot("red", ("red", "crimson", ""))
    praise = Slot("modifier", ("", "sharp"), "modifier")
    space = Space("a red ball", (synonyms, RED, praise))
    assert str(space.decode((1, 2, 1)).positive) == "a (crimson)1.2 ball, sharp"
    assert space.decode((2, 2, 0)).positive == "a ball"


def test_a_word_within_a_phrase_gives_it_the_weight():
    phrase = Slot("red ball", ("red ball", "sun"))
    space = Space("a red ball", (phrase, RED))
    assert str(space.decode((0, 1)).positive) == "a (red ball)0.8"
    with pytest.raises(ValueError, match="overlap in the prompt"):
        Space("a red ball", (RED, Slot("a red", ("", "2"), "emphasis", start=0)))
    with pytest.raises(ValueError, match="overlap in the prompt"):
        Space("a red ball", (Slot("red", ("red",)), Slot("a red", ("", "2"), "emphasis", start=0)))


@pytest.mark.parametrize("wrong", ["0", "2.5", "nan", "much"])
def test_a_weight_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="above 0 and at most 2"):
        Slot("red", ("", wrong), "emphasis")


def test_texts_of_other_weights_are_other_texts():
    light, heavy = (WeightedText([("a ", 1), ("ball", w)]) for w in (0.8, 1.2))
    assert light != heavy
    assert heavy != "a (ball)1.2"
    assert len({light, heavy, "a (ball)1.2", WeightedText(heavy.pieces)}) == 3
    copied = pickle.loads(pickle.dumps(Prompts(heavy, "")))
    assert copied == Prompts(heavy, "")
    assert copied.positive.plain == "a ball"


def test_space_of_emphasis_survives_json():
    space = emphasis_space("a red ball")
    assert Space.from_json(space.to_json()) == space


def test_a_heavy_word_is_further_from_the_empty_text(model):
    text = WeightedText([("a ", 1), ("red", 1.5), (" ball", 1)])
    own, empty, found = model.encode(["a red ball", "", text])
    place = 2  # start, a, red, ball
    torch.testing.assert_close(found[place], empty[place] + 1.5 * (own - empty)[place])
    rest = [k for k in range(len(own)) if k != place]
    torch.testing.assert_close(found[rest], own[rest])


def test_a_light_word_is_mixed_with_the_text_without_it(model):
    text = WeightedText([("a ", 1), ("red", 0.5), (" ball", 1)])
    own, empty, found = model.encode(["a red ball", "", text])
    ids = model.tokenizer(["a red ball"], padding="max_length", return_tensors="pt").input_ids
    mask = torch.ones_like(ids)
    mask[0, 2] = 0
    (without,) = model.text_encoder(ids, attention_mask=mask).last_hidden_state
    half = (own + without) / 2  # tan(pi / 4) is 1
    half[2] = empty[2] + 0.5 * (half - empty)[2]
    torch.testing.assert_close(found, half)
    assert not torch.allclose(own, without)


def test_neighbors_of_one_weight_are_masked_together(model):
    apart = WeightedText([("a ", 1), ("red", 0.5), (" ", 1), ("ball", 0.5)])
    together = WeightedText([("a ", 1), ("red ball", 0.5)])
    torch.testing.assert_close(*model.encode([apart, together]))


def test_parentheses_in_a_plain_text_are_encoded_as_text(model):
    ids = model.tokenizer(["(red)"], padding="max_length", return_tensors="pt").input_ids
    stock = model.text_encoder(ids).last_hidden_state
    torch.testing.assert_close(model.encode(["(red)"]), stock)


def test_emphasis_is_searched_by_name():
    space = "emphasis+guidance"
    result = dpodiff.improve(
        "a red ball",
        space=space,
        locked=["red"],
        solver="forward",
        budget=4,
        seeds=1,
        progress=False,
    )
    assert [slot.side for slot in result.objective.space.slots] == ["emphasis", "guidance"]
    records = result.trace.records
    assert {record.positive for record in records} >= {"a red ball", "a red (ball)1.2"}
    assert all(type(record.positive) is str for record in records)
    assert len({record.losses for record in records}) == len(records)


def test_models_without_emphasis_refuse_it(tmp_path):
    other = load(str(tiny.sdxl(tmp_path / "sdxl")), device="cpu")
    for refusing in (BlackBox(gray), other):
        with pytest.raises(ValueError, match="takes no weights of words: leave 'emphasis' out"):
            dpodiff.improve("a red ball", model=refusing, loss="white", space="emphasis")
        objective = Objective(refusing, dpodiff.losses.white, Space("a red ball", (RED,)), (0,))
        with pytest.raises(ValueError, match="leave 'emphasis' out"):
            objective.evaluate([(1,)])


def test_a_constraint_reads_the_words_alone():
    read = []

    def encoder(texts):
        read.extend(texts)
        return torch.ones(len(texts), 2)

    space = Space("a red ball", (RED,))
    assert Similarity("a red ball", encoder)(space.decode((1,)))
    assert read == ["a red ball"]


def test_weights_between_choices_of_emphasis_change_nothing():
    even = torch.full((3,), 1 / 3)
    (piece,) = mix(Space("a red ball", (RED,)), [even]).positive
    assert piece.choices == ("a red ball",)

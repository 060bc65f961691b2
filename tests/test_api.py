import inspect

import pytest
from helpers import FakeModel, shade

import dpodiff
from dpodiff import Slot, Space, Trace, improve

PROMPT = "a red ball on the sea"


def attempt(prompt=PROMPT, **settings):
    settings = {"model": FakeModel(), "loss": shade, "budget": 5, "progress": False} | settings
    return improve(prompt, **settings)


def test_a_prompt_is_improved_by_its_negative_prompt():
    result = attempt(budget=12, seeds=2)
    assert result.prompts.positive == PROMPT
    assert result.prompts.negative
    assert sum(result.losses) < sum(result.baseline_losses)
    assert result.cost.images == 24


def test_an_attack_raises_the_loss():
    result = attempt(budget=12, space="synonym", task="attack")
    assert result.prompts.positive != PROMPT
    assert sum(result.losses) > sum(result.baseline_losses)


def test_spaces_are_joined_by_name():
    slots = attempt(space="antonym + nplib+synonym").objective.space.slots
    assert {slot.side for slot in slots} == {"positive", "negative"}
    assert {slot.text for slot in slots} >= {"red", "ball", "sea", ""}


def test_locked_words_are_left_alone():
    slots = attempt(space="synonym", locked=["red"]).objective.space.slots
    assert [slot.text for slot in slots] == ["ball", "sea"]


def test_the_users_own_negative_prompt_stays():
    assert attempt(negative_prompt="ugly").prompts.negative.startswith("ugly")


def test_a_space_of_ones_own():
    space = Space(PROMPT, (Slot("red", ("red", "ruby")),))
    assert attempt(space=space).status == "exhausted"


@pytest.mark.parametrize("solver", ["epo", "random"])
def test_equal_seeds_give_equal_results(solver):
    first, second = (attempt(solver=solver, seed=3).trace.records for _ in range(2))
    assert [r.candidate for r in first] == [r.candidate for r in second]


def test_a_trace_is_written(tmp_path):
    attempt(trace=tmp_path / "trace.jsonl")
    assert len(Trace.load(tmp_path / "trace.jsonl").records) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"budget": 0}, "at least 1 evaluation, not 0"),
        ({"seeds": 0}, "seeds must be at least 1, not 0"),
        ({"space": "antonyms"}, "unknown space 'antonyms'; choose from antonym, nplib, synonym"),
        ({"space": ""}, "unknown space ''"),
        ({"solver": "sgd"}, "unknown solver 'sgd'; choose from epo, random"),
        ({"task": "worsen"}, "unknown task 'worsen'; choose from improve, attack"),
        ({"prompt": "an unspeakable ball"}, "unknown word 'unspeakable'"),
        ({"prompt": "the of", "space": "synonym"}, "nothing can change in 'the of'"),
        ({"space": Space("a ball", ())}, "of another prompt: 'a ball'"),
        ({"locked": ["dog"]}, "locked word 'dog'"),
        ({"model": "no-such-model"}, "no-such-model"),
    ],
)
def test_bad_input_is_refused_with_what_would_be_right(settings, message):
    with pytest.raises(ValueError, match=message):
        attempt(**settings)


def test_every_public_name_is_there():
    assert set(dpodiff.__all__) <= set(dir(dpodiff))
    for name in dpodiff.__all__:
        assert getattr(dpodiff, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dpodiff.nothing


def test_type_checkers_see_the_same_names():
    source = inspect.getsource(dpodiff)
    for name in dpodiff.__all__:
        assert f"import {name} as {name}" in source

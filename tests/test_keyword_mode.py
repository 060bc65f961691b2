"""Keyword mode and language models in the main functions."""

import pytest
from helpers import FakeModel, shade

from dpodiff import Dictionary, attack, improve

PROMPT = "a small red ball on the sea"
WORDS = Dictionary(
    {"red": ["crimson"], "ball": ["sphere"], "on": ["upon"]},
    {"red": ["green"], "ball": ["box"], "on": ["off"]},
)


def slots(function=improve, **settings):
    own = {"encoder": lambda texts: [[1.0]] * len(texts)} if function is attack else {}
    result = function(
        PROMPT,
        model=FakeModel(),
        loss=shade,
        lexicon=WORDS,
        budget=2,
        verify=0,
        progress=False,
        **{"space": "synonym+antonym"} | own | settings,
    )
    return [slot.text for slot in result.objective.space.slots]


@pytest.mark.parametrize("function", [improve, attack])
def test_only_key_words_may_change(function):
    assert slots(function) == ["red", "ball", "on", "red", "ball", "on"]
    assert slots(function, keywords=True) == ["red", "ball"] * 2
    assert slots(function, keywords=["Red"]) == ["red"] * 2
    assert slots(function, keywords=True, locked=["red"]) == ["ball"] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keywords": "red"}, "True, False or a list of words, not 'red'"),
        ({"keywords": [1]}, "a list of words"),
        ({"keywords": None}, "a list of words"),
        ({"keywords": []}, "no key words"),
        ({"keywords": ["blue"]}, "key word 'blue' is not in the prompt"),
        ({"keywords": True, "space": "nplib"}, "for the space 'antonym' or 'synonym'"),
        ({"lexicon": 3}, "lexicon must be a Lexicon"),
        ({"lexicon": "lmm"}, "did you mean 'llm'"),
    ],
)
def test_arguments_are_checked_before_a_model_is_loaded(settings, message):
    with pytest.raises(ValueError, match=message):
        improve(PROMPT, model="no-such-model", **{"space": "synonym"} | settings)

"""What was drawn instead of the prompt, and the candidates against it."""

import pandas as pd
import pytest
import torch
from helpers import FakeModel, shade

from dpodiff import (
    EPO,
    Budget,
    Dictionary,
    ForwardSelection,
    Objective,
    antonym_space,
    contrast_prompts,
    diagnosed_candidates,
    search,
    synonym_space,
)
from dpodiff.objective import Diagnosis

PROMPT = "a violet fish on the sea"
LEXICON = Dictionary(
    {"violet": ["purple", "mauve"], "sea": ["ocean"]},
    {"violet": ["blue", "red"], "fish": ["boat"], "sea": ["sky"]},
)
NEGATIVE = antonym_space(PROMPT, LEXICON)
SPACE = NEGATIVE + synonym_space(PROMPT, LEXICON)


def contrasts(prompt):
    return contrast_prompts(prompt, LEXICON)


def texts(space, margins, **settings):
    found = diagnosed_candidates(space, contrasts(PROMPT), margins, **settings)
    return [tuple(space.decode(candidate)) for candidate in found]


def test_what_was_drawn_becomes_negative_and_the_missed_word_its_synonym():
    assert texts(SPACE, {"a blue fish on the sea": -0.1, "a red fish on the sea": 0.1}) == [
        (PROMPT, "blue"),
        ("a purple fish on the sea", ""),
        ("a purple fish on the sea", "blue"),
    ]


def test_the_worst_contrast_comes_first_and_all_negatives_last():
    margins = {"a blue fish on the sea": -0.1, "a violet boat on the sea": -0.2}
    found = texts(NEGATIVE, margins)
    assert found == [(PROMPT, "boat"), (PROMPT, "blue"), (PROMPT, "blue, boat")]
    assert texts(NEGATIVE, margins, most=1) == [(PROMPT, "boat")]
    assert texts(NEGATIVE, margins, below=-0.15) == [(PROMPT, "boat")]


def test_one_slot_names_the_worst_of_two_contrasts():
    margins = {"a blue fish on the sea": -0.1, "a red fish on the sea": -0.2}
    assert texts(NEGATIVE, margins) == [(PROMPT, "red"), (PROMPT, "blue")]


def test_images_that_fit_the_prompt_give_no_candidate():
    assert texts(SPACE, {}) == texts(SPACE, {"a blue fish on the sea": 0.1}) == []


def test_words_that_the_space_does_not_offer_are_left_out():
    space = antonym_space(PROMPT, LEXICON, locked=["fish"])
    assert texts(space, {"a violet boat on the sea": -0.1}) == []


class Planted:
    """Margins by which blue was drawn instead of violet; keeps the images it was shown."""

    def __init__(self):
        self.shown = []

    def margins(self, images, prompt):
        self.shown.append(images)
        table = [(one.prompt, -0.1 if one.new == "blue" else 0.1) for one in contrasts(prompt)]
        return pd.DataFrame(table, columns=["contrast", "margin"])


@pytest.mark.parametrize("solver_class", [EPO, ForwardSelection])
def test_a_search_begins_with_the_diagnosis_of_the_baselines_images(solver_class):
    model, loss = FakeModel(), Planted()
    objective = Objective(model, shade, SPACE, (0, 1))
    solver = solver_class(SPACE, first=Diagnosis(objective, loss, contrasts))
    result = search(solver, objective, Budget(5), progress=False)
    read = [(record.positive, record.negative) for record in result.trace.records]
    assert read[:3] == [(PROMPT, ""), (PROMPT, "blue"), ("a purple fish on the sea", "")]
    assert sum(model.batches) == result.cost.images == 10  # none for the diagnosis
    (images,) = loss.shown
    torch.testing.assert_close(images, objective.images(SPACE.identity, [0, 1]))
    assert "Diagnosis" in result.trace.stamp.parameters["solver"]["first"]

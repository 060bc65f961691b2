"""Verification: what is not better on fresh seeds is refused, and what is, is not."""

import numpy as np
import pytest
import torch
from helpers import FakeModel, Guided, negative_space, shade

from dpodiff import Budget, Objective, RandomSearch, guidance_space, search
from dpodiff.results.verification import best_candidates, verify

SPACE = negative_space(6, 6)


class Planted(FakeModel):
    """Images whose shade is noise of the seed, and lower with one word, by up to 5 of 11."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def generate(self, prompts, negative_prompts, seeds):
        images = super().generate(prompts, negative_prompts, seeds)
        gains = [self.gain * ("w0-1" in negative) for negative in negative_prompts]
        return (images - torch.tensor(gains).view(-1, 1, 1, 1) + 5) / 11


def found(model, *, seed=0, budget=12, seeds=range(4), **settings):
    goal = Objective(model, shade, SPACE, seeds, **settings)
    return search(RandomSearch(SPACE, seed=seed), goal, Budget(budget), progress=False)


def test_a_useless_space_is_refused_at_least_as_often_as_promised():
    accepted = sum(
        verify(found(FakeModel(), seed=run, seeds=range(50 * run, 50 * run + 4))).accepted
        for run in range(200)
    )
    # 2.5% of 200, and three standard errors
    assert accepted <= 5 + 3 * np.sqrt(5)


def test_a_planted_word_is_accepted_and_named():
    result = found(Planted(5.0), budget=30)
    checked = verify(result)
    assert checked.accepted
    assert "w0-1" in checked.prompts.negative
    assert str(checked).startswith("better: loss ")
    assert checked.comparisons[0].changes["loss"].high < 0


def test_what_is_not_accepted_leaves_the_user_s_prompt():
    checked = verify(found(FakeModel()))
    assert not checked.accepted
    assert checked.candidate == SPACE.identity
    assert checked.prompts.positive == SPACE.prompt
    assert str(checked).startswith("not proven better: keep your prompt (best found: loss ")


def test_an_attack_is_better_where_the_loss_is_higher():
    checked = verify(found(Planted(-5.0), budget=30, task="attack"))
    assert checked.accepted
    assert checked.comparisons[0].after > checked.comparisons[0].before


def test_a_second_loss_has_to_agree():
    result = found(Planted(5.0), budget=30)
    assert verify(result, losses={"same": shade}).accepted
    refused = verify(result, losses={"opposite": lambda images, prompts: -shade(images, prompts)})
    assert not refused.accepted
    assert "opposite +0.45" in str(refused)


def test_seeds_are_fresh_and_paid_for():
    model = FakeModel()
    result = found(model)
    before = sum(model.batches)
    checked = verify(result, seeds=7, finalists=3)
    assert set(checked.seeds).isdisjoint(result.objective.seeds)
    assert sum(model.batches) - before == 4 * checked.evaluations == 4 * 7


def test_finalists_are_the_best_that_read_otherwise():
    result = found(FakeModel())
    values = {record.candidate: record.value for record in result.trace.records}
    better = sorted((c for c in values if values[c] < values[SPACE.identity]), key=values.get)
    assert len(better) > 3
    assert best_candidates(result, 3) == better[:3]


def test_what_is_no_better_on_the_seeds_of_the_search_is_not_tested():
    model = Planted(-5.0)  # one word harms, and the others do nothing
    result = search(
        RandomSearch(negative_space(2)),
        Objective(model, shade, negative_space(2), range(4)),
        Budget(2),
        progress=False,
    )
    made = sum(model.batches)
    checked = verify(result)
    assert not checked.accepted
    assert (checked.comparisons, checked.evaluations, sum(model.batches)) == ((), 0, made)
    assert str(checked).endswith("(the search found nothing better)")


def test_a_search_that_evaluated_nothing_else_keeps_the_prompt():
    checked = verify(found(FakeModel(), budget=1))
    assert not checked.accepted
    assert "found nothing better" in str(checked)


def test_numbers_out_of_range_are_refused():
    result = found(FakeModel())
    with pytest.raises(ValueError, match="finalists must be at least 1"):
        verify(result, finalists=0)
    with pytest.raises(ValueError, match="at least 6 fresh seeds"):
        verify(result, seeds=3)


def searched_by_guidance():
    model = Guided()
    space = guidance_space("a red ball", [2, 3, 5], own=model.guidance)
    goal = Objective(model, shade, space, range(4))
    return search(RandomSearch(space), goal, Budget(space.size), progress=False)


def test_finalists_may_differ_in_guidance_alone():
    result = searched_by_guidance()
    assert best_candidates(result, 4) == [(1,), (2,), (3,)]
    assert result.trace.records[0].guidance is None
    assert {record.guidance for record in result.trace.records[1:]} == {2.0, 3.0, 5.0}


def test_images_are_verified_with_the_guidance_of_their_candidate():
    result = searched_by_guidance()
    asked = result.objective.model.guidances
    asked.clear()
    checked = verify(result, seeds=8, finalists=2)
    assert {guidance: asked.count(guidance) for guidance in asked} == {None: 8, 2.0: 8, 3.0: 8}
    assert checked.accepted
    assert checked.prompts.guidance == 2.0
    after, before = checked.comparisons[0].after, checked.comparisons[0].before
    assert after == pytest.approx(2 / 7.5 * before)

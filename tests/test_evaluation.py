"""held_out measures what the search did not."""

import pytest
import torch
from helpers import FakeModel, fake_shade, negative_space, shade

import dpodiff
from dpodiff.evaluation import held_out
from dpodiff.toy.judge import Judge

PROMPT = "a red ball"


@pytest.fixture
def result():
    return dpodiff.improve(
        PROMPT, model=FakeModel(), loss=shade, space=negative_space(3, 3), budget=6, progress=False
    )


def test_scores_both_prompts_on_the_given_seeds(result):
    table = held_out(result, [100, 101], {"shade": shade})
    before = (fake_shade(PROMPT, "", 100) + fake_shade(PROMPT, "", 101)) / 2
    after = sum(fake_shade(*result.prompts, seed) for seed in (100, 101)) / 2
    assert table.loc["shade", "before"] == pytest.approx(before)
    assert table.loc["shade", "after"] == pytest.approx(after)
    assert table.loc["shade", "difference"] == pytest.approx(after - before)


def test_costs_the_search_nothing(result):
    images = result.objective.cost.images
    held_out(result, [100], {"shade": shade})
    assert result.objective.cost.images == images


def test_refuses_a_seed_of_the_search(result):
    with pytest.raises(ValueError, match="seed 2 was used by the search"):
        held_out(result, [2, 100], {"shade": shade})


def test_adds_the_verdicts_of_a_judge(result):
    torch.manual_seed(0)
    table = held_out(result, [100], {}, Judge().eval())
    assert list(table.index) == ["judge, all as asked", "judge, clean"]
    assert table[["before", "after"]].isin([0.0, 1.0]).all().all()

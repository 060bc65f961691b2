"""The size of a study: the formula against the published figures, and against simulated studies."""

import numpy as np
import pandas as pd
import pytest

import dpodiff
from dpodiff.studies.measures import over_prompts

RUNS = 500


def found(size, prompt_correlation, pair_correlation, raters=1, ties=0.0):
    """Share of simulated studies of that size whose interval leaves out 1/2.

    An answer is that of its prompt, or that of its pair, or its own, with probabilities that give
    the correlations.
    """
    rng = np.random.default_rng(0)
    per_prompt = size.pairs // size.prompts
    shape = (size.prompts, per_prompt, raters)
    names = pd.Series(np.repeat(np.arange(size.prompts), per_prompt * raters))
    levels = [1 - size.win_rate - ties / 2, ties, size.win_rate - ties / 2]

    def draw(*shape):
        return rng.choice([0, 0.5, 1], size=shape, p=levels)

    hits = 0
    for _ in range(RUNS):
        of_prompt, of_pair = draw(shape[0], 1, 1), draw(*shape[:2], 1)
        # Both answers copy with probability sqrt(c), so they are equal by it with probability c.
        up = rng.random(shape) < np.sqrt(prompt_correlation)
        side = ~up & (rng.random(shape) < _rest(prompt_correlation, pair_correlation))
        own = np.where(up, of_prompt, np.where(side, of_pair, draw(*shape)))
        interval = over_prompts(pd.Series(own.reshape(-1)), names)
        hits += interval.low > 0.5 or interval.high < 0.5
    return hits / RUNS


def _rest(prompt_correlation, pair_correlation):
    return np.sqrt(pair_correlation - prompt_correlation) / (1 - np.sqrt(prompt_correlation))


@pytest.mark.parametrize(("rate", "pairs"), [(0.55, 780), (0.6, 190), (0.65, 80)])
def test_independent_pairs_are_about_the_published_numbers(rate, pairs):
    assert dpodiff.study_size(rate).pairs == pytest.approx(pairs, rel=0.1)
    assert dpodiff.study_size(1 - rate).pairs == dpodiff.study_size(rate).pairs


@pytest.mark.parametrize(
    "case",
    [
        {"win_rate": 0.65, "pairs_per_prompt": 1, "prompt_correlation": 0.0},
        {"win_rate": 0.65, "pairs_per_prompt": 4, "prompt_correlation": 0.2},
        {"win_rate": 0.65, "pairs_per_prompt": 2, "raters": 3, "pair_correlation": 0.4},
        {"win_rate": 0.64, "pairs_per_prompt": 2, "ties": 0.3},
        {"win_rate": 0.35, "pairs_per_prompt": 3, "power": 0.9},
    ],
)
def test_simulated_studies_of_that_size_have_the_power(case):
    size = dpodiff.study_size(**case)
    share = found(
        size,
        case.get("prompt_correlation", 0.1),
        case.get("pair_correlation", 0.3),
        case.get("raters", 1),
        case.get("ties", 0.0),
    )
    assert share == pytest.approx(case.get("power", 0.8), abs=0.05)


def test_more_pairs_of_a_prompt_need_fewer_prompts_and_more_pairs():
    sizes = [dpodiff.study_size(0.6, pairs_per_prompt=k, prompt_correlation=0.2) for k in (1, 2, 8)]
    assert sizes[0].prompts > sizes[1].prompts > sizes[2].prompts
    assert sizes[0].pairs < sizes[1].pairs < sizes[2].pairs


def test_there_are_never_fewer_prompts_than_a_claim_needs():
    assert dpodiff.study_size(0.99, pairs_per_prompt=8).prompts == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"win_rate": 0.5}, "win_rate must differ from 1/2"),
        ({"win_rate": 1.0}, "win_rate must lie between 0 and 1"),
        ({"win_rate": 0.6, "power": 0}, "power must lie between 0 and 1"),
        ({"win_rate": 0.6, "pairs_per_prompt": 0}, "pairs_per_prompt must be at least 1"),
        ({"win_rate": 0.6, "raters": 1.5}, "raters must be a whole number"),
        ({"win_rate": 0.6, "prompt_correlation": 0.5}, "pair_correlation must lie between"),
        ({"win_rate": 0.9, "ties": 0.5}, "with 50% ties the win rate cannot be 0.9"),
        ({"win_rate": float("nan")}, "win_rate must be a finite number"),
    ],
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dpodiff.study_size(**arguments)

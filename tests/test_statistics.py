import numpy as np
import pytest

from dpodiff import paired_bootstrap, verdict
from dpodiff.results.statistics import FEWEST, Interval


def test_interval_lies_about_the_mean():
    mean, low, high = paired_bootstrap([-0.1, -0.3, -0.2, 0.1])
    assert mean == pytest.approx(-0.125)
    assert low < mean < high


def test_interval_of_a_normal_sample_is_near_the_exact_one():
    values = np.random.default_rng(1).normal(1.0, 2.0, size=400)
    mean, low, high = paired_bootstrap(values)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([low, high], [mean - half, mean + half], atol=0.02)


def test_higher_levels_are_wider():
    values = [0.0, 1.0, 2.0, 5.0]
    wide, narrow = (paired_bootstrap(values, level=level) for level in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_equal_seeds_give_equal_intervals():
    assert paired_bootstrap([1, 2, 4], seed=3) == paired_bootstrap([1, 2, 4], seed=3)


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([1.0], 0.95, "at least 2"),
        ([[1.0], [2.0]], 0.95, "in a row"),
        ([1.0, np.nan], 0.95, "1 of 2"),
        ([1.0, 2.0], 95, "level"),
    ],
)
def test_bad_input_is_refused(values, level, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(values, level=level)


@pytest.mark.parametrize(
    ("low", "high", "better", "start", "opposite"),
    [
        (-2.0, -1.0, "lower", "holds", False),
        (-2.0, -1.0, "higher", "FAILS", True),
        (1.0, 2.0, "higher", "holds", False),
        (-1.0, 0.0, "lower", "FAILS", False),
        (-1.0, 0.0, "higher", "FAILS", False),
    ],
)
def test_a_claim_holds_on_one_side_of_zero_only(low, high, better, start, opposite):
    line = verdict("it helps", Interval((low + high) / 2, low, high), FEWEST, better)
    assert line.startswith(f"{start}  it helps")
    assert line.endswith(" opposite") == opposite


def test_a_claim_on_a_handful_of_prompts_is_open_and_says_on_how_many():
    line = verdict("it helps", Interval(-2.0, -3.0, -1.0), FEWEST - 1)
    assert line.startswith(f"OPEN (only {FEWEST - 1} prompts)  it helps")

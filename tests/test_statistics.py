import itertools
import math

import numpy as np
import pytest

from dpodiff import paired_bootstrap, verdict, verdict_table
from dpodiff.results.statistics import Interval, subset_interval
from dpodiff.results.verdicts import FEWEST


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
    ("low", "high", "better", "expected"),
    [
        (-2.0, -1.0, "lower", "holds"),
        (-2.0, -1.0, "higher", "opposite"),
        (1.0, 2.0, "higher", "holds"),
        (1.0, 2.0, "lower", "opposite"),
        (-1.0, 0.0, "lower", "not shown"),
        (-1.0, 0.0, "higher", "not shown"),
    ],
)
def test_a_claim_holds_on_one_side_of_zero_only(low, high, better, expected):
    gap = Interval((low + high) / 2, low, high)
    assert verdict("it helps", gap, FEWEST, better).verdict == expected
    assert verdict("it helps", gap, FEWEST - 1, better).verdict == "too few prompts"


def test_verdicts_are_a_table_with_signs_and_without_an_empty_column():
    gap = Interval(-2.0, -3.0, -1.0)
    table = verdict_table([verdict("it helps", gap, 12), verdict("it does not", gap, 9)])
    assert list(table.columns) == ["effect", "95% interval", "prompts", "verdict"]
    assert table.loc["it helps"].tolist() == ["-2.000", "[-3.000, -1.000]", 12, "holds"]
    assert "measure" in verdict_table([verdict("it helps", gap, 12, measure="loss")])


def test_the_interval_of_a_few_is_that_of_all_subset_means():
    values = [0.3, -0.1, 0.7, 0.2, 0.5, -0.2]
    means = sorted(
        np.mean(subset) for n in range(1, 7) for subset in itertools.combinations(values, n)
    )
    mean, low, high = subset_interval(values, level=0.9)
    assert mean == pytest.approx(np.mean(values))
    assert (low, high) == pytest.approx((means[2], means[-3]))  # 5% of 64 gaps are 3


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "binary", "mixed"])
@pytest.mark.parametrize(("count", "runs"), [(6, 2000), (8, 2000), (40, 250)])
def test_without_an_effect_few_are_called_better(draw, count, runs):
    rng = np.random.default_rng(count)

    def sample():
        if draw == "binary":  # seed by seed, an image is right or wrong
            return rng.integers(2, size=count) - rng.integers(2, size=count)
        if draw == "mixed":  # differences of unequal spread
            return rng.normal(size=count) * rng.exponential(size=count)
        return getattr(rng, draw)(size=count)

    better = sum(subset_interval(sample()).high < 0 for _ in range(runs))
    # 2.5%, and three standard errors of the simulation
    assert better / runs <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)


def test_random_subsets_stand_for_all_of_them(monkeypatch):
    values = np.random.default_rng(1).normal(size=13)
    exact = subset_interval(values)
    monkeypatch.setattr("dpodiff.results.statistics.SUBSETS", 2**12)
    assert subset_interval(values) == pytest.approx(exact, abs=0.1)
    assert subset_interval(values) == subset_interval(values)


def test_an_effect_of_two_deviations_is_found_with_eight():
    rng = np.random.default_rng(0)
    found = [subset_interval(rng.normal(-2, 1, size=8)).high < 0 for _ in range(300)]
    assert np.mean(found) > 0.95


def test_what_is_no_row_of_a_few_is_refused():
    for wrong in ([1.0] * 5, [[1.0] * 6]):
        with pytest.raises(ValueError, match="at least 6 differences"):
            subset_interval(wrong)
    with pytest.raises(ValueError, match="1 of 6 differences not finite"):
        subset_interval([1.0] * 5 + [math.nan])
    with pytest.raises(ValueError, match="level"):
        subset_interval([1.0] * 6, level=1)

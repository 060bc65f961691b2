"""Intervals for claims, over prompts and paired: after minus before."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dpodiff.checks import check_finite, check_seed, check_whole, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MOST_DRAWS = 100_000_000  # largest number of draws of a bootstrap
FEWEST = 6  # least number of differences for `subset_interval`
SUBSETS = 2**14  # number of subsets for an interval, with the empty one


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval.

    Examples:
        >>> gain = dpodiff.paired_bootstrap([-0.3, -0.1, -0.2])
        >>> gain.low <= gain.mean <= gain.high
        True
    """

    mean: float
    low: float
    high: float


def paired_bootstrap(
    differences: "ArrayLike",
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Return the mean of paired differences with its percentile bootstrap interval (Efron, 1979).

    Args:
        differences: (n,), one per pair, n >= 2, all finite.
        level: coverage of the interval, between 0 and 1.
        resamples: number of bootstrap samples.
        seed: seed of the bootstrap.

    Raises:
        ValueError: if the differences or the level are out of these ranges.

    Examples:
        >>> gain = dpodiff.paired_bootstrap([-0.04, -0.01, -0.03, 0.01, -0.02])
        >>> f"{gain.mean:.3f} [{gain.low:.3f}, {gain.high:.3f}]"
        '-0.018 [-0.032, -0.002]'
    """
    values = _differences(differences)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"an interval needs at least 2 differences in a row, not {values.shape}")
    _check_interval(values, level)
    check_whole("resamples", resamples, 1, MOST_DRAWS // len(values))
    check_seed("seed", seed)
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(values[draws].mean(axis=1), tails)
    return Interval(float(values.mean()), float(low), float(high))


def subset_interval(differences: "ArrayLike", *, level: float = 0.95) -> Interval:
    """Return the mean of a few paired differences with an exact interval (Hartigan, 1969).

    If differences are symmetric about a center, the center lies with equal probability in each of
    the 2^n gaps between the means of all nonempty subsets. So order statistics of these means are
    the ends of an interval with exact coverage, for any such distribution and for a few seeds. The
    same holds for random subsets, which are used for more than 14 differences. Without an effect,
    before and after are exchangeable for each seed, so the differences are symmetric about zero.
    For a few seeds a bootstrap interval is too narrow, and Student's interval needs normal
    differences.

    Args:
        differences: (n,), one per seed, n >= 6, all finite.
        level: coverage of the interval, between 0 and 1.

    Returns:
        the mean, and the ends of the interval. Each end is on the wrong side of the center with
        probability at most (1 - level) / 2.

    Raises:
        ValueError: if the differences or the level are out of these ranges.

    Examples:
        >>> change = [-0.3, -0.1, -0.2, -0.4, -0.2, -0.3, -0.1, -0.2]
        >>> dpodiff.subset_interval(change).high < 0
        True
    """
    values = _differences(differences)
    if values.ndim != 1 or len(values) < FEWEST:
        raise ValueError(f"at least {FEWEST} differences in a row are needed, not {values.shape}")
    _check_interval(values, level)
    members = _subsets(len(values))
    means = np.sort(members @ values / members.sum(axis=1))
    outside = int((len(means) + 1) * (1 - level) / 2)
    if outside == 0:
        return Interval(float(values.mean()), -math.inf, math.inf)
    return Interval(float(values.mean()), float(means[outside - 1]), float(means[-outside]))


def change_over_seeds(before: "ArrayLike", after: "ArrayLike", *, level: float = 0.95) -> Interval:
    """Return the mean of after - before over seeds with its exact interval (`subset_interval`).

    The ends are infinite for fewer than 6 seeds, and if a value is not finite. In the second case
    the mean is NaN.

    Args:
        before, after: (n,), one per seed, n >= 1.
        level: coverage of the interval, between 0 and 1.

    Examples:
        >>> from dpodiff.results.statistics import change_over_seeds
        >>> change_over_seeds([0.5, 0.5], [0.25, 0.25])
        Interval(mean=-0.25, low=-inf, high=inf)
    """
    difference = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    if not np.isfinite(difference).all():
        return Interval(math.nan, -math.inf, math.inf)
    if len(difference) < FEWEST:
        return Interval(float(difference.mean()), -math.inf, math.inf)
    return subset_interval(difference, level=level)


def _differences(values: "ArrayLike") -> np.ndarray:
    """Return numbers as a row in float64; ValueError if they are not numbers."""
    try:
        found = np.asarray(values)
    except ValueError:  # rows of different lengths
        found = np.empty(0, object)
    if found.dtype.kind not in "iuf":
        raise ValueError(f"differences must be numbers in a row, not {shown(values)}")
    return found.astype(float)


def _check_interval(values: np.ndarray, level: float) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} differences not finite")
    check_finite("level", level)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")


def _subsets(count: int) -> np.ndarray:
    """Return the nonempty subsets of `count` items, or random ones: (subsets, count) of 0 and 1."""
    if 2**count > SUBSETS:
        members = np.random.default_rng(0).integers(2, size=(SUBSETS - 1, count))
        return members[members.any(axis=1)]
    return np.arange(1, 2**count)[:, None] >> np.arange(count) & 1

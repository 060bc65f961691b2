"""Intervals for claims. A claim is reported over prompts, in pairs: after minus before."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dpodiff.checks import check_finite, check_seed, check_whole, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MOST_DRAWS = 100_000_000  # numbers drawn for a bootstrap
FEWEST = 6  # differences of which `subset_interval` is computed
SUBSETS = 2**14  # with the empty one, of which the interval of a few differences is made


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
    """The mean of paired differences with its percentile bootstrap interval (Efron, 1979).

    Args:
        differences: (n,), one a pair, n >= 2, all finite.
        level: coverage of the interval, between 0 and 1.
        resamples: how often the pairs are drawn again with replacement.
        seed: of those draws.

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
    """The mean of a few paired differences with an exact interval (Hartigan, 1969).

    For differences that are symmetric about a center, the center is equally likely to lie in each
    of the 2^n gaps that the means of all nonempty subsets leave on the real line. Their order
    statistics are therefore the ends of an interval of exact coverage, whatever the distribution,
    also for a handful of seeds. The same holds of random subsets, which stand for all of them if
    there are more than 14 differences. Before and after with one seed are exchangeable if nothing
    has changed, so then the differences are symmetric about zero. A bootstrap of a few seeds is too
    narrow, and Student's interval needs normal differences.

    Args:
        differences: (n,), one per seed, n >= 6, all finite.
        level: coverage of the interval, between 0 and 1.

    Returns:
        the mean, and the ends of the interval: each is on the wrong side of the center with
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
    """The mean of after - before with its exact interval, as `subset_interval` gives it.

    Where nothing can be said of the change, the interval has no ends: of fewer than 6 seeds, and
    where a value is not finite, which makes the mean NaN too.

    Args:
        before, after: (n,), one a seed, n >= 1.
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
    """Numbers in a row, as float64; ValueError if they are none."""
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
    """Nonempty subsets of `count` things, all or random ones: (subsets, count) of 0 and 1."""
    if 2**count > SUBSETS:
        members = np.random.default_rng(0).integers(2, size=(SUBSETS - 1, count))
        return members[members.any(axis=1)]
    return np.arange(1, 2**count)[:, None] >> np.arange(count) & 1

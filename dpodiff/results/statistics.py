"""Intervals for claims. A claim is reported over prompts, in pairs: after minus before."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

FEWEST = 10  # prompts that a claim is made on


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
    differences: ArrayLike,
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
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"an interval needs at least 2 differences in a row, not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {len(values)} differences not finite")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(values[draws].mean(axis=1), tails)
    return Interval(float(values.mean()), float(low), float(high))


def verdict(claim: str, difference: Interval, prompts: float, better: str = "lower") -> str:
    """A claim on a difference with its interval, in a line: holds, FAILS, or is OPEN.

    A claim fails if the interval touches zero, or lies on the other side of it, which is called
    opposite. On a handful of prompts it is open, since the bootstrap is far too narrow there.

    Args:
        claim: in words.
        difference: its mean and interval, as `paired_bootstrap` gives them.
        prompts: how many it is the mean of.
        better: the side of zero on which the claim holds, "lower" or "higher".

    Examples:
        >>> gain = dpodiff.paired_bootstrap([-0.03, -0.01] * 6)
        >>> print(dpodiff.verdict("the search lowers the loss", gain, prompts=12))
        holds  the search lowers the loss           -0.0200 [-0.0250, -0.0150]
    """
    mean, low, high = difference
    holds, opposite = (high < 0, low > 0) if better == "lower" else (low > 0, high < 0)
    said, end = "holds" if holds else "FAILS", " opposite" if opposite else ""
    if prompts < FEWEST:
        said, end = f"OPEN (only {prompts:.0f} prompts)", ""
    return f"{said}  {claim:36} {mean:+.4f} [{low:+.4f}, {high:+.4f}]{end}"

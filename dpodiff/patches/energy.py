"""A permutation test of whether two samples of patches have the same distribution.

The test uses the energy distance of two distributions (Szekely & Rizzo, 2013),

    2 E|X - Y| - E|X - X'| - E|Y - Y'|,

which is zero if they are equal and positive otherwise. Its U-statistic omits the distance of a
patch to itself, so it is unbiased and may be negative. The V-statistic includes it and is positive
even for two samples of the same distribution. The test needs independent patches: use one per
noise.
"""

from typing import NamedTuple

import torch

from dpodiff.checks import check_kind, check_switch, check_whole

MOST_PERMUTATIONS = 100_000


class EnergyTest(NamedTuple):
    """The energy distance of two samples, and its p-value.

    Attributes:
        statistic: the U-statistic; its mean is zero if the distributions are equal.
        p_value: share of permutations, including the given order, with at least this statistic.

    Examples:
        >>> generator = torch.Generator().manual_seed(0)
        >>> first, second = torch.randn(2, 30, 8, generator=generator)
        >>> dpodiff.patches.energy_test(first, second, generator).p_value > 0.05
        True
    """

    statistic: float
    p_value: float


def energy_test(
    first: torch.Tensor,
    second: torch.Tensor,
    generator: torch.Generator,
    *,
    paired: bool = False,
    permutations: int = 999,
) -> EnergyTest:
    """Test whether two samples have the same distribution.

    Args:
        first, second: (n, ...) and (m, ...), at least 2 each, independent within a sample.
        generator: generator of the permutations, on the CPU.
        paired: whether row i of both samples has the same noise. Then only the two rows of a pair
            are exchanged, so that properties of a noise cannot count.
        permutations: number of permutations.

    Raises:
        ValueError: if the samples differ in shape, are too small or not finite, or are paired and
            differ in size.

    Examples:
        >>> generator = torch.Generator().manual_seed(0)
        >>> first, second = torch.randn(2, 30, 8, generator=generator)
        >>> test = dpodiff.patches.energy_test(first, second + 1, generator)
        >>> test.statistic > 0, test.p_value
        (True, 0.001)
    """
    check_kind("generator", generator, torch.Generator, "a torch.Generator")
    check_switch("paired", paired)
    check_whole("permutations", permutations, 1, MOST_PERMUTATIONS)
    n, m = _check_samples(first, second, paired)
    points = torch.cat([first, second]).flatten(1).double()
    distances = torch.cdist(points, points)
    own = torch.arange(n + m) < n
    labels = [own, *(_permuted(own, n, paired, generator) for _ in range(permutations))]
    chosen = torch.stack(labels).to(distances)  # (1 + permutations, n + m)
    statistics = _statistics(distances, chosen, n, m)
    # The same permutation counts as equal although its sum may differ by rounding.
    extreme = statistics >= statistics[0] - 1e-12 * distances.mean()
    return EnergyTest(float(statistics[0]), float(extreme.double().mean()))


def _statistics(distances: torch.Tensor, chosen: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """Return the U-statistics (choices,) of rows (choices, n + m): 1 marks the first sample."""
    to_first = chosen @ distances  # sum of the distances to the first sample
    to_second = (1 - chosen) @ distances
    between = (to_first * (1 - chosen)).sum(1) / (n * m)
    within = (to_first * chosen).sum(1) / (n * (n - 1))
    other = (to_second * (1 - chosen)).sum(1) / (m * (m - 1))
    return 2 * between - within - other


def _permuted(own: torch.Tensor, n: int, paired: bool, generator: torch.Generator) -> torch.Tensor:
    """Return which points belong to the first sample after a permutation."""
    if not paired:
        return own[torch.randperm(len(own), generator=generator)]
    kept = torch.rand(n, generator=generator) < 0.5
    return torch.cat([kept, ~kept])


def _check_samples(first: torch.Tensor, second: torch.Tensor, paired: bool) -> tuple[int, int]:
    for name, sample in (("first", first), ("second", second)):
        check_kind(name, sample, torch.Tensor, "a tensor (n, ...)")
        if sample.ndim < 2 or len(sample) < 2:
            raise ValueError(f"{name} must be (n, ...) with n >= 2, not {tuple(sample.shape)}")
        if not sample.isfinite().all():
            raise ValueError(f"{name} has values that are not finite")
    if first.shape[1:] != second.shape[1:] or (paired and len(first) != len(second)):
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"first and second must have the same shape of a row, not {shapes}")
    return len(first), len(second)

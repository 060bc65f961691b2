"""Penalties that keep optimized noise in the distribution of the model's training noise.

A model has been trained on normal noise only. Without regularization, optimized noise leaves this
distribution: the loss keeps falling, and the images get worse. This is out-of-distribution reward
hacking. Two penalties prevent it:

    improbability    DNO's bound on the probability of the noise (Tang et al., 2024, arXiv
    2405.18881)
    norm_surprise    ReNO's density of the noise's length (Eyring et al., 2024, arXiv 2406.04312)

DNO's penalty tests more than the length. The entries are split into n rows of k. If they are
normal, the mean of the rows is near 0, and their second moment is near the identity,

    M1 = |mean|,    M2 = |rows' rows / n - I|_2,

with known bounds on the deviations (Wainwright, 2019, chapters 2 and 6):

    log P(M1 or more) <= ln 2 - n M1^2 / (2 k)                                   at most 0
    log P(M2 or more) <= ln 2 - n max(sqrt(1 + M2) - 1 - sqrt(k / n), 0)^2 / 2   at most 0

Random orders of the entries are tested too: the rows of an image with a pattern may look normal in
one order and not in another.
"""

import math

import torch

LN2 = math.log(2)


def improbability(
    noise: torch.Tensor,
    generator: torch.Generator,
    *,
    k: int = 4,
    permutations: int = 100,
) -> torch.Tensor:
    """Return minus the log of DNO's bounds in the given order, plus its mean over random orders.

    It is 0 for noise that is as normal as possible, and grows with the deviation. The released code
    omits the constant ln 2, so its values are higher by 4 ln 2. All orders are computed in one
    batch and are the same for all images. That takes about 12 bytes per entry, order and image.

    Args:
        noise: (batch, ...) with at least 2 k entries per image; entries that do not fill a row are
            ignored.
        generator: generator on the CPU for the random orders.
        k: number of entries of a row; the paper uses powers of 4.
        permutations: number of random orders.

    Returns:
        penalties (batch,), at least 0; differentiable.

    Raises:
        ValueError: if a number is below 1, or the noise has too few entries.

    Examples:
        >>> from dpodiff.gradients.regularization import improbability
        >>> generator = torch.Generator().manual_seed(0)
        >>> noise = torch.randn(1, 4, 16, 16, generator=generator)
        >>> usual, doubled = improbability(torch.cat([noise, 2 * noise]), generator)
        >>> bool(usual < 5), bool(doubled > 100)
        (True, True)
    """
    flat = noise.flatten(1)
    if k < 1 or permutations < 1:
        raise ValueError(f"k and permutations must be at least 1, not {k} and {permutations}")
    if flat.shape[1] < 2 * k:
        raise ValueError(f"rows of {k} need {2 * k} entries or more, not {flat.shape[1]}")
    orders = [torch.randperm(flat.shape[1], generator=generator) for _ in range(permutations)]
    shuffled = flat[:, torch.stack(orders).to(flat.device)]  # (batch, permutation, entry)
    return -(log_probability(flat, k) + log_probability(shuffled, k).mean(dim=1))


def log_probability(entries: torch.Tensor, k: int = 4) -> torch.Tensor:
    """Return the sum of both bounds for entries in their order.

    Args:
        entries: (..., entry).
        k: number of entries of a row.

    Returns:
        sums (...), at most 0.
    """
    n = entries.shape[-1] // k
    rows = entries[..., : n * k].unflatten(-1, (n, k))
    # eq. (scratch-moments)
    m1 = torch.linalg.vector_norm(rows.mean(dim=-2), dim=-1)
    moment = rows.transpose(-1, -2) @ rows / n
    m2 = torch.linalg.matrix_norm(moment - torch.eye(k).to(moment), ord=2)
    # eq. (scratch-bounds)
    beyond = ((1 + m2).sqrt() - 1 - math.sqrt(k / n)).clamp_min(0)
    mean = LN2 - n * m1.square() / (2 * k)
    covariance = LN2 - n * beyond.square() / 2
    return mean.clamp_max(0) + covariance.clamp_max(0)


def norm_surprise(noise: torch.Tensor) -> torch.Tensor:
    """Return ReNO's penalty: how improbable the length r of normal noise in d dimensions is.

    It is `r^2 / 2 - (d - 1) ln r` minus its minimum, which is at `r^2 = d - 1`.

    Args:
        noise: (batch, ...).

    Returns:
        penalties (batch,), at least 0; differentiable except at 0.

    Examples:
        >>> from dpodiff.gradients.regularization import norm_surprise
        >>> usual = torch.full((1, 101), 100 / 101).sqrt()  # the sum of squares is 100
        >>> norm_surprise(torch.cat([usual, 2 * usual])).round(decimals=1).abs()
        tensor([ 0.0000, 80.7000])
    """
    flat = noise.flatten(1)
    d = flat.shape[1]
    square = flat.square().sum(dim=1)
    lowest = (d - 1) / 2 * (1 - math.log(d - 1))
    return square / 2 - (d - 1) / 2 * square.log() - lowest

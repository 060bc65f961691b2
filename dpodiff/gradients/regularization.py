"""Penalties that keep optimized noise where the model was trained.

A model has been trained on normal noise only. Optimized without regularization, noise leaves that
region: the loss goes on falling, and the images get worse. That is reward hacking out of
distribution. Two penalties prevent it:

    improbability    DNO's bound on how likely such noise is (Tang et al., 2024, arXiv 2405.18881)
    norm_surprise    ReNO's density of the noise's length alone (Eyring et al., 2024, 2406.04312)

DNO's looks at more than the length. The entries are cut into n rows of k. If they are normal, then
the mean of the rows is near 0, and their second moment near the identity,

    M1 = |mean|,    M2 = |rows' rows / n - I|_2,

and how near is known (Wainwright, 2019, chapters 2 and 6):

    log P(M1 or more) <= ln 2 - n M1^2 / (2 k)                                   at most 0
    log P(M2 or more) <= ln 2 - n max(sqrt(1 + M2) - 1 - sqrt(k / n), 0)^2 / 2   at most 0

Any order of the entries must pass, not only the given one: the rows of an image with a pattern
look innocent in one order and not in another.
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
    """Minus the log of DNO's bounds: in the given order, plus the mean over random orders.

    It is 0 for noise that is as normal as can be, and grows with what gives it away. The released
    code leaves out ln 2, a constant: its values are 4 ln 2 higher. All orders are looked at in one
    batch, the same for all images; that takes about 12 bytes an entry, order and image.

    Args:
        noise: (batch, ...), from 2 k entries an image on; a rest that fills no row is left out.
        generator: on the CPU, of the random orders.
        k: entries of a row; the paper takes powers of 4.
        permutations: random orders.

    Returns:
        penalties (batch,), at least 0; differentiable.

    Raises:
        ValueError: if a number is below 1, or the noise has not enough entries.

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
    """The sum of both bounds for entries in their order.

    Args:
        entries: (..., entry).
        k: entries of a row.

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
    """ReNO's penalty: how unlikely the length r of normal noise in d dimensions is.

    It is `r^2 / 2 - (d - 1) ln r`, minus its lowest value, at `r^2 = d - 1`, so that the penalty
    is 0 there.

    Args:
        noise: (batch, ...).

    Returns:
        penalties (batch,), at least 0; differentiable but at 0.

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

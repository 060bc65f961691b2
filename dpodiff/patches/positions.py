"""Positions of things for the same noise under many prompts.

Positions are arrays (noise, prompt, 2) of centers (x, y) in [0, 1], NaN if the detector found
nothing. If the noise decides where things appear, positions from one noise are close together.
After the noises of each prompt are shuffled they are not.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dpodiff.checks import check_callable, check_kind, check_seed, check_texts, check_whole
from dpodiff.models.base import Model, require_model
from dpodiff.models.batches import Batches
from dpodiff.models.sampling import sample
from dpodiff.patches.editing import check_noise
from dpodiff.results.statistics import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Function from images (batch, 3, height, width) in [0, 1] and their prompt to centers (batch, 2) as
# (x, y), or boxes (batch, 4) as (left, top, right, bottom); in [0, 1], NaN if nothing is found.
Detector = Callable[[torch.Tensor, str], "ArrayLike"]


class Grid(NamedTuple):
    """Images of the same noises under several prompts.

    Attributes:
        latents: clean latents (noise, prompt, channel, h, w).
        images: (noise, prompt, 3, height, width) in [0, 1].

    Examples:
        >>> model = dpodiff.load("toy")
        >>> grid = dpodiff.patches.sample_grid(model, ["a red ball"], model.latents([0, 1]))
        >>> tuple(grid.latents.shape), tuple(grid.images.shape)
        ((2, 1, 4, 16, 16), (2, 1, 3, 64, 64))
    """

    latents: torch.Tensor
    images: torch.Tensor


@torch.no_grad()
def sample_grid(
    model: Model, prompts: Sequence[str], noise: torch.Tensor, *, batch_size: int | None = None
) -> Grid:
    """Make an image of every noise under every prompt with the model's default settings.

    Args:
        model: model that makes the images.
        prompts: prompts of the images; there is no negative prompt.
        noise: (noise, channel, h, w), such as `model.latents(seeds)`.
        batch_size: number of images made at a time; None determines it.

    Raises:
        PromptError: if the model cannot take a prompt.
        ValueError: if the model is a black box, or the noise has another shape.

    Examples:
        >>> model = dpodiff.load("toy")
        >>> grid = dpodiff.patches.sample_grid(model, ["a red ball"], model.latents([0, 1]))
        >>> images = model.generate(["a red ball"] * 2, [""] * 2, seeds=[0, 1])
        >>> torch.allclose(grid.images[:, 0], images, atol=1e-4)
        True
    """
    model = require_model(model, "noise")
    check_texts("prompts", prompts)
    check_noise(noise)
    for prompt in prompts:
        model.check(prompt)
    jobs = [(row, prompt) for row in noise for prompt in prompts]

    def make(batch: Sequence[tuple[torch.Tensor, str]]) -> list[torch.Tensor]:
        rows, texts = zip(*batch)
        x = torch.stack(rows).to(model.device, model.dtype)
        encoded = model.encode(texts), model.encode([""] * len(texts))
        latents = sample(model, x, *encoded, steps=model.steps, guidance=model.guidance)
        return [latents, model.decode(latents)]

    parts = zip(*Batches(model, batch_size).map(make, jobs))
    latents, images = (torch.cat(column) for column in parts)
    shape = len(noise), len(prompts)
    return Grid(*(part.unflatten(0, shape) for part in (latents, images)))


def find_positions(images: torch.Tensor, prompts: Sequence[str], detector: Detector) -> np.ndarray:
    """Return the positions at which a detector finds a thing on the images of a grid.

    Args:
        images: (noise, prompt, 3, height, width) in [0, 1].
        prompts: one per column of images.
        detector: function from images of one prompt, and that prompt, to centers or boxes.

    Returns:
        centers (noise, prompt, 2) as (x, y), float64, NaN if nothing is found.

    Raises:
        ValueError: if images and prompts do not fit, or the detector does not return centers or
            boxes in [0, 1].

    Examples:
        >>> images = torch.zeros(3, 2, 3, 8, 8)
        >>> def left_half(images, prompt):
        ...     return [[0.0, 0.0, 0.5, 1.0]] * len(images)
        >>> dpodiff.patches.find_positions(images, ["a ball", "a box"], left_half)[0]
        array([[0.25, 0.5 ],
               [0.25, 0.5 ]])
    """
    check_kind("images", images, torch.Tensor, "a tensor")
    check_texts("prompts", prompts)
    check_callable("detector", detector, "a callable from images and their prompt to positions")
    if images.ndim != 5 or images.shape[1] != len(prompts):
        raise ValueError(
            f"images must be (noise, {len(prompts)}, 3, height, width) for as many prompts, "
            f"not {tuple(images.shape)}"
        )
    columns = [
        _centers(detector(images[:, k], prompt), len(images)) for k, prompt in enumerate(prompts)
    ]
    return np.stack(columns, axis=1)


def position_entropy(positions: "ArrayLike") -> np.ndarray:
    """Return the trigger entropy of each noise: the spread of positions from the same noise.

    It is the mean of the variances of x and y over prompts (Ban et al., 2024, section 3). The
    variances are unbiased, so that fewer positions do not lower it.

    Args:
        positions: (noise, prompt, 2), NaN if nothing was found.

    Returns:
        (noise,), NaN for fewer than two positions. The unit is the squared image side; multiply it
        by the squared latent side for the paper's unit, latent pixels.

    Examples:
        >>> same, apart = [[0.2, 0.5], [0.2, 0.5]], [[0.2, 0.5], [0.8, 0.5]]
        >>> dpodiff.patches.position_entropy([same, apart])
        array([0.  , 0.09])
    """
    values = np.asarray(positions, float)
    if values.ndim != 3 or values.shape[2] != 2:
        raise ValueError(f"positions must be (noise, prompt, 2), not {values.shape}")
    found = np.asarray(np.isfinite(values).all(axis=2))
    count = found.sum(axis=1)
    values = np.where(found[..., None], values, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = values.sum(axis=1, keepdims=True) / count[:, None, None]
        squares = ((values - means) ** 2 * found[..., None]).sum(axis=(1, 2))
        return np.where(count > 1, squares / 2 / (count - 1), np.nan)


def shuffled_seeds(positions: "ArrayLike", rng: np.random.Generator) -> np.ndarray:
    """Return the control: the positions of each prompt are assigned to noises at random.

    Args:
        positions: (noise, prompt, ...).
        rng: generator of one permutation per prompt.

    Examples:
        >>> positions = np.arange(6).reshape(3, 2)
        >>> np.sort(dpodiff.patches.shuffled_seeds(positions, np.random.default_rng(0)), axis=0)
        array([[0, 1],
               [2, 3],
               [4, 5]])
    """
    check_kind("rng", rng, np.random.Generator, "a numpy.random.Generator")
    values = np.asarray(positions)
    if values.ndim < 2:
        raise ValueError(f"positions must be (noise, prompt, ...), not {values.shape}")
    columns = [rng.permutation(values[:, k]) for k in range(values.shape[1])]
    return np.stack(columns, axis=1)


def seed_share(
    values: "ArrayLike", *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the share of the variance that the seed explains, with a bootstrap interval.

    Prompts are centered first. The share is the intraclass correlation by analysis of variance
    (Shrout & Fleiss, 1979). If the seed explains nothing, it is about zero and may be negative,
    unlike a ratio of sums of squares.

    Args:
        values: (noise, prompt), such as `positions[..., 0]`; NaN if nothing was found.
        level: coverage of the interval.
        resamples: number of bootstrap samples of the seeds.
        seed: seed of the bootstrap.

    Raises:
        ValueError: if fewer than two noises have values under at least two prompts.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> of_seed, own = rng.normal(size=(200, 1)), rng.normal(size=(200, 4))
        >>> share = dpodiff.patches.seed_share(of_seed + own)  # equal variances
        >>> share.low < 0.5 < share.high
        True
    """
    check_whole("resamples", resamples, 1)
    check_seed("seed", seed)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    matrix = np.asarray(values, float)
    if matrix.ndim != 2:
        raise ValueError(f"values must be (noise, prompt), not {matrix.shape}")
    matrix = matrix[np.isfinite(matrix).sum(axis=1) > 1]
    if len(matrix) < 2:
        raise ValueError("at least two noises need values under two prompts or more")
    matrix = matrix[:, np.isfinite(matrix).any(axis=0)]
    matrix = matrix - np.nanmean(matrix, axis=0)
    draws = np.random.default_rng(seed).integers(len(matrix), size=(resamples, len(matrix)))
    whole = _intraclass(matrix, np.arange(len(matrix))[None])
    with np.errstate(invalid="ignore", divide="ignore"):
        again = _intraclass(matrix, draws)
    low, high = np.nanquantile(again, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(whole[0]), float(low), float(high))


def _intraclass(matrix: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the intraclass correlations (draws,) for rows drawn from a matrix with NaN gaps."""
    count = np.isfinite(matrix).sum(axis=1)
    sums = np.nansum(matrix, axis=1)
    within = np.nansum((matrix - (sums / count)[:, None]) ** 2, axis=1)
    counts, sums = count[draws], sums[draws]
    total, rows = counts.sum(axis=1), draws.shape[1]
    grand = sums.sum(axis=1) / total
    between = (counts * (sums / counts - grand[:, None]) ** 2).sum(axis=1) / (rows - 1)
    freedom = total - rows - (matrix.shape[1] - 1)  # prompts were centered
    residual = within[draws].sum(axis=1) / np.maximum(freedom, 1)
    typical = (total - (counts**2).sum(axis=1) / total) / (rows - 1)  # values per row
    of_seed = (between - residual) / typical
    return of_seed / (of_seed + residual)


def _centers(found: "ArrayLike", count: int) -> np.ndarray:
    """Return centers (count, 2) from the output of a detector."""
    if isinstance(found, torch.Tensor):
        found = found.detach().cpu()
    values = np.asarray(found, float)
    if values.shape == (count, 4):
        values = (values[:, :2] + values[:, 2:]) / 2
    if values.shape != (count, 2):
        raise ValueError(
            f"the detector must give centers ({count}, 2) or boxes ({count}, 4), not {values.shape}"
        )
    known = values[np.isfinite(values).all(axis=1)]
    if ((known < 0) | (known > 1)).any():
        raise ValueError("the detector must give positions in [0, 1], not in pixels")
    return values

"""The result of an evaluation, and the comparison of two results.

Two candidates are compared by their means over the seeds. For one candidate on two noises, each
seed is compared separately and keeps its better noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    import torch

Task = Literal["improve", "attack"]


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating one candidate.

    Attributes:
        losses: one per seed; empty if the candidate was rejected.
        value: value that solvers minimize; infinite if rejected or if any loss is not finite.
        noise: (seeds, vectors, channel, h, w) of the images; None is the noise of the seeds.
        penalties: penalties of that noise, one per seed, which are part of the value; empty means
            0.
        images: (seeds, 3, height, width) on the CPU; None if they were not kept.

    Examples:
        >>> prompts = dpodiff.Prompts("a red ball", "blurry")
        >>> dpodiff.Evaluation((1,), prompts, losses=(0.25, 0.75), value=0.5).rejected
        False
        >>> dpodiff.Evaluation((1,), prompts, losses=(), value=float("inf")).rejected
        True
    """

    candidate: Candidate
    prompts: Prompts
    losses: tuple[float, ...]
    value: float
    noise: "torch.Tensor | None" = field(default=None, compare=False, repr=False)
    penalties: tuple[float, ...] = ()
    images: "torch.Tensor | None" = field(default=None, compare=False, repr=False)

    @property
    def rejected(self) -> bool:
        """Whether the constraint or the model refused the prompts, so that no image was made."""
        return not self.losses


def mean(losses: tuple[float, ...]) -> float:
    """Return the mean loss; NaN if there are none."""
    return math.fsum(losses) / len(losses) if losses else math.nan


def mean_value(sign: int, losses: Sequence[float], penalties: Sequence[float] = ()) -> float:
    """Return the mean of signed losses and penalties; infinite without finite losses."""
    if not losses or not all(map(math.isfinite, losses)):
        return math.inf
    # eq. (problem-sample)
    return (sign * math.fsum(losses) + math.fsum(penalties)) / len(losses)


def better(
    old: Evaluation,
    new: Evaluation,
    sign: int,
    own_noise: "Callable[[], torch.Tensor]",
    own_images: "Callable[[], torch.Tensor | None]",
) -> Evaluation:
    """Return the better of two results; for one candidate on two noises, seed by seed.

    Args:
        old, new: results to compare; the new one must be strictly better.
        sign: sign of the losses in the minimized value.
        own_noise: function that returns the noise of the seeds.
        own_images: function that returns the candidate's images of that noise, or None.
    """
    if new.noise is None or new.rejected or new.candidate != old.candidate:
        return new if new.value < old.value else old
    import torch

    zeros = (0.0,) * len(new.losses)
    before = list(zip(old.losses, old.penalties or zeros))
    after = list(zip(new.losses, new.penalties or zeros))
    improved = [
        mean_value(sign, [loss], [penalty]) < mean_value(sign, [old_loss], [old_penalty])
        for (loss, penalty), (old_loss, old_penalty) in zip(after, before)
    ]
    kept = [a if better_now else b for a, b, better_now in zip(after, before, improved)]
    losses, penalties = zip(*kept)
    mask = torch.tensor(improved, device=new.noise.device).view(-1, 1, 1, 1, 1)
    images = own_images() if old.noise is None else old.images
    if images is not None and new.images is not None:
        images = torch.where(mask.cpu()[..., 0], new.images, images)
    else:
        images = None
    return replace(
        new,
        losses=losses,
        value=mean_value(sign, losses, penalties),
        noise=torch.where(mask, new.noise, own_noise() if old.noise is None else old.noise),
        penalties=penalties,
        images=images,
    )

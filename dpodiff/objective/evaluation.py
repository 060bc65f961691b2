"""The result of evaluating a candidate, and which of two results is better.

Between two candidates the mean over the seeds decides. Of one candidate on two noises each seed is
a problem of its own, and keeps the noise that is better for it.
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
        losses: one per seed; none if the candidate was rejected.
        value: what solvers minimize; infinite if rejected or if any loss is not finite.
        noise: (seeds, vectors, channel, h, w) the images were made of; None is the seeds' own.
        penalties: of that noise, one per seed, part of the value; empty means 0.
        images: (seeds, 3, height, width) of that noise, on the CPU; None if they were not kept.

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
        """Whether constraint or model refused the prompts, so that no image was made."""
        return not self.losses


def mean(losses: tuple[float, ...]) -> float:
    """The mean loss; NaN if there is none."""
    return math.fsum(losses) / len(losses) if losses else math.nan


def mean_value(sign: int, losses: Sequence[float], penalties: Sequence[float] = ()) -> float:
    """The mean of signed losses and penalties; infinite if there is no loss, or one not finite."""
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
    """The better of two; of one candidate on two noises, the better seed by seed.

    Args:
        old, new: the newer one has to be better, not equal.
        sign: of the losses in what is minimized.
        own_noise: gives the noise of the seeds themselves.
        own_images: gives the candidate's images of it, or None if they were not kept.
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

"""What came of a candidate, and which of two such outcomes is the better one.

Between two candidates the mean over the seeds decides. Of one candidate on two noises each seed is
a problem of its own, and keeps the noise that is better for it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Evaluation:
    """What came of one candidate.

    Attributes:
        losses: one a seed; none at all if the candidate was rejected.
        value: what solvers minimize; infinite if rejected or if any loss is not finite.
        noise: (seeds, vectors, channel, h, w) the images were made of; None is the seeds' own.
        penalties: of that noise, one a seed, part of the value; none is 0.
    """

    candidate: Candidate
    prompts: Prompts
    losses: tuple[float, ...]
    value: float
    noise: "torch.Tensor | None" = field(default=None, compare=False, repr=False)
    penalties: tuple[float, ...] = ()

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
    return (sign * math.fsum(losses) + math.fsum(penalties)) / len(losses)


def better(
    old: Evaluation, new: Evaluation, sign: int, own_noise: "Callable[[], torch.Tensor]"
) -> Evaluation:
    """The better of two; of one candidate on two noises, the better seed by seed.

    Args:
        old, new: the newer one has to be better, not equal.
        sign: of the losses in what is minimized.
        own_noise: gives the noise of the seeds themselves.
    """
    if new.noise is None or new.rejected or new.candidate != old.candidate:
        return new if new.value < old.value else old
    import torch

    def worth(row: tuple[float, float]) -> float:
        return mean_value(sign, row[:1], row[1:])

    none = [0.0] * len(new.losses)
    before = list(zip(old.losses, old.penalties or none))
    after = list(zip(new.losses, new.penalties or none))
    wins = [worth(a) < worth(b) for a, b in zip(after, before)]
    losses, penalties = zip(*(a if win else b for a, b, win in zip(after, before, wins)))
    mask = torch.tensor(wins, device=new.noise.device).view(-1, 1, 1, 1, 1)
    noise = torch.where(mask, new.noise, own_noise() if old.noise is None else old.noise)
    kept = {"losses": losses, "penalties": penalties, "noise": noise}
    return replace(new, value=mean_value(sign, losses, penalties), **kept)

"""What a solver may ask for beside full evaluations, and the answers.

Evaluating a candidate runs the whole sampler on every seed. Two cheaper questions are known, and
one about the noise, which a candidate takes as it comes:

    Gradient     which way do the weights of a mixture go?        GPO, HPO, PEZ
    Preview      how do these candidates look half done?          screening, racing
    Noise        how good is this noise, and which way does it    DNO, ReNO, zero-order search
                 go?

All are paid for in the same currency; see `dpodiff.objective.cost.Cost`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dpodiff.spaces.space import Candidate

if TYPE_CHECKING:
    import torch

    from dpodiff.gradients import Estimator
    from dpodiff.models.noise import Hybrid


class Slope(NamedTuple):
    """The answer to `Gradient`.

    Attributes:
        value: the estimated objective at the mixture; lower is better, for attacks too.
        gradients: d value / d weights, (choices,) a slot.
    """

    value: float
    gradients: "tuple[torch.Tensor, ...]"


@dataclass(frozen=True)
class Gradient:
    """How does the objective change with the weights of a mixture?

    Attributes:
        weights: (choices,) a slot.
        estimator: how the gradient is got through the sampler.
        noise: (seeds, vectors, channel, h, w) to take instead of the seeds' own.
    """

    weights: "tuple[torch.Tensor, ...]"
    estimator: "Estimator"
    noise: "torch.Tensor | None" = None


@dataclass(frozen=True)
class Preview:
    """What would these candidates' values be, roughly? The answer is one value a candidate.

    Attributes:
        candidates: to be looked at.
        step: after how many steps of the sampler the clean image is estimated; None is all.
        seeds: how many of the objective's seeds are used, the first ones; None is all.
    """

    candidates: tuple[Candidate, ...]
    step: int | None = None
    seeds: int | None = None


class Look(NamedTuple):
    """The answer to `Noise`; each seed is a problem of its own.

    Attributes:
        losses: one a seed; none if the candidate was rejected.
        values: the same, lower is better: for attacks the negatives. No penalties.
        gradients: of each value by its own noise, of the shape of the noise; None if not asked for.
        images: (seeds, 3, height, width) in [0, 1], on the CPU; None if rejected.
        final: whether the images are the sampler's own, so that the losses count as an evaluation.
    """

    losses: tuple[float, ...]
    values: tuple[float, ...]
    gradients: "torch.Tensor | None"
    images: "torch.Tensor | None"
    final: bool


@dataclass(frozen=True)
class Noise:
    """How good is a noise for each seed, and which way does it go?

    Attributes:
        noise: (seeds, vectors, channel, h, w); see `dpodiff.models.noise`.
        candidate: whose prompts are read.
        estimator: how the gradient is got through the sampler; None asks for the losses alone.
        steps: of the rollout, if not the model's own number.
        penalties: one a seed, added to what a seed's noise is worth; none is 0.
        seed: of the directions of a hybrid gradient.
    """

    noise: "torch.Tensor"
    candidate: Candidate
    estimator: "Estimator | Hybrid | None" = None
    steps: int | None = None
    penalties: tuple[float, ...] = ()
    seed: int = 0

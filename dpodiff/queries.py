"""What a solver may ask for beside full evaluations, and the answers.

Evaluating a candidate runs the whole sampler on every seed. Two cheaper questions are known:

    Gradient     which way do the weights of a mixture go?        GPO, HPO, PEZ
    Preview      how do these candidates look half done?          screening, racing

Both are paid for in the same currency; see `dpodiff.objective.Cost`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dpodiff.space import Candidate

if TYPE_CHECKING:
    import torch

    from dpodiff.gradients import Estimator


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
    """

    weights: "tuple[torch.Tensor, ...]"
    estimator: "Estimator"


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

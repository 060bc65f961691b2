"""Queries of solvers besides full evaluations, and their answers.

Evaluating a candidate runs the whole sampler on every seed. Two queries are cheaper, and one is
about the noise:

    GradientQuery    value and gradient at a mixture of words          GPO, HPO, PEZ
    PreviewQuery     approximate values after a few steps              screening, racing
    NoiseQuery       losses of a given noise, with their gradient      DNO, ReNO, zero-order search

All are paid for in the same unit; see `dpodiff.objective.cost.Cost`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dpodiff.objective.evaluation import Evaluation
from dpodiff.spaces.space import Candidate

if TYPE_CHECKING:
    import torch

    from dpodiff.gradients import Estimator, Hybrid


class ValueAndGradient(NamedTuple):
    """The answer to `GradientQuery`.

    Attributes:
        value: the estimated objective at the mixture; lower is better, for attacks too.
        gradients: d value / d weights, (choices,) per slot.

    Examples:
        >>> from dpodiff.objective.queries import ValueAndGradient
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> solver = dpodiff.GPO(space, steps=10)
        >>> gradient = torch.tensor([0.0, 0.0, -1.0, 0.0])  # "ugly" helps
        >>> answer = ValueAndGradient(0.5, (gradient,))
        >>> solver.learn(solver.ask(), answer)
        >>> solver.relaxed.probabilities()[0].round(2)
        array([0.17, 0.17, 0.48, 0.17])
    """

    value: float
    gradients: "tuple[torch.Tensor, ...]"

    def to_json(self) -> dict[str, Any]:
        """Return data for a journal; floating-point numbers are kept exactly."""
        return {"value": self.value, "gradients": [row.tolist() for row in self.gradients]}

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], weights: "Sequence[torch.Tensor]"
    ) -> "ValueAndGradient":
        """Return the object from the data of `to_json` and the weights of the query."""
        gradients = zip(data["gradients"], weights, strict=True)
        return cls(
            math.nan if data["value"] is None else data["value"],
            tuple(
                weight.new_tensor([math.nan if g is None else g for g in row])
                for row, weight in gradients
            ),
        )


@dataclass(frozen=True)
class GradientQuery:
    """A query for the value and gradient at a mixture of words.

    Attributes:
        weights: (choices,) per slot.
        estimator: estimator of the gradient through the sampler.
        noise: (seeds, vectors, channel, h, w) instead of that of the seeds.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> query = dpodiff.GPO(space, steps=10).ask()
        >>> query.estimator, [tuple(row.shape) for row in query.weights]
        (Shortcut(step=3, k=1), [(4,)])
    """

    weights: "tuple[torch.Tensor, ...]"
    estimator: "Estimator"
    noise: "torch.Tensor | None" = None


@dataclass(frozen=True)
class PreviewQuery:
    """A query for approximate values, one per candidate.

    Attributes:
        candidates: candidates to preview.
        step: number of steps after which the clean image is estimated; None is all.
        seeds: number of the objective's first seeds to use; None is all.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> space = dpodiff.nplib_space("a red ball", NPLIB, slots=2)
        >>> look = dpodiff.solvers.Rung(step=3, best_of=2)
        >>> solver = dpodiff.Screening(dpodiff.RandomSearch(space, batch=1), [look])
        >>> solver.ask()
        PreviewQuery(candidates=((10, 7), (6, 3)), step=3, seeds=None)
    """

    candidates: tuple[Candidate, ...]
    step: int | None = None
    seeds: int | None = None


class NoiseEvaluation(NamedTuple):
    """The answer to `NoiseQuery`; each seed is treated separately.

    Attributes:
        evaluation: evaluation of the candidate on this noise; without losses if it was rejected.
        values: one per seed without penalties; lower is better, so for attacks minus the losses.
        gradients: gradients of each value with respect to its own noise, with the shape of the
            noise; None if not requested.
        images: (seeds, 3, height, width) in [0, 1], on the CPU; None if rejected or read from a
            trace.
        final: whether the images are final ones of the sampler, so that the losses count as an
            evaluation.

    Examples:
        >>> from dpodiff.objective.queries import NoiseQuery
        >>> model, space = dpodiff.load("toy"), dpodiff.Space("a red ball")
        >>> objective = dpodiff.Objective(model, dpodiff.losses.white, space, [0])
        >>> answer = objective.evaluate_noise(NoiseQuery(objective.noise(), ()))
        >>> answer.final, answer.gradients, tuple(answer.images.shape)
        (True, None, (1, 3, 64, 64))
    """

    evaluation: Evaluation
    values: tuple[float, ...]
    gradients: "torch.Tensor | None"
    images: "torch.Tensor | None"
    final: bool

    @property
    def losses(self) -> tuple[float, ...]:
        """One per seed; empty if the candidate was rejected."""
        return self.evaluation.losses


@dataclass(frozen=True)
class NoiseQuery:
    """A query for the losses of a noise, one per seed, and for their gradient.

    Attributes:
        noise: (seeds, vectors, channel, h, w); see `dpodiff.models.noise`.
        candidate: candidate whose prompts are used.
        estimator: estimator of the gradient through the sampler; None asks for the losses only.
        steps: number of steps of the rollout, if not the model's default.
        penalties: one per seed, added to its value; empty means 0.
        seed: seed of the directions of a hybrid gradient.

    Examples:
        >>> space, noise = dpodiff.Space("a red ball"), torch.randn(2, 1, 4, 16, 16)
        >>> query = dpodiff.DNO(space, noise, gamma=0.1).ask()
        >>> query.candidate, query.estimator, len(query.penalties)
        ((), Checkpointed(), 2)
    """

    noise: "torch.Tensor"
    candidate: Candidate
    estimator: "Estimator | Hybrid | None" = None
    steps: int | None = None
    penalties: tuple[float, ...] = ()
    seed: int = 0

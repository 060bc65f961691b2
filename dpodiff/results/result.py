"""What a search returns: the best candidate it evaluated, beside the user's own prompt."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dpodiff.objective.evaluation import mean
from dpodiff.results.trace import Status, Trace
from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    import torch

    from dpodiff.objective.cost import Cost
    from dpodiff.objective.objective import Objective


@dataclass
class Result:
    """What a search found: the best candidate it evaluated, beside the user's own prompt.

    Attributes:
        losses, baseline_losses: of the best candidate and of the user's own prompt, one a seed.
        status: "budget" or "seconds" used up, space "exhausted", "stopped" by the user, or "failed"
            by an error after the baseline was evaluated; then all else is of the search so far.
        cost: of this search alone.
        noise: (seeds, vectors, channel, h, w), the best of each seed; None if none was searched.
        error: the exception that ended a search that failed, with its traceback; else None.

    Examples:
        >>> result = dpodiff.improve(
        ...     "a red ball on the sea", budget=2, seeds=1, seed=4, progress=False
        ... )
        >>> print(result.prompts.negative)
        blue, moon, sky, grainy, blocky, bad, poor
        >>> tuple(result.before.shape), tuple(result.images.shape)
        ((1, 3, 64, 64), (1, 3, 64, 64))
        >>> len(result.trace.records)
        2
    """

    candidate: Candidate
    prompts: Prompts
    losses: tuple[float, ...]
    baseline_losses: tuple[float, ...]
    status: Status
    cost: "Cost"
    trace: Trace
    objective: "Objective" = field(repr=False)
    noise: "torch.Tensor | None" = field(default=None, repr=False)
    error: Exception | None = None

    @cached_property
    def images(self) -> "torch.Tensor":
        """Images (seeds, 3, height, width) in [0, 1] of the best candidate, on the CPU."""
        if self.noise is None:
            return self.objective.images(self.candidate)
        return self.objective.images(self.candidate, noise=self.noise)

    @cached_property
    def before(self) -> "torch.Tensor":
        """Images (seeds, 3, height, width) in [0, 1] of the user's own prompt, on the CPU."""
        return self.objective.images(self.objective.space.identity)

    @property
    def ended_by(self) -> str:
        """The status, and if the search failed the type and the text of its error."""
        return self.status if self.error is None else f"{self.status}, {describe(self.error)}"

    def __str__(self) -> str:
        before, after, cost = mean(self.baseline_losses), mean(self.losses), self.cost
        rejected = sum(not record.losses for record in self.trace.records)
        return (
            f"prompt:           {self.prompts.positive}\n"
            f"negative prompt:  {self.prompts.negative}\n"
            f"mean loss:        {before:.4f} -> {after:.4f} on {len(self.losses)} seeds\n"
            f"cost:             {_price(cost)}, {cost.images} images, {cost.seconds:.1f} s\n"
            f"free:             {cost.cache_hits} from the cache, {rejected} rejected\n"
            f"ended by:         {self.ended_by}"
        )


def describe(error: Exception) -> str:
    """Type and text of an error."""
    return f"{type(error).__name__}: {error}"


def _price(cost: "Cost") -> str:
    cheaper = {"gradients": cost.gradients, "previews": cost.previews}
    made = "".join(f" + {count} {name}" for name, count in cheaper.items() if count)
    return f"{cost.evaluations} evaluations" + (f"{made} = {cost.spent:.1f}" if made else "")

"""Is a found prompt better on seeds that the search never saw? If not, keep the user's own.

A search returns the lowest of many noisy values, so its own seeds flatter the result. `verify`
scores the best few candidates and the user's prompt on fresh seeds, in pairs, and accepts one only
if the interval of the change is on the right side of zero for every loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dpodiff.objective.images import score
from dpodiff.results.result import Result
from dpodiff.results.statistics import Interval, subset_interval
from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.objective.objective import Objective

SEARCHED = "loss"  # name of the loss that was searched


@dataclass(frozen=True)
class Comparison:
    """A candidate against the user's prompt on fresh seeds.

    Attributes:
        candidate: a finalist of the search.
        before, after: mean loss of the user's prompt, and of the candidate.
        changes: by name of the loss, with interval; below zero is better, for an attack too.

    Examples:
        >>> from dpodiff.results.statistics import Interval
        >>> from dpodiff.results.verification import Comparison
        >>> Comparison((1, 0), 0.31, 0.27, {"loss": Interval(-0.04, -0.06, -0.02)}).proven
        True
    """

    candidate: Candidate
    before: float
    after: float
    changes: Mapping[str, Interval]

    @property
    def proven(self) -> bool:
        """Whether every interval is on the right side of zero."""
        return all(change.high < 0 for change in self.changes.values())


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        accepted: whether a candidate is proven better than the user's prompt.
        candidate: that candidate, or else the user's prompt.
        prompts: what it reads.
        comparisons: of all finalists, the best first.
        seeds: the fresh seeds.
        evaluations: the price of the images, in evaluations of the search.

    Examples:
        >>> identity = (0, 0)
        >>> prompts = dpodiff.Prompts("a red ball", "")
        >>> print(dpodiff.Verification(False, identity, prompts, (), (4, 5), 1.0))
        not proven better, keep your prompt: the search evaluated nothing else
    """

    accepted: bool
    candidate: Candidate
    prompts: Prompts
    comparisons: tuple[Comparison, ...]
    seeds: tuple[int, ...]
    evaluations: float

    def __str__(self) -> str:
        if not self.comparisons:
            return "not proven better, keep your prompt: the search evaluated nothing else"
        best = self.comparisons[0]
        said = "better" if self.accepted else "not proven better, keep your prompt"
        changes = ", ".join(
            f"{name} {mean:+.4f} [{low:+.4f}, {high:+.4f}]"
            for name, (mean, low, high) in best.changes.items()
        )
        loss = f"loss {best.before:.4f} -> {best.after:.4f}"
        return f"{said}: {loss} on {len(self.seeds)} fresh seeds; change of {changes}"


def verify(
    result: Result,
    *,
    seeds: int = 8,
    finalists: int = 2,
    losses: "Mapping[str, Loss] | None" = None,
    level: float = 0.95,
) -> Verification:
    """Test the best candidates of a search against the user's prompt on fresh seeds.

    Args:
        result: of a search of words.
        seeds: how many fresh seeds, 6 to 20: those that follow the largest seed of the search.
        finalists: how many of the best candidates are tested.
        losses: second losses by name; a candidate has to be better by each of them too.
        level: of the intervals of the changes. They are exact (`subset_interval`) and corrected for
            the number of finalists (Bonferroni): where nothing is better, a candidate is accepted
            with probability at most (1 - level) / 2.

    Raises:
        ValueError: if noise was searched, whose gain belongs to its own seeds alone; or if a number
            is out of its range.

    Examples:
        >>> result = dpodiff.improve("a red ball", budget=2, seeds=1, progress=False)
        >>> checked = dpodiff.verify(result, seeds=6, finalists=1)
        >>> checked.seeds, checked.evaluations
        ((1, 2, 3, 4, 5, 6), 12.0)
    """
    if result.noise is not None:
        raise ValueError("the result is the noise of its own seeds, so other seeds say nothing")
    if finalists < 1:
        raise ValueError(f"finalists must be at least 1, not {finalists}")
    objective = result.objective
    first = max(objective.seeds) + 1
    fresh = tuple(range(first, first + seeds))
    measures = {SEARCHED: objective.loss, **(losses or {})}
    own = objective.space.identity
    candidates = best_candidates(result, finalists)
    corrected = 1 - (1 - level) / max(1, len(candidates))
    before = _scores(objective, own, fresh, measures)
    comparisons = [
        _compared(objective, candidate, before, fresh, measures, corrected)
        for candidate in candidates
    ]
    comparisons.sort(key=lambda one: (not one.proven, one.changes[SEARCHED].mean))
    accepted = bool(comparisons) and comparisons[0].proven
    winner = comparisons[0].candidate if accepted else own
    return Verification(
        accepted=accepted,
        candidate=winner,
        prompts=objective.space.decode(winner),
        comparisons=tuple(comparisons),
        seeds=fresh,
        evaluations=(1 + len(candidates)) * seeds / len(objective.seeds),
    )


def best_candidates(result: Result, count: int) -> list[Candidate]:
    """The best candidates of a search that read otherwise than the user's prompt, best first."""
    space = result.objective.space
    seen = {space.decode(space.identity)}
    found: list[Candidate] = []
    for record in sorted(result.trace.records, key=lambda record: record.value):
        prompts = Prompts(record.positive, record.negative)
        if record.losses and np.isfinite(record.value) and prompts not in seen:
            seen.add(prompts)
            found.append(record.candidate)
    return found[:count]


def _compared(
    objective: "Objective",
    candidate: Candidate,
    before: Mapping[str, np.ndarray],
    seeds: Sequence[int],
    measures: "Mapping[str, Loss]",
    level: float,
) -> Comparison:
    after = _scores(objective, candidate, seeds, measures)
    sign = 1 if objective.task == "improve" else -1
    return Comparison(
        candidate=candidate,
        before=float(before[SEARCHED].mean()),
        after=float(after[SEARCHED].mean()),
        changes={
            name: subset_interval(sign * (after[name] - before[name]), level=level)
            for name in measures
        },
    )


def _scores(
    objective: "Objective",
    candidate: Candidate,
    seeds: Sequence[int],
    measures: "Mapping[str, Loss]",
) -> dict[str, np.ndarray]:
    """Losses (seeds,) of a candidate by name; each image is made once."""
    images = objective.images(candidate, seeds)
    return {
        name: score(loss, images, objective.space.prompt).detach().cpu().double().numpy()
        for name, loss in measures.items()
    }

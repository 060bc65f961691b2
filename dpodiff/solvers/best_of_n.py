"""Best of N: keep the prompt, draw more noise, and keep the best images.

This needs no optimizer and is a baseline at equal cost: a search makes images of many prompts, this
makes as many images of one. It finds no better prompt, only favorable noise, so none of its gain
carries over to unseen seeds.

It uses the same loop as the solvers. Let n be the number of seeds of the objective. Candidate k is
then "the best n noises of the first k + 1 groups of n". Candidate 0 is the user's prompt on the
objective's seeds, the baseline of every search.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from dpodiff.objective import Evaluation, Objective
from dpodiff.objective.cost import Budget
from dpodiff.results.result import Result
from dpodiff.results.trace import Trace
from dpodiff.solvers.base import Solver
from dpodiff.solvers.loop import Callback, search
from dpodiff.spaces.space import Candidate, Prompts, Slot, Space


def search_noise(
    objective: Objective,
    budget: Budget,
    *,
    trace: Trace | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> Result:
    """Spend a budget on images of the user's own prompt.

    Args:
        objective: objective with the model, loss, prompt, seeds and task; its cost is not changed.
        budget: limits of the search. One evaluation is one image per seed of the objective.
        trace, progress, callback: as in `search`.

    Returns:
        The result with the images and losses of the best noises.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), seed / 8)
        >>> model, space = dpodiff.BlackBox(paint), dpodiff.Space("a white wall")
        >>> objective = dpodiff.Objective(model, dpodiff.losses.white, space, seeds=[1, 2])
        >>> budget = dpodiff.Budget(3)
        >>> result = dpodiff.search_noise(objective, budget, progress=False)
        >>> result.baseline_losses, result.losses
        ((-0.25, -0.125), (-0.75, -0.625))
    """
    noises = Noises(objective, groups=budget.evaluations)
    solver = InOrder(noises.space)
    return search(solver, noises, budget, trace=trace, progress=progress, callback=callback)


class InOrder(Solver):
    """Asks for every candidate of the space in order."""

    name = "best of n"

    def ask(self) -> list[Candidate]:
        """Return the next candidates."""
        return list(islice((c for c in self.space if c not in self._seen), 16))


class Groups(Space):
    """Groups of noise for one prompt: all candidates have the same prompts."""

    def decode(self, candidate: Candidate) -> Prompts:
        """Return the user's own prompts."""
        return Prompts(self.prompt, self.negative_prompt)


class Noises(Objective):
    """The user's prompt with more and more noise; a candidate's losses are those of its best noise.

    Args:
        objective: objective with the model, loss, prompt, seeds and task.
        groups: largest number of groups. The seeds of group g are those of the objective shifted by
            g times their range, so no two groups share a seed.
    """

    def __init__(self, objective: Objective, groups: int) -> None:
        given = objective.space
        names = ("", *(f"noise {group}" for group in range(1, groups)))
        super().__init__(
            objective.model,
            objective.loss,
            Groups(given.prompt, (Slot("", names, "negative"),), given.negative_prompt),
            objective.seeds,
            task=objective.task,
            batch_size=objective.batch_size,
            eta=objective.eta,
        )
        self.drawn: dict[int, float] = {}  # seed -> loss, group by group

    def stream(self, candidates: Sequence[Candidate]) -> Iterator[Evaluation]:
        """Yield the evaluations of the candidates; each pays for its new groups."""
        prompts = self.space.decode(self.space.identity)
        count, last = len(self.seeds), max((group for (group,) in candidates), default=-1)
        new = [(prompts, seed) for seed in self._noise(last)[len(self.drawn) :]]
        losses = self._counted_losses(new)
        for candidate in candidates:
            noise = self._noise(candidate[0])
            missing = noise[len(self.drawn) :]
            self.drawn |= {seed: next(losses) for seed in missing}
            self.cost.evaluations += len(missing) // count
            self.cost.spent += len(missing) // count
            if not missing:
                self.cost.cache_hits += 1
            best = tuple(self.drawn[seed] for seed in self.best(candidate))
            yield Evaluation(candidate, prompts, best, self._value(best))

    def best(self, candidate: Candidate) -> list[int]:
        """Return the seeds of a candidate's best images, the best first."""
        noise = self._noise(candidate[0])
        return sorted(noise, key=lambda seed: self._value([self.drawn[seed]]))[: len(self.seeds)]

    def _noise(self, group: int) -> list[int]:
        """Return the seeds of all groups up to this one."""
        width = max(self.seeds) - min(self.seeds) + 1
        return [seed + g * width for g in range(group + 1) for seed in self.seeds]

    def _jobs(self, candidate: Candidate, seeds: Iterable[int] | None) -> list[tuple[Prompts, int]]:
        return super()._jobs(candidate, self.best(candidate) if seeds is None else seeds)

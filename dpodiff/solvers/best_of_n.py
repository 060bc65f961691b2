"""Best of N: leave the prompt alone, draw more noise, keep the best images.

What everyone does without any optimizer, and so a baseline at equal cost: where a search makes
images of many prompts, this makes images of one. It finds no better prompt, only lucky noise,
so nothing of its gain is left on unseen seeds.

It runs through the same loop as the solvers. There a candidate k stands for "the best n of the
first k + 1 groups of n noises", n the number of seeds of the objective; candidate 0 is the user's
prompt on the objective's own seeds, the baseline of every search.
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
    """Spend a budget on the user's own prompt.

    Args:
        objective: whose model, loss, prompt, seeds and task are taken; its cost is not changed.
        budget: when to end; one evaluation is as many images as the objective has seeds.
        trace, progress, callback: as for `search`.

    Returns:
        The result; its images and losses are those of the best noises.

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
    """Asks for every candidate of the space in turn."""

    name = "best of n"

    def ask(self) -> list[Candidate]:
        """The next candidates not yet told."""
        return list(islice((c for c in self.space if c not in self._seen), 16))


class Groups(Space):
    """Groups of noise for one prompt: every candidate reads the same."""

    def decode(self, candidate: Candidate) -> Prompts:
        """The user's own prompts."""
        return Prompts(self.prompt, self.negative_prompt)


class Noises(Objective):
    """The user's prompt on more and more noise; a candidate's losses are those of its best.

    Args:
        objective: whose model, loss, prompt, seeds and task are taken.
        groups: of noise at most; the seeds of group g are the objective's moved by g times their
            range, so no two groups share one.
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
        """Yield the evaluations of the candidates; each pays for its groups not yet drawn."""
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
        """The seeds of a candidate's best images, best first."""
        noise = self._noise(candidate[0])
        return sorted(noise, key=lambda seed: self._value([self.drawn[seed]]))[: len(self.seeds)]

    def _noise(self, group: int) -> list[int]:
        """The seeds of all groups up to this one."""
        width = max(self.seeds) - min(self.seeds) + 1
        return [seed + g * width for g in range(group + 1) for seed in self.seeds]

    def _jobs(self, candidate: Candidate, seeds: Iterable[int] | None) -> list[tuple[Prompts, int]]:
        return super()._jobs(candidate, self.best(candidate) if seeds is None else seeds)

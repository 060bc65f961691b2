"""Words and noise together: the two searches take turns under one budget.

DPO-Diff changes the prompt and takes the noise as it comes, DNO changes the noise and takes the
prompt as it is. `Joint` lets any solver of either kind run, each on what the other has found:

    words    asks about prompts, on the noise of each seed as it stands
    noise    asks about noise, under the best prompt known

What words gain holds for new noise too; what noise gains is for its own seeds only, and under a
noise that was made for one prompt another one looks worse than it is. So words come first.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_kind, check_whole
from dpodiff.objective.evaluation import mean
from dpodiff.objective.queries import (
    GradientQuery,
    NoiseEvaluation,
    NoiseQuery,
    PreviewQuery,
    ValueAndGradient,
)
from dpodiff.solvers.base import Solver
from dpodiff.solvers.dno import DNO
from dpodiff.solvers.epo import EPO
from dpodiff.spaces.space import Candidate, Space

if TYPE_CHECKING:
    import torch


class Joint(Solver):
    """Turns of prompts and turns of noise, the prompts first.

    Values of prompts on noise that has moved on say little, so each turn of the words after the
    first begins by looking at the best prompt again, and ends with the best one of this turn. A
    gradient that the words ask for belongs to their turn and does not count in its length.

    Args:
        words: a solver of prompts that asks for evaluations and gradients, such as `GPO` or `EPO`.
            Use it through this one only.
        noise: a `DNO` of the same space, likewise.
        prompts: evaluated in a turn of the words.
        steps: of the noise in its turn.

    Raises:
        ValueError: if the spaces differ, or a turn is empty.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> space = dpodiff.nplib_space("a red ball", NPLIB, slots=2)
        >>> noise = dpodiff.DNO(space, torch.randn(1, 1, 4, 16, 16))
        >>> solver = dpodiff.Joint(dpodiff.EPO(space), noise, prompts=8, steps=4)
        >>> solver.name, solver.state()["turn"]
        ('epo + dno', 'words')
    """

    def __init__(self, words: Solver, noise: DNO, *, prompts: int = 8, steps: int = 4) -> None:
        check_kind("words", words, Solver, "a Solver")
        check_kind("noise", noise, DNO, "a DNO")
        if words.space != noise.space:
            raise ValueError("words and noise must have the same space")
        super().__init__(words.space, seed=words.seed)
        self.name = f"{words.name} + {noise.name}"
        check_whole("prompts", prompts, 1)
        check_whole("steps", steps, 1)
        self.words, self.noise, self.prompts, self.steps = words, noise, prompts, steps
        self._best = self.space.identity
        self._turn: dict[Candidate, float] = {}  # values of this turn of the words
        self._waiting: list[Candidate] = []
        self._tried = self._stepped = 0

    @property
    def follows_gradients(self) -> bool:
        """Whether either of the two does."""
        return self.words.follows_gradients or self.noise.follows_gradients

    @property
    def parameters(self) -> dict[str, Any]:
        """The name, the turns, and the parameters of both solvers, for the record."""
        return {
            **super().parameters,
            "words": self.words.parameters,
            "noise": self.noise.parameters,
        }

    def ask(self) -> GradientQuery | NoiseQuery:
        """What the solver whose turn it is asks, on what the other has found."""
        if self._tried < self.prompts:
            request = self._ask_words()
            if request is not None:
                return request
            self._end_words()
        return replace(self.noise.ask(), candidate=self._best)

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        """Hand the answer to the words, which alone ask for such gradients."""
        self.words.learn(query, answer)

    def _learn_noise(self, query: NoiseQuery, answer: NoiseEvaluation) -> None:
        """Hand the answer to the solver that asked, and change turns when one is over."""
        if query.estimator is None:
            self._learn_prompt(query, answer)
        else:
            self.noise.learn(query, answer)
            self._stepped += 1
            if self._stepped == self.steps:
                self._begin_words()

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Learn the values of candidates on the seeds' own noise."""
        super().tell(candidates, values)
        self.words.tell(candidates, values)
        self._turn |= {candidate: self.values[candidate] for candidate in candidates}

    def recommend(self) -> Candidate:
        """The best prompt of the latest turn."""
        return min(self._turn, key=self._turn.__getitem__, default=self._best)

    def state(self) -> dict[str, Any]:
        """What both believe, and whose turn it is."""
        turn = "words" if self._tried < self.prompts else "noise"
        return self.words.state() | self.noise.state() | {"turn": turn}

    def _ask_words(self) -> GradientQuery | NoiseQuery | None:
        noise = self.noise.noise.detach().clone()
        if not self._waiting:
            request = self.words.ask()
            if isinstance(request, GradientQuery):
                return replace(request, noise=noise)
            if isinstance(request, PreviewQuery | NoiseQuery):
                what = "previews" if isinstance(request, PreviewQuery) else "noise"
                raise ValueError(f"{self.name}: words that ask for {what} cannot take turns")
            self._waiting = list(request)
        if not self._waiting:
            return None  # all have been seen
        return NoiseQuery(noise, self._waiting.pop(0), penalties=self.noise.penalties())

    def _learn_prompt(self, query: NoiseQuery, answer: NoiseEvaluation) -> None:
        value = mean(answer.values) if answer.values else math.inf
        self.tell([query.candidate], [value])
        self._tried += 1
        if self._tried == self.prompts:
            self._end_words()

    def _end_words(self) -> None:
        self._best, self._tried, self._stepped = self.recommend(), self.prompts, 0

    def _begin_words(self) -> None:
        self._turn, self._tried = {}, 0
        self._waiting.insert(0, self._best)


def epo_and_dno(
    space: Space,
    noise: "torch.Tensor",
    *,
    seed: int = 0,
    prompts: int = 8,
    steps: int = 4,
    **settings: Any,
) -> Joint:
    """`Joint` of EPO with small generations, of eight prompts, and `DNO` with its settings."""
    words = EPO(space, seed=seed, population=8, parents=4, mutations=4, crossovers=4)
    return Joint(words, DNO(space, noise, seed=seed, **settings), prompts=prompts, steps=steps)

"""Joint search of words and noise: two solvers take turns within one budget.

DPO-Diff changes the prompt with given noise, and DNO changes the noise with a given prompt. `Joint`
runs a solver of each kind, each based on what the other has found:

    words    asks about prompts with the current noise of each seed
    noise    asks about noise with the best known prompt

The gain of words carries over to new noise; the gain of noise is limited to its own seeds. With
noise that was optimized for one prompt, other prompts have higher losses. So words come first.
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
    """Alternating turns of prompts and noise, the prompts first.

    Values of prompts on earlier noise are outdated. So each later turn of the words begins with an
    evaluation of the best prompt, and ends with the best prompt of the turn. Gradient queries of
    the words are part of their turn, but do not count in its length.

    Args:
        words: a solver of prompts that asks for evaluations and gradients, such as `GPO` or `EPO`.
            Do not use it outside of this solver.
        noise: a `DNO` of the same space, used in the same way.
        prompts: number of prompts per turn of the words.
        steps: number of steps per turn of the noise.

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
        self._turn: dict[Candidate, float] = {}  # values in this turn of the words
        self._waiting: list[Candidate] = []
        self._tried = self._stepped = 0

    @property
    def follows_gradients(self) -> bool:
        """Whether one of the two solvers needs gradients."""
        return self.words.follows_gradients or self.noise.follows_gradients

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name, the turns, and the parameters of both solvers, for the record."""
        return {
            **super().parameters,
            "words": self.words.parameters,
            "noise": self.noise.parameters,
        }

    def ask(self) -> GradientQuery | NoiseQuery:
        """Return the next query of the solver whose turn it is."""
        if self._tried < self.prompts:
            request = self._ask_words()
            if request is not None:
                return request
            self._end_words()
        return replace(self.noise.ask(), candidate=self._best)

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        """Pass the answer to the words, which alone ask for such gradients."""
        self.words.learn(query, answer)

    def _learn_noise(self, query: NoiseQuery, answer: NoiseEvaluation) -> None:
        """Pass the answer to the solver that asked, and change turns if one is complete."""
        if query.estimator is None:
            self._learn_prompt(query, answer)
        else:
            self.noise.learn(query, answer)
            self._stepped += 1
            if self._stepped == self.steps:
                self._begin_words()

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Process the values of candidates on the seeds' own noise."""
        super().tell(candidates, values)
        self.words.tell(candidates, values)
        self._turn |= {candidate: self.values[candidate] for candidate in candidates}

    def recommend(self) -> Candidate:
        """Return the best prompt of the latest turn."""
        return min(self._turn, key=self._turn.__getitem__, default=self._best)

    def state(self) -> dict[str, Any]:
        """Return the states of both solvers, and whose turn it is."""
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
            return None  # all candidates are known
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
    """Return `Joint` of EPO with small generations and `DNO` with its settings."""
    words = EPO(space, seed=seed, population=8, parents=4, mutations=4, crossovers=4)
    return Joint(words, DNO(space, noise, seed=seed, **settings), prompts=prompts, steps=steps)

"""Objectives known in closed form, for solvers that ask for gradients and previews.

The value is multilinear in the weights: a cost for each choice of each slot, and optionally one for
each pair of choices of neighboring slots. At the corners it is a function of candidates; between
them it has an exact gradient.
"""

from collections.abc import Sequence

import numpy as np
import torch
from helpers import negative_space

from dpodiff.gradients.relaxation import corner
from dpodiff.objective.queries import GradientQuery, PreviewQuery, ValueAndGradient
from dpodiff.spaces.space import Candidate


class Multilinear:
    """Costs (choices,) a slot, and pair costs (choices, choices) for each two neighbors."""

    def __init__(self, costs: Sequence[Sequence[float]], pairs: Sequence[np.ndarray] = ()) -> None:
        self.space = negative_space(*map(len, costs))
        self.costs = [torch.tensor(row, dtype=torch.float64) for row in costs]
        self.pairs = [torch.as_tensor(pair) for pair in pairs]
        self.asked: list[object] = []  # every query and every list of candidates, in order

    def mixed(self, weights: Sequence[torch.Tensor]) -> torch.Tensor:
        value = sum((w @ c for w, c in zip(weights, self.costs)), torch.zeros(()).double())
        return sum((a @ p @ b for a, p, b in zip(weights, self.pairs, weights[1:])), value)

    def __call__(self, candidate: Candidate) -> float:
        return self.mixed(corner(self.space, candidate)).item()

    def answer(self, query: GradientQuery | PreviewQuery) -> ValueAndGradient | tuple[float, ...]:
        if isinstance(query, PreviewQuery):
            return tuple(map(self, query.candidates))
        weights = [w.clone().requires_grad_() for w in query.weights]
        value = self.mixed(weights)
        return ValueAndGradient(value.item(), torch.autograd.grad(value, weights))

    def drive(self, solver, evaluations: int) -> list[Candidate]:
        """The loop by hand, the user's prompt first; the evaluated candidates in order."""
        seen = [self.space.identity]
        solver.tell(seen, [self(seen[0])])
        while len(seen) < evaluations and (asked := solver.ask()):
            self.asked.append(asked)
            if isinstance(asked, GradientQuery | PreviewQuery):
                solver.learn(asked, self.answer(asked))
            else:
                asked = asked[: evaluations - len(seen)]
                solver.tell(asked, [self(candidate) for candidate in asked])
                seen += asked
        return seen


def hidden_best(slots: int = 6, choices: int = 5, seed: int = 0) -> tuple[Multilinear, Candidate]:
    """A separable problem whose best candidate lies apart from the user's prompt."""
    rng = np.random.default_rng(seed)
    costs = rng.uniform(0, 1, (slots, choices)).round(3)
    best = rng.integers(1, choices, slots)
    costs[np.arange(slots), best] = -1.0
    return Multilinear(costs.tolist()), tuple(best.tolist())

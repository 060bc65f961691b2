"""PEZ adapted to a search space (Wen et al., 2023, "Hard Prompts Made Easy", arXiv 2302.03668).

PEZ optimizes soft prompts that the model only sees as hard prompts. It projects a continuous point
to the nearest real prompt, computes the gradient there, and applies it to the continuous point. So
changes smaller than a rounding step accumulate. The original optimizes token embeddings and
projects them to the nearest ones of the vocabulary. Its loss is cheap, so it takes thousands of
steps.

Here the point has one number per choice of each slot, x in R^choices, and the vocabulary consists
of the slot's one-hot vectors. The nearest one belongs to the largest number, since |x - e_k|^2 =
|x|^2 - 2 x_k + 1. So there is no softmax and no temperature, unlike in GPO. A search space needs
three changes:

- The gradient is computed slightly off the corner (`softness`). If a slot's empty choice had all
  the weight, its words would not be shown and would have no gradient.
- A slot's weights have the sum 1, so only the component of the gradient along that plane counts.
  AdamW, which normalizes the sizes of entries, would be dominated by the component they share.
- If the projection does not change for `patience` steps, the point restarts at a random unseen
  candidate, as the original is run from several random prompts.

Each new projection costs a full evaluation.
"""

import itertools
import warnings
from typing import Any

import torch

from dpodiff.checks import MOST, check_callable, check_finite, check_whole
from dpodiff.gradients.relaxation import corner
from dpodiff.names import name_of
from dpodiff.objective.queries import GradientQuery, ValueAndGradient
from dpodiff.solvers.base import Solver
from dpodiff.solvers.gpo import Schedule, shortcuts
from dpodiff.spaces.space import Candidate, Space


class PEZ(Solver):
    """Descends on a point between the candidates with gradients at the nearest candidate.

    It starts at the user's own prompt; learning rate and weight decay are the paper's.

    Args:
        space: the space to search.
        steps: number of steps of the model's rollout.
        seed: seed of the random numbers.
        schedule: function from `steps` to the estimators of the gradient steps, which are repeated.
        lr: learning rate of AdamW; a slot changes its word after about 1 / (2 lr) steps.
        weight_decay: weight decay of AdamW.
        softness: weight spread evenly over a slot's choices at the point of the gradient.
        patience: number of steps without a new candidate before a restart.

    Raises:
        ValueError: if an argument is out of its range; the message names it.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> solver = dpodiff.PEZ(space, steps=50)
        >>> solver.ask()
        [(0,)]
        >>> solver.tell([(0,)], [0.5])
        >>> solver.ask().estimator
        Shortcut(step=15, k=1)
    """

    name = "pez"

    def __init__(
        self,
        space: Space,
        *,
        steps: int,
        seed: int = 0,
        schedule: Schedule = shortcuts,
        lr: float = 0.1,
        weight_decay: float = 0.1,
        softness: float = 0.01,
        patience: int = 10,
    ) -> None:
        super().__init__(space, seed=seed)
        check_whole("steps", steps, 1, MOST)
        check_callable("schedule", schedule, "a callable from steps to estimators")
        for name, value in {"lr": lr, "weight_decay": weight_decay, "softness": softness}.items():
            check_finite(f"PEZ's {name}", value, 0)
        check_whole("PEZ's patience", patience, 1)
        self.steps, self.lr, self.weight_decay = steps, lr, weight_decay
        self.softness, self.patience = softness, patience
        if not lr > 0:
            raise ValueError(f"PEZ needs lr > 0, not {lr}")
        if not 0 <= softness < 0.5:
            raise ValueError(f"PEZ needs 0 <= softness < 0.5, not {softness}")
        self.estimators = tuple(schedule(steps))
        self._estimators = itertools.cycle(self.estimators)
        self._start(space.identity)

    def _start(self, candidate: Candidate) -> None:
        """Move the point to a corner, with a new optimizer."""
        self.point = [row.requires_grad_() for row in corner(self.space, candidate)]
        self._optimizers = [
            torch.optim.AdamW([row], lr=self.lr, weight_decay=self.weight_decay)
            for row in self.point
        ]
        self._idle = 0  # number of steps since the last new candidate

    @property
    def follows_gradients(self) -> bool:
        return True

    @property
    def projection(self) -> Candidate:
        """The candidate nearest to the point."""
        return tuple(int(row.detach().argmax()) for row in self.point)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name and the hyperparameters, for the record."""
        return super().parameters | {"estimators": [name_of(e) for e in self.estimators]}

    def ask(self) -> list[Candidate] | GradientQuery:
        """Return the projection if it is new, else a query for the gradient there."""
        if len(self._seen) >= self.space.size:
            return []
        if self._idle >= self.patience:
            fresh = self._fresh([self._sample])
            self._start(fresh[0])
            return fresh
        candidate = self.projection
        if candidate not in self._seen:
            self._idle = 0
            return self._fresh([lambda: candidate])
        sharp = corner(self.space, candidate)
        soft = ((1 - self.softness) * row + self.softness / len(row) for row in sharp)
        return GradientQuery(tuple(soft), next(self._estimators))

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        """Move the point by a gradient step, unless the gradient is not finite."""
        self._idle += 1
        if not all(gradient.isfinite().all() for gradient in answer.gradients):
            warnings.warn("a gradient was not finite; PEZ leaves its point there", stacklevel=2)
            return
        for row, gradient, optimizer in zip(self.point, answer.gradients, self._optimizers):
            row.grad = (gradient - gradient.mean()).to(row)
            optimizer.step()

    def state(self) -> dict[str, Any]:
        """Return the point, with one number per choice of each slot."""
        return {"point": [row.tolist() for row in self.point]}

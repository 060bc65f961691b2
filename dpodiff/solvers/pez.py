"""PEZ adapted to a search space (Wen et al., 2023, "Hard Prompts Made Easy", arXiv 2302.03668).

PEZ optimizes soft prompts that are hard whenever the model sees them: project the continuous point
to the nearest real prompt, take the gradient there, and apply it to the continuous point, which so
remembers what a rounded one would forget. The original moves token embeddings and projects them to
the nearest of the vocabulary; its loss is cheap, so it takes thousands of steps.

Here the point has one number for each choice of each slot, x in R^choices, and the vocabulary is
the slot's one-hot vectors. The nearest of them is that of the largest number, because
|x - e_k|^2 = |x|^2 - 2 x_k + 1. So there is no softmax and no temperature, unlike in GPO. Three
things had to be made up for a space:

- The gradient is taken a hair off the corner (`softness`): where a slot's empty choice has all the
  weight, no word is shown and none has a gradient.
- A slot's weights have the sum 1, so only the part of the gradient along that plane counts; AdamW,
  which levels the sizes of entries, would drown it in the part they share.
- A point that keeps its projection for `patience` steps is given up for a random unseen one, as
  the original is run from several random prompts.

Each new projection costs a full evaluation, like any candidate.
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
    """Descends on a point between the candidates with gradients taken at the nearest of them.

    Starts at the user's own prompt; learning rate and weight decay are the paper's.

    Args:
        space: where to search.
        steps: of the model's rollout.
        seed: of the random numbers.
        schedule: the estimators of the gradient steps for so many `steps`, used over and over.
        lr: of AdamW; a slot changes its word after about 1 / (2 lr) steps.
        weight_decay: of AdamW.
        softness: weight spread evenly over a slot's choices where the gradient is taken.
        patience: steps without a new candidate before a restart.

    Raises:
        ValueError: naming the argument that makes no sense.

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
        """Put the point on a corner, with a fresh optimizer."""
        self.point = [row.requires_grad_() for row in corner(self.space, candidate)]
        self._optimizers = [
            torch.optim.AdamW([row], lr=self.lr, weight_decay=self.weight_decay)
            for row in self.point
        ]
        self._idle = 0  # steps since the last new candidate

    @property
    def follows_gradients(self) -> bool:
        return True

    @property
    def projection(self) -> Candidate:
        """The candidate nearest to the point."""
        return tuple(int(row.detach().argmax()) for row in self.point)

    @property
    def parameters(self) -> dict[str, Any]:
        """The name and the hyperparameters, for the record."""
        return super().parameters | {"estimators": [name_of(e) for e in self.estimators]}

    def ask(self) -> list[Candidate] | GradientQuery:
        """The projection if it is new, else the gradient there."""
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
        """Move the point down the gradient, unless it is not finite."""
        self._idle += 1
        if not all(gradient.isfinite().all() for gradient in answer.gradients):
            warnings.warn("a gradient was not finite; PEZ leaves its point there", stacklevel=2)
            return
        for row, gradient, optimizer in zip(self.point, answer.gradients, self._optimizers):
            row.grad = (gradient - gradient.mean()).to(row)
            optimizer.step()

    def state(self) -> dict[str, Any]:
        """The point, one number a choice of each slot."""
        return {"point": [row.tolist() for row in self.point]}

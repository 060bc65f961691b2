"""GPO, the gradient prompt optimizer of DPO-Diff (Wang et al., 2024, arXiv 2407.01606, section 4).

Random search and EPO only learn how good a prompt is. GPO asks at a mixture of prompts which way
each word should go. It keeps one distribution a slot, p = softmax(logits), and descends

    d E[value(w)] / d logits,    w ~ Gumbel-Softmax(logits)

by the chain rule: the model gives d value / d w through a few of its steps, the sample gives
dw / d logits. Then it evaluates candidates drawn from what it learned. The distribution knows no
pairs of words and cannot leave what the first phase found. So GPO alone plateaus, says the paper
(chapter 10 of the book asks whether it does); HPO hands it to evolution, and PEZ does without a
distribution.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from dpodiff.checks import MOST, check_callable, check_finite, check_positive, check_whole
from dpodiff.gradients import Shortcut
from dpodiff.gradients.relaxation import Relaxed
from dpodiff.names import name_of
from dpodiff.objective.queries import GradientQuery, ValueAndGradient
from dpodiff.solvers.base import Solver
from dpodiff.spaces.space import Candidate, Space

if TYPE_CHECKING:
    from dpodiff.gradients import Estimator

# From the steps of a rollout to one estimator a gradient step.
Schedule = Callable[[int], "Sequence[Estimator]"]


def shortcuts(
    steps: int,
    *,
    iterations: int = 20,
    first: float = 0.3,
    last: float = 0.48,
    repeat: int = 2,
    k: int = 1,
) -> list[Shortcut]:
    """The paper's schedule: shortcuts from ever later steps, 15, 15, 16, 16, ..., 24 of 50.

    Args:
        steps: of the rollout.
        iterations: how many gradient steps.
        first, last: where the first and the last begin, as shares of the rollout.
        repeat: gradient steps in a row from the same place.
        k: denoiser steps with a graph, each.

    Raises:
        ValueError: if a number is below 1, or a shortcut would not fit the rollout.

    Examples:
        >>> dpodiff.solvers.shortcuts(50, iterations=3, repeat=1)
        [Shortcut(step=15, k=1), Shortcut(step=19, k=1), Shortcut(step=24, k=1)]
    """
    if min(iterations, repeat, k) < 1:
        raise ValueError(f"shortcuts need numbers from 1 on, not {iterations}, {repeat}, {k}")
    shares = np.linspace(first, last, -(-iterations // repeat))
    places = np.floor(steps * shares + 1e-9).astype(int)  # 50 * 0.32 is a hair off 16
    if places.min() < 0 or places.max() + k > steps:
        raise ValueError(
            f"{k} steps from places {first} to {last} of the rollout do not fit in {steps}"
        )
    return [Shortcut(int(place), k) for place in places.repeat(repeat)[:iterations]]


class GPO(Solver):
    """Gradient descent on a distribution over candidates, then samples from it.

    The defaults are the paper's. With its RMSprop the first step moves each logit by
    lr / sqrt(1 - alpha), a whole unit, whatever the size of the gradient: logits run from bound to
    bound in a few steps, and `clip` acts only by evening out gradients of different steps.

    Args:
        space: where to search.
        steps: of the model's rollout.
        seed: of the random numbers.
        schedule: the estimators of the gradient steps for so many `steps`.
        temperature: of the Gumbel-Softmax; lower is nearer to single words, with wilder gradients.
        first: logit of each slot's first choice at the start; the others are 0.
        low, high: bounds of the logits. `high` keeps every choice possible.
        lr, momentum, alpha: of RMSprop.
        clip: largest absolute value of an entry of the gradient.
        batch: samples asked for at a time; it does not change which ones.

    Attributes:
        relaxed: the distribution.
        taken: gradient steps so far.
        skipped: those of them whose gradient was not finite; they changed nothing.

    Raises:
        ValueError: naming the argument that makes no sense.

    Warns:
        UserWarning: after the last gradient step, if any was skipped.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> solver = dpodiff.GPO(space, steps=50)
        >>> solver.ask().estimator
        Shortcut(step=15, k=1)
        >>> solver.relaxed.mode()  # it starts at the user's own prompt
        (0,)
    """

    name = "gpo"

    def __init__(
        self,
        space: Space,
        *,
        steps: int,
        seed: int = 0,
        schedule: Schedule = shortcuts,
        temperature: float = 1.0,
        first: float = 1.0,
        low: float = 0.0,
        high: float = 3.0,
        lr: float = 0.1,
        momentum: float = 0.5,
        alpha: float = 0.99,
        clip: float = 0.025,
        batch: int = 16,
    ) -> None:
        super().__init__(space, seed=seed)
        check_whole("steps", steps, 1, MOST)
        check_callable("schedule", schedule, "a callable from steps to estimators")
        check_positive("GPO", temperature=temperature, lr=lr, clip=clip)
        for name, value in {"first": first, "low": low, "high": high}.items():
            check_finite(f"GPO's {name}", value)
        for name, value in {"momentum": momentum, "alpha": alpha}.items():
            check_finite(f"GPO's {name}", value, 0)
        check_whole("GPO's batch", batch, 1)
        self.steps, self.estimators = steps, tuple(schedule(steps))
        self.temperature, self.first, self.low, self.high = temperature, first, low, high
        self.lr, self.momentum, self.alpha = lr, momentum, alpha
        self.clip, self.batch = clip, batch
        self._check()
        self.relaxed = Relaxed.start(space, first)
        self.taken = self.skipped = 0

    def _check(self) -> None:
        for name in ("momentum", "alpha"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"GPO needs 0 <= {name} < 1, not {getattr(self, name)}")
        if not self.low <= min(0, self.first) <= max(0, self.first) <= self.high:
            bounds = f"low = {self.low} and high = {self.high}"
            raise ValueError(f"GPO starts at logits 0 and {self.first}, outside {bounds}")

    @property
    def parameters(self) -> dict[str, Any]:
        """The name and the hyperparameters, for the record."""
        return super().parameters | {"estimators": [name_of(e) for e in self.estimators]}

    @property
    def follows_gradients(self) -> bool:
        return True

    @property
    def learning(self) -> bool:
        """Whether there are gradient steps left, and something to choose by them."""
        return self.taken < len(self.estimators) and len(self._seen) < self.space.size

    def ask(self) -> list[Candidate] | GradientQuery:
        """The gradient at a sample of the distribution; after the last one, candidates from it."""
        if not self.learning:
            return self._fresh([self.sample] * self.batch)
        self._weights = self.relaxed.gumbel(self._rng, self.temperature)
        return GradientQuery(tuple(w.detach() for w in self._weights), self.estimators[self.taken])

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        """Take a step down the gradient, unless it is not finite."""
        self.taken += 1
        if all(gradient.isfinite().all() for gradient in answer.gradients):
            self._descend(answer.gradients)
        else:
            self.skipped += 1
        if self.skipped and self.taken == len(self.estimators):
            warnings.warn(
                f"{self.skipped} of {self.taken} gradients were not finite; "
                "the logits were left as they were in these steps",
                stacklevel=2,
            )

    def _descend(self, gradients: Sequence[torch.Tensor]) -> None:
        fitting = [g.to(w) for g, w in zip(gradients, self._weights, strict=True)]
        torch.autograd.backward(self._weights, fitting)  # d value / d logits, eq. (gpo-chain)
        nn.utils.clip_grad_value_(self.relaxed.logits, self.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        with torch.no_grad():
            for row in self.relaxed.logits:
                row.clamp_(self.low, self.high)

    @cached_property
    def _optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            self.relaxed.logits, lr=self.lr, momentum=self.momentum, alpha=self.alpha
        )

    def sample(self) -> Candidate:
        """A candidate drawn from the distribution."""
        return self.relaxed.draw(self._rng)

    def state(self) -> dict[str, Any]:
        """The probabilities of each slot's choices."""
        return {"probabilities": [row.tolist() for row in self.relaxed.probabilities()]}

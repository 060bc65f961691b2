"""GPO, the gradient prompt optimizer of DPO-Diff (Wang et al., 2024, arXiv 2407.01606, section 4).

Random search and EPO learn only the value of a prompt. GPO evaluates a mixture of prompts and
learns how the value changes with each word. It keeps one distribution per slot, p =
softmax(logits), and descends

    d E[value(w)] / d logits,    w ~ Gumbel-Softmax(logits)

by the chain rule: the model gives d value / d w through a few of its steps, and the sample gives dw
/ d logits. Then it evaluates candidates drawn from the learned distribution. The distribution does
not represent pairs of words, and it stays fixed after the gradient phase. According to the paper,
GPO alone therefore plateaus (chapter 10 of the book tests this). HPO continues with evolution from
the distribution, and PEZ uses no distribution.
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

# Function from the number of steps of a rollout to one estimator per gradient step.
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
    """Return the paper's schedule: shortcuts from increasing steps, 15, 15, 16, 16, ..., 24 of 50.

    Args:
        steps: number of steps of the rollout.
        iterations: number of gradient steps.
        first: start of the first shortcut, as a share of the rollout.
        last: start of the last shortcut, as a share of the rollout.
        repeat: number of successive gradient steps with the same start.
        k: number of denoiser steps with a graph in each.

    Raises:
        ValueError: if a number is below 1, or a shortcut does not fit the rollout.

    Examples:
        >>> dpodiff.solvers.shortcuts(50, iterations=3, repeat=1)
        [Shortcut(step=15, k=1), Shortcut(step=19, k=1), Shortcut(step=24, k=1)]
    """
    if min(iterations, repeat, k) < 1:
        raise ValueError(f"shortcuts need numbers from 1 on, not {iterations}, {repeat}, {k}")
    shares = np.linspace(first, last, -(-iterations // repeat))
    places = np.floor(steps * shares + 1e-9).astype(int)  # 50 * 0.32 is slightly below 16
    if places.min() < 0 or places.max() + k > steps:
        raise ValueError(
            f"{k} steps from places {first} to {last} of the rollout do not fit in {steps}"
        )
    return [Shortcut(int(place), k) for place in places.repeat(repeat)[:iterations]]


class GPO(Solver):
    """Gradient descent on a distribution over candidates, then samples from it.

    The defaults are the paper's. The first step of its RMSprop moves each logit by lr / sqrt(1 -
    alpha), which is 1, for any size of the gradient. So logits move from bound to bound in a few
    steps, and `clip` only balances the gradients of different steps.

    Args:
        space: the space to search.
        steps: number of steps of the model's rollout.
        seed: seed of the random numbers.
        schedule: function from `steps` to the estimators of the gradient steps.
        temperature: temperature of the Gumbel-Softmax. A lower one is closer to single words, with
            a higher variance of the gradient.
        first: initial logit of each slot's first choice; the others are 0.
        low: lower bound of the logits.
        high: upper bound of the logits, so that every choice stays possible.
        lr: learning rate of RMSprop.
        momentum: momentum of RMSprop.
        alpha: decay of the running mean of squared gradients in RMSprop.
        clip: largest absolute value of an entry of the gradient.
        batch: number of samples per `ask`; it does not change the samples.

    Attributes:
        relaxed: the distribution.
        taken: number of gradient steps so far.
        skipped: number of them whose gradient was not finite; they changed nothing.

    Raises:
        ValueError: if an argument is out of its range; the message names it.

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
        """Return the name and the hyperparameters, for the record."""
        return super().parameters | {"estimators": [name_of(e) for e in self.estimators]}

    @property
    def follows_gradients(self) -> bool:
        return True

    @property
    def learning(self) -> bool:
        """Whether there are gradient steps left, and a choice to make."""
        return self.taken < len(self.estimators) and len(self._seen) < self.space.size

    def ask(self) -> list[Candidate] | GradientQuery:
        """Return gradient queries at samples of the distribution, then candidates from it."""
        if not self.learning:
            return self._fresh([self.sample] * self.batch)
        self._weights = self.relaxed.gumbel(self._rng, self.temperature)
        return GradientQuery(tuple(w.detach() for w in self._weights), self.estimators[self.taken])

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        """Take a gradient step, unless the gradient is not finite."""
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
        """Return a candidate drawn from the distribution."""
        return self.relaxed.draw(self._rng)

    def state(self) -> dict[str, Any]:
        """Return the probabilities of each slot's choices."""
        return {"probabilities": [row.tolist() for row in self.relaxed.probabilities()]}

"""Relaxed words: a distribution over the choices of each slot, learned by gradients.

A candidate is a corner of a product of simplices, one per slot. `Relaxed` is an inner point, stored
as logits. The Gumbel-Softmax (Jang et al., 2017; Maddison et al., 2017) draws a point from it that
has a gradient. The lower the temperature, the closer the point is to a corner:

    weights = softmax((logits + g) / temperature),    g ~ Gumbel(0, 1), independent per choice
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dpodiff.spaces.space import Candidate, Space


@dataclass(frozen=True)
class Relaxed:
    """A point on the product of simplices.

    Attributes:
        logits: (choices,) per slot, float64.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> relaxed = dpodiff.gradients.Relaxed.start(space)
        >>> relaxed.probabilities()[0].round(2)
        array([0.48, 0.17, 0.17, 0.17])
        >>> weights = relaxed.gumbel(np.random.default_rng(0), temperature=0.1)
        >>> relaxed.mode(), round(weights[0].sum().item(), 6)
        ((0,), 1.0)
    """

    logits: tuple[torch.Tensor, ...]

    @classmethod
    def start(cls, space: Space, first: float = 1.0) -> "Relaxed":
        """Return a start that favors the prompt itself: its logit is `first`, all others are 0.

        The tensors are leaves that require gradients, ready for an optimizer.
        """
        logits = []
        for slot in space.slots:
            row = torch.zeros(len(slot.choices), dtype=torch.float64)
            row[0] = first
            logits.append(row.requires_grad_())
        return cls(tuple(logits))

    def probabilities(self) -> list[np.ndarray]:
        """Return softmax(logits) of each slot."""
        # eq. (relax-softmax)
        return [row.detach().softmax(0).numpy() for row in self.logits]

    def gumbel(self, rng: np.random.Generator, temperature: float = 1.0) -> list[torch.Tensor]:
        """Draw a Gumbel-Softmax sample: weights (choices,) per slot, with a graph to the logits."""
        return [  # eq. (relax-gumbel)
            ((row + torch.from_numpy(rng.gumbel(size=len(row)))) / temperature).softmax(0)
            for row in self.logits
        ]

    def draw(self, rng: np.random.Generator) -> Candidate:
        """Draw a candidate, each slot from its own probabilities."""
        return tuple(int(rng.choice(len(row), p=row)) for row in self.probabilities())

    def mode(self) -> Candidate:
        """Return the most likely candidate; the first one if choices are equal."""
        return tuple(int(row.detach().argmax()) for row in self.logits)


def corner(space: Space, candidate: Candidate) -> tuple[torch.Tensor, ...]:
    """Return the weights (choices,) per slot at which the mixture is this candidate.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> dpodiff.gradients.corner(space, (2,))
        (tensor([0., 0., 1., 0.], dtype=torch.float64),)
    """
    rows = zip(candidate, space.slots, strict=True)
    return tuple(torch.eye(len(slot.choices), dtype=torch.float64)[k] for k, slot in rows)


def entropy(probabilities: Sequence[np.ndarray]) -> float:
    """Return the mean entropy of the slots in nats: 0 if every slot has one certain choice.

    Examples:
        >>> even, sure = np.array([0.5, 0.5]), np.array([1.0, 0.0])
        >>> round(dpodiff.gradients.entropy([even]), 3), dpodiff.gradients.entropy([sure])
        (0.693, 0.0)
    """
    rows = [-(row * np.log(np.maximum(row, 1e-300))).sum() for row in probabilities]
    return float(np.mean(rows)) if rows else 0.0

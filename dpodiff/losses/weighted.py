"""The weighted sum of losses."""

import functools
from collections.abc import Callable, Mapping, Sequence

import torch

from dpodiff.checks import check_finite, check_kind
from dpodiff.losses.base import check_prompt, is_differentiable, values
from dpodiff.names import name_of


class Weighted:
    """The weighted sum of losses.

    A positive weight of a loss lowers it, and a positive weight of a reward raises the reward. The
    weights must also compensate for the different scales of the losses.

    Args:
        weights: mapping from losses to weights. A loss is any callable from images and prompts to
            (batch,).

    Attributes:
        differentiable: whether all losses are differentiable.

    Raises:
        ValueError: if there are no losses, or a weight is not finite.

    Examples:
        >>> from dpodiff.losses import contrast, white
        >>> loss = dpodiff.Weighted({white: 1.0, contrast: 0.5})
        >>> loss
        Weighted(1 * white, 0.5 * contrast)
        >>> loss(torch.ones(1, 3, 8, 8), ["a white wall"])
        tensor([-1.])
    """

    def __init__(
        self, weights: Mapping[Callable[[torch.Tensor, Sequence[str]], torch.Tensor], float]
    ) -> None:
        check_kind("weights", weights, Mapping, "a mapping from losses to weights")
        self.weights = dict(weights)
        if not self.weights:
            raise ValueError("a weighted sum needs at least one loss")
        for loss, weight in self.weights.items():
            if not callable(loss):
                raise ValueError(
                    f"{loss!r} is not a loss; dpodiff.losses.load loads one by its name"
                )
            check_finite(f"the weight of {name_of(loss)}", weight)
        self.differentiable = all(map(is_differentiable, self.weights))

    def __repr__(self) -> str:
        terms = (f"{weight:g} * {name_of(loss)}" for loss, weight in self.weights.items())
        return f"Weighted({', '.join(terms)})"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the sum (batch,) on the device of the images, which the losses check.

        Raises:
            ValueError: if a loss does not return (batch,).
        """
        terms = (weight * values(loss, images, prompts) for loss, weight in self.weights.items())
        return functools.reduce(torch.add, terms)

    def check(self, prompt: str) -> None:
        """Refuse a prompt that one of the losses cannot score.

        Raises:
            ValueError: from the `check` of that loss.
        """
        for loss in self.weights:
            check_prompt(loss, prompt)

"""Raters that are functions, to test a study and its analysis before people are asked.

Their answers test the analysis. They are no evidence of what people prefer.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dpodiff.checks import check_finite, check_whole

if TYPE_CHECKING:
    import torch

    from dpodiff.studies.pairs import Choice


def simulated_rater(
    score: "Callable[[torch.Tensor, str], float]",
    *,
    noise: float = 1.0,
    tie: float = 0.5,
    left: float = 0.0,
    seed: int = 0,
) -> "Callable[[torch.Tensor, torch.Tensor, str], Choice]":
    """Return a rater for `Study.answered` that compares scores with an error.

    The difference of the scores gets logistic noise, as in the model of Bradley and Terry (1952).
    An image compared with itself is always a tie.

    Args:
        score: function from an image (3, height, width) in [0, 1] and its prompt to a score; more
            is better.
        noise: scale of the error; 0 is a perfect rater.
        tie: smaller differences, including the noise, are ties.
        left: bias that is added to the score of the left image.
        seed: seed of the noise.

    Raises:
        ValueError: if `noise` or `tie` is below 0.

    Examples:
        >>> choose = dpodiff.studies.simulated_rater(lambda image, prompt: image.mean(), noise=0)
        >>> choose(torch.zeros(3, 8, 8), torch.ones(3, 8, 8), "a white wall")
        'right'
    """
    for name, value in {"noise": noise, "tie": tie}.items():
        check_finite(name, value)
        if value < 0:
            raise ValueError(f"{name} must be at least 0, not {value}")
    check_finite("left", left)
    check_whole("seed", seed, 0)
    rng = np.random.default_rng(seed)

    def choose(first: "torch.Tensor", second: "torch.Tensor", prompt: str) -> "Choice":
        if first.equal(second):
            return "tie"
        difference = float(score(first, prompt)) - float(score(second, prompt)) + left
        difference += noise * rng.logistic()
        if abs(difference) < tie:
            return "tie"
        return "left" if difference > 0 else "right"

    return choose

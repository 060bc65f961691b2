"""Gradients of the loss with respect to the text and to the noise.

`estimators`      gradients through the sampler: full, checkpointed, shortcut, ...
`hybrid`          DNO's gradient for losses without a gradient
`relaxation`      a distribution over the words of a space, and the Gumbel-Softmax
`mixing`          weights over words -> prompts with mixed words
`regularization`  penalties for improbable noise

It imports from `models`, `losses` and `spaces` only.
"""

from dpodiff.gradients.estimators import (
    SDO,
    Checkpointed,
    DRTune,
    Estimator,
    Full,
    Shortcut,
    Truncated,
    loss_scale,
)
from dpodiff.gradients.hybrid import Hybrid
from dpodiff.gradients.mixing import Mixture, mix
from dpodiff.gradients.relaxation import Relaxed, corner, entropy

__all__ = [
    "SDO",
    "Checkpointed",
    "DRTune",
    "Estimator",
    "Full",
    "Hybrid",
    "Mixture",
    "Relaxed",
    "Shortcut",
    "Truncated",
    "corner",
    "entropy",
    "loss_scale",
    "mix",
]

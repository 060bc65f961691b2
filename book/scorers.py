"""The losses of the toy world's records, by their names in the tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch

import dpodiff
from dpodiff.api import default_loss
from dpodiff.losses import Ensemble
from dpodiff.losses.ensemble import Combine
from dpodiff.toy.matcher import Matcher
from dpodiff.toy.words import toy_lexicon

Loss = Callable[[torch.Tensor, Sequence[str]], torch.Tensor]

# Name in the tables -> name for `dpodiff.losses.load`.
LOSSES = {
    "spherical": "toy",
    "contrastive": "contrastive:toy",
    "margin": "contrastive-margin:toy",
    "matcher": "toy-matcher",
    "matcher, log": "toy-matcher-log",
    "spherical, held-out CLIP": "toy-heldout",
    "contrastive, held-out CLIP": "contrastive:toy-heldout",
    "margin, held-out CLIP": "contrastive-margin:toy-heldout",
}
CLEAN_AND_CONTRASTIVE = "clean and contrastive"
MATCHER_AND_CLIP = "matcher and CLIP"  # the default of the toy model


@dataclass(frozen=True)
class Members:
    """The members of an ensemble, and how they are combined."""

    losses: tuple[str, ...]
    combine: Combine


# The held-out CLIP is not a member of any of them.
ENSEMBLES = {
    "ensemble": Members(("matcher, log", "contrastive"), "mean"),
    "ensemble, worst": Members(("matcher, log", "contrastive"), "worst"),
    "ensemble, three": Members(("matcher, log", "contrastive", "spherical"), "mean"),
    "ensemble, bound": Members(("matcher, log", "contrastive", "spherical"), "bound"),
}
ALL = (*LOSSES, CLEAN_AND_CONTRASTIVE, MATCHER_AND_CLIP, *ENSEMBLES)


class CleanAndContrastive:
    """1 - P(clean), by the matcher, times the prompt's softmax share among its contrasts.

    Args:
        matcher: matcher that estimates whether an image has a defect.
        contrastive: loss of the form "softmax", minus the logarithm of the share.
    """

    differentiable = True

    def __init__(self, matcher: Matcher, contrastive: Loss) -> None:
        self.matcher, self.contrastive = matcher, contrastive

    def __repr__(self) -> str:
        return "CleanAndContrastive()"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return losses (batch,) of images (batch, 3, 64, 64), from 0 to 1."""
        logits = self.matcher.clean_logits(self.matcher.cells(images))
        clean = torch.nn.functional.logsigmoid(logits)
        return 1 - torch.exp(clean - self.contrastive(images, prompts))


def statements(prompt: str) -> dict[str, list[str]]:
    """Return the statements of a prompt with their contrast prompts, by the toy lexicon."""
    return dpodiff.contrasts_of(prompt, toy_lexicon())


@cache
def loss(name: str) -> Loss:
    """Return a loss that needs no calibration, loaded once per process.

    Args:
        name: a name in `ALL`, except those of ensembles.
    """
    if name == MATCHER_AND_CLIP:
        return default_loss(dpodiff.load("toy", "cpu"))
    if name == CLEAN_AND_CONTRASTIVE:
        return CleanAndContrastive(loss("matcher"), loss("contrastive"))
    return dpodiff.losses.load(LOSSES[name], "cpu", statements=statements)


def fitted(name: str, prompt: str, images: torch.Tensor) -> Loss:
    """Return any of the losses; an ensemble is calibrated.

    Args:
        name: a name in `ALL`.
        prompt: the user's own prompt.
        images: (batch, 3, 64, 64) in [0, 1] of this prompt, for ensembles only.
    """
    if name not in ENSEMBLES:
        return loss(name)
    members = ENSEMBLES[name]
    ensemble = Ensemble({member: loss(member) for member in members.losses}, members.combine)
    return ensemble.fit(images, [prompt] * len(images))

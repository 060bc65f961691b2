"""The losses that the records of the toy world compare, by the names they have in the tables."""

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
    """Which losses make up an ensemble, and how they are combined."""

    losses: tuple[str, ...]
    combine: Combine


# None has the held-out CLIP as a member, so that it stays held out.
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
        matcher: says whether an image has a defect.
        contrastive: in its form "softmax", minus the logarithm of the share.
    """

    differentiable = True

    def __init__(self, matcher: Matcher, contrastive: Loss) -> None:
        self.matcher, self.contrastive = matcher, contrastive

    def __repr__(self) -> str:
        return "CleanAndContrastive()"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Losses (batch,) of images (batch, 3, 64, 64), from 0 to 1."""
        logits = self.matcher.clean_logits(self.matcher.cells(images))
        clean = torch.nn.functional.logsigmoid(logits)
        return 1 - torch.exp(clean - self.contrastive(images, prompts))


def statements(prompt: str) -> dict[str, list[str]]:
    """The statements of a prompt with their contrast prompts, by the toy lexicon."""
    return dpodiff.contrasts_of(prompt, toy_lexicon())


@cache
def loss(name: str) -> Loss:
    """A loss that needs no images to be calibrated, loaded once a process.

    Args:
        name: of `ALL`, but not an ensemble.
    """
    if name == MATCHER_AND_CLIP:
        return default_loss(dpodiff.load("toy", "cpu"))
    if name == CLEAN_AND_CONTRASTIVE:
        return CleanAndContrastive(loss("matcher"), loss("contrastive"))
    return dpodiff.losses.load(LOSSES[name], "cpu", statements=statements)


def fitted(name: str, prompt: str, images: torch.Tensor) -> Loss:
    """Any of these losses; an ensemble is calibrated.

    Args:
        name: of `ALL`.
        prompt: the user's own.
        images: (batch, 3, 64, 64) in [0, 1] of this prompt, used by ensembles alone.
    """
    if name not in ENSEMBLES:
        return loss(name)
    members = ENSEMBLES[name]
    ensemble = Ensemble({member: loss(member) for member in members.losses}, members.combine)
    return ensemble.fit(images, [prompt] * len(images))

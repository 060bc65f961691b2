"""Losses: from images and prompts to one number each, to be minimized; one file per scorer.

    loss(images (batch, 3, height, width) in [0, 1], prompts) -> (batch,)

Any callable of that shape will do. A reward, of which more is better, enters as its negative, and
its `reward` method gives it as published. `load` knows these by name:

    name                  loss            usual range         looks at
    "clip", "clip:..."    SphericalCLIP   0.7 to 1.0          fit to the prompt
    "toy", "toy-heldout"  SphericalCLIP   0.2 to 0.4          the same, in the toy world
    "hpsv2.1"             HPS             -0.35 to -0.2       what people choose
    "pickscore"           PickScore       -24 to -17          what people choose
    "imagereward"         ImageReward     -2 to 2             what people rank first
    "aesthetic"           Aesthetic       -7 to -4.5          looks alone, whatever the prompt
    "white", "black"      white, black    -1 to 0, 0 to 1     brightness
    "contrast"            contrast        -2.25 to 0          light beside dark
    "jpeg"                JPEG            some tens of kB     size of the file; no gradient

`Weighted` sums them; `Contrastive` compares the fit to the prompt with that to contrast prompts.
All but JPEG have a gradient in the images. `is_differentiable` asks; a loss of one's own that has
none says so by an attribute `differentiable = False`.

Imports from `models` only.
"""

import difflib
from collections.abc import Callable, Sequence

import torch

from dpodiff.losses.aesthetic import Aesthetic
from dpodiff.losses.base import Reward, check_differentiable, is_differentiable
from dpodiff.losses.clip import PACKAGED, SphericalCLIP, spherical_distance
from dpodiff.losses.contrastive import Contrastive
from dpodiff.losses.hps import HPS
from dpodiff.losses.imagereward import ImageReward
from dpodiff.losses.pickscore import PickScore
from dpodiff.losses.pixels import JPEG, black, contrast, white
from dpodiff.losses.weighted import Weighted
from dpodiff.names import LoadError

__all__ = [
    "HPS",
    "JPEG",
    "Aesthetic",
    "Contrastive",
    "ImageReward",
    "PickScore",
    "Reward",
    "SphericalCLIP",
    "Weighted",
    "black",
    "check_differentiable",
    "contrast",
    "is_differentiable",
    "load",
    "spherical_distance",
    "white",
]

PIXELS = {"white": white, "black": black, "contrast": contrast, "jpeg": JPEG()}
REWARDS = {
    "hpsv2.1": HPS,
    "pickscore": PickScore,
    "imagereward": ImageReward,
    "aesthetic": Aesthetic,
}
PAPER = "ViT-B-32/openai"  # what DPO-Diff is optimized with


def load(
    name: str, device: str | torch.device | None = None
) -> Callable[[torch.Tensor, Sequence[str]], torch.Tensor]:
    """A loss by its name, as the table above has it.

    Args:
        name: of the loss. Behind a colon may stand where its weights are: "hpsv2.1:FOLDER", a file,
            a folder or a hub id; and for CLIP any that open_clip knows, "clip:ViT-L-14/openai",
            "clip:local-dir:FOLDER" or "clip:hf-hub:OWNER/NAME". Without, DPO-Diff's ViT-B-32/openai
            and the published rewards, which are downloaded on first use.
        device: None is the GPU with the most free memory if there is one, else the CPU.

    Raises:
        LoadError: if there is no such loss, or its weights are of another kind or cannot be had,
            saying what would be right.

    Examples:
        >>> dpodiff.losses.load("toy")
        SphericalCLIP('toy')
        >>> dpodiff.losses.load("jpeg")
        JPEG(95)
    """
    kind, _, source = name.partition(":")
    if name in PIXELS:
        return PIXELS[name]
    if name in PACKAGED:
        return SphericalCLIP(name, device=device)
    if kind == "clip":
        source = source or PAPER
        if source.startswith(("local-dir:", "hf-hub:")):
            return SphericalCLIP(source, device=device)
        architecture, _, weights = source.partition("/")
        return SphericalCLIP(architecture, weights or None, device)
    if kind in REWARDS:
        reward = REWARDS[kind]
        return reward(source, device=device) if source else reward(device=device)
    known = [*PACKAGED, "clip", *REWARDS, *PIXELS]
    near = difflib.get_close_matches(kind, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "or any callable in its place"
    raise LoadError(f"unknown loss {name!r}; choose from {', '.join(known)}; {hint}")

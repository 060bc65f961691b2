"""Losses by name; the table is in `dpodiff.losses`."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from dpodiff import names
from dpodiff.checks import check_callable, check_text
from dpodiff.losses.aesthetic import Aesthetic
from dpodiff.losses.clip import PACKAGED, SphericalCLIP
from dpodiff.losses.contrastive import Contrastive
from dpodiff.losses.decomposed import Decomposed
from dpodiff.losses.hps import HPS
from dpodiff.losses.imagereward import ImageReward
from dpodiff.losses.pickscore import PickScore
from dpodiff.losses.pixels import JPEG, black, contrast, white
from dpodiff.losses.vqascore import VQAScore
from dpodiff.models.devices import choose_device
from dpodiff.names import LoadError

if TYPE_CHECKING:
    from dpodiff.losses.contrastive import Form

PIXELS = {"white": white, "black": black, "contrast": contrast, "jpeg": JPEG()}
REWARDS = {
    "hpsv2.1": HPS,
    "pickscore": PickScore,
    "imagereward": ImageReward,
    "aesthetic": Aesthetic,
    "vqascore": VQAScore,
}
CONTRASTIVE: "dict[str, Form]" = {"contrastive": "softmax", "contrastive-margin": "margin"}
DECOMPOSED = "decomposed"
CALIBRATED = (*CONTRASTIVE, DECOMPOSED)  # losses that use contrast prompts
# Name -> form of the toy world's image-text matcher.
MATCHERS = {"toy-matcher": "failure", "toy-matcher-log": "log"}
PAPER = "ViT-B-32/openai"  # the CLIP of DPO-Diff's loss

# Function from a prompt to its statements with their contrast prompts.
Statements = Callable[[str], Mapping[str, Sequence[str]]]


def load(
    name: str,
    device: str | torch.device | None = None,
    *,
    statements: Statements | None = None,
) -> Callable[[torch.Tensor, Sequence[str]], torch.Tensor]:
    """Return a loss by its name in the table of `dpodiff.losses`.

    Args:
        name: name of the loss. After a colon it may have the source of its weights,
            "hpsv2.1:FOLDER": a file, a folder or a hub id. For CLIP it is any that open_clip knows:
            "clip:ViT-L-14/openai", "clip:local-dir:FOLDER" or "clip:hf-hub:OWNER/NAME". The
            defaults, DPO-Diff's ViT-B-32/openai and the published rewards, are downloaded on first
            use. "contrastive", "contrastive-margin" and "decomposed" take the same CLIPs, and "toy"
            or "toy-heldout".
        device: None is the GPU with the most free memory if there is one, else the CPU.
        statements: function from a prompt to its statements with their contrast prompts, such as
            `dpodiff.spaces.statements.contrasts_of` with a lexicon. "contrastive",
            "contrastive-margin" and "decomposed" need it. `dpodiff.improve`, `attack` and `align`
            use their lexicon.

    Raises:
        LoadError: if the name is unknown, the weights cannot be loaded or are of another kind, or
            `statements` is missing. The message says what would be right.

    Examples:
        >>> dpodiff.losses.load("toy")
        SphericalCLIP('toy')
        >>> dpodiff.losses.load("jpeg")
        JPEG(95)
        >>> antonyms = {"red": ["blue"], "ball": ["box"]}
        >>> def statements(prompt):
        ...     return dpodiff.contrasts_of(prompt, dpodiff.Dictionary(antonyms=antonyms))
        >>> dpodiff.losses.load("contrastive:toy", statements=statements)
        Contrastive(SphericalCLIP('toy'), form='softmax')
    """
    check_text("name", name)
    meant = "a callable from a prompt to its statements, or None"
    check_callable("statements", statements, meant, optional=True)
    if device is not None:
        device = choose_device(device)
    kind, _, source = name.partition(":")
    if name in PIXELS:
        return PIXELS[name]
    if name in PACKAGED:
        return SphericalCLIP(name, device=device)
    if name in MATCHERS:
        return names.toy("matcher")(device=device, form=MATCHERS[name])
    if kind == "clip":
        return _clip(source, device)
    if kind in CALIBRATED:
        return _calibrated(name, device, statements)
    if kind in REWARDS:
        reward = REWARDS[kind]
        return reward(source, device=device) if source else reward(device=device)
    known = [*PACKAGED, *MATCHERS, "clip", *CALIBRATED, *REWARDS, *PIXELS]
    near = difflib.get_close_matches(kind, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "or any callable in its place"
    raise LoadError(f"unknown loss {name!r}; choose from {', '.join(known)}; {hint}")


def _clip(source: str, device: str | torch.device | None) -> SphericalCLIP:
    source = source or PAPER
    if source.startswith(("local-dir:", "hf-hub:")):
        return SphericalCLIP(source, device=device)
    architecture, _, weights = source.partition("/")
    return SphericalCLIP(architecture, weights or None, device)


def _calibrated(
    name: str, device: str | torch.device | None, statements: Statements | None
) -> Contrastive | Decomposed:
    if statements is None:
        raise LoadError(
            f"{name!r} compares the prompt with contrast prompts, which come from a lexicon: give "
            "`statements`, or give the name to improve, attack or align, which know theirs"
        )
    kind, _, source = name.partition(":")
    clip = _clip(source, device)
    if kind == DECOMPOSED:
        return Decomposed(clip, statements)

    def contrasts(prompt: str) -> list[str]:
        return [other for others in statements(prompt).values() for other in others]

    return Contrastive(clip, contrasts, CONTRASTIVE[kind])

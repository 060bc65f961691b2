"""Defaults of the main functions, for the toy world and for other models."""

from typing import TYPE_CHECKING

from dpodiff import names

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.losses.clip import SphericalCLIP
    from dpodiff.models.base import TextToImage

DEFAULT_SPACE = "modifiers+antonym+nplib"
WITHOUT_NEGATIVE = "modifiers"  # its part for models that ignore negative prompts


def default_loss(model: "TextToImage") -> "Loss":
    """Return the default loss of a model.

    For a toy model it is the probability that an image fails, according to the toy matcher, plus
    ten times the spherical loss of the toy CLIP. With this weight both vary by about the same
    amount between candidates. For any other model it is `default_clip`.

    Examples:
        >>> from dpodiff.api import default_loss
        >>> default_loss(dpodiff.load("toy"))
        Weighted(1 * Matcher(form='failure'), 10 * SphericalCLIP('toy'))
    """
    if not is_toy(model):
        return default_clip(model)
    from dpodiff.losses import Weighted

    matcher = names.toy("matcher")(model.device, "failure")
    return Weighted({matcher: 1.0, default_clip(model): 10.0})


def default_clip(model: "TextToImage") -> "SphericalCLIP":
    """Return the default spherical CLIP loss of a model, as in the paper.

    For a toy model it is the toy CLIP, which is part of the package. For any other it is OpenAI's
    ViT-B/32, which is downloaded on first use.

    Examples:
        >>> from dpodiff.api import default_clip
        >>> default_clip(dpodiff.load("toy"))
        SphericalCLIP('toy')
    """
    from dpodiff.losses import SphericalCLIP

    if is_toy(model):
        return SphericalCLIP("toy", device=model.device)
    return SphericalCLIP("ViT-B-32-quickgelu", "openai", device=model.device)


def default_second_losses(model: "TextToImage") -> "dict[str, Loss]":
    """Return the default second losses of a model by name; a verified result must improve them too.

    For a toy model it is the matcher: the share of failed images must fall. Other models have none.
    """
    if not is_toy(model):
        return {}
    return {"failed images": names.toy("matcher")(model.device, "failure")}


def is_toy(model: "str | TextToImage") -> bool:
    """Return whether a model, or its name, is one of the toy world.

    Examples:
        >>> from dpodiff.api import is_toy
        >>> is_toy("toy-small"), is_toy("sd-v1-5")
        (True, False)
    """
    return (model if isinstance(model, str) else model.name) in names.TOYS


def default_lexicon(model: "str | TextToImage") -> str:
    return names.TOY if is_toy(model) else "wordnet"

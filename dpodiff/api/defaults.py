"""Defaults of the main functions; the toy world has its own."""

from typing import TYPE_CHECKING

from dpodiff import names

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.losses.clip import SphericalCLIP
    from dpodiff.models.base import TextToImage

DEFAULT_SPACE = "modifiers+antonym+nplib"
WITHOUT_NEGATIVE = "modifiers"  # what is left of it where negative prompts are ignored


def default_loss(model: "TextToImage") -> "Loss":
    """The loss that goes with a model.

    A toy model has the probability that an image fails, by the toy matcher, plus ten times the
    spherical loss of the toy CLIP, so that both differ by about as much between candidates. Any
    other model has the loss of `default_clip`.

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
    """The spherical CLIP loss that goes with a model, as in the paper.

    A toy model has the toy CLIP, which is packaged; any other has OpenAI's ViT-B/32, which is
    downloaded on first use.

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
    """Losses by name that go with `default_loss`: a verified result has to be better by them too.

    A toy model has the matcher: the share of failed images has to be lower. Any other model has
    none.
    """
    if not is_toy(model):
        return {}
    return {"failed images": names.toy("matcher")(model.device, "failure")}


def is_toy(model: "str | TextToImage") -> bool:
    """Whether it is one of the models of the toy world, or the name of one.

    Examples:
        >>> from dpodiff.api import is_toy
        >>> is_toy("toy-small"), is_toy("sd-v1-5")
        (True, False)
    """
    return (model if isinstance(model, str) else model.name) in names.TOYS


def default_lexicon(model: "str | TextToImage") -> str:
    return names.TOY if is_toy(model) else "wordnet"

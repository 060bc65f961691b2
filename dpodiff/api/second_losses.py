"""The argument `second_loss`: losses that are used in the verification only."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dpodiff.api.defaults import default_second_losses
from dpodiff.api.parts import AnyLexicon, chosen_loss
from dpodiff.checks import check_callable
from dpodiff.names import name_of
from dpodiff.results.comparison import SEARCHED

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.models.base import TextToImage


def chosen_second_losses(
    second: "str | Loss | Mapping[str, str | Loss] | None",
    model: "TextToImage",
    lexicon: AnyLexicon = None,
    *,
    by_default: bool = True,
) -> "dict[str, Loss]":
    """Return the second losses, given as callables or by name.

    Args:
        second: the losses. None is the default of the model if `by_default`, else no loss.
        model: model that makes the images.
        lexicon: lexicon of contrast prompts, as in `chosen_loss`.
        by_default: whether the searched loss is the default of the model.
    """
    if second is None:
        return default_second_losses(model) if by_default else {}
    if not isinstance(second, Mapping):
        name = second if isinstance(second, str) else name_of(second)
        second = {"second loss" if name == SEARCHED else name: second}
    return {name: chosen_loss(loss, model, lexicon) for name, loss in second.items()}


def check_second_loss(second: "str | Loss | Mapping[str, str | Loss] | None") -> None:
    """Refuse values that are not losses, before a model is loaded.

    Raises:
        ValueError: if so; the message names the argument and what it must be.
    """
    meant = "a name, a callable from images and prompts to losses, or a mapping of names to them"
    losses = second if isinstance(second, Mapping) else {"": second}
    for name, loss in losses.items():
        if name == SEARCHED:
            raise ValueError(
                f"second_loss names a loss {SEARCHED!r}, which is the searched one's name"
            )
        if not isinstance(loss, str):
            check_callable("second_loss", loss, meant, optional=second is None)

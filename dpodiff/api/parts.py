"""What the front door makes of names: spaces, lexicons, losses; and checks of what it was given."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dpodiff import names
from dpodiff.spaces.lexicons import Lexicon, antonym_space, nplib_space, synonym_space
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.models.base import Model
    from dpodiff.models.black_box import BlackBox
    from dpodiff.objective.objective import Task

LEXICONS = ("toy", "wordnet")
SPACES = ("antonym", "nplib", "synonym")


def chosen_loss(loss: "str | Loss | None", model: "Model | BlackBox") -> "Loss":
    """The loss that was given, by itself or by its name, or the model's default."""
    if isinstance(loss, str):
        from dpodiff import losses

        return losses.load(loss, model.device)
    return default_loss(model) if loss is None else loss


def default_loss(model: "Model | BlackBox") -> "Loss":
    """The spherical CLIP loss that goes with a model.

    The toy model has the toy CLIP, which is packaged; any other has OpenAI's ViT-B/32, which is
    downloaded on first use.

    Examples:
        >>> from dpodiff.api import default_loss
        >>> default_loss(dpodiff.load("toy"))
        SphericalCLIP('toy')
    """
    from dpodiff.losses import SphericalCLIP

    if is_toy(model):
        return SphericalCLIP("toy", device=model.device)
    return SphericalCLIP("ViT-B-32-quickgelu", "openai", device=model.device)


def is_toy(model: "str | Model | BlackBox") -> bool:
    return (model if isinstance(model, str) else model.name) == names.TOY


def _default_lexicon(model: "str | Model | BlackBox") -> str:
    return names.TOY if is_toy(model) else "wordnet"


def chosen_space(
    space: str | Space,
    prompt: str,
    negative_prompt: str,
    model: "str | Model | BlackBox",
    *,
    lexicon: str | Lexicon | None,
    locked: Sequence[str] = (),
    task: "Task",
) -> Space:
    """The space that was given, or the sum of those it names; only an improvement may drop words.

    Raises:
        ValueError: if a name is not known.
    """
    lexicon = _default_lexicon(model) if lexicon is None else lexicon
    if isinstance(lexicon, str):
        check_known("lexicon", lexicon, LEXICONS)
    if isinstance(space, Space):
        return space
    found = Space(prompt, (), negative_prompt)
    for name in dict.fromkeys(name.strip() for name in space.split("+")):
        check_known("space", name, SPACES)
        if name == "nplib":
            words = names.toy("negative library")
            found += nplib_space(prompt, words, negative_prompt=negative_prompt)
            continue
        lexicon = _lexicon(lexicon) if isinstance(lexicon, str) else lexicon
        settings = {"negative_prompt": negative_prompt, "locked": locked}
        if name == "antonym":
            found += antonym_space(prompt, lexicon, **settings)
        else:
            found += synonym_space(prompt, lexicon, droppable=task == "improve", **settings)
    return found


def _lexicon(name: str) -> Lexicon:
    if name == names.TOY:
        return names.toy("lexicon")()
    from dpodiff.spaces.lexicons.wordnet import WordNet

    return WordNet()


def check_space(space: Space, prompt: str, negative_prompt: str, model: "Model | BlackBox") -> None:
    """Refuse a space in which a search would be in vain.

    Raises:
        ValueError: if it is of another prompt, holds nothing that can change, or changes a negative
            prompt that the model does not look at; saying what would be right.
    """
    if (space.prompt, space.negative_prompt) != (prompt, negative_prompt):
        raise ValueError(f"the space is of another prompt: {space.prompt!r}, not {prompt!r}")
    if space.size == 1:
        raise ValueError(
            f"nothing can change in {prompt!r}: none of its words has an alternative; "
            "the space 'nplib' does not depend on them"
        )
    if not model.takes_negative and any(slot.side == "negative" for slot in space.slots):
        raise ValueError(
            f"with guidance {model.guidance:g}, {model.name} does not look at negative prompts, "
            "which this space changes: use space='synonym', or set the model's guidance above 1"
        )


def check_known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; choose from {', '.join(known)}")

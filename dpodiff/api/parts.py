"""What the front door makes of names: models, spaces, losses; and checks of what it was given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from dpodiff import names
from dpodiff.api.advice import check_known
from dpodiff.api.defaults import default_lexicon, default_loss, is_toy
from dpodiff.checks import (
    MOST_IMAGES,
    check_callable,
    check_path,
    check_prompt_text,
    check_seed,
    check_switch,
    check_text,
    check_texts,
    check_whole,
    shown,
)
from dpodiff.spaces.lexicons import (
    Lexicon,
    antonym_space,
    emphasis_space,
    guidance_space,
    modifiers_space,
    nplib_space,
    synonym_space,
)
from dpodiff.spaces.lexicons.base import check_words
from dpodiff.spaces.lexicons.builders import not_in_prompt
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.models.base import Model, TextToImage
    from dpodiff.objective.objective import Task
    from dpodiff.solvers.run import Callback, Viewer

LEXICONS = ("toy", "wordnet")
NEEDED = ("check", "generate")  # methods of a model
SPACES = ("antonym", "emphasis", "guidance", "modifiers", "nplib", "synonym")
# What is often written after prompts for Stable Diffusion.
MODIFIERS = ("sharp", "detailed", "highly detailed", "high quality", "sharp focus", "professional")


def check_arguments(
    *,
    prompt: str,
    negative_prompt: str,
    model: Any,
    loss: "str | Loss | None",
    seeds: int,
    seed: int,
    task: str,
    batch_size: int | None,
    trace: Any,
    progress: bool,
    callback: "Callback | None",
    viewer: "Viewer | None" = None,
) -> None:
    """Refuse wrong arguments that all functions of the front door have, before a model is loaded.

    Raises:
        ValueError: naming the argument, and what it must be.
    """
    from dpodiff.objective import Task

    check_prompt_text("prompt", prompt)
    check_prompt_text("negative_prompt", negative_prompt)
    if not prompt.strip():
        raise ValueError("the prompt is empty: say what the image should show")
    if isinstance(model, str):
        check_text("model", model)
    elif isinstance(model, type) or not all(callable(getattr(model, n, None)) for n in NEEDED):
        raise ValueError(f"model must be a name, a Model or a BlackBox, not {shown(model)}")
    if not isinstance(loss, str):
        meant = "a name, or a callable from images and prompts to losses"
        check_callable("loss", loss, meant, optional=True)
    check_whole("seeds", seeds, 1, MOST_IMAGES)
    check_seed("seed", seed)
    check_known("task", task, get_args(Task))
    if batch_size is not None:
        check_whole("batch_size", batch_size, 1)
    check_path("trace", trace)
    check_switch("progress", progress)
    check_callable("callback", callback, "a callable from a record, or None", optional=True)
    check_callable("viewer", viewer, "a callable from a record and images, or None", optional=True)


def chosen_model(model: "str | TextToImage", prompt: str, negative_prompt: str) -> "TextToImage":
    """The model that was given, by itself or by its name, which can take the prompts.

    Raises:
        LoadError: if it cannot be loaded.
        PromptError: if it cannot take the prompts.
    """
    from dpodiff.models import load

    model = load(model) if isinstance(model, str) else model
    model.check(prompt, negative_prompt)
    return model


def has_gradient(loss: "Loss", prompt: str, model: "Model") -> bool:
    """Whether a loss can be followed: it is asked about one gray image."""
    import torch

    from dpodiff.losses.base import values

    shape = (1, 3, model.image_size, model.image_size)
    gray = torch.full(shape, 0.5, device=model.device, requires_grad=True)
    try:
        return values(loss, gray, [prompt]).requires_grad
    except RuntimeError as error:  # torch's word for numpy() of a tensor with a graph
        if "requires grad" not in str(error):
            raise
        return False


def chosen_loss(
    loss: "str | Loss | None",
    model: "TextToImage",
    lexicon: str | Lexicon | None = None,
) -> "Loss":
    """The loss that was given, by itself or by its name, or the model's default.

    Contrast prompts, which some losses need, come from the lexicon; None is the model's own.
    """
    if loss is None:
        return default_loss(model)
    if not isinstance(loss, str):
        return loss
    from dpodiff import losses
    from dpodiff.losses.loading import CALIBRATED

    if loss in CALIBRATED and is_toy(model):
        loss = f"{loss}:{names.TOY}"
    chosen = default_lexicon(model) if lexicon is None else lexicon
    return losses.load(loss, model.device, statements=lambda prompt: _statements(prompt, chosen))


def _statements(prompt: str, lexicon: str | Lexicon) -> dict[str, list[str]]:
    from dpodiff.spaces.statements import contrasts_of

    return contrasts_of(prompt, _lexicon(lexicon) if isinstance(lexicon, str) else lexicon)


def chosen_lexicon(model: "TextToImage", lexicon: str | Lexicon | None) -> Lexicon:
    """The lexicon that was given, by itself or by its name, or the model's default."""
    lexicon = default_lexicon(model) if lexicon is None else lexicon
    return _lexicon(lexicon) if isinstance(lexicon, str) else lexicon


def check_lexicon(lexicon: str | Lexicon | None) -> None:
    """Refuse what is no lexicon, nor the name of one.

    Raises:
        ValueError: naming those that are known.
    """
    if isinstance(lexicon, str):
        check_known("lexicon", lexicon, LEXICONS)
    elif lexicon is not None:
        check_words("lexicon", lexicon)


def check_space_names(space: str | Space, lexicon: str | Lexicon | None) -> None:
    """Refuse unknown names of spaces and lexicons, before a model is loaded.

    Raises:
        ValueError: naming those that are known.
    """
    check_lexicon(lexicon)
    if isinstance(space, Space):
        return
    check_text("space", space)
    for name in _space_names(space):
        check_known("space", name, SPACES)


def check_locked(locked: Sequence[str], space: str | Space, prompt: str) -> None:
    """Refuse locked words that cannot be kept.

    Raises:
        ValueError: if they are no list of words, one does not stand in the prompt, or the space is
            made already.
    """
    check_texts("locked", locked)
    if locked and isinstance(space, Space):
        raise ValueError("locked is for spaces by name; a Space has its slots already")
    if absent := not_in_prompt(prompt, locked):
        raise ValueError(f"locked word {absent[0]!r} does not stand in the prompt {prompt!r}")


def _space_names(space: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in space.split("+")))


def chosen_space(
    space: str | Space,
    prompt: str,
    negative_prompt: str,
    model: "TextToImage",
    *,
    lexicon: str | Lexicon | None,
    locked: Sequence[str] = (),
    task: "Task",
) -> Space:
    """The space that was given, or the sum of those it names; only an improvement may drop words.

    Raises:
        ValueError: if the words of a space cannot be had.
    """
    if isinstance(space, Space):
        return space
    found = Space(prompt, (), negative_prompt)
    for name in _space_names(space):
        if name in ("antonym", "synonym"):
            lexicon = chosen_lexicon(model, lexicon)
            droppable = task == "improve"
            found += _lexicon_space(name, prompt, negative_prompt, lexicon, locked, droppable)
        elif name == "emphasis":
            found += emphasis_space(prompt, negative_prompt=negative_prompt, locked=locked)
        else:
            found += _fixed_space(name, prompt, negative_prompt, model)
    return found


def _lexicon_space(
    name: str,
    prompt: str,
    negative_prompt: str,
    lexicon: Lexicon,
    locked: Sequence[str],
    droppable: bool,
) -> Space:
    """A space whose words come from a lexicon."""
    if name == "antonym":
        return antonym_space(prompt, lexicon, negative_prompt=negative_prompt, locked=locked)
    return synonym_space(
        prompt, lexicon, droppable=droppable, negative_prompt=negative_prompt, locked=locked
    )


def _fixed_space(name: str, prompt: str, negative_prompt: str, model: "TextToImage") -> Space:
    """A space whose choices are the same for all prompts."""
    if name == "guidance":
        own = getattr(model, "guidance", None)  # a black box has none
        return guidance_space(prompt, own=own, negative_prompt=negative_prompt)
    if name == "modifiers":
        words = names.toy("modifiers") if is_toy(model) else MODIFIERS
        return modifiers_space(prompt, words, negative_prompt=negative_prompt)
    words = names.toy("negative library")
    return nplib_space(prompt, words, negative_prompt=negative_prompt)


def _lexicon(name: str) -> Lexicon:
    if name == names.TOY:
        return names.toy("lexicon")()
    from dpodiff.spaces.lexicons.wordnet import WordNet

    return WordNet()


def check_space(space: Space, prompt: str, negative_prompt: str, model: "TextToImage") -> None:
    """Refuse a space in which a search would be in vain.

    Raises:
        ValueError: if it is of another prompt, holds nothing that can change, or changes a negative
            prompt that the model does not look at, the guidance of a model that has none, or
            weights of words that the model does not take; saying what would be right.
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
            f"as it is set, {model.name} does not look at negative prompts, which this space "
            "changes: use space='modifiers+synonym', or set the model's guidance above 1"
        )
    if getattr(model, "guidance", 0.0) <= 1 and any(s.side == "guidance" for s in space.slots):
        raise ValueError(
            f"as it is set, {model.name} is not guided, so there is no guidance to choose: leave "
            "'guidance' out of the space, or set the model's guidance above 1"
        )
    if not getattr(model, "takes_emphasis", False) and any(
        slot.side == "emphasis" for slot in space.slots
    ):
        raise ValueError(
            f"{model.name} takes no weights of words: leave 'emphasis' out of the space; Stable "
            "Diffusion 1 and 2 and the toy model take them"
        )

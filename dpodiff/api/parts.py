"""Models, spaces and losses by name, and checks of the arguments of the main functions."""

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
from dpodiff.spaces.lexicons import LLM, Kind, Lexicon, extract_keywords
from dpodiff.spaces.lexicons.base import check_words
from dpodiff.spaces.lexicons.builders import not_in_prompt
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    import diffusers
    import torch

    from dpodiff.losses.base import Loss
    from dpodiff.models.base import Model, TextToImage
    from dpodiff.solvers.run import Callback, Viewer

LEXICONS = ("toy", "wordnet", "llm")
AnyLexicon = str | Lexicon | LLM | None
NEEDED = ("check", "generate")  # methods that a model must have


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
    """Check the arguments that all main functions share, before a model is loaded.

    Raises:
        ValueError: if one is wrong; the message names it and what it must be.
    """
    from dpodiff.models.pipelines import check_pipeline, is_pipeline
    from dpodiff.objective import Task

    check_prompt_text("prompt", prompt)
    check_prompt_text("negative_prompt", negative_prompt)
    if not prompt.strip():
        raise ValueError("the prompt is empty: say what the image should show")
    if isinstance(model, str):
        check_text("model", model)
    elif is_pipeline(model):
        check_pipeline(model)
    elif isinstance(model, type) or not all(callable(getattr(model, n, None)) for n in NEEDED):
        meant = "a name, a Model, a pipeline of diffusers or a BlackBox"
        raise ValueError(f"model must be {meant}, not {shown(model)}")
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


def chosen_model(
    model: "str | TextToImage | diffusers.DiffusionPipeline", prompt: str, negative_prompt: str
) -> "TextToImage":
    """Load a model with `loaded_model`, and check that it can take the prompts.

    Raises:
        LoadError: if the model cannot be loaded.
        PromptError: if the model cannot take the prompts.
    """
    found = loaded_model(model)
    found.check(prompt, negative_prompt)
    return found


def loaded_model(
    model: "str | TextToImage | diffusers.DiffusionPipeline",
    device: "str | torch.device | None" = None,
) -> "TextToImage":
    """Return a model given as a model, a name or a pipeline.

    Args:
        model: as in `improve`.
        device: device for a model that is loaded by its name.

    Raises:
        LoadError: if the model cannot be loaded.
    """
    from dpodiff.models import load
    from dpodiff.models.pipelines import is_pipeline

    if isinstance(model, str):
        return load(model, device)
    return load(model) if is_pipeline(model) else model


def has_gradient(loss: "Loss", prompt: str, model: "Model") -> bool:
    """Return whether a loss has a gradient in the images, tested on one gray image."""
    import torch

    from dpodiff.losses.base import values

    shape = (1, 3, model.image_size, model.image_size)
    gray = torch.full(shape, 0.5, device=model.device, requires_grad=True)
    try:
        return values(loss, gray, [prompt]).requires_grad
    except RuntimeError as error:  # torch's error for numpy() of a tensor with a graph
        if "requires grad" not in str(error):
            raise
        return False


def chosen_loss(
    loss: "str | Loss | None",
    model: "TextToImage",
    lexicon: AnyLexicon = None,
) -> "Loss":
    """Return a loss given as a callable or a name, or the default loss of the model.

    Some losses need contrast prompts, which come from the lexicon; None is the model's default.
    """
    if loss is None:
        return default_loss(model)
    if not isinstance(loss, str):
        return loss
    from dpodiff import losses
    from dpodiff.losses.loading import CALIBRATED

    if loss in CALIBRATED and is_toy(model):
        loss = f"{loss}:{names.TOY}"

    def statements(prompt: str) -> dict[str, list[str]]:
        from dpodiff.spaces.statements import contrasts_of

        return contrasts_of(prompt, chosen_lexicon(model, lexicon, prompt, "antonym"))

    return losses.load(loss, model.device, statements=statements)


def check_lexicon(lexicon: Any) -> None:
    """Refuse values that are not a lexicon or the name of one, before a model is loaded.

    Raises:
        ValueError: if so, naming the known ones.
    """
    if isinstance(lexicon, str):
        check_known("lexicon", lexicon, LEXICONS)
    elif not (lexicon is None or isinstance(lexicon, LLM)):
        check_words("lexicon", lexicon)


def check_locked(locked: Sequence[str], space: str | Space, prompt: str) -> None:
    """Check that locked words can be kept.

    Raises:
        ValueError: if they are not a list of words, if a word is not in the prompt, or if the space
            is a `Space` already.
    """
    check_texts("locked", locked)
    if locked and isinstance(space, Space):
        raise ValueError("locked is for spaces by name; a Space has its slots already")
    if absent := not_in_prompt(prompt, locked):
        raise ValueError(f"locked word {absent[0]!r} is not in the prompt {prompt!r}")


def loaded_lexicon(model: "TextToImage", lexicon: AnyLexicon) -> Lexicon | LLM:
    """Return the given lexicon, loaded if it is a name, or the model's default."""
    lexicon = default_lexicon(model) if lexicon is None else lexicon
    return _lexicon(lexicon) if isinstance(lexicon, str) else lexicon


def chosen_lexicon(model: "TextToImage", lexicon: AnyLexicon, prompt: str, kind: Kind) -> Lexicon:
    """Return the given lexicon or the model's default; see `lexicon_of`."""
    return lexicon_of(prompt, default_lexicon(model) if lexicon is None else lexicon, kind)


def lexicon_of(prompt: str, lexicon: str | Lexicon | LLM, kind: Kind) -> Lexicon:
    """Return a lexicon given as an object or by its name.

    A language model is asked for alternatives of this kind to the words of the prompt. Its answer
    is stored in a file, so it is asked only once.
    """
    lexicon = _lexicon(lexicon) if isinstance(lexicon, str) else lexicon
    return lexicon.lexicon(prompt, [kind]) if isinstance(lexicon, LLM) else lexicon


def check_toy_words(lexicon: AnyLexicon, model: "TextToImage", prompt: str) -> None:
    """Refuse the toy dictionary for another model if it does not know the prompt's words.

    Raises:
        ValueError: if it knows less than half of the key words; the message says what would be
            right.
    """
    if not isinstance(lexicon, str) or lexicon != names.TOY or is_toy(model):
        return
    toy, words = names.toy("lexicon")(), extract_keywords(prompt)
    unknown = [word for word in words if not toy.synonyms(word)]
    if 2 * len(unknown) > len(words):
        raise ValueError(
            f"lexicon='toy' has the words of the toy world only, not {', '.join(unknown)}: for "
            f"{model.name} take lexicon='wordnet', lexicon='llm' or a dpodiff.Dictionary"
        )


def _lexicon(name: str) -> Lexicon | LLM:
    if name == names.TOY:
        return names.toy("lexicon")()
    if name == "llm":
        return LLM()
    from dpodiff.spaces.lexicons.wordnet import WordNet

    return WordNet()

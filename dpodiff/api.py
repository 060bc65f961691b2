"""The front door: one call from a prompt to a better one, or to the worst that says the same.

    result = dpodiff.improve("a red ball on the sea", budget=40)
    print(result)
    dpodiff.plots.strip(result)

    result = dpodiff.attack("a red ball on the sea", budget=40)

It only checks its input and puts the parts together; each part can be had, and exchanged, alone.
"""

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, get_args

from dpodiff.lexicons import Lexicon, antonym_space, nplib_space, synonym_space
from dpodiff.recipes import BLIND, RECIPES
from dpodiff.solvers import Solver, search
from dpodiff.space import Space
from dpodiff.trace import Result, Trace

if TYPE_CHECKING:
    from dpodiff.black_box import BlackBox
    from dpodiff.constraints import Encoder
    from dpodiff.models.base import Model
    from dpodiff.objective import Constraint, Loss, Task
    from dpodiff.solvers.loop import Callback

LEXICONS = ("toy", "wordnet")
SPACES = ("antonym", "nplib", "synonym")


def improve(
    prompt: str,
    *,
    negative_prompt: str = "",
    model: "str | Model | BlackBox" = "toy",
    loss: "str | Loss | None" = None,
    space: str | Space = "antonym+nplib",
    lexicon: str | Lexicon | None = None,
    solver: str | Callable[..., Solver] = "epo",
    budget: int = 40,
    seeds: int = 4,
    seed: int = 0,
    task: "Task" = "improve",
    locked: Sequence[str] = (),
    constraint: "Constraint | None" = None,
    batch_size: int | None = None,
    trace: str | PathLike | None = None,
    progress: bool = True,
    callback: "Callback | None" = None,
) -> Result:
    """Search the wordings of a prompt for the one whose images fit the prompt best.

    Args:
        prompt: what the images should show.
        negative_prompt: what they should not show; the search adds to it.
        model: a name for `dpodiff.load`, a loaded model, or a `BlackBox`.
        loss: from images and prompts to losses, or a name for `losses.load`; if not given, the
            spherical loss of the toy CLIP for the toy model, and of OpenAI's ViT-B/32 for any
            other.
        space: what may change: "antonym", "nplib" (both of the negative prompt), "synonym" (of the
            positive, whose words an improvement may also drop), several joined by "+"; or a
            `Space`.
        lexicon: where the words of "antonym" and "synonym" come from: "toy", "wordnet" or any
            `Lexicon`. If not given, the toy dictionary for the toy model, WordNet for any other.
        solver: one of `dpodiff.recipes.RECIPES`, where "dpodiff-epo" and its like are the paper's
            own; or a callable that makes one, such as a class with some of its settings bound by
            `functools.partial`, called with the space and `seed=`.
        budget: evaluations; one is a candidate on all seeds.
        seeds: images a candidate, from the seeds 0, 1, ...
        seed: of the solver.
        task: "attack" searches for the worst wording instead, whatever it means; `attack` keeps to
            the meaning.
        locked: words of the prompt to be left alone.
        constraint: from a candidate's prompts to whether they are allowed.
        batch_size: images made at a time; None is 16 on a CPU, and found on a GPU. Where memory
            runs out, it is halved, and the search goes on.
        trace: path of a trace file to write.
        progress: whether to show a progress bar on stderr.
        callback: called with each record; the search stops once it returns True.

    Raises:
        ValueError: if an argument is not among these, saying what would be right; `PromptError`,
            which is one, if the model cannot take the prompt.
        RuntimeError: if a single image runs out of memory, saying what would help.
    """
    from dpodiff.ledger import Budget
    from dpodiff.models import load
    from dpodiff.objective import Objective

    _check_settings(prompt, seeds, task, solver)
    limit = Budget(budget)
    words = {"lexicon": lexicon, "locked": locked, "task": task}
    space = chosen_space(space, prompt, negative_prompt, model, **words)
    model = load(model) if isinstance(model, str) else model
    model.check(prompt, negative_prompt)
    check_space(space, prompt, negative_prompt, model)
    settings = {"task": task, "constraint": constraint, "batch_size": batch_size}
    loss = chosen_loss(loss, model)
    objective = Objective(model, loss, space, range(seeds), **settings)
    watch = {"trace": Trace(trace), "progress": progress, "callback": callback}
    return search(_solver(solver, space, model, seed), objective, limit, **watch)


def attack(
    prompt: str,
    *,
    model: "str | Model | BlackBox" = "toy",
    space: str | Space = "synonym",
    similarity: float = 0.9,
    encoder: "str | Encoder | None" = None,
    **settings: Any,
) -> Result:
    """Search the wordings that still mean the prompt for the one whose images fit it worst.

    Args:
        prompt: what the images should show.
        model: as in `improve`.
        space: as in `improve`.
        similarity: the lowest cosine of a candidate's positive prompt with the user's own.
        encoder: what says so: a name for `dpodiff.constraints.load_encoder`, or a callable from
            texts to vectors (n, dim). If not given, the toy CLIP's text encoder for the toy model,
            and the paper's sentence-T5-base for any other. A threshold goes with its encoder.
        settings: any other argument of `improve` but `task` and `constraint`.

    Raises:
        ValueError: as in `improve`, or if `similarity` is no cosine.
        ImportError, OSError: if the encoder cannot be had, saying what else will do.
    """
    from dpodiff.constraints import SENTENCE_T5, Similarity, load_encoder

    if encoder is None:
        encoder = "toy" if _is_toy(model) else SENTENCE_T5
    encoder = load_encoder(encoder) if isinstance(encoder, str) else encoder
    constraint = Similarity(prompt, encoder, similarity)
    kept = {"model": model, "space": space, "task": "attack", "constraint": constraint}
    return improve(prompt, **settings, **kept)


def chosen_loss(loss: "str | Loss | None", model: "Model | BlackBox") -> "Loss":
    """The loss that was given, by itself or by its name, or the model's default."""
    if isinstance(loss, str):
        from dpodiff import losses

        return losses.load(loss, model.device)
    return default_loss(model) if loss is None else loss


def default_loss(model: "Model | BlackBox") -> "Loss":
    from dpodiff.losses import SphericalCLIP

    if _is_toy(model):
        return SphericalCLIP("toy", device=model.device)
    return SphericalCLIP("ViT-B-32-quickgelu", "openai", device=model.device)


def _is_toy(model: "str | Model | BlackBox") -> bool:
    return (model if isinstance(model, str) else model.name) == "toy"


def _default_lexicon(model: "str | Model | BlackBox") -> str:
    return "toy" if _is_toy(model) else "wordnet"


def _solver(
    solver: str | Callable[..., Solver], space: Space, model: "Model | BlackBox", seed: int
) -> Solver:
    if callable(solver):
        return solver(space, seed=seed)
    # A black box, asked for its steps, says that it has none.
    steps = None if solver in BLIND else model.steps
    return RECIPES[solver](space, steps=steps, seed=seed)


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
    from dpodiff.toy.words import NPLIB

    lexicon = _default_lexicon(model) if lexicon is None else lexicon
    if isinstance(lexicon, str):
        _check_known("lexicon", lexicon, LEXICONS)
    if isinstance(space, Space):
        return space
    found = Space(prompt, (), negative_prompt)
    for name in dict.fromkeys(name.strip() for name in space.split("+")):
        _check_known("space", name, SPACES)
        if name == "nplib":
            found += nplib_space(prompt, NPLIB, negative_prompt=negative_prompt)
            continue
        lexicon = _lexicon(lexicon) if isinstance(lexicon, str) else lexicon
        settings = {"negative_prompt": negative_prompt, "locked": locked}
        if name == "antonym":
            found += antonym_space(prompt, lexicon, **settings)
        else:
            found += synonym_space(prompt, lexicon, droppable=task == "improve", **settings)
    return found


def _lexicon(name: str) -> Lexicon:
    if name == "toy":
        from dpodiff.toy.words import toy_lexicon

        return toy_lexicon()
    from dpodiff.lexicons.wordnet import WordNet

    return WordNet()


def _check_settings(
    prompt: str,
    seeds: int,
    task: str,
    solver: str | Callable[..., Solver],
) -> None:
    from dpodiff.objective import Task

    if not prompt.strip():
        raise ValueError("the prompt is empty: say what the image should show")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, not {seeds}: a candidate needs an image")
    _check_known("task", task, get_args(Task))
    if not callable(solver):
        _check_known("solver", solver, RECIPES)


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


def _check_known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; choose from {', '.join(known)}")

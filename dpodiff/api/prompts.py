"""The front door: one call from a prompt to a better one, or to the worst that says the same.

    result = dpodiff.improve("a red ball on the sea", budget=40)
    print(result)
    dpodiff.plots.strip(result)

    result = dpodiff.attack("a red ball on the sea", budget=40)

It only checks its input and puts the parts together; each part can be had, and exchanged, alone.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, get_args

from dpodiff.api.parts import check_known, check_space, chosen_loss, chosen_space, is_toy
from dpodiff.results.result import Result
from dpodiff.results.trace import Trace
from dpodiff.solvers import Solver, search
from dpodiff.solvers.recipes import BLIND, RECIPES
from dpodiff.spaces.lexicons import Lexicon
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.models.base import Model
    from dpodiff.models.black_box import BlackBox
    from dpodiff.objective import Task
    from dpodiff.solvers.loop import Callback
    from dpodiff.spaces.constraints import Constraint, Encoder


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
        solver: one of `dpodiff.solvers.recipes.RECIPES`, where "dpodiff-epo" and its like are the
            paper's own; or a callable that makes one, such as a class with some of its settings
            bound by `functools.partial`, called with the space and `seed=`.
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

    Examples:
        >>> result = dpodiff.improve(
        ...     "a red ball on the sea", budget=3, seeds=1, seed=4, progress=False
        ... )
        >>> result.prompts.negative
        'blue, moon, sky, grainy, blocky, bad, poor'
        >>> result.losses < result.baseline_losses, result.cost.images
        (True, 3)
    """
    from dpodiff.models import load
    from dpodiff.objective import Objective
    from dpodiff.objective.cost import Budget

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
        encoder: what says so: a name for `dpodiff.spaces.constraints.load_encoder`, or a callable
            from texts to vectors (n, dim). If not given, the toy CLIP's text encoder for the toy
            model, and the paper's sentence-T5-base for any other. A threshold goes with its
            encoder.
        settings: any other argument of `improve` but `task` and `constraint`.

    Raises:
        ValueError: as in `improve`, or if `similarity` is no cosine.
        ImportError, OSError: if the encoder cannot be had, saying what else will do.

    Examples:
        >>> result = dpodiff.attack("a blue car", similarity=0.8, budget=3, seeds=1, progress=False)
        >>> result.prompts.positive
        'a sapphire vehicle'
        >>> result.losses > result.baseline_losses
        True
    """
    from dpodiff.spaces.constraints import SENTENCE_T5, Similarity, load_encoder

    if encoder is None:
        encoder = "toy" if is_toy(model) else SENTENCE_T5
    encoder = load_encoder(encoder) if isinstance(encoder, str) else encoder
    constraint = Similarity(prompt, encoder, similarity)
    kept = {"model": model, "space": space, "task": "attack", "constraint": constraint}
    return improve(prompt, **settings, **kept)


def _solver(
    solver: str | Callable[..., Solver], space: Space, model: "Model | BlackBox", seed: int
) -> Solver:
    if callable(solver):
        return solver(space, seed=seed)
    # A black box, asked for its steps, says that it has none.
    steps = None if solver in BLIND else model.steps
    return RECIPES[solver](space, steps=steps, seed=seed)


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
    check_known("task", task, get_args(Task))
    if not callable(solver):
        check_known("solver", solver, RECIPES)

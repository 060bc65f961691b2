"""Prompt optimization in one call: to a better prompt, or to the worst one that says the same.

    result = dpodiff.improve("a red ball on the sea", budget=40)
    print(result)
    dpodiff.plots.strip(result)

    result = dpodiff.attack("a red ball on the sea", budget=40)

It only checks its input and puts the parts together; each part can be used, and exchanged, alone.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from dpodiff.api.advice import check_solver, known_keywords_only
from dpodiff.api.defaults import DEFAULT_SPACE, WITHOUT_NEGATIVE
from dpodiff.api.first import FirstWords, check_first, chosen_first, default_first
from dpodiff.api.parts import (
    AnyLexicon,
    check_arguments,
    check_lexicon,
    check_locked,
    check_toy_words,
    chosen_loss,
    chosen_model,
)
from dpodiff.api.second_losses import check_second_loss, chosen_second_losses
from dpodiff.api.solvers import check_gradient, chosen_solver, similar_to
from dpodiff.api.spaces import (
    Words,
    check_space,
    check_space_names,
    chosen_keywords,
    chosen_library,
    chosen_space,
)
from dpodiff.api.writing import language_search, writes_prompts, written_space
from dpodiff.checks import check_callable
from dpodiff.names import name_of
from dpodiff.results.result import Result
from dpodiff.results.trace import Trace
from dpodiff.solvers import Solver, search
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    import diffusers

    from dpodiff.losses.base import Loss
    from dpodiff.models.base import TextToImage
    from dpodiff.objective import Task
    from dpodiff.solvers.run import Callback
    from dpodiff.spaces.constraints import Constraint, Encoder


@known_keywords_only
def improve(
    prompt: str,
    *,
    negative_prompt: str = "",
    model: "str | TextToImage | diffusers.DiffusionPipeline" = "toy",
    loss: "str | Loss | None" = None,
    space: str | Space = DEFAULT_SPACE,
    lexicon: AnyLexicon = None,
    solver: str | Callable[..., Solver] = "epo",
    first: FirstWords | None = None,
    budget: int = 40,
    seconds: float | None = None,
    seeds: int = 4,
    seed: int = 0,
    verify: int | None = 40,
    second_loss: "str | Loss | Mapping[str, str | Loss] | None" = None,
    task: "Task" = "improve",
    locked: Sequence[str] = (),
    keywords: bool | Sequence[str] = False,
    nplib: Words | None = None,
    modifiers: Words | None = None,
    constraint: "Constraint | None" = None,
    batch_size: int | None = None,
    trace: str | PathLike | None = None,
    overwrite: bool = False,
    progress: bool = True,
    callback: "Callback | None" = None,
) -> Result:
    """Search the wordings of a prompt for the one whose images fit the prompt best.

    Args:
        prompt: what the images should show.
        negative_prompt: what they should not show; the search adds to it.
        model: a name for `dpodiff.load`, a loaded model, a loaded pipeline of diffusers (with its
            LoRA adapters and tokens of textual inversion), or a `BlackBox`.
        loss: from images and prompts to losses, or a name for `losses.load`; if not given, that of
            `dpodiff.api.default_loss`: the toy matcher with the toy CLIP for a toy model, and the
            spherical loss of OpenAI's ViT-B/32 for any other, where "contrastive" is to be had too.
        space: what may change: "antonym", "nplib" (both of the negative prompt), "synonym" (of the
            positive, whose words an improvement may also drop), "modifiers" (quality words after
            the prompt), "emphasis" (the weights of its words, for Stable Diffusion 1 and 2 and the
            toy models), "guidance" (one of a few scales), "window" (the steps in which the negative
            prompt acts), several joined by "+"; or a `Space`. DPO-Diff improves prompts in
            "antonym+nplib". Where the model ignores negative prompts, the default is "modifiers".
        lexicon: where the words of "antonym" and "synonym" come from: "toy", "wordnet", "llm" for
            `LLM()`, any `Lexicon`, or an `LLM`. If not given, the toy dictionary for a toy model,
            WordNet for any other.
        solver: one of `dpodiff.solvers.recipes.RECIPES`, where "dpodiff-epo" and its like are the
            paper's own; or a callable that makes one, such as a class with some of its settings
            bound by `functools.partial`, called with the space and `seed=`. With "llm" a language
            model writes whole prompts (`LLMSearch`): it searches no space, and an `LLM` given as
            `lexicon` says which model.
        first: what to try before all else, for the solvers that take it ("epo", "sparse-epo",
            "forward", "raced-forward", "tpe", or one of your own with `first=()`): a list of
            negative prompts, or of lists of any words that the space offers. "diagnosis" asks the
            images of the prompt itself what they show instead (`objective.Diagnosis`). If not
            given, a toy model has, in the default space, a few modifiers and words of the
            negative prompt that help most of its prompts; any other model or space has none.
        budget: evaluations, those of the verification included; one is a candidate on all seeds.
        seconds: after which the search ends, whatever is left of the budget; None is never. The
            verification comes after that.
        seeds: images a candidate, from the seeds 0, 1, ...
        seed: of the solver.
        verify: number of fresh seeds, at least 6, on which the best candidate is tested against the
            prompt itself (`dpodiff.verify`); 0 or None for a search alone. It takes half of the
            budget at most: a small budget pays for fewer seeds, and with one that does not pay for
            6 the result is not verified, and says so. A search that was stopped is not verified.
        second_loss: a loss or its name, or several by name: the candidate has to be better by each
            of them too, on the fresh seeds. If neither it nor `loss` is given, the share of failed
            images has to be lower, by the toy matcher, for a toy model.
        task: "attack" searches for the worst wording instead, whatever it means; `attack` keeps to
            the meaning.
        locked: words of the prompt to be left alone.
        keywords: keyword mode of "antonym" and "synonym": only these words of the prompt have
            alternatives. True is what `extract_keywords` finds, False all words.
        nplib: the negative prompt library of "nplib": the path of a file for `read_words`, a list
            of words, or lists by the names of their groups. If not given, the words of the toy
            world for a toy model, `dpodiff.spaces.NEGATIVE` for any other.
        modifiers: the words of "modifiers", as `nplib`. If not given, those of the toy world for
            the toy models, `dpodiff.spaces.MODIFIERS` for any other.
        constraint: from a candidate's prompts to whether they are allowed.
        batch_size: images made at a time; None is 16 on a CPU, and found on a GPU. Where memory
            runs out, it is halved, and the search goes on.
        trace: path of a trace file to write. An interrupted search of the same settings that it
            holds goes on: no recorded image is made again, and the result is that of a search
            without an interruption. A finished one gives its result again. Until fresh seeds were
            looked at, the budget may be larger than before; `seconds` and `batch_size` may always
            change. Models, losses and constraints are told apart by their names alone.
        overwrite: whether a trace file that is there is replaced instead.
        progress: whether to show a progress bar on stderr.
        callback: called with each record; the search stops once it returns True.

    Returns:
        the result, whose first line says "better", "not proven better: keep your prompt" or "not
        verified". What is not proven better is refused: the result is then the prompt itself, and
        its `found` the result of the search. An error in the middle of the search ends it with what
        was found so far; see `dpodiff.search`. An error of the verification leaves the result of
        the search.

    Raises:
        TypeError: if there is no argument of that name, saying which one is meant.
        LoadError: if model or loss cannot be loaded.
        ValueError: if an argument is not among these, saying what would be right; `PromptError`,
            which is one, if the model cannot take the prompt; if the trace file holds a search of
            other settings, naming them. All arguments are checked before any image is made and
            before the trace file is touched, the model before the words.
        BlockingIOError: if another search is writing the trace file.
        RuntimeError: if the first image alone runs out of memory, saying what would help.

    Examples:
        >>> result = dpodiff.improve(
        ...     "a red ball on the sea", budget=3, seeds=1, verify=0, progress=False
        ... )
        >>> result.prompts.positive
        'a red ball on the sea, sharp, clean, detailed, crisp'
        >>> result.prompts.negative
        'bad, ugly'
        >>> result.losses < result.baseline_losses, result.cost.images
        (True, 3)
        >>> words = ["grainy, dark", ["sharp", "green"]]
        >>> result = dpodiff.improve(
        ...     "a red ball", first=words, budget=3, seeds=1, verify=0, progress=False
        ... )
        >>> [(record.positive, record.negative) for record in result.trace.records]
        [('a red ball', ''), ('a red ball', 'grainy, dark'), ('a red ball, sharp', 'green')]
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), (seed + bool(negative_prompt)) / 80)
        >>> settings = {"loss": "white", "space": "nplib", "progress": False}
        >>> result = dpodiff.improve("a wall", model=dpodiff.BlackBox(paint), **settings)
        >>> print(result.verdict)
        better: loss -0.2938 -> -0.3063, change -0.0125 [-0.0125, -0.0125] on 40 fresh seeds
        >>> settings["trace"] = "wall.jsonl"
        >>> found = dpodiff.improve("a wall", model=dpodiff.BlackBox(paint), **settings)
        >>> again = dpodiff.improve("a wall", model=dpodiff.BlackBox(paint), **settings)
        >>> again.losses == found.losses  # read from the file
        True
    """
    meant = "a callable from a candidate's prompts to whether they are allowed, or None"
    check_callable("constraint", constraint, meant, optional=True)
    return _search_words(
        prompt,
        negative_prompt=negative_prompt,
        model=model,
        loss=loss,
        space=space,
        lexicon=lexicon,
        solver=solver,
        first=first,
        budget=budget,
        seconds=seconds,
        seeds=seeds,
        seed=seed,
        verify=verify,
        second_loss=second_loss,
        task=task,
        locked=locked,
        keywords=keywords,
        nplib=nplib,
        modifiers=modifiers,
        make_constraint=lambda _: constraint,
        batch_size=batch_size,
        trace=trace,
        overwrite=overwrite,
        progress=progress,
        callback=callback,
    )


@known_keywords_only
def attack(
    prompt: str,
    *,
    negative_prompt: str = "",
    model: "str | TextToImage | diffusers.DiffusionPipeline" = "toy",
    loss: "str | Loss | None" = None,
    space: str | Space = "synonym",
    similarity: float = 0.9,
    encoder: "str | Encoder | None" = None,
    lexicon: AnyLexicon = None,
    solver: str | Callable[..., Solver] = "epo",
    first: FirstWords = (),
    budget: int = 40,
    seconds: float | None = None,
    seeds: int = 4,
    seed: int = 0,
    verify: int | None = 40,
    second_loss: "str | Loss | Mapping[str, str | Loss] | None" = None,
    locked: Sequence[str] = (),
    keywords: bool | Sequence[str] = False,
    nplib: Words | None = None,
    modifiers: Words | None = None,
    batch_size: int | None = None,
    trace: str | PathLike | None = None,
    overwrite: bool = False,
    progress: bool = True,
    callback: "Callback | None" = None,
) -> Result:
    """Search the wordings that still mean the prompt for the one whose images fit it worst.

    Args:
        prompt: what the images should show.
        negative_prompt, model, loss, space, lexicon, solver, first: as in `improve`.
        budget, seconds, seeds, seed: as in `improve`.
        locked, keywords, nplib, modifiers: as in `improve`.
        verify, second_loss: as in `improve`; the losses have to be proven higher.
        similarity: the lowest cosine of a candidate's positive prompt with the user's own.
        encoder: what says so: a name for `dpodiff.spaces.constraints.load_encoder`, or a callable
            from texts to vectors (n, dim). If not given, the toy CLIP's text encoder for the toy
            model, and the paper's sentence-T5-base for any other. A threshold goes with its
            encoder.
        batch_size, trace, overwrite, progress, callback: as in `improve`.

    Raises:
        TypeError, LoadError, ValueError, BlockingIOError, RuntimeError: as in `improve`; ValueError
            also if `similarity` is no cosine, LoadError if the encoder cannot be loaded.
        ImportError: if a package for the encoder is missing, saying how to get it.

    Examples:
        >>> result = dpodiff.attack(
        ...     "a blue car", similarity=0.8, budget=3, seeds=1, verify=0, progress=False
        ... )
        >>> result.prompts.positive
        'a sapphire vehicle'
        >>> result.losses > result.baseline_losses
        True
    """
    from dpodiff.spaces.constraints import check_cosine

    check_cosine(similarity)
    if not isinstance(encoder, str):
        meant = "a name, or a callable from texts to vectors (n, dim)"
        check_callable("encoder", encoder, meant, optional=True)
    return _search_words(
        prompt,
        negative_prompt=negative_prompt,
        model=model,
        loss=loss,
        space=space,
        lexicon=lexicon,
        solver=solver,
        first=first,
        budget=budget,
        seconds=seconds,
        seeds=seeds,
        seed=seed,
        verify=verify,
        second_loss=second_loss,
        task="attack",
        locked=locked,
        keywords=keywords,
        nplib=nplib,
        modifiers=modifiers,
        make_constraint=lambda loaded: similar_to(prompt, loaded, encoder, similarity),
        batch_size=batch_size,
        trace=trace,
        overwrite=overwrite,
        progress=progress,
        callback=callback,
    )


def _search_words(
    prompt: str,
    *,
    negative_prompt: str,
    model: "str | TextToImage | diffusers.DiffusionPipeline",
    loss: "str | Loss | None",
    space: str | Space,
    lexicon: AnyLexicon,
    solver: str | Callable[..., Solver],
    first: FirstWords | None,
    budget: int,
    seconds: float | None,
    seeds: int,
    seed: int,
    verify: int | None,
    second_loss: "str | Loss | Mapping[str, str | Loss] | None",
    task: "Task",
    locked: Sequence[str],
    keywords: bool | Sequence[str],
    nplib: Words | None,
    modifiers: Words | None,
    make_constraint: "Callable[[TextToImage], Constraint | None]",
    batch_size: int | None,
    trace: str | PathLike | None,
    overwrite: bool,
    progress: bool,
    callback: "Callback | None",
) -> Result:
    """What `improve` and `attack` share; the constraint is made once the model is loaded."""
    from dpodiff.objective import Budget, Objective
    from dpodiff.results.acceptance import accept, planned

    check_arguments(
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        loss=loss,
        seeds=seeds,
        seed=seed,
        task=task,
        batch_size=batch_size,
        trace=trace,
        progress=progress,
        callback=callback,
    )
    limit = Budget(budget, seconds)
    plan = planned(verify, limit, seeds)
    check_second_loss(second_loss)
    check_solver(solver, task)
    check_first(first, solver)
    check_space_names(space)
    check_lexicon(lexicon)
    writes = writes_prompts(
        solver, space, locked=locked, keywords=keywords, nplib=nplib, modifiers=modifiers
    )
    check_locked(locked, space, prompt)
    key_words = chosen_keywords(keywords, prompt, space)
    negative_library = chosen_library("nplib", nplib, space)
    positive_library = chosen_library("modifiers", modifiers, space)
    model = chosen_model(model, prompt, negative_prompt)
    check_toy_words(lexicon, model, prompt)
    by_default = space == DEFAULT_SPACE and task == "improve"
    if by_default and not (model.takes_negative or key_words or negative_library):
        space, by_default = WITHOUT_NEGATIVE, False
    if first is None:
        first = default_first(model, prompt, solver) if by_default else ()
    if writes:
        space = written_space(space, prompt, negative_prompt, model)
    else:
        space = chosen_space(
            space,
            prompt,
            negative_prompt,
            model,
            lexicon=lexicon,
            locked=locked,
            keywords=key_words,
            nplib=negative_library,
            modifiers=positive_library,
            task=task,
        )
    check_space(space, prompt, negative_prompt, model)
    second = chosen_second_losses(second_loss, model, lexicon, by_default=loss is None)
    loss = chosen_loss(loss, model, lexicon)
    objective = Objective(
        model,
        loss,
        space,
        range(seeds),
        task=task,
        constraint=make_constraint(model),
        batch_size=batch_size,
    )
    if writes:
        made = language_search(objective, lexicon, seed)
    else:
        chosen = chosen_first(first, objective, lexicon)
        made = chosen_solver(solver, space, model, seed, chosen)
    check_gradient(made, loss, prompt, model)
    record = Trace(
        trace,
        overwrite=overwrite,
        settings={
            "verify": verify or 0,
            "fresh_seeds": plan.seeds,
            "second_losses": {k: name_of(v) for k, v in second.items()},
        },
    )
    with record.locked():
        result = search(
            made,
            objective,
            plan.left(limit),
            trace=record,
            progress=progress,
            callback=callback,
        )
        return accept(result, plan, second, progress=progress)

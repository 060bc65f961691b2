"""Prompt optimization in one call: find a better prompt, or the worst one of the same meaning.

    result = dpodiff.improve("a red ball on the sea", budget=40)
    print(result)
    dpodiff.plots.strip(result)

    result = dpodiff.attack("a red ball on the sea", budget=40)

`prompt_search` checks the input and connects the parts. Each part can also be used alone.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from dpodiff.api.advice import known_keywords_only
from dpodiff.api.defaults import DEFAULT_SPACE
from dpodiff.api.first import FirstWords
from dpodiff.api.parts import AnyLexicon
from dpodiff.api.prompt_search import search_prompts
from dpodiff.api.solvers import similar_to
from dpodiff.api.spaces import Words
from dpodiff.checks import check_callable
from dpodiff.results.result import Result
from dpodiff.solvers import Solver
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
    """Search for the wording of a prompt whose images fit the prompt best.

    Args:
        prompt: what the images should show.
        negative_prompt: what they should not show; the search adds to it.
        model: a name for `dpodiff.load`, a loaded model, a loaded pipeline of diffusers (with its
            LoRA adapters and textual inversions), or a `BlackBox`.
        loss: a callable from images and prompts to losses, or a name for `losses.load`. If not
            given, `dpodiff.api.default_loss`: the toy matcher with the toy CLIP for a toy model,
            and the spherical loss of OpenAI's ViT-B/32 for any other. For these "contrastive" is
            available too.
        space: what may change: "antonym" and "nplib" (words of the negative prompt), "synonym"
            (words of the prompt; `improve` may also drop them), "modifiers" (quality words after
            the prompt), "emphasis" (the weights of its words, for Stable Diffusion 1 and 2 and the
            toy models), "guidance" (one of a few scales), "window" (the steps in which the negative
            prompt acts), or several joined by "+"; or a `Space`. DPO-Diff improves prompts in
            "antonym+nplib". If the model ignores negative prompts, the default is "modifiers".
        lexicon: source of the words of "antonym" and "synonym": "toy", "wordnet", "llm" for
            `LLM()`, any `Lexicon`, or an `LLM`. If not given, the toy dictionary for a toy model
            and WordNet for others.
        solver: a name in `dpodiff.solvers.recipes.RECIPES`, where "dpodiff-epo", "dpodiff-gpo" and
            "dpodiff-hpo" are those of the paper; or a callable, such as a class with settings bound
            by `functools.partial`, called with the space and `seed=`. With "llm" a language model
            writes whole prompts (`LLMSearch`). It searches no space, and an `LLM` given as
            `lexicon` selects the language model.
        first: candidates to try first, for the solvers that take them ("epo", "sparse-epo",
            "forward", "raced-forward", "tpe", or your own with the argument `first=()`): a list of
            negative prompts, or of lists of words that the space offers. "diagnosis" finds what the
            images of the prompt show instead (`objective.Diagnosis`). If not given, a toy model in
            the default space starts with a few modifiers and words of the negative prompt that help
            most of its prompts. Other models and spaces have none. The solver "listed" tries no
            other candidates.
        budget: number of evaluations, including the verification. One evaluation is one candidate
            on all seeds.
        seconds: time limit of the search; None is no limit. The verification follows after it.
        seeds: number of images per candidate, from the seeds 0, 1, ...
        seed: seed of the solver.
        verify: number of fresh seeds, at least 6, on which the best candidate is compared with the
            prompt itself (`dpodiff.verify`); 0 or None for no verification. It takes at most half
            of the budget: a small budget pays for fewer seeds. If it pays for fewer than 6, the
            result is not verified and says so. A stopped search is not verified either.
        second_loss: a loss or its name, or several by name. The candidate must be better by each of
            them too, on the fresh seeds. If neither it nor `loss` is given, a toy model has the
            share of failed images, according to the toy matcher.
        task: "improve", or "attack" to search for the worst wording, whatever it means. The
            function `attack` keeps the meaning.
        locked: words of the prompt that must not change.
        keywords: words of the prompt that "antonym" and "synonym" may change. True is the words
            that `extract_keywords` finds, False is all words.
        nplib: negative prompt library for "nplib": the path of a file for `read_words`, a list of
            words, or a mapping from groups to lists of words. If not given, the words of the toy
            world for a toy model and `dpodiff.spaces.NEGATIVE` for others.
        modifiers: words for "modifiers", given like `nplib`. If not given, those of the toy world
            for a toy model and `dpodiff.spaces.MODIFIERS` for others.
        constraint: a callable from a candidate's prompts to whether they are allowed.
        batch_size: number of images made at a time. None is 16 on a CPU; on a GPU it is determined.
            If memory runs out, it is halved and the search goes on.
        trace: path of a trace file. If it holds an interrupted search with the same settings, that
            search continues: no recorded image is made again, and the result is the same as without
            the interruption. A finished search returns its result. `budget` may be larger than
            before if the verification has not begun. `seconds` and `batch_size` may always change.
            Models, losses and constraints are compared by their names only.
        overwrite: whether to replace an existing trace file.
        progress: whether to show a progress bar on stderr.
        callback: called with each record; the search stops if it returns True.

    Returns:
        the result. Its first line says "better", "not proven better: keep your prompt" or "not
        verified". A candidate that is not proven better is refused: the result is then the prompt
        itself, and `found` holds the candidate. An error during the search ends it with the result
        so far; see `dpodiff.search`. An error during the verification leaves the result of the
        search.

    Raises:
        TypeError: if there is no argument of that name. The message suggests the right one.
        LoadError: if the model or the loss cannot be loaded.
        ValueError: if an argument is wrong; the message says what would be right. It is a
            `PromptError` if the model cannot take the prompt. It is also raised if the trace file
            holds a search with other settings, and names them. All arguments are checked before any
            image is made and before the trace file is opened.
        BlockingIOError: if another search is writing the trace file.
        RuntimeError: if a single image does not fit into memory; the message says what would help.

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
    return search_prompts(
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
    """Search for the wording of the same meaning whose images fit the prompt worst.

    Args:
        prompt: what the images should show.
        negative_prompt, model, loss, space, lexicon, solver, first: as in `improve`.
        budget, seconds, seeds, seed: as in `improve`.
        locked, keywords, nplib, modifiers: as in `improve`.
        verify, second_loss: as in `improve`, but the losses must be proven higher.
        similarity: the lowest allowed cosine between the positive prompt of a candidate and the
            prompt.
        encoder: text encoder for the similarity: a name for
            `dpodiff.spaces.constraints.load_encoder`, or a callable from texts to vectors (n, dim).
            If not given, the toy CLIP's text encoder for a toy model, and the paper's
            sentence-T5-base for others. A threshold depends on its encoder.
        batch_size, trace, overwrite, progress, callback: as in `improve`.

    Raises:
        TypeError, LoadError, ValueError, BlockingIOError, RuntimeError: as in `improve`. Also
            ValueError if `similarity` is not a cosine, and LoadError if the encoder cannot be
            loaded.
        ImportError: if a package for the encoder is missing; the message says how to install it.

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
    return search_prompts(
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

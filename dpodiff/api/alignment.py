"""Noise optimization in one call: find the images of a prompt with the lowest loss.

    result = dpodiff.align("a red ball on the sea", budget=100, gamma=0.1)
    dpodiff.plots.strip(result)

`improve` looks for words that help on any noise. `align` keeps the words and changes the noise of a
few seeds. Its method "joint" changes both alternately. `align` checks its input and connects the
parts before any image is made.
"""

import inspect
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.api.advice import check_known, check_method, keyword_advice
from dpodiff.api.parts import (
    AnyLexicon,
    check_arguments,
    check_lexicon,
    chosen_loss,
    chosen_model,
    has_gradient,
)
from dpodiff.api.spaces import (
    Words,
    check_space,
    check_space_names,
    chosen_keywords,
    chosen_library,
    chosen_space,
)
from dpodiff.checks import check_kind
from dpodiff.gradients import Checkpointed, Estimator, Full, Hybrid
from dpodiff.losses.base import Loss
from dpodiff.models.base import TextToImage, require_model
from dpodiff.models.black_box import BlackBox
from dpodiff.models.noise import check_eta
from dpodiff.objective import Budget, Objective, Task
from dpodiff.objective.noise import check_gradient
from dpodiff.results.result import Result
from dpodiff.results.trace import Trace
from dpodiff.solvers.base import Solver
from dpodiff.solvers.best_of_n import search_noise
from dpodiff.solvers.dno import DNO, ReNO
from dpodiff.solvers.joint import epo_and_dno
from dpodiff.solvers.loop import search
from dpodiff.solvers.zero_order import ZeroOrder
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    import diffusers

    from dpodiff.solvers.run import Callback, Viewer

# Name -> solver, called with space, noise, seed= and its own settings. "best-of-n" is missing here,
# since it does not search a given noise. The names are those of `dpodiff.api.advice.METHODS`.
METHODS: dict[str, Callable[..., Solver]] = {
    "dno": DNO,
    "reno": ReNO,
    "zero-order": ZeroOrder,
    "joint": epo_and_dno,
}
ESTIMATORS = {"checkpointed": Checkpointed(), "full": Full(), "hybrid": Hybrid()}


def align(
    prompt: str,
    *,
    negative_prompt: str = "",
    model: "str | TextToImage | diffusers.DiffusionPipeline" = "toy",
    loss: "str | Loss | None" = None,
    method: str | Callable[..., Solver] = "dno",
    estimator: "str | Estimator | Hybrid | None" = None,
    eta: float = 0.0,
    space: "str | Space | None" = None,
    lexicon: AnyLexicon = None,
    keywords: bool | Sequence[str] = False,
    nplib: Words | None = None,
    modifiers: Words | None = None,
    budget: int = 100,
    seeds: int = 4,
    seed: int = 0,
    task: "Task" = "improve",
    batch_size: int | None = None,
    trace: str | PathLike | None = None,
    overwrite: bool = False,
    progress: bool = True,
    callback: "Callback | None" = None,
    viewer: "Viewer | None" = None,
    **settings: Any,
) -> Result:
    """Search the noise of each seed for the image of the prompt with the lowest loss.

    Args:
        prompt: what the images should show.
        negative_prompt: what they should not show.
        model: a name for `dpodiff.load`, a loaded model or pipeline, or for "best-of-n" a
            `BlackBox`.
        loss: as in `improve`.
        method: "dno", "reno", "zero-order", "best-of-n", or "joint" to change words and noise
            alternately; or a callable that makes a solver, such as `functools.partial(DNO, ...)`.
            It is called with the space, the noise and `seed=`.
        estimator: estimator of the gradient for "dno", "reno" and "joint": "checkpointed", "full",
            "hybrid" for losses without a gradient, or any estimator of `dpodiff.gradients`. If not
            given, the default of the method.
        eta: noise of the sampler, from 0 to 1. With 0 only the initial noise is searched, above 0
            the noise of every step too.
        space: words that may change too, as in `improve`. For "joint" the default is
            "antonym+nplib".
        lexicon, keywords, nplib, modifiers: as in `improve`, for the words of the space.
        budget: number of evaluations. One evaluation is one image per seed. A gradient with
            checkpoints costs four.
        seeds: number of images, from the seeds 0, 1, ... Each seed is optimized separately.
        seed: seed of the method's random numbers.
        task: "improve" lowers the loss, "attack" raises it.
        batch_size: as in `improve`.
        trace: as in `improve`. The gradients of the noise are stored beside it, in a folder of the
            same name with the suffix ".tensors". A step takes as many bytes as the noise of all
            seeds.
        overwrite, progress, callback: as in `improve`.
        viewer: called with each record and its images, for example to make a film of the search. It
            is not called with records read from a trace.
        settings: settings of the method, such as `gamma` and `lr` of "dno"; see its class.

    Returns:
        the result. It is not verified: the noise belongs to its own seeds, so fresh seeds cannot
        test it. An error during the search ends it with the result so far; see `dpodiff.search`.

    Raises:
        TypeError: if neither `align` nor the method has an argument of that name. The message
            suggests the right one.
        LoadError: if the model or the loss cannot be loaded.
        ValueError: if an argument is unknown or out of its range, before any image is made and
            before the trace file is opened; or if the trace file holds a search with other
            settings. The message names them.
        BlockingIOError: if another search is writing the trace file.

    Examples:
        >>> result = dpodiff.align("a red ball", budget=6, seeds=1, progress=False)
        >>> result.losses < result.baseline_losses
        True
        >>> tuple(result.noise.shape)  # of one seed, one vector
        (1, 1, 4, 16, 16)
    """
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
        viewer=viewer,
    )
    limit = Budget(budget)
    check_eta(eta)
    check_method(method, task)
    estimator = _estimator(estimator)
    if estimator is not None:
        settings["estimator"] = estimator
    _check_settings(method, settings)
    check_lexicon(lexicon)
    space = _words_asked_for(space, method, keywords=keywords, nplib=nplib, modifiers=modifiers)
    key_words = negative_library = positive_library = None
    if space is not None:
        check_space_names(space)
        key_words = chosen_keywords(keywords, prompt, space)
        negative_library = chosen_library("nplib", nplib, space)
        positive_library = chosen_library("modifiers", modifiers, space)
    model = chosen_model(model, prompt, negative_prompt)
    if method != "best-of-n":
        _check_open(model)
    words = Space(prompt, (), negative_prompt)
    if space is not None:
        words = chosen_space(
            space,
            prompt,
            negative_prompt,
            model,
            lexicon=lexicon,
            keywords=key_words,
            nplib=negative_library,
            modifiers=positive_library,
            task=task,
        )
        check_space(words, prompt, negative_prompt, model)
    loss = chosen_loss(loss, model, lexicon)
    objective = Objective(
        model, loss, words, range(seeds), task=task, batch_size=batch_size, eta=eta
    )
    record = Trace(trace, overwrite=overwrite)
    if method == "best-of-n":
        return search_noise(objective, limit, trace=record, progress=progress, callback=callback)
    solver = _solver(method, objective, seed, settings)
    if solver.follows_gradients and not has_gradient(loss, prompt, require_model(model, "noise")):
        check_gradient(torch.zeros(1), loss)  # raises, naming solvers that need no gradient
    return search(
        solver,
        objective,
        limit,
        trace=record,
        progress=progress,
        callback=callback,
        viewer=viewer,
    )


def _words_asked_for(
    space: "str | Space | None", method: str | Callable[..., Solver], **choices: Any
) -> "str | Space | None":
    """Return the words that may change; None if only the noise may.

    Raises:
        ValueError: if an argument chooses words although none may change.
    """
    if method == "joint":
        return "antonym+nplib" if space is None else space
    if isinstance(method, str) and space is not None:
        raise ValueError(f"{method!r} does not change words; a space is for method='joint'")
    given = [name for name, choice in choices.items() if choice is not None and choice is not False]
    if space is None and given:
        raise ValueError(f"{given[0]} chooses words of a space, and {method!r} changes no words")
    return space


def _solver(
    method: str | Callable[..., Solver], objective: Objective, seed: int, settings: dict[str, Any]
) -> Solver:
    make = METHODS[method] if isinstance(method, str) else method
    try:
        made = make(objective.space, objective.noise(), seed=seed, **settings)
    except TypeError as error:
        raise ValueError(f"{method}: {error}") from None
    check_kind(f"what {method} makes", made, Solver, "a Solver")
    return made


def _check_settings(method: str | Callable[..., Solver], settings: dict[str, Any]) -> None:
    """Refuse unknown settings of a method given by its name.

    Raises:
        TypeError: if a setting is unknown, naming the nearest one or all of them.
    """
    if not isinstance(method, str):
        return  # a callable checks its own settings
    own = _settings_of(method)
    arguments = [name for name in inspect.signature(align).parameters if name != "settings"]
    for name in settings:
        if name not in own:
            advice = keyword_advice("align", name, [*own, *arguments])
            has = f"its settings are {', '.join(own)}" if own else "it has no settings"
            raise TypeError(f"align(method={method!r}) takes no {name!r}; {advice or has}")


def _settings_of(method: str) -> list[str]:
    """Return the names of the settings of a method."""
    if method == "best-of-n":
        return []
    # A joint search passes unknown settings to DNO.
    makers = (epo_and_dno, DNO) if method == "joint" else (METHODS[method],)
    named = [p for make in makers for p in inspect.signature(make).parameters.values()]
    given = ("space", "noise", "seed")
    return [p.name for p in named if p.kind is not p.VAR_KEYWORD and p.name not in given]


def _estimator(estimator: "str | Estimator | Hybrid | None") -> "Estimator | Hybrid | None":
    if not isinstance(estimator, str):
        meant = f"a name ({', '.join(ESTIMATORS)}), an estimator of dpodiff.gradients, or None"
        check_kind("estimator", estimator, Estimator | Hybrid | None, meant)
        return estimator
    check_known("estimator", estimator, ESTIMATORS)
    return ESTIMATORS[estimator]


def _check_open(model: TextToImage) -> None:
    if isinstance(model, BlackBox):
        raise ValueError(
            f"{model.name} gives no access to its noise; method='best-of-n' draws new seeds instead"
        )

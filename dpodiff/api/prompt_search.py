"""A search of prompts: checks of the arguments, then the parts, the search and the verification."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from dpodiff.api.advice import check_solver
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
from dpodiff.api.solvers import check_gradient, chosen_solver
from dpodiff.api.spaces import (
    Words,
    check_space,
    check_space_names,
    chosen_keywords,
    chosen_library,
    chosen_space,
)
from dpodiff.api.writing import language_search, writes_prompts, written_space
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
    from dpodiff.spaces.constraints import Constraint


def search_prompts(
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
    """Run `improve` or `attack`.

    Args:
        make_constraint: function from the loaded model to the constraint.
        prompt, negative_prompt, model, loss, space, lexicon, solver, first: as in `improve`.
        budget, seconds, seeds, seed, verify, second_loss, task: as in `improve`.
        locked, keywords, nplib, modifiers, batch_size: as in `improve`.
        trace, overwrite, progress, callback: as in `improve`.

    Raises:
        TypeError, LoadError, ValueError, BlockingIOError, RuntimeError: as in `improve`.
    """
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

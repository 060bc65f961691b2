"""The front door: one call from a prompt to a better one.

    result = dpodiff.improve("a red ball on the sea", budget=40)
    print(result)
    dpodiff.plots.strip(result)

It only checks its input and puts the parts together; each part can be had, and exchanged, alone.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, get_args

from dpodiff.lexicons import antonym_space, nplib_space, synonym_space
from dpodiff.solvers import EPO, RandomSearch, Solver, search
from dpodiff.space import Space
from dpodiff.trace import Result, Trace

if TYPE_CHECKING:
    from dpodiff.models.base import Model
    from dpodiff.objective import Constraint, Loss, Task
    from dpodiff.solvers.loop import Callback

SOLVERS: dict[str, type[Solver]] = {solver.name: solver for solver in (EPO, RandomSearch)}


def improve(
    prompt: str,
    *,
    negative_prompt: str = "",
    model: "str | Model" = "toy",
    loss: "Loss | None" = None,
    space: str | Space = "antonym+nplib",
    solver: str = "epo",
    budget: int = 40,
    seeds: int = 4,
    seed: int = 0,
    task: "Task" = "improve",
    locked: Sequence[str] = (),
    constraint: "Constraint | None" = None,
    batch_size: int = 16,
    trace: str | PathLike | None = None,
    progress: bool = True,
    callback: "Callback | None" = None,
) -> Result:
    """Search the wordings of a prompt for the one whose images fit the prompt best.

    Args:
        prompt: what the images should show.
        negative_prompt: what they should not show; the search adds to it.
        model: a name for `dpodiff.load`, or a loaded model.
        loss: from images and prompts to losses; if not given, the spherical loss of the toy CLIP
            for the toy model, and of OpenAI's ViT-B/32 for any other.
        space: what may change: "antonym", "nplib" (both of the negative prompt), "synonym" (of the
            positive), several joined by "+", with the words of the toy world; or a `Space`.
        solver: "epo" or "random".
        budget: evaluations; one is a candidate on all seeds.
        seeds: images a candidate, from the seeds 0, 1, ...
        seed: of the solver.
        task: "attack" searches for the worst wording instead.
        locked: words of the prompt to be left alone.
        constraint: from a candidate's prompts to whether they are allowed.
        batch_size: images made at a time.
        trace: path of a trace file to write.
        progress: whether to show a progress bar on stderr.
        callback: called with each record; the search stops once it returns True.

    Raises:
        ValueError: if an argument is not among these, saying what would be right; `PromptError`,
            which is one, if the model cannot take the prompt.
    """
    from dpodiff.models import load
    from dpodiff.objective import Budget, Objective, Task

    if not prompt.strip():
        raise ValueError("the prompt is empty: say what the image should show")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, not {seeds}: a candidate needs an image")
    _check_known("solver", solver, SOLVERS)
    _check_known("task", task, get_args(Task))
    limit = Budget(budget)
    if isinstance(space, str):
        space = _space(prompt, space, negative_prompt, locked)
    model = load(model) if isinstance(model, str) else model
    model.check(prompt, negative_prompt)
    _check_space(space, prompt, negative_prompt)
    objective = Objective(
        model,
        default_loss(model) if loss is None else loss,
        space,
        range(seeds),
        task=task,
        constraint=constraint,
        batch_size=batch_size,
    )
    return search(
        SOLVERS[solver](space, seed=seed),
        objective,
        limit,
        trace=Trace(trace),
        progress=progress,
        callback=callback,
    )


def _space(prompt: str, names: str, negative_prompt: str, locked: Sequence[str]) -> Space:
    """The sum of the spaces named in "antonym+nplib", with the words of the toy world."""
    from dpodiff.toy.words import NPLIB, toy_lexicon

    lexicon = toy_lexicon()
    builders = {
        "antonym": partial(antonym_space, lexicon=lexicon, locked=locked),
        "nplib": partial(nplib_space, words=NPLIB),
        "synonym": partial(synonym_space, lexicon=lexicon, locked=locked),
    }
    space = Space(prompt, (), negative_prompt)
    for name in dict.fromkeys(name.strip() for name in names.split("+")):
        _check_known("space", name, builders)
        space += builders[name](prompt, negative_prompt=negative_prompt)
    return space


def _check_space(space: Space, prompt: str, negative_prompt: str) -> None:
    if (space.prompt, space.negative_prompt) != (prompt, negative_prompt):
        raise ValueError(f"the space is of another prompt: {space.prompt!r}, not {prompt!r}")
    if space.size == 1:
        raise ValueError(
            f"nothing can change in {prompt!r}: none of its words has an alternative; "
            "the space 'nplib' does not depend on them"
        )


def _check_known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; choose from {', '.join(known)}")


def default_loss(model: "Model") -> "Loss":
    from dpodiff.losses import SphericalCLIP

    if model.name == "toy":
        return SphericalCLIP("toy", device=model.device)
    return SphericalCLIP("ViT-B-32-quickgelu", "openai", device=model.device)

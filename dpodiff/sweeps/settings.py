"""The settings of a sweep, checked once for all searches."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from dpodiff import names
from dpodiff.api.advice import check_solver, keyword_advice
from dpodiff.api.defaults import is_toy
from dpodiff.api.first import check_first
from dpodiff.api.parts import check_arguments, check_lexicon
from dpodiff.api.second_losses import check_second_loss
from dpodiff.api.spaces import check_space_names
from dpodiff.checks import check_whole
from dpodiff.names import name_of
from dpodiff.spaces.constraints import check_cosine
from dpodiff.spaces.space import Space
from dpodiff.sweeps.prompts import Item
from dpodiff.sweeps.searches import Task, defaults_of

if TYPE_CHECKING:
    from dpodiff.models.base import TextToImage

OWN = {
    "callback": "a sweep has none; dpodiff.improve(callback=...) has one for each search",
    "trace": "a sweep keeps the traces in its folder",
    "search_seeds": "did you mean 'seed'? it takes several",
    "solvers": "did you mean 'solver'? it takes several",
}


def full_settings(task: Task, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a search, including defaults.

    Raises:
        TypeError: if a name is unknown. The message suggests the right one.
    """
    defaults = defaults_of(task)
    for name in settings:
        if name not in defaults:
            advice = OWN.get(name) or keyword_advice(task, name, [*defaults, "solver", "seed"])
            has = f"a search has {', '.join(defaults)}"
            raise TypeError(f"sweep takes no {name!r}; {advice or has}")
    return {**defaults, **settings}


def solvers_by_name(solver: Any) -> dict[str, Any]:
    """Return solvers by their names in jobs.

    Raises:
        ValueError: if there are none, or two have the same name.
    """
    if isinstance(solver, Mapping):
        found = {str(name): one for name, one in solver.items()}
    else:
        several = [solver] if isinstance(solver, str) or callable(solver) else list(solver)
        labels = [one if isinstance(one, str) else name_of(one) for one in several]
        found = dict(zip(labels, several))
        if len(found) < len(several):
            raise ValueError(
                f"two solvers have one name, of {', '.join(labels)}: give {{name: solver}}"
            )
    if not found:
        raise ValueError("solver is empty; give at least one, such as 'epo'")
    return found


def check_settings(
    task: Task,
    chosen: Sequence[Item],
    solvers: Mapping[str, Any],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
) -> None:
    """Check the settings as a search would, before a model is loaded and for all jobs at once.

    Raises:
        ValueError: if one is wrong; the message says what would be right.
    """
    from dpodiff.objective import Budget
    from dpodiff.results.acceptance import planned

    for item, seed in zip_longest(chosen, seeds):
        check_arguments(
            prompt=(item or chosen[0]).prompt,
            negative_prompt=settings["negative_prompt"],
            model=settings["model"],
            loss=settings["loss"],
            seeds=settings["seeds"],
            seed=seeds[0] if seed is None else seed,
            task=task,
            batch_size=settings["batch_size"],
            trace=None,
            progress=False,
            callback=None,
        )
    limit = Budget(settings["budget"], settings["seconds"])
    planned(settings["verify"], limit, settings["seeds"])
    check_second_loss(settings["second_loss"])
    for solver in solvers.values():
        check_solver(solver, task)
        check_first(settings["first"], solver)
    if isinstance(settings["space"], Space):
        raise ValueError("space must be a name; a Space of each prompt is given as the prompts")
    check_lexicon(settings["lexicon"])
    check_space_names(settings["space"])
    if task == "attack":
        check_cosine(settings["similarity"])


def seeds_of(seed: int | Iterable[int]) -> list[int]:
    several = list(seed) if isinstance(seed, Iterable) else [seed]
    if not several:
        raise ValueError("seed is empty; give at least one, such as 0")
    for one in several:
        check_whole("seed", one, 0)
    return list(dict.fromkeys(map(int, several)))


def described(task: Task, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for a stamp: parts by name, and digests of the toy world's weights."""
    told = {name: _told(value) for name, value in settings.items()}
    return {"task": task, **told, **_digests(settings["model"])}


def _digests(model: "str | TextToImage") -> dict[str, str]:
    """Return digests of a toy model's weights and of its scorers; empty for other models."""
    if not is_toy(model):
        return {}
    name = model if isinstance(model, str) else model.name
    weights = names.toy("weights digest")(name)
    return {names.TOYS[name]: weights, "scorers": names.toy("scorers digest")()}


def _told(value: Any) -> Any:
    """Return a value for JSON; an object without a name is given by its class."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _told(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [_told(one) for one in value]
    if isinstance(name := getattr(value, "name", None), str):
        return name
    told = name_of(value)
    return type(value).__qualname__ if " at 0x" in told else told

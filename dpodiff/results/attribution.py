"""The effect of each word of a found prompt, measured by leaving it out.

This measures what a word adds to all others. Two words with the same effect may both seem useless,
since each compensates for the other.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dpodiff.checks import check_share
from dpodiff.results.held_out import Judge, check_measures, fresh_seeds
from dpodiff.results.result import Result
from dpodiff.results.scoring import Asked, changes, check_words, scores
from dpodiff.spaces.prompts import Prompts
from dpodiff.spaces.slots import SIGNS, Slot

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.losses.base import Loss


def attribution(
    result: Result,
    seeds: Iterable[int],
    losses: "Mapping[str, Loss] | None" = None,
    judge: Judge | None = None,
    *,
    level: float = 0.95,
) -> "pd.DataFrame":
    """Score the found prompts without each of the words that the search has changed.

    The other slots stay as found. The images are not counted in the cost of the search.

    Args:
        result: result of a search of words; for a refused one use `result.found`.
        seeds: seeds that neither the search nor its verification has used.
        losses: losses by name; None is the loss of the search with the name "loss".
        judge: judge whose measures are added, computed for one image at a time.
        level: coverage of the intervals.

    Returns:
        One row per change and measure: "word", the change of a slot, such as "+ sharp" or "red ->
        crimson", or of several equal slots; "measure"; "found" and "without", the means with and
        without the word; "mean", "low" and "high", without minus found with its exact interval over
        seeds (`subset_interval`), whose ends are infinite for fewer than 6 seeds. If a loss rises
        without a word, the word lowers it. `plots.intervals` plots the rows of one measure.

    Raises:
        ValueError: if an argument is invalid, a seed was used before, noise was searched, or the
            result changes no slot.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), 0.75 if "dark" in negative_prompt else 0.25)
        >>> model, loss = dpodiff.BlackBox(paint), dpodiff.losses.white
        >>> space = dpodiff.nplib_space("a wall", ["dark", "ugly"], slots=1)
        >>> objective = dpodiff.Objective(model, loss, space, seeds=[0])
        >>> solver, budget = dpodiff.RandomSearch(space), dpodiff.Budget(3)
        >>> result = dpodiff.search(solver, objective, budget, progress=False)
        >>> table = dpodiff.attribution(result, seeds=range(10, 20))
        >>> table[["word", "found", "without", "mean"]]
             word  found  without  mean
        0  - dark  -0.75    -0.25   0.5
    """
    import pandas as pd

    check_words("result", result)
    seeds, objective = fresh_seeds(result, seeds), result.objective
    losses = {"loss": objective.loss} if losses is None else losses
    check_measures(losses, judge)
    check_share("level", level)

    def images(prompts: Prompts) -> list[Asked]:
        return [Asked(objective.space.prompt, prompts, seed) for seed in seeds]

    found = images(result.prompts)
    without = [(word, images(prompts)) for word, prompts in _without(result)]
    asked = [*found, *(image for _, one in without for image in one)]
    known = scores(objective.model, asked, losses, judge, eta=objective.eta)
    rows = [
        {"word": word, **row} for word, one in without for row in changes(known, found, one, level)
    ]
    return pd.DataFrame(rows).rename(columns={"before": "found", "after": "without"})


def _without(result: Result) -> list[tuple[str, Prompts]]:
    """Return each change, and the found prompts without it; equal changes are merged."""
    space, candidate = result.objective.space, result.candidate
    changed: dict[str, list[int]] = {}
    for place, (slot, choice) in enumerate(zip(space.slots, candidate)):
        if choice:
            changed.setdefault(_named(slot, choice), []).append(place)
    if not changed:
        raise ValueError(
            "the result changes no slot, so there is no word to leave out; "
            "of a search that was refused, result.found does"
        )
    return [
        (word, space.decode(tuple(0 if k in places else c for k, c in enumerate(candidate))))
        for word, places in changed.items()
    ]


def _named(slot: Slot, choice: int) -> str:
    """Return the change of a slot, with the sign of its side."""
    if slot.side == "positive":
        return f"{slot.text} -> {slot.choices[choice] or '(dropped)'}"
    name = "" if slot.side in ("modifier", "negative") else f"{slot.text} "
    return f"{SIGNS.get(slot.side, '+')} {name}{slot.choices[choice]}"

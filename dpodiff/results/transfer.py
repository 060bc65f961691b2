"""Transfer of found prompts to other models, losses and seeds.

A search uses one model, one loss and a few seeds. Its found prompt is scored with others, and
compared with the user's own prompt on the same model and seeds. In a matrix of such changes the
rows are origins and the columns are targets. It shows which gains belong to the prompt, and which
to its origin.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_each, check_kind, check_seed, check_share, check_text, shown
from dpodiff.results.held_out import Judge, check_measures
from dpodiff.results.result import Result
from dpodiff.results.scoring import Asked, changes, check_words, scores
from dpodiff.results.statistics import Interval, paired_bootstrap

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.losses.base import Loss
    from dpodiff.models.base import TextToImage

CELL = ("found", "model", "seeds", "measure")  # columns that identify a cell of the matrix


def transfer(
    results: Mapping[str, Result | Sequence[Result]],
    models: "Mapping[str, TextToImage]",
    losses: "Mapping[str, Loss]",
    seeds: Mapping[str, Iterable[int]],
    judge: Judge | None = None,
    *,
    level: float = 0.95,
) -> "pd.DataFrame":
    """Score found prompts with every model, on every set of seeds, by every loss.

    Each image is made once for all losses. The images are not counted in the cost of a search.

    Args:
        results: results of searches of words, one or several by their origin, such as "toy,
            matcher". For a refused search use `result.found`.
        models: models by name; each must be able to take all prompts.
        losses: losses by name; they are computed for the user's prompt.
        seeds: sets of seeds by name, such as those of the searches and fresh ones.
        judge: judge whose measures are added, computed for one image at a time.
        level: coverage of the intervals.

    Returns:
        One row per origin, prompt, model, set of seeds and measure, with the columns "found",
        "prompt", "model", "seeds" and "measure"; "before" and "after", means of the user's own
        prompt and of the found one; "mean", "low" and "high", after minus before with its exact
        interval over seeds (`subset_interval`), whose ends are infinite for fewer than 6 seeds. For
        intervals over prompts use `results.transfer.over_prompts`.

    Raises:
        ValueError: if an argument is invalid or empty, noise was searched, or the searches differ
            in eta.
        PromptError: if a model cannot take a prompt, before any image is made.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), 0.75 if negative_prompt else 0.25)
        >>> white = dpodiff.BlackBox(lambda *job: np.ones((8, 8, 3)))
        >>> models = {"A": dpodiff.BlackBox(paint), "B": white}
        >>> settings = {"loss": "white", "space": "nplib", "budget": 3, "verify": 0}
        >>> result = dpodiff.improve("a wall", model=models["A"], progress=False, **settings)
        >>> losses, seeds = {"white": dpodiff.losses.white}, {"fresh": range(10, 20)}
        >>> table = dpodiff.transfer({"A, white": result}, models, losses, seeds)
        >>> table[["found", "model", "before", "after", "mean"]]
              found model  before  after  mean
        0  A, white     A   -0.25  -0.75  -0.5
        1  A, white     B   -1.00  -1.00   0.0
    """
    import pandas as pd

    origins, sets = _origins(results), _seed_sets(seeds)
    check_measures(losses, judge)
    check_share("level", level)
    _check_models(models, [result for _, result in origins])
    every = list(dict.fromkeys(seed for numbers in sets.values() for seed in numbers))
    asked = [image for _, result in origins for side in _pairs(result, every) for image in side]
    rows = []
    for model, maker in models.items():
        known = scores(maker, asked, losses, judge, eta=origins[0][1].objective.eta)
        for (found, result), (label, numbers) in product(origins, sets.items()):
            prompt = result.objective.space.prompt
            who = {"found": found, "prompt": prompt, "model": model, "seeds": label}
            rows += [who | row for row in changes(known, *_pairs(result, numbers), level)]
    return pd.DataFrame(rows)


def over_prompts(table: "pd.DataFrame", by: Sequence[str] = CELL) -> "pd.DataFrame":
    """Return the transfer matrix as rows: the mean change over prompts per origin and target.

    Args:
        table: table of `transfer`, with "prompt", "before", "after" and the columns of `by`.
        by: columns that identify a cell of the matrix.

    Returns:
        one row per cell: the columns of `by`; "before" and "after"; "mean", "low" and "high", the
        change with its 95% interval over prompts, whose ends are infinite for one prompt;
        "prompts".

    Examples:
        >>> import pandas as pd
        >>> from dpodiff.results.transfer import over_prompts
        >>> rows = [("A", "B", p, 0.5, after) for p, after in [("p", 0.3), ("q", 0.4)]]
        >>> table = pd.DataFrame(rows, columns=["found", "model", "prompt", "before", "after"])
        >>> over_prompts(table, by=["found", "model"]).round(2).values.tolist()
        [['A', 'B', 0.5, 0.35, -0.15, -0.2, -0.1, 2]]
    """
    import pandas as pd

    by, rows = list(by), []
    # Any: pandas annotates its results too generally.
    means: Any = table.groupby([*by, "prompt"], sort=False)[["before", "after"]].mean()
    for cell, group in means.groupby(by, sort=False):
        gaps = group["after"] - group["before"]
        alone = Interval(gaps.mean(), -math.inf, math.inf)
        interval = paired_bootstrap(gaps) if len(gaps) > 1 else alone
        rows.append(
            dict(zip(by, cell))
            | {"before": group["before"].mean(), "after": group["after"].mean()}
            | interval._asdict()
            | {"prompts": len(gaps)}
        )
    return pd.DataFrame(rows)


def _origins(results: Any) -> list[tuple[str, Result]]:
    """Return each result with the name of its origin."""
    check_kind("results", results, Mapping, "a mapping from origins to results of searches")
    origins = []
    for name, found in results.items():
        check_text("each name of results", name)
        several = [found] if isinstance(found, Result) else found
        several = check_each(f"results[{name!r}]", several, check_words)
        origins += [(name, result) for result in several]
    if not origins:
        raise ValueError("results is empty: at least one result is needed")
    if len(etas := {result.objective.eta for _, result in origins}) > 1:
        raise ValueError(f"the searches differ in eta, {sorted(etas)}: transfer them one by one")
    return origins


def _seed_sets(seeds: Any) -> dict[str, list[int]]:
    check_kind("seeds", seeds, Mapping, "a mapping from names to seeds")
    sets = {}
    for name, numbers in seeds.items():
        check_text("each name of seeds", name)
        sets[name] = check_each(f"seeds[{name!r}]", numbers, check_seed)
        if not sets[name]:
            raise ValueError(f"seeds[{name!r}] is empty: at least one seed is needed")
    return sets


def _check_models(models: Any, results: Sequence[Result]) -> None:
    check_kind("models", models, Mapping, "a mapping from names to models")
    for name, model in models.items():
        check_text("each name of models", name)
        if not callable(getattr(model, "generate", None)):
            raise ValueError(f"models[{name!r}] must be a Model or a BlackBox, not {shown(model)}")
        for result in results:
            model.check(*result.user_prompts)
            model.check(*result.prompts)


def _pairs(result: Result, seeds: Sequence[int]) -> tuple[list[Asked], list[Asked]]:
    """Return images of the user's own prompt and of the found one, one per seed each."""
    space = result.objective.space
    own, found = (
        [Asked(space.prompt, prompts, seed) for seed in seeds]
        for prompts in (space.decode(space.identity), result.prompts)
    )
    return own, found

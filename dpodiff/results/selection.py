"""Selection: the best of n candidates, computed from candidates that have been scored.

Best-of-n is the simplest form of optimization pressure, and n is its strength. If every candidate
has also been scored by an independent measure, the gain can be followed as the pressure grows, up
to the point where it ends (Gao et al., 2023, arXiv 2210.10760). With scores of all candidates the
mean over random draws is exact, and no image is made.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

OWN = 0  # the candidate that is the user's own prompt


def rank_probabilities(count: int, n: int) -> np.ndarray:
    """Return the probability of each of `count` ranked candidates to be the best of `n`.

    Args:
        count: number of candidates.
        n: number of candidates drawn without replacement, 1 to `count`.

    Returns:
        probabilities (count,), for rank r from 0 `C(count - 1 - r, n - 1) / C(count, n)`.

    Raises:
        ValueError: if `n` is out of its range.

    Examples:
        >>> from dpodiff.results.selection import rank_probabilities
        >>> rank_probabilities(count=4, n=2).round(3)
        array([0.5  , 0.333, 0.167, 0.   ])
    """
    if not 1 <= n <= count:
        raise ValueError(f"n must be from 1 to {count}, the candidates there are, not {n}")
    chances, left = np.zeros(count), 1.0
    for rank in range(count - n + 1):
        # eq. (improving-best-of), factor by factor
        chances[rank] = left * n / (count - rank)  # drawn, and no better one was drawn
        left -= chances[rank]
    return chances


def best_of(
    table: "pd.DataFrame", sizes: Iterable[int], seen: Sequence[int], *, by: str = "loss"
) -> "pd.DataFrame":
    """Return the change by the best of n random candidates, on seen and unseen seeds.

    A prompt is replaced only by a candidate that is better on the seen seeds.

    Args:
        table: one row per image, with the columns "prompt", "candidate", "seed" and measures;
            candidate 0 is the user's own prompt.
        sizes: values of n, each from 1 to the number of other candidates.
        seen: seeds on which candidates are picked. All measures are taken on the others.
        by: measure that is minimized on the seen seeds.

    Returns:
        one row per prompt and n, with the columns "prompt" and "n", "seen" (change of `by` on the
        seen seeds), and the change of each measure on the unseen seeds under its name.

    Raises:
        ValueError: if no seed is left unseen, or an n is too large.

    Examples:
        >>> import pandas as pd
        >>> from dpodiff.results.selection import best_of
        >>> rows = [("p", 0, 0, 0.5), ("p", 0, 1, 0.5), ("p", 1, 0, 0.4), ("p", 1, 1, 0.6)]
        >>> table = pd.DataFrame(rows, columns=["prompt", "candidate", "seed", "loss"])
        >>> best_of(table, sizes=[1], seen=[0]).round(3).to_dict("records")
        [{'prompt': 'p', 'n': 1, 'loss': 0.1, 'seen': -0.1}]
    """
    import pandas as pd

    images: Any = table  # pandas annotates its results too generally
    measures = [name for name in images if name not in ("prompt", "candidate", "seed")]
    known = images["seed"].isin(seen)
    if known.all():
        seeds = sorted(set(images["seed"]))
        raise ValueError(f"no seed is left unseen: all of {seeds} were seen")
    picked = images[known].groupby(["prompt", "candidate"], sort=False)[by].mean()
    unseen = images[~known].groupby(["prompt", "candidate"], sort=False)[measures].mean()
    both = unseen.assign(seen=picked)
    rows = []
    for prompt, group in both.groupby(level="prompt", sort=False):
        gains = _ranked_gains(group.droplevel("prompt"))
        for n in sizes:
            chances = rank_probabilities(len(gains), n)
            rows.append({"prompt": prompt, "n": n, **gains.mul(chances, axis=0).sum()})
    return pd.DataFrame(rows)


def word_effects(
    table: "pd.DataFrame", words: "pd.DataFrame", *, measure: str = "loss", fewest: int = 10
) -> "pd.DataFrame":
    """Return the mean of a measure with a word in the negative prompt minus that without it.

    The candidates are random, so the other words have the same distribution on both sides.

    Args:
        table: one row per image, with the columns "prompt", "candidate" and the measure.
        words: one row per candidate, with the columns "prompt", "candidate" and "negative", which
            holds words joined by commas.
        measure: name of the measure.
        fewest: least number of prompts that have candidates with and without the word.

    Returns:
        one row per word, the lowest mean first, with "mean", "low" and "high" over prompts and
        their number.

    Examples:
        >>> import pandas as pd
        >>> from dpodiff.results.selection import word_effects
        >>> rows = [("p", 0, 0.5, ""), ("p", 1, 0.3, "dark")]
        >>> rows += [("q", 0, 0.6, ""), ("q", 1, 0.5, "dark")]
        >>> table = pd.DataFrame(rows, columns=["prompt", "candidate", "loss", "negative"])
        >>> effects = word_effects(table.drop(columns="negative"), table, fewest=2)
        >>> effects["mean"].round(2).to_dict()
        {'dark': -0.15}
    """
    import pandas as pd

    from dpodiff.results.statistics import paired_bootstrap

    keys = ["prompt", "candidate"]
    # Any: as above.
    value: Any = table.groupby(keys, sort=False)[measure].mean()
    named: Any = (
        words.assign(word=words["negative"].str.split(", ")).explode("word").set_index(keys)
    )
    effects: dict[str, list[float]] = {}
    for prompt, values in value.groupby(level="prompt", sort=False):
        for word, rows in named.loc[[prompt]].groupby("word"):
            has = values.index.isin(rows.index)
            if word and not has.all():
                effects.setdefault(word, []).append(values[has].mean() - values[~has].mean())
    rows = {
        word: paired_bootstrap(found)._asdict() | {"prompts": len(found)}
        for word, found in effects.items()
        if len(found) >= fewest
    }
    columns = pd.Index(["mean", "low", "high", "prompts"])
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).sort_values("mean")


def _ranked_gains(group: "pd.DataFrame") -> "pd.DataFrame":
    """Return the change of each measure if a candidate is taken, the likeliest pick first."""
    change = group.drop(index=OWN) - group.loc[OWN]
    change = change.sort_values("seen")
    return change.where(change["seen"] < 0, 0.0)

"""What a search would have picked: the best of n, read off from candidates already judged.

Best-of-n is the plainest pressure on a loss, and n says how hard it presses. Where every candidate
has also been judged by something that took no part, the reward for pressing harder can be followed
step by step, and so can the point where it ends (Gao et al., 2023, arXiv 2210.10760). With all
candidates judged beforehand the mean over the draws is exact, and no image is made.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

OWN = 0  # the candidate that is the user's prompt as it is


def rank_probabilities(count: int, n: int) -> np.ndarray:
    """Chance of each of `count` candidates, best first, to be the best of `n` of them.

    Args:
        count: candidates there are.
        n: of them drawn without replacement, 1 to `count`.

    Returns:
        probabilities (count,), of rank r `C(count - 1 - r, n - 1) / C(count, n)`.

    Raises:
        ValueError: if `n` lies outside.

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
        chances[rank] = left * n / (count - rank)  # drawn, if none that is better was
        left -= chances[rank]
    return chances


def best_of(
    table: "pd.DataFrame", sizes: Iterable[int], seen: Sequence[int], *, by: str = "loss"
) -> "pd.DataFrame":
    """What picking the best of n random candidates changes, on seeds seen and unseen.

    A prompt is replaced only by a candidate that is better than it on the seen seeds.

    Args:
        table: a row an image, with columns "prompt", "candidate", "seed" and measures; candidate 0
            is the user's own prompt.
        sizes: n, each from 1 to the number of other candidates.
        seen: seeds that the pick is made on. All measures are taken on the others.
        by: the measure that is minimized, on the seen seeds.

    Returns:
        a row a prompt and n, with columns "prompt" and "n", "seen" (change of `by` on the seen
        seeds), and the change of each measure on the unseen ones by its own name.

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

    images: Any = table  # pandas types the results of its methods by all they may be
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
    """Mean of a measure with a word in the negative prompt, minus that without it.

    The candidates are random, so the other words are the same on both sides in the mean.

    Args:
        table: a row an image, with columns "prompt", "candidate" and the measure.
        words: a row a candidate, with columns "prompt", "candidate" and "negative", words joined
            by commas.
        measure: what is compared.
        fewest: prompts that must have candidates with the word and without it.

    Returns:
        a row a word, lowest first, with "mean", "low" and "high" over prompts and their number.

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
    """Change of each measure if a candidate is taken, the likeliest to be picked first."""
    change = group.drop(index=OWN) - group.loc[OWN]
    change = change.sort_values("seen")
    return change.where(change["seen"] < 0, 0.0)

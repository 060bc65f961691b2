"""Headroom: settings compared with the best one, and gains of picks by loss and space.

The input is a table of images that have been scored, so no image is made here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dpodiff.results.records import LARGE
from dpodiff.results.selection import OWN, best_of
from dpodiff.results.statistics import paired_bootstrap

if TYPE_CHECKING:
    import pandas as pd


def against_best(table: "pd.DataFrame", by: Sequence[str], measure: str) -> "pd.DataFrame":
    """Compare each setting with the one of the highest mean, paired over prompts.

    The best setting is chosen on the same prompts, so its lead is biased upwards.

    Args:
        table: one row per setting and prompt, with the columns "prompt", those of `by` and the
            measure.
        by: columns that identify a setting.
        measure: name of the measure; more is better.

    Returns:
        one row per setting, the best first: the columns of `by`, "mean"; "change", "low" and
        "high", the setting minus the best with its 95% interval over prompts.

    Examples:
        >>> import pandas as pd
        >>> from dpodiff.results.headroom import against_best
        >>> rows = [(6, "p", 0.8), (6, "q", 0.6), (4, "p", 0.7), (4, "q", 0.5)]
        >>> table = pd.DataFrame(rows, columns=["steps", "prompt", "clean"])
        >>> against_best(table, ["steps"], "clean").round(2).values.tolist()
        [[6.0, 0.7, 0.0, 0.0, 0.0], [4.0, 0.6, -0.1, -0.1, -0.1]]
    """
    import pandas as pd

    by = list(by)
    # Any: pandas annotates its results too generally.
    shares: Any = table.pivot_table(index=by, columns="prompt", values=measure, sort=False)
    means = shares.mean(axis=1).sort_values(ascending=False, kind="stable")
    rows = []
    for setting in means.index:
        interval = paired_bootstrap(shares.loc[setting] - shares.loc[means.index[0]])
        named = dict(zip(by, setting if isinstance(setting, tuple) else (setting,)))
        ends = {"change": interval.mean, "low": interval.low, "high": interval.high}
        rows.append({**named, "mean": means[setting], **ends})
    return pd.DataFrame(rows)


def headroom(
    images: "pd.DataFrame",
    spaces: Mapping[str, Sequence[str]],
    sizes: Iterable[int],
    seen: Sequence[int],
    losses: Sequence[str],
    measure: str,
) -> "pd.DataFrame":
    """Return the gain of the best of n candidates of a space on seeds not used for the pick.

    Args:
        images: one row per image, with the columns "prompt", "candidate", "space", "seed", the
            measure and the losses. Candidate 0 of each prompt is the user's own.
        spaces: name -> values of the column "space" that belong to the space.
        sizes: values of n. If a prompt has fewer candidates of the space, all are used.
        seen: seeds on which candidates are picked; the gain is measured on the others.
        losses: losses to pick by. "oracle" is always included: it picks by the measure.
        measure: name of the gain; more is better.

    Returns:
        one row per space, n and loss: "space", "n", "loss"; "mean", "low" and "high", the change of
        the measure with its 95% interval over prompts; "better" and "worse", the shares of prompts
        with a change of more than 0.1; "prompts".

    Raises:
        ValueError: if a space has no candidates for a prompt, or no seed is left unseen.

    Examples:
        >>> import pandas as pd
        >>> from dpodiff.results.headroom import headroom
        >>> rows = [(p, c, "dense", s, float(c), -c) for p in "pq" for c in (0, 1) for s in (0, 1)]
        >>> columns = ["prompt", "candidate", "space", "seed", "all", "clip"]
        >>> table = pd.DataFrame(rows, columns=columns)
        >>> found = headroom(table, {"dense": ["dense"]}, [1], [0], ["clip"], "all")
        >>> found[["loss", "mean", "better"]].values.tolist()
        [['oracle', 1.0, 1.0], ['clip', 1.0, 1.0]]
    """
    import pandas as pd

    table: Any = images  # as above
    sizes, rows = list(sizes), []
    for space, kinds in spaces.items():
        part = table[(table["candidate"] == OWN) | table["space"].isin(list(kinds))]
        counts = part[part["candidate"] != OWN].groupby("prompt")["candidate"].nunique()
        if len(counts) < part["prompt"].nunique():
            raise ValueError(f"the space {space!r} has no candidates of some prompts")
        for n in dict.fromkeys(min(size, counts.min()) for size in sizes):
            for loss in ("oracle", *losses):
                gains = _gains(part, n, seen, loss, measure)
                rows.append({"space": space, "n": int(n), "loss": loss, **summary(gains)})
    return pd.DataFrame(rows)


def _gains(
    part: "pd.DataFrame", n: int, seen: Sequence[int], loss: str, measure: str
) -> np.ndarray:
    """Return the changes (prompts,) of the measure on unseen seeds."""
    value = -part[measure] if loss == "oracle" else part[loss]
    table = part[["prompt", "candidate", "seed", measure]].assign(value=value)
    return best_of(table, [n], seen, by="value")[measure].to_numpy()


def summary(gains: np.ndarray) -> dict[str, float]:
    """Return the mean of changes (prompts,) with its interval, and the shares of large changes."""
    mean, low, high = paired_bootstrap(gains)
    better, worse = float((gains > LARGE).mean()), float((gains < -LARGE).mean())
    ends = {"mean": mean, "low": low, "high": high}
    return ends | {"better": better, "worse": worse, "prompts": len(gains)}

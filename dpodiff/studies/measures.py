"""Measures of counted answers: win rates, agreement, Bradley-Terry scores.

A table of answers has one row per answer, with the columns rater, pair, prompt, a and b (methods),
preferred ("a", "b" or "tie") and left ("a" or "b").
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from dpodiff.results.statistics import Interval

Frame = Any  # a DataFrame; its methods are annotated too generally
RESAMPLES = 500  # bootstrap samples of prompts for Bradley-Terry scores


def over_prompts(values: Frame, prompts: Frame) -> Interval:
    """Return the mean over prompts of their mean values in [0, 1], with its 95% interval."""
    try:
        from scipy.special import stdtrit
    except ModuleNotFoundError as error:
        raise ImportError("a report needs scipy: pip install 'dpodiff[study]'") from error
    means = values.groupby(prompts.to_numpy()).mean().to_numpy()
    count = len(means)
    mean = float(means.mean()) if count else math.nan
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    if means.min() == means.max():
        return _wilson(mean, count)
    half = float(stdtrit(count - 1, 0.975) * means.std(ddof=1) / math.sqrt(count))
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def _wilson(share: float, count: int) -> Interval:
    """Return the interval of a share of independent answers (Wilson, 1927)."""
    z2 = NormalDist().inv_cdf(0.975) ** 2
    center = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = share * (1 - share) / count + z2 / (4 * count**2)
    half = math.sqrt(z2 * spread) / (1 + z2 / count)
    return Interval(share, max(0.0, center - half), min(1.0, center + half))


def win_rates(table: Frame, baseline: str) -> Frame:
    import pandas as pd

    rows = {}
    own = table[(table["a"] == baseline) | (table["b"] == baseline)]
    other = own["b"].where(own["a"] == baseline, own["a"])
    for name, answers in own.groupby(other):
        won = answers["a"].where(answers["preferred"] == "a", answers["b"]) == name
        tied = answers["preferred"] == "tie"
        rate, low, high = over_prompts(won.astype(float).where(~tied, 0.5), answers["prompt"])
        rows[name] = {
            "win rate": rate,
            "low": low,
            "high": high,
            "ties": tied.mean(),
            "answers": len(answers),
            "pairs": answers["pair"].nunique(),
            "prompts": answers["prompt"].nunique(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def agreement(table: Frame) -> float:
    try:
        import krippendorff
    except ModuleNotFoundError as error:
        raise ImportError("a report needs krippendorff: pip install 'dpodiff[study]'") from error
    codes = table["preferred"].map({"a": 0.0, "tie": 1.0, "b": 2.0})
    units = table.assign(code=codes).pivot(index="rater", columns="pair", values="code")
    compared = units.loc[:, units.notna().sum() > 1].to_numpy()
    if len(np.unique(compared[~np.isnan(compared)])) < 2:
        return math.nan
    return float(krippendorff.alpha(compared, level_of_measurement="ordinal"))


def scores(table: Frame, baseline: str) -> Frame | None:
    """Return the Bradley-Terry scores of three or more methods."""
    import pandas as pd

    names = [baseline, *sorted({*table["a"], *table["b"]} - {baseline})]
    if len(names) < 3:
        return None
    outcomes = table.groupby(["a", "b", "preferred"])
    which = outcomes.ngroup().to_numpy()  # number of the outcome of each answer
    prompts, prompt = np.unique(table["prompt"], return_inverse=True)
    often = np.zeros((len(prompts), outcomes.ngroups))  # answers by prompt and outcome
    np.add.at(often, (prompt, which), 1)
    kinds = list(outcomes.groups)
    shares = np.full(len(prompts), 1 / len(prompts))
    drawn = np.random.default_rng(0).multinomial(len(prompts), shares, RESAMPLES)
    fits = np.array([_fitted(kinds, counts @ often, names) for counts in drawn])
    low, high = np.quantile(fits, [0.025, 0.975], axis=0)
    columns = {"score": _fitted(kinds, often.sum(axis=0), names), "low": low, "high": high}
    return pd.DataFrame(columns, index=pd.Index(names, name="method"))


def _fitted(
    outcomes: list[tuple[str, str, str]], often: np.ndarray, names: list[str]
) -> np.ndarray:
    """Return the log-odds of a win over the first name, one per name."""
    try:
        import evalica
    except ModuleNotFoundError as error:
        raise ImportError("a report needs evalica: pip install 'dpodiff[study]'") from error
    winner = {"a": evalica.Winner.X, "b": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    compared = {tuple(sorted(outcome[:2])) for outcome in outcomes}
    rows = [*outcomes, *((a, b, "tie") for a, b in sorted(compared))]
    first, second, preferred = zip(*rows)
    weights = [*map(float, often), *[1.0] * len(compared)]
    winners = [winner[one] for one in preferred]
    result = evalica.bradley_terry(first, second, winners, weights=weights, limit=1000)
    logs = np.log(np.asarray(result.scores[names]))
    return logs - logs[0]

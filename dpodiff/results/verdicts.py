"""Verdicts on claims about differences between means over prompts."""

from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

from dpodiff.checks import check_each, check_finite, check_kind, check_text, shown
from dpodiff.results.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

FEWEST = 10  # least number of prompts for a claim


class Verdict(NamedTuple):
    """A claim about a difference, its interval, and whether the claim holds.

    Attributes:
        claim: the claim in words.
        measure: measure of the difference.
        effect: mean difference.
        low: lower end of its interval.
        high: upper end of its interval.
        prompts: number of prompts.
        verdict: "holds"; "opposite", if the interval lies on the other side of zero; "not shown",
            if it contains zero; or "too few prompts", below 10, where a bootstrap is too narrow.

    Examples:
        >>> gain = dpodiff.paired_bootstrap([-0.03, -0.01] * 6)
        >>> dpodiff.verdict("the search lowers the loss", gain, prompts=12).verdict
        'holds'
    """

    claim: str
    measure: str
    effect: float
    low: float
    high: float
    prompts: int
    verdict: str


def verdict(
    claim: str, difference: Interval, prompts: float, better: str = "lower", measure: str = ""
) -> Verdict:
    """Decide whether a claim about a difference holds.

    Args:
        claim: the claim in words.
        difference: mean difference and its interval, as `paired_bootstrap` returns them.
        prompts: number of prompts.
        better: the side of zero on which the claim holds, "lower" or "higher".
        measure: measure of the difference.

    Raises:
        ValueError: if an argument is invalid.

    Examples:
        >>> gain = dpodiff.paired_bootstrap([-0.03, 0.01] * 6)
        >>> dpodiff.verdict("the search lowers the loss", gain, prompts=12).verdict
        'not shown'
    """
    check_text("claim", claim)
    check_text("measure", measure)
    if not isinstance(difference, tuple) or len(difference) != 3:
        raise ValueError(f"difference must be an Interval, not {shown(difference)}")
    for end in difference:
        check_kind("each number of difference", end, Real, "a number")
    check_finite("prompts", prompts, 0)
    if not isinstance(better, str) or better not in ("lower", "higher"):
        raise ValueError(f"better must be 'lower' or 'higher', not {shown(better)}")
    mean, low, high = difference
    lower, higher = high < 0, low > 0
    if prompts < FEWEST:
        said = "too few prompts"
    elif lower or higher:
        said = "holds" if lower == (better == "lower") else "opposite"
    else:
        said = "not shown"
    return Verdict(claim, measure, mean, low, high, round(prompts), said)


def verdict_table(verdicts: "Sequence[Verdict]") -> "pd.DataFrame":
    """Return verdicts as a table with one row per claim; effects and intervals have signs.

    Args:
        verdicts: verdicts in the order of the rows. The column of measures is dropped if all are
            empty.

    Examples:
        >>> gain = dpodiff.paired_bootstrap([-0.03, -0.01] * 6)
        >>> verdicts = [dpodiff.verdict("the search lowers the loss", gain, prompts=12)]
        >>> print(dpodiff.verdict_table(verdicts).T)
                     the search lowers the loss
        effect                           -0.020
        95% interval           [-0.025, -0.015]
        prompts                              12
        verdict                           holds
    """
    import pandas as pd

    verdicts = check_each("verdicts", verdicts, _check_verdict)
    rows = [
        (v.measure, f"{v.effect:+.3f}", f"[{v.low:+.3f}, {v.high:+.3f}]", v.prompts, v.verdict)
        for v in verdicts
    ]
    columns = pd.Index(["measure", "effect", "95% interval", "prompts", "verdict"])
    table = pd.DataFrame(rows, index=[v.claim for v in verdicts], columns=columns)
    return table if any(v.measure for v in verdicts) else table.drop(columns="measure")


def _check_verdict(name: str, one: object) -> None:
    check_kind(name, one, Verdict, "a Verdict")

"""The report of a study: win rates, agreement of raters, and Bradley-Terry scores."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dpodiff.results.statistics import Interval
from dpodiff.results.verdicts import FEWEST
from dpodiff.studies import measures
from dpodiff.studies.answers import Rater, read_key, read_raters
from dpodiff.studies.exclusion import Rules, conduct, too_fast

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.studies.answers import Given

Frame = Any  # a DataFrame; its methods are annotated too generally


@dataclass(frozen=True)
class StudyReport:
    """The report that `read_study` returns; `print(report)` prints it in words.

    Attributes:
        win_rates: one row per method: its "win rate" over the baseline, in which a tie is half a
            win and each prompt has the same weight; "low" and "high" of the 95% interval over
            prompts; the share of "ties"; the numbers of "answers", "pairs" and "prompts".
        agreement: Krippendorff's alpha of all raters on all pairs. 1 is perfect, 0 is chance. NaN
            if no pair has answers of two raters or all answers are equal.
        left: share of answers for the left image without ties, with its 95% interval over prompts.
        scores: one row per method: its Bradley-Terry "score", the log-odds of a win over the
            baseline, and its 95% interval over prompts; None for fewer than three methods.
        raters: one row per rater: answers, failed checks, reversed repeats, fast answers, and the
            "reason" for the exclusion of the rater, or an empty text.
        fast: number of excluded answers of the other raters that were too fast.
        answers: one row per counted answer.
        rules: rules of exclusion.
        equal: number of pairs that were not shown, since both images are equal.

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> study = dpodiff.study(dict(zip(["before", "painted"], images)), checks=0)
        >>> def lighter(left, right, prompt):
        ...     return "left" if left.mean() > right.mean() else "right"
        >>> report = dpodiff.read_study(study.answered(lighter), study.key())
        >>> float(report.win_rates.loc["painted", "win rate"])
        1.0
    """

    win_rates: "pd.DataFrame"
    agreement: float
    left: Interval
    scores: "pd.DataFrame | None"
    raters: "pd.DataFrame"
    fast: int
    answers: "pd.DataFrame" = field(repr=False)
    rules: Rules = field(default_factory=Rules)
    baseline: str = "before"
    equal: int = 0

    def __str__(self) -> str:
        counted = self.raters[self.raters["reason"] == ""]
        functions = int((counted["made_by"] == "function").sum())
        persons = f"{len(counted)} rater{'s' * (len(counted) != 1)}"
        prompts = self.answers["prompt"].nunique()
        lines = [
            f"{len(self.answers)} answers of {persons} to {prompts} "
            f"prompt{'s' * (prompts != 1)}, compared with {self.baseline!r}"
        ]
        if functions:
            lines.append(f"simulated: {functions} of these raters are functions, no people")
        for name, row in self.win_rates.iterrows():
            lines.append(
                f"{name:<20}win rate {row['win rate']:.3f} [{row['low']:.3f}, {row['high']:.3f}], "
                f"{_verdict(row)} ({row['ties']:.0%} ties)"
            )
        lines.append(f"{'agreement':<20}Krippendorff's alpha {self.agreement:.2f}")
        share, low, high = self.left
        lines.append(f"{'left image chosen':<20}{share:.3f} [{low:.3f}, {high:.3f}]")
        if self.scores is not None:
            for name, row in self.scores.iterrows():
                lines.append(
                    f"{name:<20}Bradley-Terry {row['score']:+.2f} "
                    f"[{row['low']:+.2f}, {row['high']:+.2f}]"
                )
        return "\n".join([*lines, *self._left_out()])

    def _left_out(self) -> list[str]:
        reasons = zip(self.raters["rater"], self.raters["reason"])
        lines = [f"left out: rater {name}, {reason}" for name, reason in reasons if reason]
        if self.fast:
            lines.append(f"left out: {self.fast} answers faster than {self.rules.seconds:g} s")
        if self.equal:
            lines.append(f"not shown: {self.equal} pairs whose images are the same")
        return lines or ["left out: nothing"]


def read_study(
    answers: "Given | Iterable[Given]", key: "Given", rules: Rules | None = None
) -> StudyReport:
    """Read the answers of all raters, and estimate which method they prefer.

    The interval of a win rate is over prompts: the answers to one prompt are averaged first, and
    Student's interval is computed from these means. So answers to one prompt need not be
    independent. The interval is NaN for a single prompt, and no claim is made for fewer than 10. If
    all means are equal, Wilson's interval for as many independent answers as prompts is used
    instead. Answers to checks and to repeated pairs are used only for the rules. Agreement is
    computed from the answers a, tie, b of each pair with the ordinal distance of Krippendorff
    (2004). Bradley-Terry scores are fitted with a tie as half a win for each. One more tie is added
    for each two methods that were compared, so scores stay finite. Their intervals are bootstraps
    over prompts.

    Args:
        answers: files, a folder of files, or their content; one per rater.
        key: file that `Study.save` wrote beside the page, or the value of `Study.key()`.
        rules: rules for the exclusion of raters and answers.

    Raises:
        ValueError: if a file is damaged or belongs to another study, naming it; or if no answer
            counts.
        OSError: if a file cannot be read.
        ImportError: if a package of the extra is missing: pip install 'dpodiff[study]'.

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> study = dpodiff.study(dict(zip(["before", "painted"], images)), checks=0)
        >>> answers = study.answered(lambda left, right, prompt: "tie", rater="r1")
        >>> print(dpodiff.read_study(answers, study.key()))
        2 answers of 1 rater to 1 prompt, compared with 'before'
        simulated: 1 of these raters are functions, no people
        painted             win rate 0.500 [nan, nan], too few prompts (100% ties)
        agreement           Krippendorff's alpha nan
        left image chosen   nan [nan, nan]
        left out: nothing
    """
    rules = rules or Rules()
    stated = read_key(key)
    raters = read_raters(answers, stated)
    pairs = stated["pairs"]
    conducts = [conduct(rater, pairs, rules) for rater in raters]
    kept = [rater for rater, one in zip(raters, conducts) if not one.reason]
    table, fast = _table(kept, pairs, rules)
    if table.empty:
        why = "; ".join(f"rater {one.rater}: {one.reason}" for one in conducts if one.reason)
        raise ValueError(f"no answer counts{f': {why}' if why else ''}")
    baseline = stated["baseline"]
    sided = table[table["preferred"] != "tie"]
    return StudyReport(
        win_rates=measures.win_rates(table, baseline),
        agreement=measures.agreement(table),
        left=measures.over_prompts(
            (sided["preferred"] == sided["left"]).astype(float), sided["prompt"]
        ),
        scores=measures.scores(table, baseline),
        raters=_frame(conducts),
        fast=fast,
        answers=table,
        rules=rules,
        baseline=baseline,
        equal=stated["equal"],
    )


def _table(
    raters: list[Rater], pairs: Mapping[str, Mapping[str, Any]], rules: Rules
) -> tuple[Frame, int]:
    """Return one row per counted answer, and the number of answers that were too fast."""
    import pandas as pd

    rows, fast = [], 0
    for rater in raters:
        for (name, one), hasty in zip(rater.answers.items(), too_fast(rater, rules)):
            pair = pairs[name]
            if not pair["methods"] or pair["repeats"]:
                continue
            fast += hasty
            if not hasty:
                a, b = pair["methods"]
                row = {"rater": rater.name, "pair": name, "prompt": pair["prompt"], "a": a, "b": b}
                rows.append(row | {"preferred": one.preferred, "left": one.left})
    return pd.DataFrame(rows), fast


def _verdict(row: Frame) -> str:
    if row["prompts"] < FEWEST:
        return "too few prompts"
    if row["low"] > 0.5:
        return "preferred"
    return "not preferred" if row["high"] < 0.5 else "not proven"


def _frame(conducts: Iterable[Any]) -> Frame:
    import pandas as pd

    return pd.DataFrame([asdict(one) for one in conducts])

"""Rules for the exclusion of raters and answers. Fix them before you see any answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_finite, check_whole

if TYPE_CHECKING:
    from dpodiff.studies.answers import Rater


@dataclass(frozen=True)
class Rules:
    """The rules by which raters and single answers are excluded.

    Attributes:
        failed_checks: a rater who fails more than this share of the checks is excluded.
        reversed_repeats: a rater who reverses more than this share of the repeated pairs is
            excluded. A tie is not a reversal. Raters who always press the same key reverse all
            pairs, since the sides are swapped.
        fewest_repeats: least number of repeated pairs with two answers for that rule.
        seconds: faster answers are excluded.
        fast_answers: a rater with more than this share of faster answers is excluded.

    Examples:
        >>> dpodiff.studies.Rules(seconds=1.0).failed_checks
        0.25
    """

    failed_checks: float = 0.25
    reversed_repeats: float = 0.5
    fewest_repeats: int = 2
    seconds: float = 0.4
    fast_answers: float = 0.2

    def __post_init__(self) -> None:
        for name in ("failed_checks", "reversed_repeats", "seconds", "fast_answers"):
            check_finite(name, getattr(self, name))
        check_whole("fewest_repeats", self.fewest_repeats, 1)


@dataclass(frozen=True)
class Conduct:
    """A rater's numbers for checks, repeats and time; `reason` is empty if the rater counts."""

    rater: str
    made_by: str
    answers: int
    checks: int
    failed: int
    repeats: int
    reversed: int
    fast: int
    median_seconds: float
    reason: str


def conduct(rater: "Rater", pairs: Mapping[str, Mapping[str, Any]], rules: Rules) -> Conduct:
    """Apply the rules to the answers of a rater.

    The rules of time do not apply to a function.
    """
    given = rater.answers
    checks = [(one.preferred, pairs[k]["expected"]) for k, one in given.items()]
    checks = [(said, right) for said, right in checks if right]
    failed = sum(said != right for said, right in checks)
    twice = [
        (given[pairs[k]["repeats"]], one)
        for k, one in given.items()
        if pairs[k]["repeats"] in given
    ]
    changed = sum({first.preferred, again.preferred} == {"a", "b"} for first, again in twice)
    fast = 0 if rater.made_by == "function" else sum(too_fast(rater, rules))
    reasons = []
    if not given:
        reasons.append("no answers")
    if checks and failed / len(checks) > rules.failed_checks:
        reasons.append(f"failed {failed} of {len(checks)} checks")
    if len(twice) >= rules.fewest_repeats and changed / len(twice) > rules.reversed_repeats:
        reasons.append(f"reversed {changed} of {len(twice)} repeats")
    if given and fast / len(given) > rules.fast_answers:
        reasons.append(f"{fast} of {len(given)} answers faster than {rules.seconds:g} s")
    times = sorted(one.seconds for one in given.values())
    return Conduct(
        rater=rater.name,
        made_by=rater.made_by,
        answers=len(given),
        checks=len(checks),
        failed=failed,
        repeats=len(twice),
        reversed=changed,
        fast=fast,
        median_seconds=times[len(times) // 2] if times else 0.0,
        reason=", ".join(reasons),
    )


def too_fast(rater: "Rater", rules: Rules) -> Iterable[bool]:
    """Return for each answer whether it was faster than the rules allow."""
    person = rater.made_by != "function"
    return [person and one.seconds < rules.seconds for one in rater.answers.values()]

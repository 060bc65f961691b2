"""Which raters and answers are left out, and why. State the rules before you see any answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_finite, check_whole

if TYPE_CHECKING:
    from dpodiff.studies.answers import Rater


@dataclass(frozen=True)
class Rules:
    """When a rater, or a single answer, is not counted.

    Attributes:
        failed_checks: a rater is left out who fails more than this share of the checks.
        reversed_repeats: a rater is left out who on more than this share of the repeated pairs
            first prefers the one image and then the other; a tie is no reversal. Who always
            presses the same key reverses all of them, since the sides are swapped.
        fewest_repeats: that a rater must have answered twice before that rule is applied.
        seconds: answers that took less time are left out.
        fast_answers: a rater is left out of whose answers more than this share took less time.

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
    """What a rater did with checks, repeats and time; `reason` is empty if the rater counts."""

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
    """Hold the answers of a rater against the rules.

    The seconds of a function are no thinking time, so the rules of time do not apply to it.
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
    """For each answer whether it took less time than the rules allow."""
    person = rater.made_by != "function"
    return [person and one.seconds < rules.seconds for one in rater.answers.values()]

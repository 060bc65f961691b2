"""Verification as the last part of a search, paid from the same budget.

The user's own prompt and the best candidate are scored on fresh seeds, as many as half of the
budget pays for. If these are too few for a proof, the result is not verified and says so.
"""

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dpodiff.checks import MOST_IMAGES, check_whole
from dpodiff.objective.cost import Budget
from dpodiff.results.comparison import Verification
from dpodiff.results.result import Result, describe, release
from dpodiff.results.statistics import FEWEST
from dpodiff.results.verification import LEVEL, check_seeds, verify

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss

PROMPTS = 2  # prompts to compare: the user's own and the best candidate
OFF = "verification was turned off"
ENDED_EARLY = {
    "stopped": "the search was stopped; dpodiff.verify(result) tests it",
    "failed": "the search failed; dpodiff.verify(result) tests what it found",
}


@dataclass(frozen=True)
class Plan:
    """The planned verification of a result.

    Attributes:
        seeds: number of fresh seeds; 0 for no verification.
        price: its price in evaluations, rounded up; the search gets the rest of the budget.
        why_not: the reason if there is no verification.
    """

    seeds: int = 0
    price: int = 0
    why_not: str = ""

    def left(self, budget: Budget) -> Budget:
        """Return the part of a budget that is left for the search."""
        return replace(budget, evaluations=budget.evaluations - self.price)


def planned(fresh: int | None, budget: Budget, seeds: int) -> Plan:
    """Plan a verification that takes at most half of a budget.

    Args:
        fresh: largest number of fresh seeds; 0 or None for no verification.
        budget: budget of the search and the verification together.
        seeds: number of seeds of the search, which make up an evaluation.

    Raises:
        ValueError: if the number of fresh seeds is out of its range.
    """
    if fresh is None:
        return Plan(why_not=OFF)
    check_whole("verify", fresh, most=MOST_IMAGES)
    if fresh == 0:
        return Plan(why_not=OFF)
    try:
        check_seeds(fresh, 1, LEVEL)
    except ValueError as error:
        raise ValueError(f"verify={fresh}: {error}; 0 turns verification off") from None
    paid = min(fresh, budget.evaluations // 2 * seeds // PROMPTS)
    if paid >= FEWEST:
        return Plan(paid, math.ceil(PROMPTS * paid / seeds))
    price = math.ceil(PROMPTS * FEWEST / seeds)
    return Plan(
        why_not=f"{FEWEST} fresh seeds cost {price} evaluations, more than half of the budget of "
        f"{budget.evaluations}; a larger budget, or dpodiff.verify(result), tests it"
    )


def accept(
    result: Result, plan: Plan, losses: "Mapping[str, Loss]", *, progress: bool = True
) -> Result:
    """Verify a result; keep it if it is proven better, else return the user's own prompt.

    If a verification is interrupted or fails, the result of the search is returned. Its status is
    "stopped" or "failed", and it is not verified.

    Args:
        result: result of a search of words.
        plan: plan of the verification.
        losses: second losses by name.
        progress: whether to show a progress bar on stderr.

    Returns:
        the verified result. Its `found` is the given result.

    Warns:
        UserWarning: if the verification failed, with its error.
    """
    if plan.why_not == OFF:
        return replace(result, unverified=OFF)
    if why_not := plan.why_not or ENDED_EARLY.get(result.status):
        return _kept(replace(result, unverified=why_not))
    start, before = time.monotonic(), replace(result.objective.cost)
    try:
        with result.objective.answers_in(result.trace):
            verification = verify(
                result, seeds=plan.seeds, finalists=1, losses=losses, progress=progress
            )
        final = _with_verdict(result, verification)
    except KeyboardInterrupt:
        final = replace(result, status="stopped", unverified="it was interrupted", search=result)
    except Exception as error:
        if result.trace.reading:
            raise  # the file holds all results so far
        final = _failed(result, error)
    final.cost = result.cost.plus(result.objective.cost.since(before))
    return _kept(final, time.monotonic() - start)


def _with_verdict(result: Result, verification: Verification) -> Result:
    chosen = verification.candidate
    record = next(record for record in result.trace.records if record.candidate == chosen)
    return replace(
        result,
        candidate=chosen,
        prompts=verification.prompts,
        losses=record.losses,
        verification=verification,
        search=result,
    )


def _failed(result: Result, error: Exception) -> Result:
    release(error)
    warnings.warn(
        f"the verification failed, so the result is not verified: {describe(error)}", stacklevel=6
    )
    why = f"it failed, {describe(error)}"
    return replace(result, status="failed", error=error, unverified=why, search=result)


def _kept(result: Result, seconds: float | None = None) -> Result:
    """Return the result with its verdict in the trace; `seconds` is the verification's time."""
    trace, made = result.trace, result.verification
    line = {"verdict": result.verdict} | ({} if made is None else made.to_json())
    try:
        trace.verify(line)
        if seconds is not None and trace.stamp is not None and trace.stamp.seconds is not None:
            reason = None if result.error is None else describe(result.error)
            trace.finish(result.status, trace.stamp.seconds + seconds, result.cost, reason)
    except OSError as error:
        result.error = result.error or error
        result.status = trace.status = "failed"
        trace.error = describe(result.error)
        warnings.warn(f"the verdict is not in the trace: {describe(error)}", stacklevel=6)
    return result

"""The summary of a sweep's table over prompts."""

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from dpodiff.results.statistics import Interval, paired_bootstrap
from dpodiff.results.verdicts import FEWEST

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Summary:
    """The summary of one solver.

    Attributes:
        solver: name of the solver in the table.
        jobs: number of jobs.
        failed: number of failed jobs.
        verified: number of verified results.
        accepted: number of results that were accepted as better.
        prompts: number of prompts in the mean change.
        change: change of the loss by the best candidate: the mean over the seeds of each prompt,
            and then the mean over prompts with its paired interval. None without prompts, and
            without an interval (equal ends) for a single one.
        fresh: whether all of it was measured on fresh seeds. If not, the change is biased: it
            includes seeds of the search, on which candidates were selected.

    Examples:
        >>> settings = {"budget": 2, "seeds": 1, "verify": 0, "progress": False}
        >>> table = dpodiff.sweep(["a red ball", "a blue car"], out="runs/two", **settings)
        >>> (found,) = dpodiff.sweeps.summary(table)
        >>> found.jobs, found.failed, found.verified, found.accepted, found.prompts
        (2, 0, 0, 0, 2)
    """

    solver: str
    jobs: int
    failed: int
    verified: int
    accepted: int
    prompts: int
    change: Interval | None
    fresh: bool

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        accepted = f"{self.accepted} of {self.verified} verified results accepted"
        first = f"{self.solver}: {self.jobs} jobs{failed}; {accepted}"
        if self.change is None:
            return first
        change, low, high = self.change
        ends = f" [{low:+.4f}, {high:+.4f}]" if self.prompts > 1 else ""
        seeds = "fresh seeds" if self.fresh else "the seeds of the search, so too good"
        many = "1 prompt" if self.prompts == 1 else f"{self.prompts} prompts"
        many += " (too few for a claim)" if self.prompts < FEWEST else ""
        return f"{first}; mean change {change:+.4f}{ends} over {many}, on {seeds}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        change = None if self.change is None else self.change._asdict()
        return {**self.__dict__, "change": change}


def summary(table: "pd.DataFrame") -> list[Summary]:
    """Return the summary of each solver over its prompts.

    Args:
        table: as `dpodiff.sweep` and `dpodiff.sweeps.read_table` return it.

    Examples:
        >>> settings = {"budget": 2, "seeds": 1, "verify": 0, "progress": False}
        >>> table = dpodiff.sweep(["a red ball", "a blue car"], out="runs/two", **settings)
        >>> [line.solver for line in dpodiff.sweeps.summary(table)]
        ['epo']
    """
    return [_of_one(str(solver), rows) for solver, rows in table.groupby("solver", sort=False)]


def _of_one(solver: str, rows: "pd.DataFrame") -> Summary:
    done = rows.dropna(subset=["change"])
    changes: dict[Any, list[float]] = {}
    for id, prompt, change in zip(done["prompt_id"], done["prompt"], done["change"]):
        changes.setdefault((id, prompt), []).append(change)
    verified = int(done["accepted"].count())
    return Summary(
        solver=solver,
        jobs=len(rows),
        failed=int((rows["status"] == "failed").sum()),
        verified=verified,
        accepted=int(done["accepted"].sum()),
        prompts=len(changes),
        change=_interval([mean(several) for several in changes.values()]),
        fresh=verified == len(done),
    )


def _interval(changes: list[float]) -> Interval | None:
    if len(changes) > 1:
        return paired_bootstrap(changes)
    return Interval(changes[0], changes[0], changes[0]) if changes else None

"""The outcome of a verification: the comparison of each finalist, and the verdict."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpodiff.results.statistics import Interval
from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    from dpodiff.objective.objective import Task

SEARCHED = "loss"  # name of the searched loss
ACCEPTED = {"improve": "better", "attack": "worse"}
REFUSED = {
    "improve": "not proven better: keep your prompt",
    "attack": "not proven worse: the attack failed",
}


@dataclass(frozen=True)
class Comparison:
    """The comparison of a candidate with the user's prompt on fresh seeds.

    Attributes:
        candidate: a finalist of the search.
        before: mean loss of the user's prompt.
        after: mean loss of the candidate.
        changes: after minus before with its interval, by the name of the loss.
        task: task of the search: "improve" needs changes below zero, "attack" above.

    Examples:
        >>> from dpodiff.results.statistics import Interval
        >>> from dpodiff.results.comparison import Comparison
        >>> Comparison((1, 0), 0.31, 0.27, {"loss": Interval(-0.04, -0.06, -0.02)}).proven
        True
    """

    candidate: Candidate
    before: float
    after: float
    changes: Mapping[str, Interval]
    task: "Task" = "improve"

    @property
    def proven(self) -> bool:
        """Whether every interval is on the right side of zero."""
        if self.task == "attack":
            return all(change.low > 0 for change in self.changes.values())
        return all(change.high < 0 for change in self.changes.values())

    def __str__(self) -> str:
        changes = [
            f"{'change' if name == SEARCHED else name} {mean:+.4f} [{low:+.4f}, {high:+.4f}]"
            for name, (mean, low, high) in self.changes.items()
        ]
        return f"loss {self.before:.4f} -> {self.after:.4f}, {', '.join(changes)}"


@dataclass(frozen=True)
class Verification:
    """The outcome of `verify`.

    Attributes:
        accepted: whether a candidate is proven better than the user's prompt, or worse for an
            attack.
        candidate: the accepted candidate, or else the user's prompt.
        prompts: prompts of that candidate.
        comparisons: comparisons of all finalists, the best first.
        seeds: the fresh seeds; empty if there was nothing to test.
        evaluations: price of the images, in evaluations of the search.
        task: task of the search.

    Examples:
        >>> identity = (0, 0)
        >>> prompts = dpodiff.Prompts("a red ball", "")
        >>> print(dpodiff.Verification(False, identity, prompts, (), (4, 5), 0.0))
        not proven better: keep your prompt (the search found nothing better)
    """

    accepted: bool
    candidate: Candidate
    prompts: Prompts
    comparisons: tuple[Comparison, ...]
    seeds: tuple[int, ...]
    evaluations: float
    task: "Task" = "improve"

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON; "prompts" holds both texts and the settings."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        comparisons = [dataclasses.asdict(comparison) for comparison in self.comparisons]
        own = self.prompts
        prompts = {"prompts": list(own), "guidance": own.guidance, "window": own.window}
        return fields | prompts | {"comparisons": comparisons}

    def __str__(self) -> str:
        if not self.comparisons:
            return f"{REFUSED[self.task]} (the search found nothing {ACCEPTED[self.task]})"
        best = f"{self.comparisons[0]} on {len(self.seeds)} fresh seeds"
        if self.accepted:
            return f"{ACCEPTED[self.task]}: {best}"
        return f"{REFUSED[self.task]} (best found: {best})"

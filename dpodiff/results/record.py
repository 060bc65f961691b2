"""One line of a search: a candidate, its losses, and the state of the search after it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dpodiff.objective.evaluation import mean
from dpodiff.spaces.space import Candidate

Status = Literal["budget", "exhausted", "stopped", "seconds", "failed"]  # why a search ended


def loss_text(before: tuple[float, ...], after: tuple[float, ...]) -> str:
    """Return the mean losses before and after a search, with the number of its seeds."""
    seeds = "1 seed" if len(before) == 1 else f"{len(before)} seeds"
    return f"{mean(before):.4f} -> {mean(after):.4f} on the search's {seeds}"


@dataclass(frozen=True)
class Record:
    """One evaluated candidate or noise of a search, and the state of the search after it.

    Attributes:
        losses: one per seed; empty if the candidate was rejected.
        value: value that the solver minimizes: the mean loss, or its negative for an attack, plus
            the mean penalty of the noise.
        best: the lowest value so far; if noise is searched, the mean over seeds of the lowest ones.
        evaluations: number of evaluations so far.
        images: number of images so far.
        denoiser_forwards: number of rows that the denoiser has evaluated so far.
        spent: price of all work so far, in evaluations (see `Cost`).
        seconds: time since the search began.
        guidance: guidance of the candidate; None is the model's default.
        window: shares of the steps between which the negative prompt acts; None is all steps.

    Examples:
        >>> gray = dpodiff.BlackBox(lambda *job: np.full((8, 8, 3), 0.5))
        >>> settings = {"model": gray, "loss": "white", "space": "nplib", "progress": False}
        >>> result = dpodiff.improve("a red ball", budget=1, seeds=2, **settings)
        >>> record = result.trace.records[0]
        >>> record.positive, record.losses, record.best
        ('a red ball', (-0.5, -0.5), -0.5)
    """

    index: int
    candidate: Candidate
    positive: str
    negative: str
    losses: tuple[float, ...]
    value: float
    best: float
    evaluations: int
    images: int
    denoiser_forwards: int
    spent: float
    seconds: float
    solver: str
    guidance: float | None = None
    window: tuple[float, float] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Record":
        """Return the record in a line of a trace file."""
        losses = tuple(math.nan if loss is None else loss for loss in data["losses"])
        value, best = (math.inf if data[k] is None else data[k] for k in ("value", "best"))
        window = data.get("window")  # missing in older files
        fields = dict(data, window=None if window is None else tuple(window))
        fields.update(candidate=tuple(data["candidate"]), losses=losses, value=value, best=best)
        return cls(**fields)

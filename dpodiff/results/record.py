"""One line of a search: a candidate, its losses, and where the search stood after it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dpodiff.spaces.space import Candidate

Status = Literal["budget", "exhausted", "stopped", "seconds", "failed"]  # why a search ended


@dataclass(frozen=True)
class Record:
    """One candidate of a search, or one noise of it, and where the search stood after it.

    Attributes:
        losses: one a seed; none if the candidate was rejected.
        value: what the solver minimizes: the mean loss, or its negative for an attack, and the mean
            penalty of the noise.
        best: the lowest value so far; where noise is searched, the mean of the lowest a seed.
        evaluations, images, denoiser_forwards: made so far by this search.
        spent: the price of all work so far, in evaluations (see `Cost`).
        seconds: since the search began.
        guidance: of the candidate; None is the model's own.
        window: shares of the steps between which its negative prompt acts; None is all steps.

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
        """The record of one line of a trace file."""
        losses = tuple(math.nan if loss is None else loss for loss in data["losses"])
        value, best = (math.inf if data[k] is None else data[k] for k in ("value", "best"))
        window = data.get("window")  # older files have none
        fields = dict(data, window=None if window is None else tuple(window))
        fields.update(candidate=tuple(data["candidate"]), losses=losses, value=value, best=best)
        return cls(**fields)

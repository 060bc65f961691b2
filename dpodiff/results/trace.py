"""What a search leaves behind: a stamp, one record a candidate, and the result.

A trace file is JSON Lines, written as the search runs, so a run that dies keeps what it has:

    {"stamp": {"parameters": ..., "commit": ..., "device": ..., "versions": ..., "time": ...}}
    {"index": 0, "candidate": [0, 0], "positive": ..., "losses": [...], "value": ..., ...}
    {"index": 1, ...}
    {"step": {"kind": "gradient", "value": ..., "probabilities": [...], "spent": ...}}
    {"end": {"status": "budget", "seconds": ..., "cost": {...}}}
    {"verification": {"verdict": "better: ...", "accepted": true, "comparisons": [...], ...}}
    {"end": {"status": "budget", "seconds": ..., "cost": {...}}}

A verified search has a second end, of search and verification together. The end of a search that
failed has its "error" too. The file is begun when the baseline is evaluated, so a search that is
refused, or fails before that, leaves an older file as it is.

JSON has no NaN and no infinity: both are written as null, and a null loss is read back as NaN.
"""

import json
import math
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dpodiff.objective.evaluation import mean
from dpodiff.results.stamp import Stamp
from dpodiff.spaces.space import Candidate

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.objective.cost import Cost

Status = Literal["budget", "exhausted", "stopped", "seconds", "failed"]


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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Record":
        """The record of one line of a trace file."""
        losses = tuple(math.nan if loss is None else loss for loss in data["losses"])
        value, best = (math.inf if data[k] is None else data[k] for k in ("value", "best"))
        fields = dict(data)
        fields.update(candidate=tuple(data["candidate"]), losses=losses, value=value, best=best)
        return cls(**fields)


class Trace:
    """The records of one search, in memory and, given a path, in a file as they come.

    Args:
        path: of the trace file. An existing one is replaced once the baseline is evaluated.

    Attributes:
        records: one a candidate, in order.
        steps: one a gradient or preview, in order: its "kind", "value" (the best of it), what the
            solver believed after it, "spent" and "seconds" so far.
        stamp: of the search, once it started.
        status: why the search ended; None while it runs, and for ever if it was killed.
        error: type and text of the error, if the search failed.
        cost: at the end, by name.
        verification: of the result, by name; empty if there was none.

    Examples:
        >>> gray = dpodiff.BlackBox(lambda *job: np.full((8, 8, 3), 0.5))
        >>> settings = {"model": gray, "loss": "white", "space": "nplib", "progress": False}
        >>> result = dpodiff.improve("a red ball", budget=3, trace="run.jsonl", **settings)
        >>> trace = dpodiff.Trace.load("run.jsonl")
        >>> trace
        Trace(3 records, status='budget', path=run.jsonl)
        >>> trace.frame()["loss"].tolist()
        [-0.5, -0.5, -0.5]
    """

    def __init__(self, path: str | os.PathLike | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.records: list[Record] = []
        self.steps: list[dict[str, Any]] = []
        self.stamp: Stamp | None = None
        self.status: Status | None = None
        self.error: str | None = None
        self.cost: dict[str, float] = {}
        self.verification: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Trace({len(self.records)} records, status={self.status!r}, path={self.path})"

    @property
    def verdict(self) -> str | None:
        """What the verification said, in a line; None if there was none."""
        return self.verification.get("verdict")

    def check(self) -> None:
        """See that a search can be written to it; changes nothing.

        Raises:
            ValueError: if it holds a search already, or the path is a folder.
            OSError: if the file cannot be written.
        """
        if self.stamp is not None:
            raise ValueError(f"{self!r} already holds a search: give each search its own trace")
        if self.path is None:
            return
        if self.path.is_dir():
            raise ValueError(f"the trace {self.path} is a folder; give the path of a file")
        existing = (p for p in (self.path, *self.path.absolute().parents) if p.exists())
        place = next(existing)
        if place != self.path and not place.is_dir():
            raise NotADirectoryError(f"the trace {self.path} cannot be written: {place} is a file")
        if not os.access(place, os.W_OK):
            raise PermissionError(f"the trace {self.path} cannot be written")

    def start(self, stamp: Stamp) -> None:
        """Open the trace with its stamp.

        Raises:
            ValueError, OSError: as `check`.
        """
        self.check()
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("")
        self._write({"stamp": asdict(stamp)})
        self.stamp = stamp

    def append(self, record: Record) -> None:
        """Add a record, and write it at once."""
        self.records.append(record)
        self._write(asdict(record))

    def note(self, step: dict[str, Any]) -> None:
        """Add a gradient or a preview, and write it at once."""
        self.steps.append(step)
        self._write({"step": step})

    def verify(self, verification: Mapping[str, Any]) -> None:
        """Add what the verification said: its "verdict", and the fields of `Verification`."""
        self.verification = dict(verification)
        self._write({"verification": self.verification})

    def finish(
        self, status: Status, seconds: float, cost: "Cost", error: str | None = None
    ) -> None:
        """Close the trace with the reason the search ended and what it cost.

        Args:
            status: why the search ended.
            seconds: since it began.
            cost: of this search.
            error: type and text of the error, if it failed.
        """
        self.status, self.cost, self.error = status, asdict(cost), error
        if self.stamp is None:
            return  # it could not even be opened
        self.stamp.seconds = seconds
        end = {"status": status, "seconds": seconds, "cost": self.cost}
        self._write({"end": end if error is None else end | {"error": error}})

    def frame(self) -> "pd.DataFrame":
        """One row a record, with the mean loss over the seeds as `loss`."""
        import pandas as pd

        frame = pd.DataFrame([asdict(r) | {"loss": mean(r.losses)} for r in self.records])
        return frame.set_index("index") if self.records else frame

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Trace":
        """Read a trace file. A last line cut short by a killed run is left out with a warning.

        Raises:
            ValueError: naming the line, if any other one cannot be read.
        """
        trace = cls(path)
        lines = Path(path).read_bytes().splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                trace._read(json.loads(line))
            except (ValueError, RecursionError) as error:
                if number < len(lines):
                    raise ValueError(f"{path}, line {number}: not JSON: {error}") from None
                warnings.warn(f"{path}: its last line is cut short, left out", stacklevel=2)
            except (AttributeError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not of a trace: {error!r}") from None
        return trace

    def _read(self, data: dict[str, Any]) -> None:
        if "stamp" in data:
            self.stamp = Stamp(**data["stamp"])
        elif "step" in data:
            self.steps.append(data["step"])
        elif "verification" in data:
            self.verification = dict(data["verification"])
        elif "end" in data:
            end = data["end"]
            if self.stamp is None:
                raise KeyError("stamp")  # which comes first
            self.status, self.cost, self.stamp.seconds = end["status"], end["cost"], end["seconds"]
            self.error = end.get("error")
        else:
            self.records.append(Record.from_json(data))

    def _write(self, data: Mapping[str, Any]) -> None:
        if self.path is not None:
            line = json.dumps(_finite(data), allow_nan=False)  # ASCII: no odd line break inside
            _append(self.path, f"{line}\n".encode("ascii"))


def _append(path: Path, line: bytes) -> None:
    """Add a line to a file, all of it or, where the disk is full, none of it."""
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[file.write(line) :]
        except OSError:
            with suppress(OSError):  # a device has no length
                file.truncate(before)
            raise


def _finite(data: Any) -> Any:
    """JSON-ready data with every number that is not finite replaced by None."""
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data

"""The trace of a search: a stamp, one record per candidate, and the result.

A trace file has JSON lines, which are written during the search and survive a crash:

    {"stamp": {"parameters": ..., "commit": ..., "device": ..., "versions": ..., "time": ...}}
    {"answer": {"kind": "losses", "question": [...], "losses": [[...]], "seconds": ..., ...}}
    {"index": 0, "candidate": [0, 0], "positive": ..., "losses": [...], "value": ..., ...}
    {"index": 1, ...}
    {"answer": {"kind": "gradient", "question": [...], "value": ..., "gradients": [...], ...}}
    {"step": {"kind": "gradient", "value": ..., "probabilities": [...], "spent": ...}}
    {"resumed": {"parameters": {"budget": ...}, "commit": ..., "device": ..., "time": ..., ...}}
    {"end": {"status": "budget", "seconds": ..., "cost": {...}}}
    {"answer": {"kind": "fresh losses", ...}}
    {"verification": {"verdict": "better: ...", "accepted": true, "comparisons": [...], ...}}
    {"end": {"status": "budget", "seconds": ..., "cost": {...}}}

An answer is a question to the model, in short form, and its result (`dpodiff.objective.journal`).
The gradient of a noise is stored beside the file, in `trace.jsonl.tensors/000012.safetensors` for
line 12. A continued search reads the answers, and writes the line "resumed" before it writes more.

A verified search has a second end, for search and verification together, and a continued one may
have more: the last one counts. The end of a failed search also has its "error". The file is created
when the first images are scored. So a search that is refused, or fails before that, leaves an older
file unchanged.

JSON has no NaN and no infinity: both are written as null, and a null loss is read as NaN.
"""

import math
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpodiff.objective.evaluation import mean
from dpodiff.objective.journal import Answer, Journal
from dpodiff.results.html import best_records
from dpodiff.results.log import Line, Log, as_line
from dpodiff.results.record import Record, Status
from dpodiff.results.replay import Replay, check_lines, kind_of
from dpodiff.results.stamp import Stamp
from dpodiff.results.tensors import Tensors
from dpodiff.spaces.json_file import write_text

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.objective.cost import Cost


class Trace(Journal):
    """The records of one search, in memory and, with a path, in a file.

    If the file holds an interrupted search with the same settings, the search continues: recorded
    results are read, no recorded image is made again, and the result is the same as without the
    interruption. For a finished search its result is returned.

    Args:
        path: path of the trace file.
        overwrite: whether to replace an existing file, once the first images are scored.
        settings: further settings for the stamp, ready for JSON.

    Attributes:
        records: one per candidate, in order.
        steps: one per gradient or preview, in order: its "kind", "value" (the best one), the state
            of the solver after it, "spent" and "seconds" so far.
        stamp: stamp of the search, once it has started.
        status: why the search ended; None while it runs, and after it was killed.
        error: type and text of the error of a failed search.
        cost: cost at the end, by name.
        verification: content of the verification; empty if there was none.

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

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        *,
        overwrite: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.overwrite, self.settings = overwrite, dict(settings or {})
        self.records: list[Record] = []
        self.steps: list[dict[str, Any]] = []
        self.stamp: Stamp | None = None
        self.status: Status | None = None
        self.error: str | None = None
        self.cost: dict[str, float] = {}
        self.verification: dict[str, Any] = {}
        self._kept: list[str] = []  # lines of a trace without a file
        self._log = None if self.path is None else Log(self.path)
        self._new: Stamp | None = None  # of the search that is about to start or continue
        self._replay: Replay | None = None  # None once something is written
        self._lines = 0

    def __repr__(self) -> str:
        return f"Trace({len(self.records)} records, status={self.status!r}, path={self.path})"

    def _repr_html_(self) -> str:
        return best_records(self.records, repr(self))

    @property
    def verdict(self) -> str | None:
        """The verdict of the verification in one line; None if there was none."""
        return self.verification.get("verdict")

    def check(self) -> None:
        """Check that a search can be written to it; this changes nothing.

        Raises:
            ValueError: if it already holds a search, or the path is a folder.
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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside the block, no other process may write the file.

        Raises:
            ValueError, OSError: as in `check`; BlockingIOError if another search is writing it.
        """
        self.check()
        with nullcontext() if self._log is None else self._log.locked():
            yield

    def open(self, stamp: Stamp) -> None:
        """Start a search, or continue the one in the file; this writes nothing.

        Raises:
            ValueError, OSError: as in `check`. Also ValueError if the file is not a trace, or holds
                a search with other settings, which the message names.

        Warns:
            UserWarning: if the last line is incomplete; it is dropped.
        """
        self.check()
        self._new = stamp
        if self._log is None or self.overwrite or self._log.is_empty:
            return
        lines, rest = self._log.read()
        if not lines and rest.startswith(b'{"stamp"'):
            return  # the file has only a part of the stamp
        self._replay = _replay(self._log.path, lines)
        self._replay.check(stamp.parameters)
        if rest:
            warnings.warn(f"{self.path}: its last line is cut short, left out", stacklevel=4)
        self._log.mend(rest)
        self.stamp, self._lines = self._replay.stamp, len(lines)

    @property
    def reading(self) -> bool:
        """Whether there are lines to read before the search continues."""
        return bool(self._replay)

    @property
    def progress(self) -> str:
        """Description of the lines to read."""
        return "" if self._replay is None else f"{self._replay.progress} from {self.path}"

    @property
    def ended(self) -> Status | None:
        """The status with which the search ended here, if its verification is read next."""
        return self._replay.ended if self._replay else None

    @property
    def seconds(self) -> float:
        """Seconds of the search before it was interrupted."""
        return self._replay.seconds if self._replay is not None else 0.0

    def recall(self, kind: str, question: Sequence[str]) -> Answer | None:
        """Return the next recorded answer; see `dpodiff.objective.journal`."""
        if not self._replay:
            return None
        data = self._replay.next("answer", what := f"the question {kind!r}")
        asked = data["question"]
        if data["kind"] != kind or asked != list(question[: len(asked)]):
            raise self._replay.differs(what)
        name = data.get("tensors")
        tensors = {} if name is None else Tensors(self._replay.path).load(name)
        self._replay.done()
        return Answer(_with_nan(data), tensors)

    def keep(self, kind: str, question: Sequence[str], answer: Answer) -> None:
        """Write an answer at once."""
        if self._log is None:
            return
        self._begin()
        line = {"kind": kind, "question": list(question), **answer.data}
        if answer.tensors:
            line["tensors"] = Tensors(self._log.path).save(self._lines + 1, answer.tensors)
        self._write({"answer": line})

    def append(self, record: Record) -> Record:
        """Write a record at once and return it, or return the recorded one."""
        if not self._replay:
            self.records.append(record)
            self._begin()
            self._write(asdict(record))
            return record
        what = f"record {record.index}"
        recorded: Record = self._replay.next("record", what)
        if (recorded.candidate, recorded.index) != (record.candidate, record.index):
            raise self._replay.differs(what)
        self._replay.done()
        self.records.append(recorded)
        return recorded

    def note(self, step: dict[str, Any]) -> None:
        """Write a gradient or a preview at once."""
        if self._replay:
            self.steps.append(self._replay.next("step", f"the step {step['kind']!r}"))
            self._replay.done()
        else:
            self.steps.append(step)
            self._begin()
            self._write({"step": step})

    def verify(self, verification: Mapping[str, Any]) -> None:
        """Add a verification: its "verdict", and the fields of `Verification`."""
        self.verification = dict(verification)
        known = {} if self._replay is None else self._replay.verification
        if not self.reading and known.get("verdict") != self.verification["verdict"]:
            self._write({"verification": self.verification}, sync=True)

    def finish(
        self, status: Status, seconds: float, cost: "Cost", error: str | None = None
    ) -> None:
        """Close the trace with the reason for the end and the cost.

        Args:
            status: why the search ended.
            seconds: time since it began.
            cost: cost of this search.
            error: type and text of the error, if it failed.
        """
        self.status, self.cost, self.error = status, asdict(cost), error
        if self.stamp is None:
            return  # the file was never opened
        self.stamp.seconds = seconds
        if self.reading:
            return  # the file has more lines than this run has asked for
        if self._replay is not None and self._replay.end.get("status") == status:
            self.cost, self.stamp.seconds = self._replay.end["cost"], self._replay.seconds
            return  # it is written already
        end = {"status": status, "seconds": seconds, "cost": self.cost}
        self._write({"end": end if error is None else end | {"error": error}}, sync=True)

    def save(self, path: str | os.PathLike) -> None:
        """Write the trace to another file; does nothing for its own path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.path is None:
            write_text(path, "".join(self._kept))
        elif not path.exists() or not path.samefile(self.path):
            shutil.copyfile(self.path, path)
            Tensors(self.path).copy(path)

    def frame(self) -> "pd.DataFrame":
        """Return one row per record, with the mean loss over the seeds as `loss`."""
        import pandas as pd

        frame = pd.DataFrame([asdict(r) | {"loss": mean(r.losses)} for r in self.records])
        return frame.set_index("index") if self.records else frame

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Trace":
        """Read a trace file. An incomplete last line of a killed run is dropped with a warning.

        Raises:
            ValueError: if another line cannot be read; the message names it.
        """
        trace, log = cls(path), Log(Path(path))
        lines, rest = log.read()
        if rest:
            warnings.warn(f"{path}: its last line is cut short, left out", stacklevel=2)
        check_lines(log.path, lines)
        for number, line in enumerate(lines, start=1):
            try:
                trace._read(line)
            except (AttributeError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not of a trace: {error!r}") from None
        return trace

    def _read(self, line: Line) -> None:
        match kind_of(line):
            case "stamp":
                self.stamp = Stamp(**line["stamp"])
            case "resumed":
                self.status, self.error, self.cost, self.verification = None, None, {}, {}
            case "step":
                self.steps.append(line["step"])
            case "verification":
                self.verification = dict(line["verification"])
            case "end" if self.stamp is not None:
                end = line["end"]
                self.status, self.cost = end["status"], end["cost"]
                self.stamp.seconds, self.error = end["seconds"], end.get("error")
            case "record":
                self.records.append(Record.from_json(line))

    def _begin(self) -> None:
        """Write the stamp of a new search, or the line of a continued one."""
        new, self._new = self._new, None
        if new is None:
            return
        replay, self._replay = self._replay, None
        if replay is not None:
            replay.warn_of_changes(new)
            self._write({"resumed": asdict(new) | {"parameters": replay.may_grow(new)}})
            return
        self.stamp = new
        if self._log is not None:
            self._log.clear()
            Tensors(self._log.path).clear()
        self._write({"stamp": asdict(new)}, sync=True)

    def _write(self, line: Mapping[str, Any], *, sync: bool = False) -> None:
        if self._log is not None:
            self._log.append(line, sync=sync)
            self._lines += 1
        else:
            self._kept.append(as_line(line))


def _replay(path: Path, lines: list[Line]) -> Replay:
    try:
        return Replay(path, lines)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a trace that can go on: {error!r}") from None


def _with_nan(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with NaN in the place of null losses."""
    if "losses" not in answer:
        return dict(answer)
    rows = [_row(one) if isinstance(one, list) else one for one in answer["losses"]]
    return {**answer, "losses": _row(rows)}


def _row(numbers: list[Any]) -> list[Any]:
    return [math.nan if number is None else number for number in numbers]

"""The content of a trace file for a continued search: its settings, and its lines in order."""

import json
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpodiff.objective.journal import FRESH
from dpodiff.results.log import Line, finite
from dpodiff.results.record import Record, Status
from dpodiff.results.stamp import Stamp

# Settings that change the speed or the end of a search, but not its candidates.
FREE = {"batch_size", "budget.seconds"}
# Settings that may increase before the first fresh seed is used.
BUDGET, FRESH_SEEDS = "budget.evaluations", "fresh_seeds"
SHOWN = 60  # characters of a value in an error


class Replay:
    """The lines of a trace file, which are read one by one.

    Args:
        path: path of the file, for errors.
        lines: lines of the file.

    Attributes:
        stamp: stamp of the search, with the largest budget so far.
        end: the last end, if it is the last line; else empty.
        verification: the verification after the last end; else empty.
        seconds: time that the search has taken.

    Raises:
        ValueError: if the lines do not belong to one search.
    """

    def __init__(self, path: Path, lines: Sequence[Line]) -> None:
        self.path = path
        check_lines(path, lines)
        self.stamp = Stamp(**lines[0]["stamp"])
        self.end: Line = {}
        self.verification: Line = {}
        self.seconds = 0.0
        self._search_end: Status | None = None
        self._left: deque[tuple[int, str, Any]] = deque()
        for number, line in enumerate(lines[1:], start=2):
            self._take(number, line)

    def _take(self, number: int, line: Line) -> None:
        kind = kind_of(line)
        if kind == "resumed":
            self.stamp.parameters |= line["resumed"]["parameters"]
        elif kind == "verification":
            self.verification = line["verification"]
        elif kind == "end":
            self.end, self.seconds = line["end"], line["end"]["seconds"]
        else:
            self._take_event(number, kind, line)

    def _take_event(self, number: int, kind: str, line: Line) -> None:
        """Take a line that the search will ask for."""
        if kind == "record":
            body = Record.from_json(line)
            self.seconds = body.seconds
        else:
            body = line[kind]
            self.seconds = body["seconds"] if kind == "step" else self.seconds
        if _is_fresh(kind, body) and self._search_end is None:
            self._search_end = self.end.get("status")
        self.end, self.verification = {}, {}
        self._left.append((number, kind, body))

    def __bool__(self) -> bool:
        """Return whether there are lines left."""
        return bool(self._left)

    @property
    def progress(self) -> str:
        """Progress of the recorded search, in words."""
        records = [body for _, kind, body in self._left if kind == "record"]
        spent = records[-1].spent if records else 0.0
        return f"{len(records)} candidates ({spent:.1f} evaluations) are read back"

    @property
    def ended(self) -> Status | None:
        """The status with which the search ended here, if its verification comes next."""
        if not self._left:
            return None
        _, kind, body = self._left[0]
        return self._search_end if _is_fresh(kind, body) else None

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Refuse to continue with other settings.

        Raises:
            ValueError: if settings differ; the message names them.
        """
        recorded, given = _flat(self.stamp.parameters), _flat(json.loads(_json(parameters)))
        free = set(FREE)
        if self._search_end is None and recorded.get(BUDGET, 0) <= given.get(BUDGET, 0):
            free |= {BUDGET, FRESH_SEEDS}
        keys = [key for key in dict.fromkeys([*recorded, *given]) if key not in free]
        differ = [key for key in keys if recorded.get(key) != given.get(key)]
        if not differ:
            return
        listed = [
            f"{key} is {_shown(recorded.get(key))} there and {_shown(given.get(key))} here"
            for key in differ
        ]
        more = f", and {len(listed) - 3} more differ" if len(listed) > 3 else ""
        raise ValueError(
            f"{self.path} has a search of other settings: {'; '.join(listed[:3])}{more}. "
            "Give this search its own trace, or replace that one (overwrite=True, --overwrite)"
        )

    @staticmethod
    def may_grow(now: Stamp) -> dict[str, Any]:
        """Return the settings that may be larger than before."""
        return {k: v for k, v in now.parameters.items() if k in ("budget", FRESH_SEEDS)}

    def warn_of_changes(self, now: Stamp) -> None:
        """Warn about settings that differ from those at the start of the search."""
        before, after = (dict(one.versions, device=one.device) for one in (self.stamp, now))
        changed = [k for k in after if before.get(k) != after[k]]
        if changed:
            listed = ", ".join(f"{k} {after[k]} instead of {before.get(k)}" for k in changed)
            warnings.warn(
                f"{self.path} continues with {listed}: the last digits may differ from those "
                "without an interruption",
                stacklevel=2,
            )

    def next(self, kind: str, what: str) -> Any:
        """Return the next line of a kind, as a `Record` or as data.

        Args:
            kind: "answer", "record" or "step".
            what: the current question or candidate, for the error.

        Raises:
            ValueError: if the next line is of another kind.
        """
        _, found, body = self._left[0]
        if found != kind:
            raise self.differs(what)
        return body

    def done(self) -> None:
        """Go to the next line."""
        self._left.popleft()

    def differs(self, what: str) -> ValueError:
        """Return the error for a search that differs from the recorded one."""
        number, kind, body = self._left[0]
        recorded = f"the answer to {body['kind']!r}" if kind == "answer" else f"a {kind}"
        return ValueError(
            f"{self.path}, line {number}: the search is at {what}, where {recorded} is recorded. "
            "Package, functions or words have changed since, or the objective was used before; "
            "the file is unchanged"
        )


def kind_of(line: Line) -> str:
    """Return the kind of a line, such as "stamp", "answer", "record" or "end"."""
    kinds = ("stamp", "resumed", "answer", "step", "end", "verification")
    return next((kind for kind in kinds if kind in line), "record")


def check_lines(path: Path, lines: Sequence[Line]) -> None:
    """Check that lines belong to one search.

    Raises:
        ValueError: if the first line is not a stamp, or another line is one.
    """
    if not lines or "stamp" not in lines[0]:
        raise ValueError(f"{path}, line 1: a trace begins with its stamp, and this has none")
    for number, line in enumerate(lines[1:], start=2):
        if "stamp" in line:
            raise ValueError(f"{path}, line {number}: a second stamp: two traces in one file")


def _is_fresh(kind: str, body: Any) -> bool:
    return kind == "answer" and body["kind"] == FRESH


def _json(data: Any) -> str:
    return json.dumps(finite(data))


def _flat(data: Any, name: str = "") -> dict[str, Any]:
    """Return settings by dotted names."""
    found: dict[str, Any] = {}
    for key, value in _items(data):
        inner = f"{name}.{key}" if name else str(key)
        found |= _flat(value, inner) if isinstance(value, dict | list) and value else {inner: value}
    return found


def _items(data: Any) -> Iterator[tuple[Any, Any]]:
    return iter(data.items()) if isinstance(data, dict) else enumerate(data)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

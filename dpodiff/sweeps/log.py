"""Jobs whose results are kept in a folder as they come, and are never run again.

Each process that runs jobs writes a file of its own, `jobs-HOST-PID.jsonl`: a stamp, then a line a
job.

    {"stamp": {"parameters": ..., "commit": ..., "device": ..., "versions": ..., "time": ...}}
    {"job": [0, "epo"], "value": {...}, "error": null, "attempts": 1, "seconds": 2.1}
    {"job": [1, "epo"], "value": null, "error": "ValueError: ...", "traceback": "...", ...}

The files of several machines are brought together by putting them into one folder. A last line that
is cut, by a kill, is no line. JSON has no NaN and no infinity: both become null.
"""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dpodiff.results.log import Log as Lines
from dpodiff.results.result import describe
from dpodiff.results.stamp import Stamp
from dpodiff.spaces.json_file import finite
from dpodiff.sweeps.folders import check_same, locked
from dpodiff.sweeps.jobs import Job, Run
from dpodiff.sweeps.running import Outcome, Where, check_places, outcomes

FILES = "jobs-*.jsonl"
ADVICE = "take another folder, or replace what it has with overwrite=True"


@dataclass(frozen=True)
class Entry:
    """What a folder says of a job.

    Attributes:
        job: the arguments of `run`.
        value: that `run` returned, as JSON keeps it; None if the job failed.
        error: type and text of the error; None if the job succeeded.
        attempts: how often it was tried.
        seconds: that the last attempt took.

    Examples:
        >>> def run(number):
        ...     return {"square": number**2}
        >>> (entry,) = dpodiff.sweeps.run_jobs(run, [(3,)], "runs/squares", progress=False)
        >>> entry.job, entry.value, entry.error, entry.attempts
        ((3,), {'square': 9}, None, 1)
    """

    job: Job
    value: Any
    error: str | None
    attempts: int
    seconds: float


def run_jobs(
    run: Run,
    jobs: Sequence[Job],
    out: str | os.PathLike,
    *,
    settings: Mapping[str, Any] | None = None,
    on: Where = "here",
    workers: int | None = None,
    retries: int = 1,
    address: str | None = None,
    gpus: float = 0,
    overwrite: bool = False,
    progress: bool = True,
    each: Callable[[Outcome], None] | None = None,
) -> list[Entry]:
    """Run those of the jobs that a folder has no result of, and keep each result as it comes.

    It may be killed at any moment, and goes on where it was when it is called again. Jobs that
    failed are then run again.

    Args:
        run: called with the arguments of a job; returns what JSON can hold, such as a dictionary.
        jobs: tuples of strings, numbers, booleans and None, all different.
        out: folder of the results.
        settings: what all jobs share, as JSON can hold it; a folder has one set of them.
        on, workers, retries, address, gpus: as in `outcomes`.
        overwrite: whether to begin again with an empty folder.
        progress: whether to show a progress bar on stderr.
        each: called with each outcome after it is written.

    Returns:
        what the folder says of the jobs, in their order.

    Raises:
        ValueError: if an argument is out of its range, two jobs are equal, the folder was begun
            with other settings, naming them, or holds a file that is none of `run_jobs`.
        RuntimeError: if another process is writing the folder; or as `outcomes`.

    Examples:
        >>> def run(number):
        ...     return {"square": number**2}
        >>> jobs = [(number,) for number in range(3)]
        >>> entries = dpodiff.sweeps.run_jobs(run, jobs, "runs/squares", progress=False)
        >>> [entry.value["square"] for entry in entries]
        [0, 1, 4]
    """
    check_places(on, workers, retries, address, gpus)
    if len(set(jobs)) < len(jobs):
        raise ValueError("two of the jobs are equal; each needs arguments of its own")
    folder, stamp = Path(out), Stamp.collect(settings or {})
    with locked(folder):
        if overwrite:
            remove(folder)
        done = {entry.job for entry in entries(folder, stamp) if entry.error is None}
        missing = [job for job in jobs if job not in done]
        log = Log(folder, stamp)
        with tqdm(
            desc=folder.name,
            total=len(jobs),
            initial=len(jobs) - len(missing),
            unit="job",
            disable=not progress,
        ) as bar:
            failed = 0
            for outcome in outcomes(
                run, missing, on=on, workers=workers, retries=retries, address=address, gpus=gpus
            ):
                log.add(outcome)
                failed += outcome.error is not None
                bar.set_postfix({"failed": failed} if failed else {}, refresh=False)
                bar.update()
                if each is not None:
                    each(outcome)
        found = results(folder)
    return [found[job] for job in jobs]


class Log:
    """The file that this process writes into a folder; it is begun with the first outcome.

    Args:
        folder: that is there.
        stamp: its first line.
    """

    def __init__(self, folder: Path, stamp: Stamp) -> None:
        self.folder, self.stamp = folder, stamp
        self._lines: Lines | None = None

    def add(self, outcome: Outcome) -> None:
        """Write what became of a job, all of it or, where the disk is full, nothing.

        Raises:
            OSError: if it cannot be written.
        """
        error = None if outcome.error is None else describe(outcome.error)
        line = {
            "job": outcome.job,
            "value": outcome.value,
            "error": error,
            "attempts": outcome.attempts,
            "seconds": round(outcome.seconds, 3),
        }
        if error is not None:
            line["traceback"] = outcome.traceback
        if self._lines is None:
            self._lines = Lines(new_file(self.folder))
            self._lines.append({"stamp": asdict(self.stamp)})
        self._lines.append(line)


def new_file(folder: Path) -> Path:
    """An empty file of this process: numbers of processes come again, names of files do not."""
    host = re.sub(r"\W+", "-", socket.gethostname())
    number = 0
    while True:
        number += 1
        suffix = f"-{number}" if number > 1 else ""
        path = folder / f"jobs-{host}-{os.getpid()}{suffix}.jsonl"
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path


def results(folder: Path) -> dict[Job, Entry]:
    """What a folder says of each job: a success counts more than failures before and after it."""
    found: dict[Job, Entry] = {}
    for entry in entries(folder):
        known = found.get(entry.job)
        if known is None or known.error is not None:
            found[entry.job] = entry
    return found


def entries(folder: Path, stamp: Stamp | None = None) -> Iterator[Entry]:
    """All lines of all files of a folder, file by file.

    Args:
        folder: of the results.
        stamp: whose settings all files must have; None for those of the first file.

    Raises:
        ValueError: if a line but the last cannot be read, naming it; or if the settings differ.
    """
    expected = None if stamp is None else json.loads(json.dumps(finite(stamp.parameters)))
    for path in sorted(folder.glob(FILES)):
        for number, data in _lines(path):
            try:
                if "stamp" in data:
                    begun = Stamp(**data["stamp"]).parameters
                    expected = begun if expected is None else expected
                    check_same(path, begun, expected, ADVICE)
                    continue
                job, value, error = tuple(data["job"]), data["value"], data["error"]
                yield Entry(job, value, error, data["attempts"], data["seconds"])
            except (KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not of a job: {error!r}") from None


def stamp_of(folder: Path) -> Stamp | None:
    """The stamp of the first file that has one."""
    for path in sorted(folder.glob(FILES)):
        for _, data in _lines(path):
            if "stamp" in data:
                return Stamp(**data["stamp"])
    return None


def remove(folder: Path) -> None:
    """Remove the files of all processes."""
    for path in folder.glob(FILES):
        path.unlink()


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbers and contents of the lines, without a last one that was cut."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                data = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: not JSON: {error}") from None
            if not isinstance(data, dict):
                raise ValueError(f"{path}, line {number}: not of a job: {str(data)[:40]!r}")
            yield number, data

"""Jobs whose results are stored in a folder at once, so that finished jobs never run again.

Each process that runs jobs writes its own file, `jobs-HOST-PID.jsonl`: a stamp, and then one line
per job.

    {"stamp": {"parameters": ..., "commit": ..., "device": ..., "versions": ..., "time": ...}}
    {"job": [0, "epo"], "value": {...}, "error": null, "attempts": 1, "seconds": 2.1}
    {"job": [1, "epo"], "value": null, "error": "ValueError: ...", "traceback": "...", ...}

To merge the results of several machines, put their files into one folder. An incomplete last line
after a kill is ignored. JSON has no NaN and no infinity: both become null.
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
    """The stored result of a job.

    Attributes:
        job: the arguments of `run`.
        value: return value of `run`, as stored in JSON; None if the job failed.
        error: type and text of the error; None if the job succeeded.
        attempts: number of attempts.
        seconds: time of the last attempt.

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
    """Run the jobs that a folder has no result for, and store each result at once.

    After a kill at any moment, the next call continues. Failed jobs are then repeated.

    Args:
        run: function of the arguments of a job; its result must be valid in JSON, such as a
            dictionary.
        jobs: tuples of strings, numbers, booleans and None, all different.
        out: folder for the results.
        settings: settings of all jobs, valid in JSON; a folder has one set of them.
        on, workers, retries, address, gpus: as in `outcomes`.
        overwrite: whether to start again with an empty folder.
        progress: whether to show a progress bar on stderr.
        each: called with each outcome after it is written.

    Returns:
        the stored results of the jobs, in their order.

    Raises:
        ValueError: if an argument is out of its range, two jobs are equal, the folder has other
            settings, which the message names, or it holds a file that `run_jobs` did not write.
        RuntimeError: if another process is writing to the folder; or as in `outcomes`.

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
    """The file that this process writes to a folder; it is created with the first outcome.

    Args:
        folder: an existing folder.
        stamp: its first line.
    """

    def __init__(self, folder: Path, stamp: Stamp) -> None:
        self.folder, self.stamp = folder, stamp
        self._lines: Lines | None = None

    def add(self, outcome: Outcome) -> None:
        """Write the outcome of a job completely, or not at all if the disk is full.

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
    """Create an empty file of this process, with a new name even if a process number is reused."""
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
    """Return the stored result of each job; a success counts more than failures."""
    found: dict[Job, Entry] = {}
    for entry in entries(folder):
        known = found.get(entry.job)
        if known is None or known.error is not None:
            found[entry.job] = entry
    return found


def entries(folder: Path, stamp: Stamp | None = None) -> Iterator[Entry]:
    """Yield all lines of all files of a folder, file by file.

    Args:
        folder: folder of the results.
        stamp: stamp whose settings all files must have; None for that of the first file.

    Raises:
        ValueError: if a line except the last cannot be read, naming it; or if the settings differ.
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
    """Return the stamp of the first file that has one."""
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
    """Yield numbers and contents of the lines, without an incomplete last one."""
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

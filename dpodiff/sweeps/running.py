"""Independent jobs on workers, with retries; each outcome is returned as soon as it is known.

    for outcome in outcomes(run, jobs, on="processes", workers=4):
        ...

`run` is sent to every worker once and kept there, so what it has loaded is available for the next
job. A job is a tuple of arguments. If it fails or its worker dies, the other jobs continue. A
worker has one job at a time, so there are never more submitted jobs than workers, and `jobs` may be
an endless iterator.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from dpodiff.checks import check_finite, check_whole
from dpodiff.sweeps.jobs import Answer, Job, Pool, Run, Task, answer

Where = Literal["here", "processes", "ray"]
PLACES = ("here", "processes", "ray")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        job: the arguments of `run`.
        value: return value of `run`; None if the job failed.
        error: error of the last attempt; None if it succeeded.
        traceback: traceback of the error, as text.
        attempts: number of attempts.
        seconds: time of the last attempt.

    Examples:
        >>> (outcome,) = dpodiff.sweeps.outcomes(divmod, [(7, 2)])
        >>> outcome.job, outcome.value, outcome.error, outcome.attempts
        ((7, 2), (3, 1), None, 1)
    """

    job: Job
    value: Any
    error: Exception | None
    traceback: str
    attempts: int
    seconds: float


def outcomes(
    run: Run,
    jobs: Iterable[Job],
    *,
    on: Where = "here",
    workers: int | None = None,
    retries: int = 1,
    address: str | None = None,
    gpus: float = 0,
) -> Iterator[Outcome]:
    """Run independent jobs, and yield the outcome of each as soon as it is known.

    Args:
        run: function of the arguments of a job. For other processes it must be picklable: a
            function or an object of a class at the top level of a module.
        jobs: tuples of arguments, taken when workers become free.
        on: "here" for this process, "processes" for processes of this machine that end with this
            one, or "ray", which needs the extra `dpodiff[ray]`.
        workers: number of parallel processes; None is one per core, with Ray as many as fit.
        retries: number of times that a failed job is repeated, after the others.
        address: address of a Ray cluster, such as "auto" or "ray://host:10001". None is RAY_ADDRESS
            of the environment, or else a new Ray on this machine.
        gpus: GPUs of each Ray worker; with 0.5 two workers share one.

    Yields:
        outcomes in the order in which the jobs end. The workers are stopped with the iterator.

    Raises:
        ValueError: if an argument is out of its range, or `run` cannot be sent to a worker.
        RuntimeError: if a worker process ends at its start, for example by a script without the
            guard `if __name__ == "__main__":`.
        ImportError: if Ray is needed and missing.

    Examples:
        >>> for outcome in dpodiff.sweeps.outcomes(divmod, [(7, 2), (7, 0)]):
        ...     print(outcome.job, outcome.value, repr(outcome.error))
        (7, 2) (3, 1) None
        (7, 0) None ZeroDivisionError('integer division or modulo by zero')
    """
    check_places(on, workers, retries, address, gpus)
    with closing(_pool(run, on, workers, address, gpus)) as pool:
        yield from scheduled(pool, jobs, retries)


def check_places(
    on: str, workers: int | None, retries: int, address: str | None, gpus: float
) -> None:
    """Check the arguments for where and how often jobs run.

    Raises:
        ValueError: if one is out of its range; the message names it.
    """
    if on not in PLACES:
        raise ValueError(f"on must be one of {', '.join(PLACES)}, not {on!r}")
    check_whole("retries", retries, 0)
    if workers is not None:
        check_whole("workers", workers, 1)
    if on == "here" and workers not in (None, 1):
        raise ValueError(f"{workers} workers need on='processes' or on='ray'; here is one")
    check_finite("gpus", gpus)
    if gpus < 0:
        raise ValueError(f"gpus must not be negative, is {gpus}")
    if on != "ray" and (gpus or address is not None):
        raise ValueError("gpus and address are those of on='ray'")


def scheduled(pool: Pool, jobs: Iterable[Job], retries: int) -> Iterator[Outcome]:
    """Keep the workers of a pool busy until all jobs have ended."""
    fresh, again = iter(jobs), deque[Task]()
    running = 0

    def fill() -> None:
        nonlocal running
        while running < pool.size:
            job = next(fresh, None)
            if job is None and not again:
                pool.dismiss()
                return
            pool.submit(again.popleft() if job is None else Task(job))
            running += 1

    fill()
    while running:
        ended = []
        for task, said in pool.finished():
            running -= 1
            task.attempts += 1
            if said.error is not None and task.attempts <= retries:
                again.append(task)
            else:
                ended.append(_outcome(task, said))
        fill()  # first, so that no worker waits while outcomes are processed
        yield from ended


def _outcome(task: Task, said: Answer) -> Outcome:
    error, text = said.error, said.traceback
    return Outcome(task.job, said.value, error, text, task.attempts, said.seconds)


class Here:
    """A pool with one worker, which is this process."""

    size = 1

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tasks: list[Task] = []

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def finished(self) -> list[tuple[Task, Answer]]:
        task = self._tasks.pop()
        return [(task, answer(self._run, task.job))]

    def dismiss(self) -> None: ...

    def close(self) -> None: ...


def _pool(run: Run, on: Where, workers: int | None, address: str | None, gpus: float) -> Pool:
    if on == "here":
        return Here(run)
    if on == "processes":
        from dpodiff.sweeps.processes import Processes

        return Processes(run, workers)
    from dpodiff.sweeps.cluster import Cluster

    return Cluster(run, workers, address, gpus)

"""Jobs and workers: what a job is, what a worker says of it, and what a pool of workers can do."""

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from traceback import format_exception
from typing import Any, Protocol

from dpodiff.results.result import describe

Job = tuple[Any, ...]
Run = Callable[..., Any]


class WorkerDied(RuntimeError):
    """The worker of a job has ended before the job did: it was killed, or out of memory.

    Examples:
        >>> import os
        >>> (found,) = dpodiff.sweeps.outcomes(os._exit, [(3,)], on="processes", workers=1)
        >>> found.error
        WorkerDied('the process of the job ended with exit code 3')
    """


@dataclass(frozen=True)
class Answer:
    """What a worker says of a job: a value or an error, and the seconds it took."""

    value: Any = None
    error: Exception | None = None
    traceback: str = ""
    seconds: float = 0.0


@dataclass
class Task:
    """A job on its way, and how often it was tried."""

    job: Job
    attempts: int = 0


class Pool(Protocol):
    """Workers, each with one job at a time.

    Attributes:
        size: how many jobs may be on their way.
    """

    size: int

    def submit(self, task: Task) -> None:
        """Give a task to a worker that has none; there is one, or it is made."""

    def finished(self) -> list[tuple[Task, Answer]]:
        """Wait until a task is finished, and take away all that are."""
        ...

    def dismiss(self) -> None:
        """End the workers that have no task: there are no more."""

    def close(self) -> None:
        """End all workers, whatever they do."""


def answer(run: Run, job: Job) -> Answer:
    """Run a job; an exception becomes an answer."""
    start = time.monotonic()
    try:
        value = run(*job)
    except Exception as error:
        text = "".join(format_exception(type(error), error, error.__traceback__))
        error.__traceback__ = None  # its frames hold what the job has loaded
        return Answer(error=error, traceback=text, seconds=time.monotonic() - start)
    return Answer(value, seconds=time.monotonic() - start)


def portable(said: Answer) -> Answer:
    """The answer, with an error that can be sent: not every exception can be made again."""
    if said.error is None:
        return said
    try:
        pickle.loads(pickle.dumps(said.error))
    except Exception:
        return replace(said, error=RuntimeError(describe(said.error)))
    return said

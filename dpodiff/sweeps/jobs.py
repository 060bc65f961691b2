"""The interfaces of jobs, workers and pools of workers."""

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
    """The worker of a job ended before the job did: it was killed, or ran out of memory.

    Examples:
        >>> import os
        >>> (found,) = dpodiff.sweeps.outcomes(os._exit, [(3,)], on="processes", workers=1)
        >>> found.error
        WorkerDied('the process of the job ended with exit code 3')
    """


@dataclass(frozen=True)
class Answer:
    """A worker's answer to a job: a value or an error, and the time in seconds."""

    value: Any = None
    error: Exception | None = None
    traceback: str = ""
    seconds: float = 0.0


@dataclass
class Task:
    """A submitted job, and the number of its attempts."""

    job: Job
    attempts: int = 0


class Pool(Protocol):
    """Workers that run one job at a time each.

    Attributes:
        size: number of jobs that may be submitted.
    """

    size: int

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker; one is idle or can be started."""

    def finished(self) -> list[tuple[Task, Answer]]:
        """Wait until a task is finished, and return all finished tasks."""
        ...

    def dismiss(self) -> None:
        """Stop the workers without a task, since there are no more tasks."""

    def close(self) -> None:
        """Stop all workers, busy or not."""


def answer(run: Run, job: Job) -> Answer:
    """Run a job and return its answer; an exception becomes an answer."""
    start = time.monotonic()
    try:
        value = run(*job)
    except Exception as error:
        text = "".join(format_exception(type(error), error, error.__traceback__))
        error.__traceback__ = None  # its frames reference what the job has loaded
        return Answer(error=error, traceback=text, seconds=time.monotonic() - start)
    return Answer(value, seconds=time.monotonic() - start)


def portable(said: Answer) -> Answer:
    """Return the answer with an error that can be pickled, since some exceptions cannot."""
    if said.error is None:
        return said
    try:
        pickle.loads(pickle.dumps(said.error))
    except Exception:
        return replace(said, error=RuntimeError(describe(said.error)))
    return said

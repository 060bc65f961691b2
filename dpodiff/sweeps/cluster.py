"""Workers that are Ray actors, on this machine or on a cluster; Ray assigns GPUs to them."""

import logging
import os
from typing import Any

from dpodiff.sweeps.jobs import Answer, Job, Run, Task, WorkerDied, answer, portable


class Worker:
    """The class of an actor, which keeps `run` between jobs."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def answer(self, job: Job) -> Answer:
        return portable(answer(self._run, job))


class Cluster:
    """A pool of Ray actors, started on demand; one that dies is replaced.

    If this process is connected to Ray, that connection is used and stays open.

    Args:
        run: function that the actors run.
        workers: number of actors; None is as many as the cluster has cores or, with `gpus`, GPUs
            for.
        address: address of the cluster; see `outcomes`.
        gpus: GPUs of each worker.

    Raises:
        ImportError: if Ray is missing.
        ConnectionError: if there is no cluster at the address.
        ValueError: if no machine of the cluster has so many GPUs.
    """

    def __init__(self, run: Run, workers: int | None, address: str | None, gpus: float) -> None:
        self._ray = _imported()
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Task]] = {}
        self._own = not self._ray.is_initialized()
        if self._own:
            _connect(self._ray, address, workers)
        room = _room(self._ray.cluster_resources(), gpus)
        if room < 1 and (self._own or workers is None):
            self.close()
            raise ValueError(f"no machine of this Ray has gpus={gpus:g} for a worker")
        self.size = workers or room
        self._run = self._ray.put(run)
        self._actor = self._ray.remote(num_cpus=1, num_gpus=gpus)(Worker)

    def submit(self, task: Task) -> None:
        actor = self._idle.pop() if self._idle else self._actor.remote(self._run)
        self._busy[actor.answer.remote(task.job)] = (actor, task)

    def finished(self) -> list[tuple[Task, Answer]]:
        (reference, *_), _ = self._ray.wait(list(self._busy))
        actor, task = self._busy.pop(reference)
        try:
            said = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)
            lines = str(error).strip().splitlines() or [""]
            died = WorkerDied(f"{type(error).__name__}: {lines[0]}")
            return [(task, Answer(error=died, traceback=str(error)))]
        self._idle.append(actor)
        return [(task, said)]

    def dismiss(self) -> None:
        while self._idle:
            self._ray.kill(self._idle.pop())

    def close(self) -> None:
        self.dismiss()
        while self._busy:
            self._ray.kill(self._busy.popitem()[1][0])
        if self._own:
            self._ray.shutdown()


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError("on='ray' needs Ray: pip install 'dpodiff[ray]'") from error
    return ray


def _connect(ray: Any, address: str | None, workers: int | None) -> None:
    """Connect to the cluster at an address, or start Ray for this process only."""
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    own = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **own)


def _room(resources: dict[str, float], gpus: float) -> int:
    """Return the number of workers that fit on a cluster."""
    return int(resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 0))

"""Workers that are processes of this machine, and end with the process that started them."""

import multiprocessing
import os
import pickle
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from dpodiff.sweeps.jobs import Answer, Run, Task, WorkerDied, answer, portable

# Settings of glibc's malloc: memory of a step of the sampler is kept for the next one. Returning it
# to the system after each step costs 8% of a search on a CPU. (As in the Makefile.)
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
READY = "ready"
PATIENCE = 10.0  # seconds until an idle process is killed


class Worker:
    """A process that holds `run`, and the pipe to it.

    Args:
        run: the function, pickled.
    """

    def __init__(self, run: bytes) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, other = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(other, run))
        self.process.start()
        other.close()  # then the pipe ends with the process
        self.ready = False
        self.task: Task | None = None

    def received(self) -> Answer | None:
        """Return the answer of the process; None if it only reports that it is ready.

        Raises:
            RuntimeError: if it ended before it was ready.
        """
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            return self._died()
        if message == READY:
            self.ready = True
            return None
        return message

    def _died(self) -> Answer:
        self.process.join()
        code = self.process.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        if code >= 0 and not self.ready:
            raise RuntimeError(
                f"a worker process ended {how} as it started; its own message is above. A script "
                "that starts processes needs `if __name__ == '__main__':` around the call"
            )
        return Answer(error=WorkerDied(f"the process of the job ended {how}"))

    def end(self, patience: float = 0) -> None:
        """Close the pipe, so that the process ends; kill it after `patience` seconds."""
        self.pipe.close()
        self.process.join(patience)
        self.process.kill()
        self.process.join()


class Processes:
    """A pool of processes, started on demand; one that dies is replaced.

    Args:
        run: function that the processes run.
        workers: number of processes; None is one per core.

    Raises:
        ValueError: if `run` cannot be pickled.
    """

    def __init__(self, run: Run, workers: int | None) -> None:
        self.size = workers or os.cpu_count() or 1
        self._run = _pickled(run)
        self._idle: list[Worker] = []
        self._busy: dict[Any, Worker] = {}
        self._dismissed: list[Worker] = []

    def submit(self, task: Task) -> None:
        worker = self._idle.pop() if self._idle else self._started()
        worker.task = task
        self._busy[worker.pipe] = worker
        with suppress(OSError):  # it died while it was idle; `finished` reports that
            worker.pipe.send(task.job)

    def _started(self) -> Worker:
        for name, value in KEEP_MEMORY.items():
            os.environ.setdefault(name, value)  # read by a process at its start
        return Worker(self._run)

    def finished(self) -> list[tuple[Task, Answer]]:
        found: list[tuple[Task, Answer]] = []
        while not found:
            for pipe in wait(list(self._busy)):
                worker = self._busy[pipe]
                if (said := worker.received()) is None:
                    continue
                assert worker.task is not None
                found.append((worker.task, said))
                del self._busy[worker.pipe]
                if isinstance(said.error, WorkerDied):
                    worker.end()
                else:
                    self._idle.append(worker)
        return found

    def dismiss(self) -> None:
        for worker in self._idle:
            worker.pipe.close()
        self._dismissed += self._idle
        self._idle.clear()

    def close(self) -> None:
        self.dismiss()
        while self._busy:
            self._busy.popitem()[1].end()
        while self._dismissed:
            self._dismissed.pop().end(PATIENCE)


def _pickled(run: Run) -> bytes:
    try:
        return pickle.dumps(run)
    except Exception as error:
        raise ValueError(
            f"this cannot be sent to other processes: {error}. What runs there, and its models, "
            "losses and solvers, must be names, or stand at the top of a module"
        ) from None


def _serve(pipe: Connection, pickled: bytes) -> None:
    """Answer jobs until the pipe ends; this is the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    end_with_parent()
    run = pickle.loads(pickled)
    pipe.send(READY)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        said = portable(answer(run, job))
        try:
            pipe.send(said)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            failed = RuntimeError(
                f"the result of the job cannot be sent back: {said.error or error}"
            )
            pipe.send(Answer(error=failed, traceback=said.traceback, seconds=said.seconds))


def end_with_parent() -> None:
    """End this process as soon as its parent process has ended for any reason."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

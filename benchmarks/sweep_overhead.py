"""What does a sweep cost beside its jobs, with 10,000 jobs on 64 workers?

The workers are simulated: each has its job for a time that is drawn, between a half and one and a
half of `seconds`, on a clock that is not waited for. All else is real: the scheduling of
`dpodiff.sweeps`, and the file that every result is written to. The real time that the driver takes
for that is added to the clock, and a worker whose job ends meanwhile waits, as it would. Not in it
is the start of the workers, and the way of a job and its result from one process to another. That
is measured apart, on two real processes with jobs that do nothing, and must leave the driver time
for all workers.

`overhead` is the time of the last job's end over the time that the same jobs need on workers that
never wait, less one. `driver, ms a job` is the driver's own time. `on their way` is the most jobs
that were at the same time. `memory, MB` is what the resident set of the driver has grown by from
the hundredth job to the last; the results alone are `written, MB`.
"""

import heapq
import os
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import Goal, Report, Row, main

from dpodiff import Stamp
from dpodiff.sweeps.jobs import Answer, Task
from dpodiff.sweeps.log import Log
from dpodiff.sweeps.running import outcomes, scheduled

SIZES = {
    "small": {"jobs": 200, "workers": [8], "seconds": 10.0},
    "toy": {"jobs": 10_000, "workers": [1, 64], "seconds": 10.0},
}
VALUE = {"verdict": "better: loss 3.0465 -> 2.9184", "prompt": "a red ball, " * 20}
SETTLED = 100  # jobs after which memory is looked at


class Simulated:
    """Workers on a clock that goes on with the driver's real time, and jumps where it would wait.

    Attributes:
        clock: in seconds.
        waited: seconds for which the driver had nothing to do.
        most: jobs that were on their way at the same time.
    """

    def __init__(self, size: int, durations: Sequence[float]) -> None:
        self.size, self.durations = size, durations
        self.waited, self.most = 0.0, 0
        self._start = time.perf_counter()
        self._running: list[tuple[float, int, Task]] = []

    @property
    def clock(self) -> float:
        return time.perf_counter() - self._start + self.waited

    def submit(self, task: Task) -> None:
        (number,) = task.job
        heapq.heappush(self._running, (self.clock + self.durations[number], number, task))
        self.most = max(self.most, len(self._running))

    def finished(self) -> list[tuple[Task, Answer]]:
        self.waited += max(0.0, self._running[0][0] - self.clock)
        ended = []
        while self._running and self._running[0][0] <= self.clock:
            _, number, task = heapq.heappop(self._running)
            ended.append((task, Answer(VALUE, seconds=self.durations[number])))
        return ended

    def dismiss(self) -> None: ...

    def close(self) -> None: ...


def measure(*, jobs: int, workers: Sequence[int], seconds: float, repeats: int) -> Report:
    """Runs the jobs on each number of workers; the last is held to the goals."""
    rows = [run(jobs, size, seconds, seed) for size in workers for seed in range(repeats)]
    rows = rows[repeats - 1 :: repeats]  # the last of each, when all is warm
    last, way = rows[-1], real_way(min(jobs, 2000))
    goals = [
        Goal("overhead", last["overhead"], 0.05),
        Goal("share of the time in which the driver is busy", workers[-1] * way / seconds, 0.05),
        Goal("memory over what was written", last["memory, MB"] / last["written, MB"], 1.0),
        Goal("jobs on their way, a worker", last["on their way"] / last["workers"], 1),
    ]
    notes = [
        f"simulated: workers with jobs of {seconds:g} s on average",
        f"real: {way * 1e3:.2g} ms a job to a process and back, on two processes",
    ]
    return Report(rows, goals, notes)


def run(jobs: int, workers: int, seconds: float, seed: int) -> Row:
    """The jobs on so many simulated workers."""
    random_ = random.Random(seed)
    durations = [seconds * (0.5 + random_.random()) for _ in range(jobs)]
    memory = 0
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), Stamp.collect({}))
        pool = Simulated(workers, durations)
        for number, outcome in enumerate(scheduled(pool, ((k,) for k in range(jobs)), retries=1)):
            log.add(outcome)
            if number == SETTLED:
                memory = resident()
        end, grown = pool.clock, resident() - memory
        written = sum(path.stat().st_size for path in Path(folder).iterdir())
    return {
        "workers": workers,
        "jobs": jobs,
        "overhead": end / ideal(durations, workers) - 1,
        "driver, ms a job": (end - pool.waited) / jobs * 1e3,
        "on their way": pool.most,
        "memory, MB": grown / 2**20,
        "written, MB": written / 2**20,
    }


def real_way(jobs: int) -> float:
    """Seconds a job that does nothing, once two real processes have started."""
    found = outcomes(str, ((k,) for k in range(jobs)), on="processes", workers=2)
    for number, _ in enumerate(found):
        if number == jobs // 10:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (jobs - 1 - jobs // 10)


def ideal(durations: Sequence[float], workers: int) -> float:
    """When the last job ends if a worker gets the next one without any delay."""
    free = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def resident() -> int:
    """Bytes of this process in memory now; the most so far where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(__doc__, measure, SIZES, repeats=3)

"""Overhead of a sweep with 10,000 jobs on 64 workers.

The workers are simulated: each job takes a random time between 0.5 and 1.5 times `seconds` on a
simulated clock. The rest is real: the scheduling of `dpodiff.sweeps`, and the file with all
results. The real time of the driver is added to the clock, and a worker whose job ends meanwhile
waits. The start of the workers and the communication between processes are not included. They are
measured separately, with empty jobs on two real processes, and must leave the driver enough time
for all workers.

`overhead` is the time at which the last job ends, divided by the time for the same jobs without any
waiting, minus 1. `driver, ms a job` is the driver's own time. `on their way` is the largest number
of simultaneous jobs. `memory, MB` is the growth of the driver's resident set from the hundredth job
to the last; the size of the results is `written, MB`.
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
SETTLED = 100  # number of jobs before memory is measured


class Simulated:
    """Workers on a clock that adds the driver's real time, and skips waiting times.

    Attributes:
        clock: time in seconds.
        waited: seconds in which the driver was idle.
        most: largest number of simultaneous jobs.
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
    """Run the jobs on each number of workers; the goals apply to the last one."""
    rows = [run(jobs, size, seconds, seed) for size in workers for seed in range(repeats)]
    rows = rows[repeats - 1 :: repeats]  # the last run of each, after the warm-up
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
    """Run the jobs on simulated workers."""
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
    """Return the seconds per empty job, after two real processes have started."""
    found = outcomes(str, ((k,) for k in range(jobs)), on="processes", workers=2)
    for number, _ in enumerate(found):
        if number == jobs // 10:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (jobs - 1 - jobs // 10)


def ideal(durations: Sequence[float], workers: int) -> float:
    """Return when the last job ends if workers get their next job without delay."""
    free = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def resident() -> int:
    """Return the current resident set in bytes, or the peak if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(__doc__, measure, SIZES, repeats=3)

"""Common parts of the benchmarks: alternating timing, peak memory, tables, goals and stamps.

Methods are timed alternately, A B C A B C ..., so that a slow phase of the machine affects all of
them. Numbers are medians, and ratios are those of medians of the same run. `spread` is (slowest -
fastest) / median of one method: smaller differences between methods are not significant. Keep only
numbers from an otherwise idle machine; the stamp gives its load before the start.

Peak memory is the largest size of all tensors during a run, minus that before it, which is mostly
weights. On a GPU it is torch.cuda.max_memory_allocated. On a CPU the resident set is no substitute:
it keeps freed memory in pools, and so depends on earlier work. Instead torch's profiler records
each allocation and release, and the peak of their running sum is used. It is the same quantity as
on a GPU, exact and reproducible. It excludes workspace that kernels allocate without torch's
allocator. Memory is measured in a separate run that is not timed.
"""

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from torch.autograd.profiler import profile
from tqdm import tqdm

from dpodiff import Stamp

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler logs starts and stops

Row = Mapping[str, Any]
Key = TypeVar("Key")


@dataclass
class Timing:
    """The seconds of each run of one method, and the result of the last run."""

    seconds: list[float]
    result: Any = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        return (max(self.seconds) - min(self.seconds)) / self.median


def in_turns(
    methods: Mapping[Key, Callable[[], Callable[[], Any]]], repeats: int
) -> dict[Key, Timing]:
    """Time each method `repeats` times; it prepares a run, which is not timed, and returns it."""
    timings = {name: Timing([]) for name in methods}
    turns = [method for _ in range(repeats) for method in methods.items()]
    for name, prepare in tqdm(turns, "timed", leave=False, disable=None):
        run = prepare()
        start = now()
        timings[name].result = run()
        timings[name].seconds.append(now() - start)
    return timings


def now() -> float:
    """Return the time in seconds after all work of the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """Return the largest size of tensors in bytes during the run, minus that before it."""
    if device.type == "cuda":
        gc.collect()  # memory of an earlier failed run may still be held
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(profile_memory=True) as profiler:
        run()
    events = (e for e in profiler.kineto_results.events() if e.name() == "[memory]")
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


@dataclass(frozen=True)
class Goal:
    """A measured number and the bound that it should keep."""

    what: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        side, verdict = "at least" if self.at_least else "at most", ("FAILS", "holds")[self.holds]
        return f"{self.what}: {_text(self.value)} (goal: {side} {self.bound:g}): {verdict}"


@dataclass(frozen=True)
class Report:
    """The result of a benchmark: one row per method, goals and notes."""

    rows: Sequence[Row]
    goals: Sequence[Goal]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        return "\n".join([table(self.rows), "", *map(str, self.goals), *self.notes]).rstrip()


def table(rows: Sequence[Row]) -> str:
    """Format rows with the same keys as a table: texts to the left, numbers to the right."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    sides = [str.ljust if isinstance(value, str) else str.rjust for value in rows[0].values()]
    lines = ["  ".join(s(c, w) for s, c, w in zip(sides, line, widths)) for line in cells]
    return "\n".join(line.rstrip() for line in lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def main(
    description: str,
    measure: Callable[..., Report],
    sizes: Mapping[str, Mapping[str, Any]],
    repeats: int,
) -> None:
    """Parse the command line, measure, print stamp and table, and write them if requested.

    Args:
        description: description of the benchmark for --help.
        measure: function of the settings of the requested size and `repeats`.
        sizes: settings by name, including "toy".
        repeats: default number of runs per method.
    """
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=style)
    parser.add_argument(
        "--size", choices=sizes, default="toy", help="size; small only tests that it runs"
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="of each way")
    parser.add_argument("--out", type=Path, help="folder of a record to write")
    options = parser.parse_args()
    stamp, start = _stamp(sizes[options.size], options), time.monotonic()
    print(_line(stamp), flush=True)
    report = measure(**sizes[options.size], repeats=options.repeats)
    stamp.seconds = time.monotonic() - start
    print(f"\n{report}")
    if options.out:
        keep(report, stamp, options.out)


def keep(report: Report, stamp: Stamp, folder: Path) -> None:
    """Write the report as a record for `dpodiff.Recorded`, and `verdicts.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(report.rows).to_csv(folder / "table.csv", index=False)
    (folder / "stamp.json").write_text(json.dumps(asdict(stamp), indent=1) + "\n")
    verdicts = [*map(str, report.goals), *report.notes]
    (folder / "verdicts.txt").write_text("".join(f"{line}\n" for line in verdicts))


def _stamp(settings: Row, options: argparse.Namespace) -> Stamp:
    load = round(os.getloadavg()[0], 1)
    measured = {"size": options.size, "repeats": options.repeats, **settings}
    machine = {"threads": torch.get_num_threads(), "load": load}
    return Stamp.collect(measured | machine, "cuda" if torch.cuda.is_available() else "cpu")


def _line(stamp: Stamp) -> str:
    run = stamp.parameters
    versions = ", ".join(f"{name} {version}" for name, version in stamp.versions.items())
    return (
        f"size {run['size']}, {run['repeats']} repeats, commit {stamp.commit}, {stamp.time}\n"
        f"{stamp.device}, threads: {run['threads']}, load {run['load']} before the start\n"
        f"{versions}"
    )

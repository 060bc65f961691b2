"""What does one gradient of the words cost, in time and memory, as the rollout gets longer?

Every estimator of `dpodiff.gradients` answers the same question through `Objective.gradient`: how
the mean loss of a few images changes with the weights of the words of a negative prompt. Whoever
wants the exact answer takes `Full`, and once memory runs out `Checkpointed`, which makes the graph
of each step again; so the time of the others is given as a share of it (`of checkpointed`), at the
same number of steps. The shortcut takes its one step in the middle of the paper's schedule, at 0.39
of the rollout; truncated keeps the last step, SDO the middle one, DRTune five.

How to read it: go down the rows of one estimator, the number of steps grows. `of 10 steps` says how
its memory grows with them: the full gradient's does in proportion, the shortcut's must not at all.
The shortcut's seconds do grow, since the steps before its own are taken too, without a graph.

`peak MB` is the most memory that tensors took at any time during the gradient, beyond what was held
before it, weights above all. On a GPU it is torch.cuda.max_memory_allocated. On a CPU the process
has no such number: its resident set keeps what was freed, in pools, and so depends on what ran
before. Instead torch's profiler notes each allocation and release, and the peak of their running
sum is taken: the same quantity as on a GPU, exact, and equal in every run. Not in it is work space
that kernels get past torch's allocator. Memory is measured in a run of its own, off the clock.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate

import torch
from common import Goal, Report, Timing, in_turns, main
from torch.autograd.profiler import profile
from world import World, toy_world

from dpodiff import Objective
from dpodiff.gradients import SDO, Checkpointed, DRTune, Estimator, Full, Shortcut, Truncated

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler reports each start and stop

Cell = tuple[str, int]  # estimator, steps

SIZES = {
    "small": {"images": 1, "steps": (2, 4)},
    "toy": {"images": 4, "steps": (10, 25, 50, 100)},
}


def estimators(steps: int) -> dict[str, Estimator]:
    return {
        "shortcut": Shortcut(int(0.39 * steps)),
        "truncated": Truncated(1),
        "SDO": SDO(steps // 2),
        "DRTune": DRTune(min(5, steps)),
        "checkpointed": Checkpointed(),
        "full": Full(),
    }


def measure(world: World, *, images: int, steps: Sequence[int], repeats: int) -> Report:
    """Time and weigh one gradient by each estimator, for each number of steps."""
    model = world.model()
    objective = Objective(model, world.loss(), world.space, range(images), batch_size=images)
    weights = [uniform(len(slot.choices)) for slot in world.space.slots]

    def gradient(count: int, estimator: Estimator) -> Callable[[], object]:
        model.steps = count
        return partial(objective.gradient, weights, estimator)

    cells = {
        (name, count): partial(gradient, count, estimators(count)[name])
        for name in estimators(max(steps))
        for count in steps
    }
    objective.gradient(weights, Shortcut(0))  # what is set up at the first use is not measured
    peaks = {cell: peak_memory(prepare(), model.device) for cell, prepare in cells.items()}
    return report(in_turns(cells, repeats), peaks)


def uniform(choices: int) -> torch.Tensor:
    return torch.full((choices,), 1 / choices, dtype=torch.float64)


def peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """The most bytes of tensors at any time during the run, beyond those before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(profile_memory=True) as profiler:
        run()
    events = (e for e in profiler.kineto_results.events() if e.name() == "[memory]")
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


def report(timings: dict[Cell, Timing], peaks: dict[Cell, int]) -> Report:
    """One row a cell, and whether the shortcut's memory is flat in the number of steps."""
    least = min(steps for _, steps in timings)
    most = max(steps for _, steps in timings)
    rows = [
        {
            "estimator": name,
            "steps": steps,
            "seconds": timing.median,
            "spread": timing.spread,
            "of checkpointed": timing.median / timings["checkpointed", steps].median,
            "peak MB": peaks[name, steps] / 1e6,
            "of full": peaks[name, steps] / peaks["full", steps],
            f"of {least} steps": peaks[name, steps] / peaks[name, least],
        }
        for (name, steps), timing in timings.items()
    ]
    growth = peaks["shortcut", most] / peaks["shortcut", least]
    return Report(rows, [Goal(f"memory of the shortcut, {most} over {least} steps", growth, 1.05)])


if __name__ == "__main__":
    main(__doc__, partial(measure, toy_world()), SIZES, repeats=3)

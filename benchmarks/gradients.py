"""Cost of one gradient of the words in time and memory, for rollouts of different lengths.

All estimators of `dpodiff.gradients` compute the same quantity with `Objective.gradient`: the
gradient of the mean loss of a few images with respect to the weights of a negative prompt's words.
For the exact gradient use `Full`, or `Checkpointed` if memory runs out, which recomputes the graph
of each step. So the time of the others is also given relative to it (`of checkpointed`), at the
same number of steps. The shortcut takes its step in the middle of the paper's schedule, at 0.39 of
the rollout. Truncated keeps the last step, SDO the middle one, DRTune five.

For images of 256 or more pixels, graphs are kept in blocks (`dpodiff.models.blocks`). The rows
`whole graph` are without blocks and show their cost and benefit. Checkpointed steps gain little
from blocks; the relative time uses the faster of the two.

How to read the table: the number of steps increases down the rows of one estimator. `of 10 steps`
shows the growth of its memory: the full gradient's grows in proportion, the shortcut's must be
constant. The time of the shortcut does grow, since earlier steps are computed too, without a graph.

`peak MB` excludes memory that was held before. `with weights MB` includes the networks of the model
and of the loss. Settings that run out of memory have no row and are listed below the table.

The real architectures have random weights and need a GPU. The size "sd-v1-4 on a cpu" measures
memory without one, in float32, so twice that of a GPU, at 128 x 128 pixels.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from common import Goal, Report, Row, Timing, in_turns, main, peak_memory
from world import World, on_world, weight_bytes

from dpodiff import Objective
from dpodiff.gradients import SDO, Checkpointed, DRTune, Estimator, Full, Shortcut, Truncated

Cell = tuple[str, int]  # estimator, steps

SIZES = {
    "small": {"world": "toy", "images": 1, "steps": (2, 4)},
    "toy": {"world": "toy", "images": 1, "steps": (10, 25, 50, 100)},
    "sd-v1-4 on a cpu": {"world": "sd-v1-4 at 128", "images": 1, "steps": (2, 4)},
    "sd-v1-4": {"world": "sd-v1-4", "images": 1, "steps": (10, 50, 100)},
    "sd-v1-4 at 1024": {"world": "sd-v1-4 at 1024", "images": 1, "steps": (10, 50, 100)},
    "sdxl at 512": {"world": "sdxl at 512", "images": 1, "steps": (10, 100)},
    "sdxl": {"world": "sdxl", "images": 1, "steps": (10, 100)},
    "sd3 at 512": {"world": "sd3 at 512", "images": 1, "steps": (10, 100)},
    "sd3": {"world": "sd3", "images": 1, "steps": (10, 100)},
}
EXACT = "checkpointed"
WHOLE = ", whole graph"  # without blocks
# Bounds for the shortcut with Stable Diffusion 1.4 at 512 x 512, one image.
MOST_MB, MOST_SHARE, OF_STEPS = 6000, 0.12, 50


def estimators(steps: int) -> dict[str, Estimator]:
    return {
        "shortcut": Shortcut(int(0.39 * steps)),
        "truncated": Truncated(1),
        "SDO": SDO(steps // 2),
        "DRTune": DRTune(min(5, steps)),
        EXACT: Checkpointed(),
        "full": Full(),
    }


def measure(world: World, *, images: int, steps: Sequence[int], repeats: int) -> Report:
    """Measure time and memory of one gradient by each estimator, for each number of steps."""
    model, loss = world.model(), world.loss()
    objective = Objective(model, loss, world.space, range(images), batch_size=images)
    weights = [uniform(len(slot.choices)) for slot in world.space.slots]
    in_blocks = model.in_blocks

    def gradient(name: str, count: int) -> Callable[[], object]:
        model.steps, model.in_blocks = count, in_blocks and not name.endswith(WHOLE)
        return partial(objective.gradient, weights, estimators(count)[name.removesuffix(WHOLE)])

    names = [*estimators(max(steps)), *(["shortcut" + WHOLE, EXACT + WHOLE] if in_blocks else [])]
    cells = {(name, count): partial(gradient, name, count) for name in names for count in steps}
    objective.gradient(weights, Shortcut(0))  # initialization is not measured
    peaks = {cell: peak_if_it_fits(prepare(), model.device) for cell, prepare in cells.items()}
    fit = {cell: prepare for cell, prepare in cells.items() if peaks[cell]}
    rows = table_rows(in_turns(fit, repeats), peaks, weight_bytes(model, loss))
    too_large = [f"{name}, {count} steps" for name, count in cells if not peaks[name, count]]
    notes = [f"Out of memory: {'; '.join(too_large)}"] if too_large else []
    return Report(rows, goals(rows, model.name), notes)


def peak_if_it_fits(run: Callable[[], object], device: torch.device) -> int | None:
    try:
        return peak_memory(run, device)
    except torch.OutOfMemoryError:
        return None


def table_rows(timings: dict[Cell, Timing], peaks: dict[Cell, int | None], held: int) -> list[Row]:
    """Return one row per estimator and number of steps."""
    least = min(steps for _, steps in timings)

    def exact(steps: int) -> float:
        methods = (EXACT, steps), (EXACT + WHOLE, steps)
        return min(timings[method].median for method in methods if method in timings)

    return [
        {
            "estimator": name,
            "steps": steps,
            "seconds": timing.median,
            "spread": timing.spread,
            "of checkpointed": timing.median / exact(steps),
            "peak MB": peaks[name, steps] / 1e6,
            "with weights MB": (peaks[name, steps] + held) / 1e6,
            f"of {least} steps": peaks[name, steps] / peaks[name, least],
        }
        for (name, steps), timing in timings.items()
    ]


def goals(rows: Sequence[Row], model: str) -> list[Goal]:
    """Return the goals: the shortcut's memory is constant and, for one size, below a bound."""
    least, *_, last = (row for row in rows if row["estimator"] == "shortcut")
    growth = last["peak MB"] / least["peak MB"]
    steps = f"{last['steps']} over {least['steps']}"
    found = [Goal(f"memory of the shortcut, {steps} steps", growth, 1.05)]
    for row in rows:
        if (model, row["estimator"], row["steps"]) == ("sd-v1-4", "shortcut", OF_STEPS):
            found += [
                Goal("MB of the shortcut, weights included", row["with weights MB"], MOST_MB),
                Goal("time of the shortcut over checkpointed", row["of checkpointed"], MOST_SHARE),
            ]
    return found


def uniform(choices: int) -> torch.Tensor:
    return torch.full((choices,), 1 / choices, dtype=torch.float64)


if __name__ == "__main__":
    main(__doc__, on_world(measure), SIZES, repeats=3)

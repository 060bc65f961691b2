"""Time and memory of a whole search with each solver.

`dpodiff.improve` is called as by a user, with each of the paper's solvers. EPO needs no gradient,
GPO follows the shortcut gradient and then samples from its distribution, and HPO starts EPO from
that distribution. All have the same budget, so `spent` is about equal. The difference is the graph
of a gradient. `improve` chooses the batch size, as many images as fit, so peak memory depends on
the device as much as on the search.

`peak MB` excludes memory that was held before. `with weights MB` includes the networks of the model
and of the loss. It is measured in a separate run that is not timed. With random weights (all worlds
except the toy world) nothing can be found; the work is the same.
"""

from collections.abc import Callable
from functools import partial

from common import Report, in_turns, main, peak_memory
from world import World, on_world, weight_bytes

import dpodiff
from dpodiff import Result

SOLVERS = ("dpodiff-epo", "dpodiff-gpo", "dpodiff-hpo")
SIZES = {
    "small": {"world": "toy", "budget": 3, "seeds": 1, "steps": 2},
    "toy": {"world": "toy", "budget": 40, "seeds": 4, "steps": 10},
    "sd-v1-4 on a cpu": {"world": "sd-v1-4 at 128", "budget": 3, "seeds": 1, "steps": 2},
    "sd-v1-4": {"world": "sd-v1-4", "budget": 40, "seeds": 4, "steps": 50},
    "sdxl": {"world": "sdxl", "budget": 40, "seeds": 4, "steps": 25},
    "sd3": {"world": "sd3", "budget": 40, "seeds": 4, "steps": 28},
}


def measure(world: World, *, budget: int, seeds: int, steps: int, repeats: int) -> Report:
    """Measure time and memory of one search by each solver, with the batch sizes of `improve`."""
    model, loss = world.model(), world.loss()
    model.steps = steps

    def prepare(solver: str) -> Callable[[], Result]:
        settings = {"model": model, "loss": loss, "space": world.space, "solver": solver}
        limits = {"budget": budget, "seeds": seeds, "verify": 0, "progress": False}
        return partial(dpodiff.improve, world.space.prompt, **settings, **limits)

    held = weight_bytes(model, loss)
    peaks = {solver: peak_memory(prepare(solver), model.device) for solver in SOLVERS}
    timings = in_turns({solver: partial(prepare, solver) for solver in SOLVERS}, repeats)
    rows = []
    for solver, timing in timings.items():
        cost = timing.result.cost
        rows.append(
            {
                "solver": solver,
                "evaluations": cost.evaluations,
                "gradients": cost.gradients,
                "images": cost.images,
                "spent": float(cost.spent),
                "seconds": timing.median,
                "spread": timing.spread,
                "peak MB": peaks[solver] / 1e6,
                "with weights MB": (peaks[solver] + held) / 1e6,
            }
        )
    return Report(rows, [])


if __name__ == "__main__":
    main(__doc__, on_world(measure), SIZES, repeats=1)

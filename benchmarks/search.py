"""What does a whole search take, from the first candidate to the last, in time and memory?

`dpodiff.improve` is called as its user calls it, with each of the paper's solvers: EPO breeds
candidates and needs no gradient, GPO follows the shortcut gradient and then samples what it has
learned, HPO starts EPO from what GPO has learned. All have the same budget, so `spent` is about the
same; what differs is that a gradient keeps a graph. How many images are made at a time is left to
`improve`, which takes as many as fit, so peak memory says as much of the device as of the search.

`peak MB` is without what was held before, `with weights MB` adds the networks: the model's, and the
CLIP of the loss. It is of a run of its own, off the clock. With random weights (all worlds but the
toy one) there is nothing to be found; the work is the same.
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
    """Times and weighs one search by each solver, with the batches that `improve` finds itself."""
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

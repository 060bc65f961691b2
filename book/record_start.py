"""Record settings without a search: dpodiff/results/recorded/start.

    python book/record_start.py                   # under an hour on two cores; can be resumed
    python book/record_start.py --steps 6 --guidances 3 4       # a part of it first
    python book/record_start.py --prompts 2 --seeds 2 --folder runs/start      # a test run

Every sampler, number of steps and guidance makes images of the same validation prompts with the
same seeds, and the judge counts those that show all as asked, are clean, or both. Fixed negative
prompts are tested at each guidance with the model's own sampler and steps. The validation prompts
are used in no other record, so defaults may be chosen on them.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from recording import BOTH, Tables, Verdicts, arguments, models, record

from dpodiff.results.headroom import against_best
from dpodiff.toy.digests import scorers_digest
from dpodiff.toy.model import Toy
from dpodiff.toy.train.defects import LIBRARY, validation_prompts

BATCH = 16
FIRST_SEED = 92_000
CELL = ("sampler", "steps", "guidance", "negative")  # columns that identify a part
OWN = "DDIM"  # the sampler of the model itself
SAMPLERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DPM-Solver++ 2M": (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "timestep_spacing": "trailing"},
    ),
    "UniPC": (UniPCMultistepScheduler, {"timestep_spacing": "trailing"}),
}
STEPS, GUIDANCES = (4, 5, 6, 8, 10), (2.0, 3.0, 4.0, 5.0)
NEGATIVES = (
    "bad, ugly",
    "duplicate, watermark",
    "dark, duplicate, watermark",
    "bad, ugly, blurry, watermark, duplicate",
    LIBRARY,
)


def run(
    prompts: int, seeds: int, sampler: str, steps: int, guidance: float, negative: str
) -> Tables:
    """Return one row per validation prompt, with means over the seeds."""
    texts = validation_prompts(prompts)
    model, judge = models()["model"].model, Verdicts(models()["judge"])
    model.scheduler = partial(scheduler, model, sampler)
    started, rows = time.monotonic(), []
    for text in texts:
        images = made(model, text, negative, seeds, steps=steps, guidance=guidance)
        found = judge.each(images, text)
        shares = {name: sum(one) / len(one) for name, one in found.items()}
        rows.append({"prompt": text, **shares})
    seconds = (time.monotonic() - started) / (len(texts) * seeds)
    cell = dict(zip(CELL, (sampler, steps, guidance, negative)))
    table = pd.DataFrame(rows).round(4)
    return {"table.csv": table.assign(seconds_per_image=round(seconds, 4), **cell)}


def made(model: Toy, prompt: str, negative: str, seeds: int, **rollout: Any) -> torch.Tensor:
    """Return images (seeds, 3, 64, 64) of one prompt."""
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    batches = [list(numbers[start : start + BATCH]) for start in range(0, seeds, BATCH)]
    return torch.cat(
        [model.generate([prompt] * len(b), [negative] * len(b), b, **rollout) for b in batches]
    )


def scheduler(model: Toy, sampler: str, steps: int) -> Any:
    """Return the model's own scheduler, or another of diffusers with the same noise schedule."""
    own = type(model).scheduler(model, steps)
    if sampler == OWN:
        return own
    kind, settings = SAMPLERS[sampler]
    other = kind.from_config(own.config, **settings)
    other.set_timesteps(steps)
    return other


def cells(
    steps: Sequence[int] = STEPS, guidances: Sequence[float] = GUIDANCES
) -> list[tuple[str, int, float, str]]:
    """Return the grid without a negative prompt, then the fixed negative prompts."""
    grid = [(s, n, g, "") for n in steps for g in guidances for s in (OWN, *SAMPLERS)]
    return grid + [(OWN, Toy.steps, g, negative) for negative in NEGATIVES for g in guidances]


def main() -> None:
    parser = arguments(__doc__, "start", 60)
    parser.add_argument("--seeds", type=int, default=4, help="images per prompt")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--guidances", type=float, nargs="+", default=GUIDANCES)
    options = parser.parse_args()
    settings = {
        "prompts": options.prompts,
        "seeds": options.seeds,
        "first_seed": FIRST_SEED,
        "scorers": scorers_digest(),
    }
    making = partial(run, options.prompts, options.seeds)
    parts = cells(options.steps, options.guidances)
    record(options.folder, parts, CELL, making, settings, options.workers)
    if options.prompts > 1:
        table = pd.read_csv(options.folder / "table.csv", keep_default_na=False)
        print(against_best(table, CELL, BOTH).head(20).round(3).to_string(index=False))


if __name__ == "__main__":
    main()

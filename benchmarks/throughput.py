"""Share of the networks in the time of an evaluation.

`Objective.evaluate` scores new candidates on several seeds: it decodes candidates, checks the
constraint, encodes their texts, samples with guidance, decodes the images, scores them with CLIP,
and updates the cache and the cost. The bare forwards are a lower bound for the same batches: the
U-Net once per step for both branches, the VAE's decoder and CLIP's image encoder once, on prepared
tensors of the same shapes, without a sampler.

`share` is the time of the bare forwards divided by that of the row: 1 is the limit, and the rest is
overhead. The last two rows are a user's code without this package: the stock pipeline of diffusers,
and the same loss on its images. In equal batches it is as fast. The released code of DPO-Diff makes
one image at a time, and `times as fast` is relative to that at the same number of steps. Small
batches leave a GPU idle. In the record of the toy model on a CPU batches of 16 are about four times
as fast, too.

Two optimizations were tested and are not used: torch.compile (15% of the time on a CPU, after a
compilation of 70 to 100 seconds for each shape of a batch), and sharing the first step's
unconditional branch between candidates of one seed, whose latents are then still equal (1 row of 2
x steps).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from common import Goal, Report, Row, in_turns, main
from diffusers import DiffusionPipeline
from world import World, on_world, stock_images

from dpodiff import Candidate, Model, Objective, Space, SphericalCLIP
from dpodiff.objective import Job

SIZES = {
    "small": {"world": "toy", "candidates": 2, "seeds": 2, "steps": 2, "batch": 4},
    "toy": {"world": "toy", "candidates": 8, "seeds": 4, "steps": 25, "batch": 16},
    "sd-v1-4": {"world": "sd-v1-4", "candidates": 8, "seeds": 4, "steps": 25, "batch": 16},
    "sd-v1-4 at 1024": {
        "world": "sd-v1-4 at 1024",
        "candidates": 4,
        "seeds": 4,
        "steps": 10,
        "batch": 8,
    },
    "sdxl": {"world": "sdxl", "candidates": 4, "seeds": 4, "steps": 10, "batch": 8},
    "sd3": {"world": "sd3", "candidates": 4, "seeds": 4, "steps": 10, "batch": 8},
}
BARE, OURS = "bare denoiser + VAE + CLIP", "Objective.evaluate"
STOCK, ONE = "stock pipeline", "stock pipeline, one image at a time"


def measure(
    world: World, *, candidates: int, seeds: int, steps: int, batch: int, repeats: int
) -> Report:
    """Time the evaluation of `candidates` new candidates on `seeds` by each method."""
    model, loss = world.model(), world.loss()
    model.steps = steps
    pipeline = world.stock(model)
    drawn = new_candidates(world.space)

    def evaluate() -> Callable[[], object]:
        objective = Objective(model, loss, world.space, range(seeds), batch_size=batch)
        return partial(objective.evaluate, [next(drawn) for _ in range(candidates)])

    def batches(size: int = batch) -> list[list[Job]]:
        new = [world.space.decode(next(drawn)) for _ in range(candidates)]
        jobs = [(prompts, seed) for prompts in new for seed in range(seeds)]
        return [jobs[i : i + size] for i in range(0, len(jobs), size)]

    def bare() -> Callable[[], object]:
        ready = [inputs(model, loss, jobs) for jobs in batches()]
        return partial(forwards, model, loss, ready)

    def stock(size: int) -> Callable[[], object]:
        return partial(by_hand, pipeline, loss, world.space.prompt, batches(size), model)

    methods = {BARE: bare, OURS: evaluate, STOCK: partial(stock, batch), ONE: partial(stock, 1)}
    timings = in_turns(methods, repeats)
    rows = [
        {
            "way": name,
            "images": candidates * seeds,
            "seconds": timing.median,
            "spread": timing.spread,
            "images/s": candidates * seeds / timing.median,
            "share": timings[BARE].median / timing.median,
            "times as fast": timings[ONE].median / timing.median,
        }
        for name, timing in timings.items()
    ]
    return Report(rows, goals(rows[1], model))


def goals(ours: Row, model: Model) -> list[Goal]:
    """Return the goals: little overhead, and in half precision on a GPU a speedup by batches."""
    found = [Goal(f"share of the bare forwards in {OURS}", ours["share"], 0.9, at_least=True)]
    if model.device.type == "cuda" and model.dtype == torch.float16:
        found.append(Goal(f"times as fast as the {ONE}", ours["times as fast"], 4, at_least=True))
    return found


def new_candidates(space: Space) -> Iterator[Candidate]:
    """Yield random candidates with prompts that no earlier one has."""
    rng, read = np.random.default_rng(0), set()
    while len(read) < space.size:
        candidate = space.sample(rng)
        if space.decode(candidate) not in read:
            read.add(space.decode(candidate))
            yield candidate


def inputs(model: Model, loss: SphericalCLIP, jobs: Sequence[Job]) -> tuple[torch.Tensor, ...]:
    """Return the networks' inputs for one batch: latents, texts, clean latents, pixels."""
    prompts, seeds = zip(*jobs)
    positive, negative = zip(*prompts)
    x = model.latents(seeds)
    texts = torch.cat([model.encode(negative), model.encode(positive)])
    pixels = torch.rand(len(x), 3, *_pair(loss.clip.visual.image_size), device=x.device)
    return torch.cat([x, x]), texts, x.to(model.vae.dtype), pixels


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


@torch.no_grad()
def forwards(
    model: Model, loss: SphericalCLIP, batches: Sequence[tuple[torch.Tensor, ...]]
) -> None:
    timesteps = model.scheduler(model.steps).timesteps
    for x, texts, latents, pixels in batches:
        for t in timesteps:
            model.denoise(x, t, texts)
        model.vae.decode(latents)
        loss.clip.encode_image(pixels)


@torch.no_grad()
def by_hand(
    pipeline: DiffusionPipeline,
    loss: SphericalCLIP,
    prompt: str,
    batches: Sequence[Sequence[Job]],
    model: Model,
) -> None:
    for jobs in batches:
        prompts, seeds = zip(*jobs)
        loss(stock_images(pipeline, *zip(*prompts), seeds, model), [prompt] * len(jobs))


if __name__ == "__main__":
    main(__doc__, on_world(measure), SIZES, repeats=5)

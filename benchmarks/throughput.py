"""How much of the time goes to the networks, and how much to everything around them?

`Objective.evaluate` scores new candidates on several seeds: it decodes candidates, asks whether
they are allowed, encodes their texts, samples with guidance, decodes the images, asks CLIP, and
keeps cache and ledger. The bare forwards are the least that can be paid for the same batches: the
U-Net once a step for both branches, the VAE's decoder and CLIP's image tower once, on tensors of
the same shapes that are ready beforehand, with no sampler between.

`share` is the bare seconds over those of the row: 1 is the limit, and what is missing is overhead.
The last row is what one would write without this package: the stock pipeline of diffusers in the
same batches, and the same loss on its images. It keeps nothing and batches as well as we do.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from common import Goal, Report, in_turns, main
from diffusers import StableDiffusionPipeline
from world import World, stock_images, stock_pipeline, toy_world

from dpodiff import Candidate, Model, Objective, Space, SphericalCLIP
from dpodiff.objective import Job

SIZES = {
    "small": {"candidates": 2, "seeds": 2, "steps": 2, "batch": 4},
    "toy": {"candidates": 16, "seeds": 4, "steps": 25, "batch": 16},
}


def measure(
    world: World, *, candidates: int, seeds: int, steps: int, batch: int, repeats: int
) -> Report:
    """Times the evaluation of `candidates` on `seeds`, never read before, each way."""
    model, loss = world.model(), world.loss()
    model.steps = steps
    pipeline = stock_pipeline(world.folder, model)
    drawn = new_candidates(world.space)

    def evaluate() -> Callable[[], object]:
        objective = Objective(model, loss, world.space, range(seeds), batch_size=batch)
        return partial(objective.evaluate, [next(drawn) for _ in range(candidates)])

    def batches() -> list[list[Job]]:
        new = [world.space.decode(next(drawn)) for _ in range(candidates)]
        jobs = [(prompts, seed) for prompts in new for seed in range(seeds)]
        return [jobs[i : i + batch] for i in range(0, len(jobs), batch)]

    def bare() -> Callable[[], object]:
        ready = [inputs(model, loss, jobs) for jobs in batches()]
        return partial(forwards, model, loss, ready)

    def stock() -> Callable[[], object]:
        return partial(by_hand, pipeline, loss, world.space.prompt, batches(), model)

    ways = {
        "bare U-Net + VAE + CLIP": bare,
        "Objective.evaluate": evaluate,
        "stock pipeline": stock,
    }
    timings = in_turns(ways, repeats)
    least = timings["bare U-Net + VAE + CLIP"].median
    rows = [
        {
            "way": name,
            "images": candidates * seeds,
            "seconds": timing.median,
            "spread": timing.spread,
            "images/s": candidates * seeds / timing.median,
            "share": least / timing.median,
        }
        for name, timing in timings.items()
    ]
    what = "share of the bare forwards in Objective.evaluate"
    return Report(rows, [Goal(what, rows[1]["share"], 0.9, at_least=True)])


def new_candidates(space: Space) -> Iterator[Candidate]:
    """Candidates at random, each with prompts that none before it had."""
    rng, read = np.random.default_rng(0), set()
    while len(read) < space.size:
        candidate = space.sample(rng)
        if space.decode(candidate) not in read:
            read.add(space.decode(candidate))
            yield candidate


def inputs(model: Model, loss: SphericalCLIP, jobs: Sequence[Job]) -> tuple[torch.Tensor, ...]:
    """What the three networks take for one batch: latents, texts, clean latents, pixels."""
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
            model.unet(x, t, encoder_hidden_states=texts)
        model.vae.decode(latents)
        loss.clip.encode_image(pixels)


@torch.no_grad()
def by_hand(
    pipeline: StableDiffusionPipeline,
    loss: SphericalCLIP,
    prompt: str,
    batches: Sequence[Sequence[Job]],
    model: Model,
) -> None:
    rollout = {"steps": model.steps, "guidance": model.guidance}
    for jobs in batches:
        prompts, seeds = zip(*jobs)
        loss(stock_images(pipeline, *zip(*prompts), seeds, **rollout), [prompt] * len(jobs))


if __name__ == "__main__":
    main(__doc__, partial(measure, toy_world()), SIZES, repeats=5)

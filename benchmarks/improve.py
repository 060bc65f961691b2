"""Time of a whole search, compared with the evaluation of DPO-Diff's released code.

The released code (github.com/ruocwang/dpo-diffusion) makes the images of a candidate one by one,
with 50 steps, and scores each with CLIP. It encodes the prompt, the negative prompt and CLIP's text
again for every image. A loop over the stock pipeline of diffusers does the same. Here this method
is reimplemented with the stock pipeline as a model of `dpodiff.improve`, so that both run the same
search: the same candidates, seeds and number of evaluations.

The differences, and the rows that show their effects:

    differences                                                     compare the rows
    fewer steps: 10 instead of 50                                   of one method, 50 and 10 steps
    texts encoded once, channels last, a faster loop                released and dpodiff, one image
    many images at a time, also of several candidates               dpodiff, one image and many

`times as fast at equal steps` excludes the first difference: both methods make the same images, so
quote this number. `times as fast with fewer steps too` compares with 50 steps in every row. `loss
found` is that of the best candidate with the row's number of steps: at equal steps both methods
find the same one, so the speed has no cost in quality.

The comparison favors the released method: it takes DDIM's 50 denoiser calls (its own sampler takes
51), stores no images, and draws no progress bars. Its repeated evaluations of equal candidates are
not included. In the search below `free` candidates were found in the cache.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from common import Goal, Report, Row, Timing, in_turns, main
from world import World, on_world, stock_images

import dpodiff
from dpodiff import Result
from dpodiff.losses import spherical_distance
from dpodiff.losses.base import Loss
from dpodiff.objective.evaluation import mean

Way = tuple[str, int, int]  # name, steps, images at a time

EQUAL_STEPS = "times as fast at equal steps"
FEWER_STEPS = "times as fast with fewer steps too"

SIZES = {
    "small": {"world": "toy", "budget": 3, "seeds": 2, "steps": (4, 2), "batch": 6},
    "toy": {"world": "toy", "budget": 40, "seeds": 4, "steps": (50, 10), "batch": 16},
}


class Released:
    """The released method, as a model and a loss for `dpodiff.improve`."""

    def __init__(self, world: World, steps: int) -> None:
        model, self.clip = world.model(), world.loss()
        self.pipeline = world.stock(model)
        self.name, self.device, self.check = "released", model.device, model.check
        self.steps, self.guidance, self.takes_negative = steps, model.guidance, True
        self.image_size = model.image_size
        self.forwards = self.backwards = 0

    def generate(
        self, prompts: Sequence[str], negative_prompts: Sequence[str], seeds: Sequence[int]
    ) -> torch.Tensor:
        self.forwards += 2 * self.steps * len(seeds)
        return torch.cat(
            [
                stock_images(self.pipeline, [prompt], [negative], [seed], self)
                for prompt, negative, seed in zip(prompts, negative_prompts, seeds)
            ]
        )

    def loss(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the spherical loss image by image, without the cache of texts."""
        losses = []
        for image, prompt in zip(images, prompts):
            text = self.clip._encode_texts([prompt])
            losses.append(spherical_distance(self.clip.features(image[None]), text))
        return torch.cat(losses)


def measure(
    world: World, *, budget: int, seeds: int, steps: Sequence[int], batch: int, repeats: int
) -> Report:
    """Time whole searches; the first of `steps` is the release's number, the last is ours."""

    def search(model: dpodiff.Model | Released, loss: Loss, size: int) -> Callable[[], Result]:
        return partial(
            dpodiff.improve,
            world.space.prompt,
            model=model,
            loss=loss,
            space=world.space,
            solver="dpodiff-epo",
            budget=budget,
            seeds=seeds,
            verify=0,
            batch_size=size,
            progress=False,
        )

    def released(count: int) -> Callable[[], Result]:
        method = Released(world, count)
        return search(method, method.loss, 1)

    def ours(count: int, size: int) -> Callable[[], Result]:
        model = world.model()
        model.steps = count
        return search(model, world.loss(), size)

    methods = {}
    for count in steps:
        methods["released", count, 1] = partial(released, count)
        methods["dpodiff", count, 1] = partial(ours, count, 1)
        methods["dpodiff", count, batch] = partial(ours, count, batch)
    return report(in_turns(methods, repeats))


def report(timings: dict[Way, Timing]) -> Report:
    """Return one row per method, with its speed relative to the released method."""
    theirs = next(iter(timings.values()))
    rows = []
    for method, timing in timings.items():
        name, steps, batch = method
        if timing.result.error is not None:  # the time of an incomplete search is not comparable
            raise timing.result.error
        cost = timing.result.cost
        rows.append(
            {
                "way": name,
                "steps": steps,
                "images at a time": batch,
                "evaluations": cost.evaluations,
                "free": cost.cache_hits,
                "images": cost.images,
                "seconds": timing.median,
                "spread": timing.spread,
                EQUAL_STEPS: timings["released", steps, 1].median / timing.median,
                FEWER_STEPS: theirs.median / timing.median,
                "loss found": mean(timing.result.losses),
            }
        )
    return Report(rows, goals(rows), [fewer_steps(rows)])


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Return the goals: the speedup at equal steps, one goal per number of steps."""
    fastest = {row["steps"]: row for row in rows if row["way"] == "dpodiff"}  # the last row of each
    what = "times as fast as the released way, at equal steps and evaluations"
    return [
        Goal(f"{what}, {steps} steps", row[EQUAL_STEPS], 5, at_least=True)
        for steps, row in fastest.items()
    ]


def fewer_steps(rows: Sequence[Row]) -> str:
    """Return the speedup that includes the smaller number of steps, in words."""
    first, last = rows[0], rows[-1]
    slower = next(r for r in rows if r["way"] == "released" and r["steps"] == last["steps"])
    return (
        f"{last['steps']} steps of ours against {first['steps']} of the released way: "
        f"{last[FEWER_STEPS]:.3g} times as fast, of which {slower[FEWER_STEPS]:.3g} by fewer steps"
    )


if __name__ == "__main__":
    main(__doc__, on_world(measure), SIZES, repeats=3)

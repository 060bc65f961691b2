"""How much faster is a whole search than by the way the released code of DPO-Diff evaluates?

The released code (github.com/ruocwang/dpo-diffusion) makes the images of a candidate one by one, in
50 steps, and asks CLIP about each alone; prompt, negative prompt and CLIP's text are encoded anew
for every image. This is also what a user gets who calls the stock pipeline of diffusers in a loop.
Here that way is stated again with the stock pipeline, and put under `dpodiff.improve` in the place
of the model, so that both do the same search: the same candidates, seeds and number of evaluations.

What differs, and where to read what it gives:

    levers                                                          compare the rows
    fewer steps: 10, as the toy model takes by default              of one way, 50 and 10 steps
    texts encoded once, channels last, a leaner loop                released and dpodiff, one image
    many images at a time, across candidates, in sampler and CLIP   dpodiff, one image and many

`times as fast at equal steps` leaves the first lever out: both ways make the same images, so this
is the number to quote. `times as fast with fewer steps too` compares with 50 steps whatever the row
takes. `loss found` is that of the best candidate, as its own number of steps sees it: at equal
steps both ways find the same one, so nothing is traded for speed.

In favor of the released way: it takes DDIM's 50 denoiser calls (its own sampler takes 51), keeps
no images, draws no bars. Not measured: that it pays again for candidates which read the same as
an earlier one. The search below got `free` of them for nothing.
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
    """The released way, behind what `dpodiff.improve` asks of a model and of a loss."""

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
        """Spherical loss of image by image, past the cache of texts."""
        losses = []
        for image, prompt in zip(images, prompts):
            text = self.clip._encode_texts([prompt])
            losses.append(spherical_distance(self.clip.features(image[None]), text))
        return torch.cat(losses)


def measure(
    world: World, *, budget: int, seeds: int, steps: Sequence[int], batch: int, repeats: int
) -> Report:
    """Times whole searches; the first of `steps` is the release's number, the last is ours."""

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
    """One row a way, and how many times as fast it is as the released way."""
    theirs = next(iter(timings.values()))
    rows = []
    for method, timing in timings.items():
        name, steps, batch = method
        if timing.result.error is not None:  # half a search has no time to compare
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
    """How many times as fast we are at equal steps, one goal a number of steps."""
    fastest = {row["steps"]: row for row in rows if row["way"] == "dpodiff"}  # its last row
    what = "times as fast as the released way, at equal steps and evaluations"
    return [
        Goal(f"{what}, {steps} steps", row[EQUAL_STEPS], 5, at_least=True)
        for steps, row in fastest.items()
    ]


def fewer_steps(rows: Sequence[Row]) -> str:
    """The ratio in which the number of steps differs too, named as what it is."""
    first, last = rows[0], rows[-1]
    slower = next(r for r in rows if r["way"] == "released" and r["steps"] == last["steps"])
    return (
        f"{last['steps']} steps of ours against {first['steps']} of the released way: "
        f"{last[FEWER_STEPS]:.3g} times as fast, of which {slower[FEWER_STEPS]:.3g} by fewer steps"
    )


if __name__ == "__main__":
    main(__doc__, on_world(measure), SIZES, repeats=3)

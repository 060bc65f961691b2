"""Time of a search with the toy model's settings, compared with its former settings.

The toy model makes an image in 6 steps at guidance 3. The former settings were 10 steps at guidance
5. The new ones were chosen on 60 separate prompts (dpodiff/results/recorded/start), which are left
out here. Whole searches of the same prompt, with the same loss and number of evaluations, are timed
with both settings.

A faster search must not have worse images. So the judge compares images of other prompts, unchanged
and on the same seeds: `as asked and clean` is its mean share with each setting, and `change` the
mean difference from the former settings over prompts, with its 95% interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from common import Goal, Report, Timing, in_turns, main
from world import PROMPT

import dpodiff
from dpodiff import Result
from dpodiff.api import default_loss
from dpodiff.losses.base import Loss
from dpodiff.results.records import Recorded
from dpodiff.results.statistics import Interval, paired_bootstrap
from dpodiff.toy.captions import STYLES, parse
from dpodiff.toy.judge import Judge
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import prompt_set

SIZES = {
    "small": {"prompts": 2, "images": 2, "budget": 3, "seeds": 2},
    "toy": {"prompts": 60, "images": 4, "budget": 40, "seeds": 4},
}
FIRST_SEED = 95_000  # first seed of the judged images


@dataclass(frozen=True)
class Settings:
    """The sampler settings of an image."""

    steps: int
    guidance: float

    def model(self) -> dpodiff.Model:
        """Return the toy model with these settings."""
        model = dpodiff.load()
        model.steps, model.guidance = self.steps, self.guidance
        return model


FORMER, NOW = Settings(steps=10, guidance=5.0), Settings(Toy.steps, Toy.guidance)


def measure(*, prompts: int, images: int, budget: int, seeds: int, repeats: int) -> Report:
    """Time searches with both settings, and judge images of unchanged prompts.

    Args:
        prompts: number of judged prompts.
        images: number of images per prompt.
        budget, seeds: budget and number of seeds of a search.
        repeats: number of searches with each setting.
    """
    loss = default_loss(NOW.model())
    search = partial(prepared, loss=loss, budget=budget, seeds=seeds)
    timings = in_turns({s: partial(search, s) for s in (FORMER, NOW)}, repeats)
    judge, texts = Judge.load(), other_prompts(prompts)
    numbers = range(FIRST_SEED, FIRST_SEED + images)
    shares = {s: good_shares(s.model(), judge, texts, numbers) for s in (FORMER, NOW)}
    return report(timings, shares)


def prepared(settings: Settings, loss: Loss, budget: int, seeds: int) -> "partial[Result]":
    """Return a search that is ready to start."""
    return partial(
        dpodiff.improve,
        PROMPT,
        model=settings.model(),
        loss=loss,
        budget=budget,
        seeds=seeds,
        verify=0,
        progress=False,
    )


def other_prompts(count: int) -> list[str]:
    """Return prompts that were not used to choose the settings, with alternating styles."""
    chosen_on = set(Recorded.load("start").table["prompt"])
    turns = zip(*(prompt_set(style) for style in STYLES))
    return [text for turn in turns for text in turn if text not in chosen_on][:count]


def good_shares(
    model: dpodiff.Model, judge: Judge, prompts: Sequence[str], seeds: Sequence[int]
) -> np.ndarray:
    """Return the shares (prompts,) of images that are all as asked and clean."""
    shares = []
    for prompt in prompts:
        with torch.no_grad():
            images = model.generate([prompt] * len(seeds), [""] * len(seeds), seeds)
        verdicts = judge.check(images, [parse(prompt)] * len(images))
        shares.append(np.mean([one["all"] and one["clean"] for one in verdicts]))
    return np.array(shares)


def report(timings: dict[Settings, Timing], shares: dict[Settings, np.ndarray]) -> Report:
    """Return one row per setting, and two goals."""
    slow = timings[FORMER].median
    rows = []
    for settings, timing in timings.items():
        if timing.result.error is not None:  # the time of an incomplete search is not comparable
            raise timing.result.error
        same = settings == FORMER
        gap = Interval(0.0, 0.0, 0.0) if same else paired_bootstrap(shares[NOW] - shares[FORMER])
        rows.append(
            {
                "steps": settings.steps,
                "guidance": settings.guidance,
                "evaluations": timing.result.cost.evaluations,
                "seconds": timing.median,
                "spread": timing.spread,
                "times as fast": slow / timing.median,
                "as asked and clean": float(shares[settings].mean()),
                "change": gap.mean,
                "low": gap.low,
                "high": gap.high,
                "prompts": len(shares[settings]),
            }
        )
    now = rows[-1]
    goals = [
        Goal("times as fast as the former settings", now["times as fast"], 1.5, at_least=True),
        Goal("change of as asked and clean, lower end", now["low"], 0.0, at_least=True),
    ]
    return Report(rows, goals)


if __name__ == "__main__":
    main(__doc__, measure, SIZES, repeats=3)

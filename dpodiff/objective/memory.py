"""Known evaluations and images of an objective, so that nothing is made twice."""

import math
from collections.abc import Iterator, Sequence

import torch

from dpodiff.models.black_box import other_size
from dpodiff.objective.evaluation import Evaluation
from dpodiff.objective.images import Job
from dpodiff.spaces.space import Prompts


class Memory:
    """A cache of evaluations, losses of images, and images of the baseline and the best candidate.

    Args:
        own: the user's own prompts.
        seeds: seeds of the objective.

    Attributes:
        evaluations: evaluations by the prompts of the candidate.
    """

    def __init__(self, own: Prompts, seeds: Sequence[int]) -> None:
        self.own, self.seeds = own, tuple(seeds)
        self.evaluations: dict[Prompts, Evaluation] = {}
        # Losses after all steps, one per seed, for the first seeds.
        self._losses: dict[Prompts, tuple[float, ...]] = {}
        self._first: torch.Tensor | None = None  # the first image, for the size
        # Images (3, height, width) on the CPU, by seed.
        self._images: dict[Prompts, dict[int, torch.Tensor]] = {}
        self._open: set[Prompts] = set()  # prompts that are being evaluated
        self._best: tuple[float, Prompts | None] = (math.inf, None)

    def missing(self, prompts: Prompts, seeds: Sequence[int]) -> Sequence[int]:
        """Return those of the first seeds whose losses are unknown."""
        return seeds[len(self._losses.get(prompts, ())) :]

    def complete(
        self, prompts: Prompts, losses: Iterator[float], seeds: Sequence[int]
    ) -> tuple[float, ...]:
        """Return the losses of the first seeds; those of `missing` come from the iterator."""
        known = self._losses.get(prompts, ())
        row = (*known, *(next(losses) for _ in self.missing(prompts, seeds)))
        self._losses[prompts] = row
        return row[: len(seeds)]

    def open(self, prompts: Sequence[Prompts]) -> None:
        """Keep images of prompts that are about to be evaluated, until `settle`."""
        for left in self._open - set(prompts):  # of an aborted evaluation
            self._drop(left)
        self._open = set(prompts)

    def settle(self, prompts: Prompts, value: float) -> None:
        """Drop the images of evaluated prompts, or those of the previous best candidate."""
        self._open.discard(prompts)
        dropped: Prompts | None = prompts
        if value < self._best[0]:
            dropped, self._best = self._best[1], (value, prompts)
        self._drop(dropped)

    def _drop(self, prompts: Prompts | None) -> None:
        if prompts is not None and prompts != self.own:
            self._images.pop(prompts, None)

    def keep(self, jobs: Sequence[Job], images: torch.Tensor) -> None:
        """Keep images that may be needed again, if they belong to the objective's seeds.

        Raises:
            ValueError: if the images differ in size from earlier ones.
        """
        self._first = images[0].cpu() if self._first is None else self._first
        if images.shape[1:] != self._first.shape:
            (positive, negative, *_), seed = jobs[0]
            raise other_size(
                f"generate({positive!r}, {negative!r}, {seed})", self._first, images[0]
            )
        for (prompts, seed), image in zip(jobs, images):
            if seed in self.seeds and (prompts == self.own or prompts in self._open):
                self._images.setdefault(prompts, {})[seed] = image.to("cpu", copy=True)

    def images(self, jobs: Sequence[Job]) -> torch.Tensor | None:
        """Return images (batch, 3, height, width) of the jobs if all were kept, else None."""
        kept = [self._images.get(prompts, {}).get(seed) for prompts, seed in jobs]
        found = [image for image in kept if image is not None]
        return torch.stack(found) if len(found) == len(jobs) else None

"""What an objective has seen already, so that nothing is made twice."""

from collections.abc import Iterator, Sequence

import torch

from dpodiff.models.black_box import other_size
from dpodiff.objective.evaluation import Evaluation
from dpodiff.objective.images import Job
from dpodiff.spaces.space import Prompts


class Memory:
    """Evaluations, losses of single images, and the images of the user's own prompt.

    Args:
        own: the user's own prompts.
        seeds: of the objective.

    Attributes:
        evaluations: by what candidates read.
    """

    def __init__(self, own: Prompts, seeds: Sequence[int]) -> None:
        self.own, self.seeds = own, tuple(seeds)
        self.evaluations: dict[Prompts, Evaluation] = {}
        # After all steps, of the first seeds, one per seed.
        self._losses: dict[Prompts, tuple[float, ...]] = {}
        self._first: torch.Tensor | None = None  # image of all
        self._images: dict[int, torch.Tensor] = {}  # by seed, (3, height, width), on the CPU

    def missing(self, prompts: Prompts, seeds: Sequence[int]) -> Sequence[int]:
        """Those of the first seeds whose losses are not known."""
        return seeds[len(self._losses.get(prompts, ())) :]

    def complete(
        self, prompts: Prompts, losses: Iterator[float], seeds: Sequence[int]
    ) -> tuple[float, ...]:
        """The losses of the first seeds; those of `missing` are taken from the iterator."""
        known = self._losses.get(prompts, ())
        row = (*known, *(next(losses) for _ in self.missing(prompts, seeds)))
        self._losses[prompts] = row
        return row[: len(seeds)]

    def keep(self, jobs: Sequence[Job], images: torch.Tensor) -> None:
        """Keep those of the images that are of the user's own prompt and the objective's seeds.

        Raises:
            ValueError: if the images have another size than those before.
        """
        self._first = images[0].cpu() if self._first is None else self._first
        if images.shape[1:] != self._first.shape:
            (positive, negative, *_), seed = jobs[0]
            raise other_size(
                f"generate({positive!r}, {negative!r}, {seed})", self._first, images[0]
            )
        for (prompts, seed), image in zip(jobs, images):
            if prompts == self.own and seed in self.seeds:
                self._images[seed] = image.cpu()

    def images(self, jobs: Sequence[Job]) -> torch.Tensor | None:
        """Images (batch, 3, height, width) of the jobs, if all of them were kept."""
        if not all(prompts == self.own and seed in self._images for prompts, seed in jobs):
            return None
        return torch.stack([self._images[seed] for _, seed in jobs])

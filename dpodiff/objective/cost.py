"""The budget and the cost of a search, in one unit for all solvers.

The unit is the evaluation: one candidate on all seeds with all steps. Gradients and previews are
charged by their share of its denoiser work, so all solvers are compared at equal cost.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.checks import check_finite, check_whole

if TYPE_CHECKING:
    from dpodiff.models.base import Model, TextToImage


MOST = 1_000_000  # largest number of evaluations in a budget


@dataclass(frozen=True)
class Budget:
    """The limits of a search; it ends when the first one is reached.

    Args:
        evaluations: whole number of evaluations, each of one candidate on all seeds. Other work
            counts as in `Cost.spent`.
        seconds: wall-clock time; None is no limit.

    Raises:
        ValueError: if `evaluations` is below 1, `seconds` is not above 0, or one is not a finite
            number.

    Examples:
        >>> dpodiff.Budget(evaluations=100, seconds=60)
        Budget(evaluations=100, seconds=60)
    """

    evaluations: int = 40
    seconds: float | None = None

    def __post_init__(self) -> None:
        check_whole("the evaluations of a budget", self.evaluations, most=MOST)
        if self.evaluations < 1:
            raise ValueError(f"a budget needs at least 1 evaluation, not {self.evaluations}")
        if self.seconds is None:
            return
        check_finite("the seconds of a budget", self.seconds)
        if self.seconds <= 0:
            raise ValueError(f"a budget needs more than 0 seconds, not {self.seconds}")


@dataclass
class Cost:
    """The cost of an objective so far.

    Attributes:
        evaluations: full evaluations of a candidate on all seeds.
        gradients: gradients at mixtures.
        previews: previews of candidates.
        images: images made for evaluations, gradients, previews and verification.
        denoiser_forwards: rows of the denoiser; a guided step of one image takes two.
        backward_passes: rows of the denoiser's backward passes.
        cache_hits: candidates that were known already, at no cost.
        verification: price of the images on fresh seeds (`dpodiff.verify`), in evaluations.
        spent: total price in evaluations. An evaluation costs 1. A preview costs its share of steps
            and seeds. A gradient costs its denoiser rows divided by those of an evaluation. A row
            with a backward pass counts three times, since it costs about two forward passes.
        seconds: time for images, losses and gradients, including batches that ran out of memory.
            Nothing else of such batches is counted.
        peak_memory: peak memory of this process in bytes: allocated on a GPU, else resident.

    Examples:
        >>> earlier = dpodiff.Cost(evaluations=3, images=12)
        >>> added = dpodiff.Cost(evaluations=5, images=20).since(earlier)
        >>> added.evaluations, added.images
        (2, 8)
    """

    evaluations: int = 0
    gradients: int = 0
    previews: int = 0
    images: int = 0
    denoiser_forwards: int = 0
    backward_passes: int = 0
    cache_hits: int = 0
    verification: float = 0.0
    spent: float = 0.0
    seconds: float = 0.0
    peak_memory: int = 0

    def since(self, start: "Cost") -> "Cost":
        """Return the cost added after `start`; the peak is kept."""
        added = {f.name: getattr(self, f.name) - getattr(start, f.name) for f in fields(self)}
        return replace(Cost(**added), peak_memory=self.peak_memory)

    def plus(self, other: "Cost") -> "Cost":
        """Return the sum of both; the peak is the higher one."""
        both = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return replace(Cost(**both), peak_memory=max(self.peak_memory, other.peak_memory))

    @property
    def work(self) -> dict[str, float]:
        """Return the part that `measured` adds, ready for JSON."""
        return {
            "seconds": self.seconds,
            "forwards": self.denoiser_forwards,
            "backwards": self.backward_passes,
        }

    def repeat(self, work: Mapping[str, Any]) -> "Cost":
        """Add work that was done before, and return its cost alone."""
        done = Cost(
            seconds=work["seconds"],
            denoiser_forwards=work["forwards"],
            backward_passes=work["backwards"],
        )
        self.seconds += done.seconds
        self.denoiser_forwards += done.denoiser_forwards
        self.backward_passes += done.backward_passes
        return done


def peak_memory(device: torch.device | str) -> int:
    """Return the peak memory of this process in bytes: of the GPU, else resident."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # missing on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def measured(cost: Cost, model: "TextToImage") -> Iterator[Cost]:
    """Add the seconds, memory and denoiser rows of a block to a cost; no rows if it fails.

    Args:
        cost: the cost to add to.
        model: model that counts the rows.

    Yields:
        the cost of this work alone, complete at the end of the block.
    """
    work, start = Cost(), time.perf_counter()
    forwards, backwards = model.forwards, model.backwards
    try:
        yield work
    finally:
        work.seconds = time.perf_counter() - start
        cost.seconds += work.seconds
        cost.peak_memory = peak_memory(model.device)
    work.denoiser_forwards = model.forwards - forwards
    work.backward_passes = model.backwards - backwards
    cost.denoiser_forwards += work.denoiser_forwards
    cost.backward_passes += work.backward_passes


def price_of_rows(work: Cost, model: "Model", seeds: int) -> float:
    """Return the price of denoiser rows in evaluations; see `Cost.spent`.

    Raises:
        RuntimeError: if the model counted no rows, since such work could continue without end.
    """
    rows = work.denoiser_forwards + 2 * work.backward_passes
    if rows == 0:
        raise RuntimeError(
            f"{model.name} counted no denoiser rows, so a gradient has no price: a model "
            "subclasses dpodiff.Model, whose `denoise` counts, and implements `_denoise`"
        )
    branches = 2 if model.guidance > 1 else 1
    return rows / (branches * model.steps * seeds)  # eq. (hpo-price)

"""What a search may cost, and what it has cost, in one unit for every solver.

The unit is the evaluation: one candidate on all seeds, all steps. Gradients and previews are priced
by the share of its denoiser work, so solvers of every kind are compared at equal cost.
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


MOST = 1_000_000  # evaluations of a budget


@dataclass(frozen=True)
class Budget:
    """How far a search may go; whatever is used up first ends it.

    Args:
        evaluations: candidates, each on all seeds; other work counts as in `Cost.spent`. A whole
            number.
        seconds: wall-clock time, or None for any.

    Raises:
        ValueError: if there is not at least one evaluation and some time, or they are no finite
            numbers.

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
    """What an objective has cost so far.

    Attributes:
        evaluations: full ones, a candidate on all seeds.
        gradients: of mixtures.
        previews: of candidates.
        images: made for evaluations, gradients, previews and verification.
        denoiser_forwards: in rows, so a guided step of one image is two.
        backward_passes: in rows of the denoiser.
        cache_hits: candidates that were known already; free.
        verification: the price of the images on fresh seeds (`dpodiff.verify`), in evaluations.
        spent: the price of all of it in evaluations. An evaluation is 1. A preview counts its share
            of steps and seeds. A gradient counts its denoiser rows over those of an evaluation; a
            row with a backward pass counts three times, since that costs about two forward passes.
        seconds: spent on images, losses and gradients; on batches that ran out of memory too, of
            which nothing else is counted.
        peak_memory: in bytes, of this process so far: allocated on a GPU, else resident.

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
        """What was added after `start`; the peak stays the peak."""
        added = {f.name: getattr(self, f.name) - getattr(start, f.name) for f in fields(self)}
        return replace(Cost(**added), peak_memory=self.peak_memory)

    def plus(self, other: "Cost") -> "Cost":
        """Both together; the peak is the higher one."""
        both = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return replace(Cost(**both), peak_memory=max(self.peak_memory, other.peak_memory))

    @property
    def work(self) -> dict[str, float]:
        """What of it `measured` adds, ready for JSON."""
        return {
            "seconds": self.seconds,
            "forwards": self.denoiser_forwards,
            "backwards": self.backward_passes,
        }

    def repeat(self, work: Mapping[str, Any]) -> "Cost":
        """Add work that was done before; returns it alone."""
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
    """The most memory this process has held so far, in bytes: of the GPU, else resident."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def measured(cost: Cost, model: "TextToImage") -> Iterator[Cost]:
    """Add seconds, memory and denoiser rows of a piece of work to a cost; no rows if it fails.

    Args:
        cost: what is added to.
        model: counts the rows.

    Yields:
        the cost of this work alone, filled in at its end.
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
    """Denoiser rows of a piece of work, in evaluations on so many seeds; see `Cost.spent`.

    Raises:
        RuntimeError: if the model counted no rows: such work could go on for ever.
    """
    rows = work.denoiser_forwards + 2 * work.backward_passes
    if rows == 0:
        raise RuntimeError(
            f"{model.name} counted no denoiser rows, so a gradient has no price: a model "
            "subclasses dpodiff.Model, whose `denoise` counts, and implements `_denoise`"
        )
    branches = 2 if model.guidance > 1 else 1
    return rows / (branches * model.steps * seeds)  # eq. (hpo-price)

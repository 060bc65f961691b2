"""What a search may cost, and what it has cost: one currency for every solver.

The unit is the evaluation: one candidate on all seeds, all steps. Gradients and previews are priced
by the share of its denoiser work, so solvers of every kind are compared at equal cost.
"""

import sys
from dataclasses import dataclass, fields

import torch


@dataclass(frozen=True)
class Budget:
    """How far a search may go; whatever is used up first ends it.

    Args:
        evaluations: candidates, each on all seeds; other work counts as in `Cost.spent`.
        seconds: wall-clock time, or None for any.

    Raises:
        ValueError: if there is not at least one evaluation and some time.
    """

    evaluations: int = 40
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise ValueError(f"a budget needs at least 1 evaluation, not {self.evaluations}")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"a budget needs more than 0 seconds, not {self.seconds}")


@dataclass
class Cost:
    """The ledger of an objective.

    Attributes:
        evaluations: full ones, a candidate on all seeds.
        gradients: of mixtures.
        previews: of candidates.
        images: made for evaluations, gradients and previews.
        denoiser_forwards: in rows, so a guided step of one image is two.
        backward_passes: rows of the denoiser gone back through.
        cache_hits: candidates that were known already; free.
        spent: the price of all of it in evaluations. An evaluation is 1. A preview counts its share
            of steps and seeds. A gradient counts its denoiser rows, those gone back through three
            times (a way back costs about two ways forth), over the rows of an evaluation.
        seconds: spent on images, losses and gradients; on batches that ran out of memory too, of
            which nothing else is counted.
        peak_memory: in bytes, of this process so far: allocated on a GPU, else resident.
    """

    evaluations: int = 0
    gradients: int = 0
    previews: int = 0
    images: int = 0
    denoiser_forwards: int = 0
    backward_passes: int = 0
    cache_hits: int = 0
    spent: float = 0.0
    seconds: float = 0.0
    peak_memory: int = 0

    def since(self, start: "Cost") -> "Cost":
        """What was added after `start`; the peak stays the peak."""
        added = {f.name: getattr(self, f.name) - getattr(start, f.name) for f in fields(self)}
        return Cost(**added | {"peak_memory": self.peak_memory})


def peak_memory(device: torch.device | str) -> int:
    """The most memory this process has held so far, in bytes: of the GPU, else resident."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

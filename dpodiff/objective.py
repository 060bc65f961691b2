"""What a search minimizes, and what it costs.

    objective(s) = mean over seeds of loss(G(s; seed), user prompt)        improve: minimized
                                                                           attack: maximized

The candidate's prompts make the images; the user's own prompt judges them. Candidates x seeds are
one flat list of images, cut into batches that cross the borders between candidates, so the model
always works on full batches.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import torch

from dpodiff.models.base import Model, PromptError
from dpodiff.space import Candidate, Prompts, Space

# Images (batch, 3, height, width) in [0, 1] and their prompts -> (batch,), to be minimized.
Loss = Callable[[torch.Tensor, list[str]], torch.Tensor]
# Whether a candidate's prompts may be tried at all; asked before any image is made.
Constraint = Callable[[Prompts], bool]
Task = Literal["improve", "attack"]
Job = tuple[Prompts, int]  # one image to make: its prompts and its seed


@dataclass(frozen=True)
class Budget:
    """How far a search may go; whatever is used up first ends it.

    Args:
        evaluations: candidates, each on all seeds.
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

    `evaluations` are paid for; `cache_hits` were known already and are free. `denoiser_forwards`
    counts rows, so a guided step of one image is two. `seconds` are spent on images and losses.
    `peak_memory` is in bytes, of this process so far: allocated on a GPU, else resident.
    """

    evaluations: int = 0
    images: int = 0
    denoiser_forwards: int = 0
    backward_passes: int = 0
    cache_hits: int = 0
    seconds: float = 0.0
    peak_memory: int = 0

    def since(self, start: "Cost") -> "Cost":
        """What was added after `start`; the peak stays the peak."""
        added = {f.name: getattr(self, f.name) - getattr(start, f.name) for f in fields(self)}
        return Cost(**added | {"peak_memory": self.peak_memory})


@dataclass(frozen=True)
class Evaluation:
    """What came of one candidate.

    Attributes:
        losses: one a seed; none at all if the candidate was rejected.
        value: what solvers minimize; infinite if rejected or if any loss is not finite.
    """

    candidate: Candidate
    prompts: Prompts
    losses: tuple[float, ...]
    value: float

    @property
    def rejected(self) -> bool:
        """Whether constraint or model refused the prompts, so that no image was made."""
        return not self.losses


class Objective:
    """Scores candidates on a fixed set of seeds, remembers them, and keeps the ledger.

    Candidates that read the same are evaluated once.

    Args:
        model: makes the images.
        loss: judges them; any callable from images (batch, 3, height, width) in [0, 1] and prompts
            to (batch,) losses.
        space: of the candidates; its prompt is the one the loss is asked about.
        seeds: of the images of each candidate, the same for all.
        task: "improve" minimizes the mean loss, "attack" maximizes it.
        constraint: from a candidate's prompts to whether they are allowed. It is not asked about
            the user's own. What it rejects costs nothing, nor do prompts the model cannot take.
        batch_size: images made at a time.

    Raises:
        ValueError: if there is no seed, the task is unknown, or the batch is empty.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        space: Space,
        seeds: Iterable[int],
        *,
        task: Task = "improve",
        constraint: Constraint | None = None,
        batch_size: int = 16,
    ) -> None:
        self.model, self.loss, self.space = model, loss, space
        self.seeds = tuple(seeds)
        self.task, self.constraint, self.batch_size = task, constraint, batch_size
        self.cost = Cost()
        self._known: dict[Prompts, Evaluation] = {}
        if not self.seeds:
            raise ValueError("an objective needs at least one seed")
        if task not in get_args(Task):
            raise ValueError(f"task must be one of {', '.join(get_args(Task))}, not {task!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Evaluations of the candidates, in their order."""
        return list(self.stream(candidates))

    def stream(self, candidates: Sequence[Candidate]) -> Iterator[Evaluation]:
        """Yield the evaluations of the candidates in their order, each as soon as it is known.

        Raises:
            ValueError: if a candidate does not fit the space, or the loss does not give (batch,).
        """
        decoded = [self.space.decode(candidate) for candidate in candidates]
        new = [prompts for prompts in dict.fromkeys(decoded) if prompts not in self._known]
        allowed = [prompts for prompts in new if self._allows(prompts)]
        losses = self._charged([(prompts, seed) for prompts in allowed for seed in self.seeds])
        for candidate, prompts in zip(candidates, decoded, strict=True):
            if prompts in self._known:
                self.cost.cache_hits += 1
            elif prompts in allowed:
                row = tuple(next(losses) for _ in self.seeds)
                self.cost.evaluations += 1
                self._known[prompts] = Evaluation(candidate, prompts, row, self._value(row))
            else:
                yield Evaluation(candidate, prompts, (), math.inf)
                continue
            yield replace(self._known[prompts], candidate=candidate)

    def images(self, candidate: Candidate, seeds: Iterable[int] | None = None) -> torch.Tensor:
        """Images (seeds, 3, height, width) of a candidate on the CPU, outside the ledger.

        The seeds are the objective's own unless others are given.
        """
        batches = self._batches(self._jobs(candidate, seeds))
        return torch.cat([self._generate(batch).cpu() for batch in batches])

    def score(
        self, candidate: Candidate, seeds: Iterable[int] | None = None, loss: Loss | None = None
    ) -> tuple[float, ...]:
        """Losses of a candidate, one a seed, on held-out seeds or a held-out loss.

        Outside ledger and cache. Seeds and loss are the objective's own unless others are given.
        """
        batches = self._batches(self._jobs(candidate, seeds))
        return tuple(value for batch in batches for value in self._losses(batch, loss or self.loss))

    def _allows(self, prompts: Prompts) -> bool:
        if prompts == self.space.decode(self.space.identity):
            return True  # nothing to reject: if the model cannot take it, it says why
        try:
            self.model.check(*prompts)
        except PromptError:
            return False
        return self.constraint is None or self.constraint(prompts)

    def _jobs(self, candidate: Candidate, seeds: Iterable[int] | None) -> list[Job]:
        prompts = self.space.decode(candidate)
        return [(prompts, seed) for seed in (self.seeds if seeds is None else seeds)]

    def _batches(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        return (jobs[i : i + self.batch_size] for i in range(0, len(jobs), self.batch_size))

    def _generate(self, batch: Sequence[Job]) -> torch.Tensor:  # (batch, 3, height, width)
        prompts, seeds = zip(*batch, strict=True)
        positive, negative = zip(*prompts, strict=True)
        with torch.no_grad():
            return self.model.generate(list(positive), list(negative), list(seeds))

    def _losses(self, batch: Sequence[Job], loss: Loss) -> list[float]:
        images = self._generate(batch)
        with torch.no_grad():
            losses = loss(images, [self.space.prompt] * len(batch))
        if tuple(losses.shape) != (len(batch),):
            raise ValueError(f"the loss gave {tuple(losses.shape)} for a batch of {len(batch)}")
        return losses.float().tolist()

    def _charged(self, jobs: Sequence[Job]) -> Iterator[float]:
        """Yield the losses of the jobs in order, putting each batch on the ledger."""
        for batch in self._batches(jobs):
            start, forwards = time.perf_counter(), self.model.forwards
            losses = self._losses(batch, self.loss)
            self.cost.images += len(batch)
            self.cost.denoiser_forwards += self.model.forwards - forwards
            self.cost.seconds += time.perf_counter() - start
            self.cost.peak_memory = peak_memory(self.model.device)
            yield from losses

    def _value(self, losses: Sequence[float]) -> float:
        if not all(map(math.isfinite, losses)):
            return math.inf
        mean = math.fsum(losses) / len(losses)
        return mean if self.task == "improve" else -mean


def peak_memory(device: torch.device | str) -> int:
    """The most memory this process has held so far, in bytes: of the GPU, else resident."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

"""What a search minimizes, and what it costs.

    objective(s) = mean over seeds of loss(G(s; seed), user prompt)        improve: minimized
                                                                           attack: maximized

The candidate's prompts make the images; the user's own prompt judges them. Candidates x seeds are
one flat list of images, cut into batches that cross the borders between candidates, so the model
always works on full batches.

Two cheaper questions are answered too: the gradient at a mixture of prompts, and previews of
candidates after some of the steps or on some of the seeds. All of it stands on one ledger.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch

from dpodiff.ledger import Cost, peak_memory
from dpodiff.mixture import mix
from dpodiff.models.base import Model, PromptError
from dpodiff.queries import Slope
from dpodiff.space import Candidate, Prompts, Space

if TYPE_CHECKING:
    from dpodiff.black_box import BlackBox
    from dpodiff.gradients import Estimator

# Images (batch, 3, height, width) in [0, 1] and their prompts -> (batch,), to be minimized.
Loss = Callable[[torch.Tensor, list[str]], torch.Tensor]
# Whether a candidate's prompts may be tried at all; asked before any image is made.
Constraint = Callable[[Prompts], bool]
Task = Literal["improve", "attack"]
Job = tuple[Prompts, int]  # one image to make: its prompts and its seed


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
        model: "Model | BlackBox",
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
                self.cost.spent += 1
                self._known[prompts] = Evaluation(candidate, prompts, row, self._value(row))
            else:
                yield Evaluation(candidate, prompts, (), math.inf)
                continue
            yield replace(self._known[prompts], candidate=candidate)

    def gradient(self, weights: Sequence[torch.Tensor], estimator: "Estimator") -> Slope:
        """How the objective changes with the weights of a mixture.

        The text encoder is gone through once, forth and back, however many seeds there are.

        Args:
            weights: (choices,) a slot, each at least 0 with sum 1.
            estimator: how the gradient is got through the sampler.

        Raises:
            ValueError: if the loss has no gradient, naming solvers that need none.
        """
        model = self.model
        leaves = [weight.detach().clone().requires_grad_() for weight in weights]
        with self._on_the_ledger(), torch.enable_grad():
            forwards, backwards = model.forwards, model.backwards
            texts = [model.encode_mixture(side) for side in mix(self.space, leaves)]
            ends = [text.detach().requires_grad_(text.requires_grad) for text in texts]
            value = sum(self._descend(batch, ends, estimator) for batch in self._seed_batches())
            ways = [(t, e.grad) for t, e in zip(texts, ends) if e.grad is not None]
            if ways:
                torch.autograd.backward(*zip(*ways))
            rows = model.forwards - forwards + 2 * (model.backwards - backwards)
        self.cost.gradients += 1
        self.cost.images += len(self.seeds)
        self.cost.spent += rows / (_rows(model) * len(self.seeds))
        return Slope(value, tuple(_gradient(leaf) for leaf in leaves))

    def preview(
        self, candidates: Sequence[Candidate], step: int | None = None, seeds: int | None = None
    ) -> tuple[float, ...]:
        """Rough values of candidates, lower is better; infinite for those not allowed.

        Args:
            candidates: to be looked at.
            step: after how many steps the clean image is estimated; None is all.
            seeds: how many of the objective's seeds, the first ones; None is all.
        """
        decoded = [self.space.decode(candidate) for candidate in candidates]
        allowed = [prompts for prompts in dict.fromkeys(decoded) if self._allows(prompts)]
        used = self.seeds[:seeds]
        jobs = [(prompts, seed) for prompts in allowed for seed in used]
        with self._on_the_ledger():
            losses = [x for b in self._batches(jobs) for x in self._losses(b, self.loss, step)]
        self.cost.previews += len(allowed)
        self.cost.images += len(jobs)
        self.cost.spent += len(allowed) * self.price(step, seeds)
        rows = (losses[i : i + len(used)] for i in range(0, len(losses), len(used)))
        values = dict(zip(allowed, map(self._value, rows)))
        return tuple(values.get(prompts, math.inf) for prompts in decoded)

    def price(self, step: int | None = None, seeds: int | None = None) -> float:
        """What a preview of one candidate costs, in evaluations."""
        share = 1.0 if step is None else step / self.model.steps
        return share * len(self.seeds[:seeds]) / len(self.seeds)

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

    def _seed_batches(self) -> Iterator[tuple[int, ...]]:
        return (
            self.seeds[i : i + self.batch_size] for i in range(0, len(self.seeds), self.batch_size)
        )

    def _descend(
        self, seeds: Sequence[int], texts: Sequence[torch.Tensor], estimator: "Estimator"
    ) -> float:
        """This batch's part of the objective; its gradient is added to that of the two texts."""
        model, count = self.model, len(seeds)
        positive, negative = (text.expand(count, -1, -1) for text in texts)
        rollout = {"steps": model.steps, "guidance": model.guidance}
        images = estimator(model, model.latents(seeds), positive, negative, **rollout)
        losses = self._checked(self.loss(images, [self.space.prompt] * count), count)
        part = self._sign * losses.double().sum() / len(self.seeds)
        if part.requires_grad:
            part.backward()
        elif images.requires_grad:
            raise ValueError(
                f"the loss {self.loss!r} has no gradient in the images; "
                "the solvers 'epo' and 'random' need none"
            )
        return part.item()

    def _generate(
        self, batch: Sequence[Job], stop: int | None = None
    ) -> torch.Tensor:  # (batch, 3, height, width)
        prompts, seeds = zip(*batch, strict=True)
        positive, negative = zip(*prompts, strict=True)
        early = {} if stop is None else {"stop": stop}
        with torch.no_grad():
            return self.model.generate(list(positive), list(negative), list(seeds), **early)

    def _losses(self, batch: Sequence[Job], loss: Loss, stop: int | None = None) -> list[float]:
        images = self._generate(batch, stop)
        with torch.no_grad():
            losses = loss(images, [self.space.prompt] * len(batch))
        return self._checked(losses, len(batch)).float().tolist()

    def _checked(self, losses: torch.Tensor, count: int) -> torch.Tensor:
        if tuple(losses.shape) != (count,):
            raise ValueError(f"the loss gave {tuple(losses.shape)} for a batch of {count}")
        return losses

    def _charged(self, jobs: Sequence[Job]) -> Iterator[float]:
        """Yield the losses of the jobs in order, putting each batch on the ledger."""
        for batch in self._batches(jobs):
            with self._on_the_ledger():
                losses = self._losses(batch, self.loss)
            self.cost.images += len(batch)
            yield from losses

    @contextmanager
    def _on_the_ledger(self) -> Iterator[None]:
        """Add the denoiser rows and the seconds of a piece of work."""
        model, start = self.model, time.perf_counter()
        forwards, backwards = model.forwards, model.backwards
        yield
        self.cost.denoiser_forwards += model.forwards - forwards
        self.cost.backward_passes += model.backwards - backwards
        self.cost.seconds += time.perf_counter() - start
        self.cost.peak_memory = peak_memory(model.device)

    @property
    def _sign(self) -> int:
        return 1 if self.task == "improve" else -1

    def _value(self, losses: Sequence[float]) -> float:
        if not all(map(math.isfinite, losses)):
            return math.inf
        return self._sign * math.fsum(losses) / len(losses)


def _rows(model: Model) -> int:
    """Denoiser rows of one image."""
    return model.steps * (2 if model.guidance > 1 else 1)


def _gradient(leaf: torch.Tensor) -> torch.Tensor:
    """The gradient that reached a tensor; zero if none did, as for a word that is not shown."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad

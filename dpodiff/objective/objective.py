"""What a search minimizes, and what it costs.

    objective(s) = mean over seeds of loss(G(s; seed), user prompt)        improve: minimized
                                                                           attack: maximized

The candidate's prompts make the images; the user's own prompt judges them. Candidates x seeds are
one flat list of images, cut into batches that cross the borders between candidates, so the model
always works on full batches, as large as memory holds (`dpodiff.models.batches`).

Two cheaper questions are answered too: the gradient at a mixture of prompts, and previews of
candidates after some of the steps or on some of the seeds. And one about noise: how good a given
one is for each seed, and which way it goes. All of it stands on one ledger.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal, get_args

import torch

from dpodiff.gradients import Hybrid
from dpodiff.models.base import Model, PromptError
from dpodiff.models.batches import Batches
from dpodiff.models.noise import check_eta, draw
from dpodiff.objective.cost import Cost, peak_memory
from dpodiff.objective.evaluation import Evaluation, better, mean_value
from dpodiff.objective.images import Job, judge, make
from dpodiff.objective.noise import Landscape
from dpodiff.objective.queries import Look, Noise, Slope
from dpodiff.objective.text import Wording
from dpodiff.spaces.space import Candidate, Prompts, Space

if TYPE_CHECKING:
    from dpodiff.gradients import Estimator
    from dpodiff.losses.base import Loss
    from dpodiff.models.black_box import BlackBox
    from dpodiff.spaces.constraints import Constraint

Task = Literal["improve", "attack"]


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
        batch_size: images made at a time; None is found. Where memory runs out, it is halved, and
            the ledger counts what was finished; `batches.size` is what it has come to.
        eta: how much of DDPM's noise each step of the sampler adds, from 0 to 1; a seed stands for
            all of its noise.

    Raises:
        ValueError: if there is no seed, the task is unknown, the batch is empty, or eta is not in
            its range.
        RuntimeError: by any method that makes images, if one alone runs out of memory.
    """

    def __init__(
        self,
        model: "Model | BlackBox",
        loss: "Loss",
        space: Space,
        seeds: Iterable[int],
        *,
        task: Task = "improve",
        constraint: "Constraint | None" = None,
        batch_size: int | None = None,
        eta: float = 0.0,
    ) -> None:
        self.model, self.loss, self.space = model, loss, space
        self.seeds = tuple(seeds)
        self.task, self.constraint, self.batch_size = task, constraint, batch_size
        self.eta = eta
        # With a graph, far fewer images fit.
        self.batches, self.graphs = Batches(model, batch_size), Batches(model, batch_size)
        self.cost = Cost()
        self._known: dict[Prompts, Evaluation] = {}
        if not self.seeds:
            raise ValueError("an objective needs at least one seed")
        if task not in get_args(Task):
            raise ValueError(f"task must be one of {', '.join(get_args(Task))}, not {task!r}")
        check_eta(eta)

    def noise(self) -> torch.Tensor:
        """The noise of the objective's own seeds, (seeds, vectors, channel, h, w)."""
        return draw(self.model, self.seeds, self.eta)

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

    def gradient(
        self,
        weights: Sequence[torch.Tensor],
        estimator: "Estimator",
        noise: torch.Tensor | None = None,
    ) -> Slope:
        """How the objective changes with the weights of a mixture.

        Args:
            weights: (choices,) a slot, each at least 0 with sum 1.
            estimator: how the gradient is got through the sampler.
            noise: (seeds, vectors, channel, h, w) to take instead of the seeds' own.

        Raises:
            ValueError: if the loss has no gradient, naming solvers that need none.
        """
        how = {"eta": self.eta, "sign": self._sign, "graphs": self.graphs}
        words = Wording(self.model, self.space, self.loss, self.seeds, **how)
        with self._on_the_ledger(priced=True):
            slope = words.slope(weights, estimator, noise)
        self.cost.gradients += 1
        self.cost.images += len(self.seeds)
        return slope

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
        losses = list(self._charged(jobs, step))
        self.cost.previews += len(allowed)
        self.cost.spent += len(allowed) * self.price(step, seeds)
        rows = (losses[i : i + len(used)] for i in range(0, len(losses), len(used)))
        values = dict(zip(allowed, map(self._value, rows)))
        return tuple(values.get(prompts, math.inf) for prompts in decoded)

    def look(self, query: Noise) -> Look:
        """How good a noise is for each seed, and which way it goes if an estimator is named.

        Raises:
            ValueError: if loss or estimator have no gradient, saying what would have one, or if
                there is not a noise a seed.
        """
        prompts, model = self.space.decode(query.candidate), self.model
        if len(query.noise) != len(self.seeds):
            raise ValueError(f"{len(self.seeds)} seeds need as many noises, not {len(query.noise)}")
        if not self._allows(prompts):
            return Look((), (), None, None, True)
        steps = model.steps if query.steps is None else query.steps
        with self._on_the_ledger(priced=True):
            look = self._landscape(prompts, steps).look(query)
        samples, elsewhere = 0, 0
        if isinstance(query.estimator, Hybrid):
            samples, elsewhere = query.estimator.samples, query.estimator.elsewhere
        self.cost.gradients += query.estimator is not None
        self.cost.evaluations += query.estimator is None
        self.cost.images += len(self.seeds) * (1 + samples - elsewhere)
        self.cost.spent += elsewhere * steps / model.steps
        return look

    def evaluation(self, query: Noise, look: Look) -> Evaluation:
        """What came of a candidate on a given noise."""
        kept = {"noise": query.noise, "penalties": query.penalties}
        prompts = self.space.decode(query.candidate)
        worth = self._value(look.losses, query.penalties)
        return Evaluation(query.candidate, prompts, look.losses, worth, **kept)

    def better(self, old: Evaluation, new: Evaluation) -> Evaluation:
        """The better of two; of one candidate on two noises, the better seed by seed."""
        return better(old, new, self._sign, self.noise)

    def price(self, step: int | None = None, seeds: int | None = None) -> float:
        """What a preview of one candidate costs, in evaluations."""
        share = 1.0 if step is None else step / self.model.steps
        return share * len(self.seeds[:seeds]) / len(self.seeds)

    def images(
        self,
        candidate: Candidate,
        seeds: Iterable[int] | None = None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Images (seeds, 3, height, width) of a candidate on the CPU, outside the ledger.

        The seeds are the objective's own unless others are given; `noise` takes their place.
        """
        if noise is not None:
            where = self._landscape(self.space.decode(candidate), self.model.steps)
            return where.pictures(noise).cpu()
        work = partial(make, self.model, eta=self.eta)
        pictures = self.batches.map(work, self._jobs(candidate, seeds))
        return torch.cat([part.cpu() for part in pictures])

    def score(
        self, candidate: Candidate, seeds: Iterable[int] | None = None, loss: "Loss | None" = None
    ) -> tuple[float, ...]:
        """Losses of a candidate, one a seed, on held-out seeds or a held-out loss.

        Outside ledger and cache. Seeds and loss are the objective's own unless others are given.
        """
        work = partial(self._losses, loss or self.loss, None)
        losses = self.batches.map(work, self._jobs(candidate, seeds))
        return tuple(chain.from_iterable(losses))

    def _landscape(self, prompts: Prompts, steps: int) -> Landscape:
        asking = {"loss": self.loss, "asked": self.space.prompt, "sign": self._sign}
        rollout = {"eta": self.eta, "steps": steps, "batches": self.batches, "graphs": self.graphs}
        return Landscape(self.model, prompts, **asking, **rollout)

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

    def _losses(self, loss: "Loss", stop: int | None, batch: Sequence[Job]) -> list[float]:
        images = make(self.model, batch, self.eta, stop)
        with torch.no_grad():
            return judge(loss, images, self.space.prompt).float().tolist()

    def _charged(self, jobs: Sequence[Job], stop: int | None = None) -> Iterator[float]:
        """Yield the losses of the jobs in order, putting each batch on the ledger."""

        def work(batch: Sequence[Job]) -> list[float]:
            with self._on_the_ledger():
                return self._losses(self.loss, stop, batch)

        for losses in self.batches.map(work, jobs):
            self.cost.images += len(losses)
            yield from losses

    @contextmanager
    def _on_the_ledger(self, *, priced: bool = False) -> Iterator[None]:
        """Add the seconds of a piece of work; if it was done, its rows, if asked their price."""
        model, start = self.model, time.perf_counter()
        forwards, backwards = model.forwards, model.backwards
        try:
            yield
        finally:
            self.cost.seconds += time.perf_counter() - start
            self.cost.peak_memory = peak_memory(model.device)
        forwards, backwards = model.forwards - forwards, model.backwards - backwards
        self.cost.denoiser_forwards += forwards
        self.cost.backward_passes += backwards
        if priced:
            rows = model.steps * (2 if model.guidance > 1 else 1)  # of one image
            self.cost.spent += (forwards + 2 * backwards) / (rows * len(self.seeds))

    @property
    def _sign(self) -> int:
        return 1 if self.task == "improve" else -1

    def _value(self, losses: Sequence[float], penalties: Sequence[float] = ()) -> float:
        return mean_value(self._sign, losses, penalties)

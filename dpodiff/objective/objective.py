"""The objective of a search and its cost.

    objective(s) = mean over seeds of loss(G(s; seed), user prompt)        improve: minimized
                                                                           attack: maximized

Images are made from the candidate's prompts and scored for the user's own prompt. The images of all
candidates and seeds form one list, which is split into batches regardless of the candidates. So
batches are always as large as memory allows (`dpodiff.models.batches`).

Three other queries have their own prices: the gradient at a mixture of prompts, previews of
candidates after some of the steps or on some of the seeds, and the losses of a given noise.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args

import torch

from dpodiff.checks import (
    MOST_IMAGES,
    check_callable,
    check_each,
    check_kind,
    check_seed,
    shown,
)
from dpodiff.gradients import Hybrid
from dpodiff.losses.base import check_prompt
from dpodiff.models.base import PromptError, TextToImage, require_model
from dpodiff.models.batches import Batches
from dpodiff.models.noise import check_eta, draw
from dpodiff.names import name_of
from dpodiff.objective.cost import Cost, measured, price_of_rows
from dpodiff.objective.evaluation import Evaluation, Task, better, mean_value
from dpodiff.objective.images import Job, render, score
from dpodiff.objective.journal import (
    GRADIENT,
    LOSSES,
    NOISE,
    Answer,
    Journal,
    judged,
    short,
)
from dpodiff.objective.memory import Memory
from dpodiff.objective.noise import NoiseObjective, read_back, to_keep
from dpodiff.objective.queries import NoiseEvaluation, NoiseQuery, ValueAndGradient
from dpodiff.objective.text import TextObjective
from dpodiff.spaces.space import Candidate, Prompts, Space

if TYPE_CHECKING:
    from dpodiff.gradients import Estimator
    from dpodiff.losses.base import Loss
    from dpodiff.spaces.constraints import Constraint


class Objective:
    """Scores candidates on a fixed set of seeds, caches the results, and counts the cost.

    Candidates with equal prompts are evaluated once.

    Args:
        model: model that makes the images.
        loss: any callable from images (batch, 3, height, width) in [0, 1] and prompts to losses
            (batch,).
        space: space of the candidates. Images are scored for its prompt.
        seeds: seeds of the images, the same for all candidates.
        task: "improve" minimizes the mean loss, "attack" maximizes it.
        constraint: function from a candidate's prompts to whether they are allowed. It is not
            applied to the user's own prompt. Rejected candidates cost nothing, and neither do
            prompts that the model cannot take.
        batch_size: number of images made at a time; None determines it. If memory runs out, it is
            halved, and only finished batches are counted. `batches.size` is the current value.
        eta: share of DDPM's noise that each step of the sampler adds, from 0 to 1. A seed
            determines all of its noise.

    Raises:
        ValueError: if the loss or the constraint cannot be called, there is no seed, a seed is not
            from 0 to 2^32 - 1, the task is unknown, the batch is empty, eta is out of its range, or
            the loss cannot score the prompt.
        RuntimeError: from any method that makes images, if a single image does not fit into memory.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), 0.75 if "dark" in negative_prompt else 0.25)
        >>> space = dpodiff.nplib_space("a white wall", ["dark", "ugly"], slots=1)
        >>> model, loss = dpodiff.BlackBox(paint), dpodiff.losses.white
        >>> objective = dpodiff.Objective(model, loss, space, seeds=[0, 1])
        >>> [evaluation.value for evaluation in objective.evaluate([(0,), (1,), (2,)])]
        [-0.25, -0.75, -0.25]
        >>> objective.cost.evaluations, objective.cost.images
        (3, 6)
    """

    def __init__(
        self,
        model: TextToImage,
        loss: "Loss",
        space: Space,
        seeds: Iterable[int],
        *,
        task: Task = "improve",
        constraint: "Constraint | None" = None,
        batch_size: int | None = None,
        eta: float = 0.0,
    ) -> None:
        if not callable(getattr(model, "generate", None)):
            raise ValueError(f"model must be a Model or a BlackBox, not {shown(model)}")
        check_kind("space", space, Space, "a Space")
        check_callable("loss", loss, "a callable from images and prompts to losses")
        meant = "a callable from a candidate's prompts to whether they are allowed, or None"
        check_callable("constraint", constraint, meant, optional=True)
        self.model, self.loss, self.space = model, loss, space
        self.seeds = tuple(check_each("seeds", seeds, check_seed))
        if len(self.seeds) > MOST_IMAGES:
            raise ValueError(f"at most {MOST_IMAGES} seeds are possible, not {len(self.seeds)}")
        self.task: Task = task
        self.constraint, self.batch_size, self.eta = constraint, batch_size, eta
        self.batches = Batches(model, batch_size)
        # Far fewer images fit into memory with a graph.
        self.graph_batches = Batches(model, batch_size)
        self.cost = Cost()
        self.journal = Journal()
        self._memory = Memory(space.decode(space.identity), self.seeds)
        if not self.seeds:
            raise ValueError("an objective needs at least one seed")
        if task not in get_args(Task):
            raise ValueError(f"task must be one of {', '.join(get_args(Task))}, not {task!r}")
        check_eta(eta)
        check_prompt(loss, space.prompt)

    @contextmanager
    def answers_in(self, journal: Journal) -> Iterator[None]:
        """Inside the block, read stored answers from a journal, then store new ones in it."""
        before, self.journal = self.journal, journal
        try:
            yield
        finally:
            self.journal = before

    def noise(self) -> torch.Tensor:
        """Return the noise of the objective's seeds (seeds, vectors, channel, h, w)."""
        return draw(require_model(self.model, "noise"), self.seeds, self.eta)

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Return the evaluations of the candidates in order."""
        return list(self.stream(candidates))

    def stream(self, candidates: Sequence[Candidate]) -> Iterator[Evaluation]:
        """Yield the evaluations of the candidates in order, each as soon as it is known.

        Raises:
            ValueError: if a candidate does not fit the space, or the loss does not return (batch,).
        """
        decoded = [self.space.decode(candidate) for candidate in candidates]
        known = self._memory.evaluations
        new = [prompts for prompts in dict.fromkeys(decoded) if prompts not in known]
        allowed = [prompts for prompts in new if self._allows(prompts)]
        rows = self._rows(allowed, self.seeds)
        self._memory.open(allowed)
        for candidate, prompts in zip(candidates, decoded, strict=True):
            if prompts in known:
                self.cost.cache_hits += 1
            elif prompts in allowed:
                row = next(rows)
                self.cost.evaluations += 1
                known[prompts] = Evaluation(candidate, prompts, row, self._value(row))
                self._memory.settle(prompts, known[prompts].value)
            else:
                yield Evaluation(candidate, prompts, (), math.inf)
                continue
            yield replace(known[prompts], candidate=candidate)

    def gradient(
        self,
        weights: Sequence[torch.Tensor],
        estimator: "Estimator",
        noise: torch.Tensor | None = None,
    ) -> ValueAndGradient:
        """Return the value and its gradient with respect to the weights of a mixture.

        Args:
            weights: (choices,) per slot, each nonnegative with sum 1.
            estimator: estimator of the gradient through the sampler.
            noise: (seeds, vectors, channel, h, w) instead of that of the seeds.

        Raises:
            ValueError: if the loss has no gradient; the message names solvers that need none.
        """
        model = require_model(self.model, "gradients")
        words = TextObjective(
            model=model,
            space=self.space,
            loss=self.loss,
            seeds=self.seeds,
            eta=self.eta,
            sign=self._sign,
            batches=self.graph_batches,
        )
        rounded = [[round(w, 6) for w in row.tolist()] for row in weights]
        question = [short((rounded, name_of(estimator), noise is None))]
        if kept := self.journal.recall(GRADIENT, question):
            answer, work = ValueAndGradient.from_json(kept.data, weights), self._again(kept)
        else:
            with measured(self.cost, model) as work:
                answer = words.value_and_gradient(weights, estimator, noise)
            data = answer.to_json() | self._work(work)
            self.journal.keep(GRADIENT, question, Answer(data))
        self.cost.spent += price_of_rows(work, model, len(self.seeds))
        self.cost.gradients += 1
        self.cost.images += len(self.seeds)
        return answer

    def preview(
        self, candidates: Sequence[Candidate], step: int | None = None, seeds: int | None = None
    ) -> tuple[float, ...]:
        """Return approximate values of candidates; lower is better, infinite if not allowed.

        Images after all steps are kept: a later evaluation, or a preview on more seeds, makes and
        pays for only the other seeds.

        Args:
            candidates: candidates to preview.
            step: number of steps after which the clean image is estimated; None is all.
            seeds: number of the objective's first seeds to use; None is all.
        """
        decoded = [self.space.decode(candidate) for candidate in candidates]
        allowed = [prompts for prompts in dict.fromkeys(decoded) if self._allows(prompts)]
        used = self.seeds[:seeds]
        self.cost.previews += len(allowed)
        if step is None:
            rows = self._rows(allowed, used)
        else:
            jobs = [(prompts, seed) for prompts in allowed for seed in used]
            losses = list(self._counted_losses(jobs, step))
            rows = (losses[i : i + len(used)] for i in range(0, len(losses), len(used)))
            self.cost.spent += len(allowed) * self.price(step, seeds)
        values = dict(zip(allowed, map(self._value, rows)))
        return tuple(values.get(prompts, math.inf) for prompts in decoded)

    def evaluate_noise(self, query: NoiseQuery) -> NoiseEvaluation:
        """Return the losses of a given noise, one per seed, and their gradient if requested.

        Raises:
            ValueError: if the loss or the estimator has no gradient, saying what would; or if there
                is not one noise per seed.
        """
        model, count = require_model(self.model, "noise"), len(self.seeds)
        prompts = self.space.decode(query.candidate)
        if len(query.noise) != count:
            raise ValueError(f"{count} seeds need as many noises, not {len(query.noise)}")
        if not self._allows(prompts):
            rejected = Evaluation(query.candidate, prompts, (), math.inf, query.noise)
            return NoiseEvaluation(rejected, (), None, None, True)
        steps = model.steps if query.steps is None else query.steps
        how = None if query.estimator is None else name_of(query.estimator)
        question = [short((query.candidate, how, steps, query.seed))]
        if kept := self.journal.recall(NOISE, question):
            answer, work = read_back(kept, query, prompts, self._sign), self._again(kept)
        else:
            with measured(self.cost, model) as work:
                answer = self._noise_objective(prompts, steps).evaluate(query)
            kept = to_keep(answer, self._work(work))
            self.journal.keep(NOISE, question, kept)
        self.cost.spent += price_of_rows(work, model, count)
        self._count_noise(query.estimator, steps)
        return answer

    def _work(self, work: Cost) -> dict[str, Any]:
        """Return the work of an answer, and the batch sizes after it."""
        sizes = {"size": self.batches.size, "graph_size": self.graph_batches.size}
        return work.work | sizes

    def _again(self, kept: Answer) -> Cost:
        """Count the work of a stored answer, and restore the batch sizes after it."""
        self.batches.go_on(kept.data["size"])
        self.graph_batches.go_on(kept.data["graph_size"])
        return self.cost.repeat(kept.data)

    def _count_noise(self, estimator: "Estimator | Hybrid | None", steps: int) -> None:
        samples, remote = 0, 0
        if isinstance(estimator, Hybrid):
            samples, remote = estimator.samples, estimator.remote_samples
        if estimator is None:
            self.cost.evaluations += 1
        else:
            self.cost.gradients += 1
        self.cost.images += len(self.seeds) * (1 + samples - remote)
        self.cost.spent += remote * steps / self.model.steps

    def better(self, old: Evaluation, new: Evaluation) -> Evaluation:
        """Return the better of two results; for one candidate on two noises, seed by seed."""

        def own_images() -> torch.Tensor | None:
            return self._memory.images(self._jobs(old.candidate, None))

        return better(old, new, self._sign, self.noise, own_images)

    def price(self, step: int | None = None, seeds: int | None = None) -> float:
        """Return the price of a preview of one candidate, in evaluations."""
        share = 1.0 if step is None else step / self.model.steps
        return share * len(self.seeds[:seeds]) / len(self.seeds)

    def prices(
        self, candidates: Sequence[Candidate], step: int | None = None, seeds: int | None = None
    ) -> list[float]:
        """Return the price of a preview of each candidate in evaluations; known images are free."""
        if step is not None:
            return [self.price(step, seeds)] * len(candidates)
        decoded = [self.space.decode(candidate) for candidate in candidates]
        missing = [self._memory.missing(prompts, self.seeds[:seeds]) for prompts in decoded]
        return [len(one) / len(self.seeds) for one in missing]

    def images(
        self,
        candidate: Candidate,
        seeds: Iterable[int] | None = None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return images (seeds, 3, height, width) of a candidate on the CPU, at no cost.

        `seeds` replace the seeds of the objective, and `noise` replaces both. Images that a search
        made of the user's own prompt and of the best candidate are not made again.
        """
        if noise is not None:
            objective = self._noise_objective(self.space.decode(candidate), self.model.steps)
            return objective.images(noise).cpu()
        jobs = self._jobs(candidate, seeds)
        kept = self._memory.images(jobs)
        if kept is not None:
            return kept
        images = self.batches.map(partial(self._render, None), jobs)
        return torch.cat([part.cpu() for part in images])

    def score(
        self, candidate: Candidate, seeds: Iterable[int] | None = None, loss: "Loss | None" = None
    ) -> tuple[float, ...]:
        """Return the losses of a candidate, one per seed, with held-out seeds or a held-out loss.

        They are neither counted nor cached. The defaults are the objective's seeds and loss.
        """
        work = partial(self._losses, loss or self.loss, None)
        losses = self.batches.map(work, self._jobs(candidate, seeds))
        return tuple(chain.from_iterable(losses))

    def _noise_objective(self, prompts: Prompts, steps: int) -> NoiseObjective:
        return NoiseObjective(
            model=require_model(self.model, "noise"),
            prompts=prompts,
            loss=self.loss,
            prompt=self.space.prompt,
            eta=self.eta,
            steps=steps,
            sign=self._sign,
            batches=self.batches,
            graph_batches=self.graph_batches,
        )

    def _allows(self, prompts: Prompts) -> bool:
        if prompts == self._memory.own:
            return True  # never rejected: if the model cannot take it, the model raises an error
        try:
            self.model.check(*prompts)
        except PromptError:
            return False
        return self.constraint is None or self.constraint(prompts)

    def _jobs(self, candidate: Candidate, seeds: Iterable[int] | None) -> list[Job]:
        prompts = self.space.decode(candidate)
        return [(prompts, seed) for seed in (self.seeds if seeds is None else seeds)]

    def _rows(
        self, allowed: Sequence[Prompts], seeds: Sequence[int]
    ) -> Iterator[tuple[float, ...]]:
        """Yield the losses of each prompts on the first seeds; known losses cost nothing."""
        missing = {prompts: self._memory.missing(prompts, seeds) for prompts in allowed}
        jobs = [(prompts, seed) for prompts in allowed for seed in missing[prompts]]
        losses = self._counted_losses(jobs)
        for prompts in allowed:
            row = self._memory.complete(prompts, losses, seeds)
            self.cost.spent += len(missing[prompts]) / len(self.seeds)
            yield row

    def _render(self, stop: int | None, batch: Sequence[Job]) -> torch.Tensor:
        images = render(self.model, batch, self.eta, stop)
        if stop is None:
            self._memory.keep(batch, images)
        return images

    def _losses(self, loss: "Loss", stop: int | None, batch: Sequence[Job]) -> list[float]:
        images = self._render(stop, batch)
        with torch.no_grad():
            return score(loss, images, self.space.prompt).tolist()

    def _counted_losses(self, jobs: Sequence[Job], stop: int | None = None) -> Iterator[float]:
        """Yield the losses of the jobs in order, and add the cost of each batch."""

        def work(batch: Sequence[Job]) -> list[list[float]]:
            with measured(self.cost, self.model):
                return [self._losses(self.loss, stop, batch)]

        for (losses,) in judged(self.journal, self.batches, self.cost, LOSSES, work, jobs, stop):
            self.cost.images += len(losses)
            yield from losses

    @property
    def _sign(self) -> int:
        return 1 if self.task == "improve" else -1

    def _value(self, losses: Sequence[float], penalties: Sequence[float] = ()) -> float:
        return mean_value(self._sign, losses, penalties)

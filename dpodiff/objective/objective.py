"""What a search minimizes, and what it costs.

    objective(s) = mean over seeds of loss(G(s; seed), user prompt)        improve: minimized
                                                                           attack: maximized

Images are made from the candidate's prompts and scored for the user's own prompt. Candidates x
seeds are one flat list of images, cut into batches that cross the borders between candidates, so
the model always works on full batches, as large as memory holds (`dpodiff.models.batches`).

Three other queries are answered at their own price: the gradient at a mixture of prompts, previews
of candidates after some of the steps or on some of the seeds, and the losses of a given noise.
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
    """Scores candidates on a fixed set of seeds, remembers them, and counts the cost.

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
            only finished batches are counted; `batches.size` is what it has come to.
        eta: how much of DDPM's noise each step of the sampler adds, from 0 to 1; a seed stands for
            all of its noise.

    Raises:
        ValueError: if loss or constraint cannot be called, there is no seed, one is not
            from 0 to 2^32 - 1, the task is unknown, the batch is empty, eta is not in its range, or
            the loss cannot judge the prompt.
        RuntimeError: by any method that makes images, if one alone runs out of memory.

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
        # With a graph, far fewer images fit.
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
        """For a while, read answers back from a journal as long as it has them, and keep others."""
        before, self.journal = self.journal, journal
        try:
            yield
        finally:
            self.journal = before

    def noise(self) -> torch.Tensor:
        """The noise of the objective's own seeds, (seeds, vectors, channel, h, w)."""
        return draw(require_model(self.model, "noise"), self.seeds, self.eta)

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Evaluations of the candidates, in their order."""
        return list(self.stream(candidates))

    def stream(self, candidates: Sequence[Candidate]) -> Iterator[Evaluation]:
        """Yield the evaluations of the candidates in their order, each as soon as it is known.

        Raises:
            ValueError: if a candidate does not fit the space, or the loss does not give (batch,).
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
        """How the objective changes with the weights of a mixture.

        Args:
            weights: (choices,) a slot, each at least 0 with sum 1.
            estimator: how the gradient is got through the sampler.
            noise: (seeds, vectors, channel, h, w) to take instead of the seeds' own.

        Raises:
            ValueError: if the loss has no gradient, naming solvers that need none.
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
        """Rough values of candidates, lower is better; infinite for those not allowed.

        Images after all steps are made once: an evaluation, or a preview on more seeds, makes and
        pays for those of the other seeds only.

        Args:
            candidates: to be looked at.
            step: after how many steps the clean image is estimated; None is all.
            seeds: how many of the objective's seeds, the first ones; None is all.
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
        """Losses of a given noise, one per seed, and their gradient if an estimator is named.

        Raises:
            ValueError: if loss or estimator have no gradient, saying what would have one, or if
                there is not one noise per seed.
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
        """The work of an answer, and the sizes of batches after it."""
        sizes = {"size": self.batches.size, "graph_size": self.graph_batches.size}
        return work.work | sizes

    def _again(self, kept: Answer) -> Cost:
        """Count the work of a kept answer, and bring batches to the sizes after it."""
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
        """The better of two; of one candidate on two noises, the better seed by seed."""

        def own_images() -> torch.Tensor | None:
            return self._memory.images(self._jobs(old.candidate, None))

        return better(old, new, self._sign, self.noise, own_images)

    def price(self, step: int | None = None, seeds: int | None = None) -> float:
        """What a preview of one candidate costs, in evaluations."""
        share = 1.0 if step is None else step / self.model.steps
        return share * len(self.seeds[:seeds]) / len(self.seeds)

    def prices(
        self, candidates: Sequence[Candidate], step: int | None = None, seeds: int | None = None
    ) -> list[float]:
        """What a preview of each candidate costs, in evaluations; less where images are known."""
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
        """Images (seeds, 3, height, width) of a candidate on the CPU; not counted in the cost.

        The seeds are the objective's own unless others are given; `noise` takes their place. Images
        that a search made of the user's own prompt and of the best candidate are not made again.
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
        """Losses of a candidate, one a seed, on held-out seeds or a held-out loss.

        Neither counted nor cached. Seeds and loss are the objective's own unless others are given.
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
            return True  # nothing to reject: if the model cannot take it, it says why
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
        """Yield the losses of each prompts on the first seeds; only those not known are paid."""
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
        """Yield the losses of the jobs in order, adding the cost of each batch."""

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

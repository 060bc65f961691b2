"""The state of one search, and each of its steps."""

import itertools
import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from dpodiff.names import name_of
from dpodiff.objective.evaluation import mean
from dpodiff.objective.queries import GradientQuery, NoiseQuery, PreviewQuery
from dpodiff.results.result import Result, describe, release
from dpodiff.results.stamp import Stamp
from dpodiff.results.trace import Record, Status, Trace
from dpodiff.solvers.base import Solver
from dpodiff.spaces.space import Candidate

if TYPE_CHECKING:
    import torch

    from dpodiff.models.base import TextToImage
    from dpodiff.objective import Evaluation, Objective
    from dpodiff.objective.cost import Budget, Cost

Callback = Callable[[Record], bool | None]
# Called with each record of given noise and its images (seeds, 3, height, width) on the CPU.
Viewer = Callable[[Record, "torch.Tensor"], None]

CENT = 1e-9  # tolerance, since prices are sums of fractions

# Number of successive proposals at no cost (rejected by the constraint, or known already) after
# which the space counts as exhausted. Without it, a constraint that allows nothing never ends.
MOST_FREE = 1000


class Run:
    """The state of one search."""

    bar: tqdm
    baseline: "Evaluation"  # of the user's own prompt; set when the search has begun
    best: "Evaluation"

    def __init__(
        self,
        solver: Solver,
        objective: "Objective",
        budget: "Budget",
        trace: Trace,
        callback: Callback | None,
        viewer: Viewer | None,
    ) -> None:
        self.solver, self.objective, self.budget = solver, objective, budget
        self.trace, self.callback, self.viewer = trace, callback, viewer
        trace.open(Stamp.collect(self.parameters(), objective.model.device))
        self.began = time.monotonic() - trace.seconds
        self.cost_before = replace(objective.cost)
        self.begun = False  # True once the baseline is evaluated
        self.error: Exception | None = None
        self.paid = 0.0  # cost in evaluations
        self.price = 1.0  # price of the last gradient of noise
        self.free = 0  # number of proposals since the last one that had a cost

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def cost(self) -> "Cost":
        return self.objective.cost.since(self.cost_before)

    @property
    def left(self) -> float:
        """Number of evaluations that are left in the budget."""
        return self.budget.evaluations - self.paid

    def parameters(self) -> dict[str, Any]:
        """Return all settings that are needed to repeat the search."""
        objective = self.objective
        return {
            "prompt": objective.space.prompt,
            "negative_prompt": objective.space.negative_prompt,
            "model": objective.model.name,
            **_settings_of(objective.model),
            "loss": _described(objective.loss),
            "task": objective.task,
            "constraint": _described(objective.constraint),
            "seeds": list(objective.seeds),
            "batch_size": objective.batch_size,
            "eta": objective.eta,
            "budget": asdict(self.budget),
            "solver": self.solver.parameters,
            "space": objective.space.to_json(),
            **self.trace.settings,
        }

    def until_over(self) -> Status:
        """Evaluate what the solver asks for until the search ends; return the reason."""
        try:
            return self.loop()
        except KeyboardInterrupt:
            if not self.begun:
                raise
            return "stopped"
        except Exception as error:
            if not self.begun or self.trace.reading:  # then the file holds all results
                raise
            self.error = error
            return "failed"

    def loop(self) -> Status:
        status = self.step([self.objective.space.identity])
        while status is None:
            request = self.solver.ask()
            if isinstance(request, NoiseQuery):
                status = self.evaluate_noise(request)
            elif isinstance(request, GradientQuery | PreviewQuery):
                status = self.answer(request)
            else:
                status = self.step(request) if request else "exhausted"
        return status

    def step(self, candidates: list[Candidate]) -> Status | None:
        """Evaluate as many candidates as the limits allow, and tell the solver."""
        evaluations: list[Evaluation] = []
        status = None
        while status is None and len(evaluations) < len(candidates):
            affordable = candidates[len(evaluations) :][: int(self.left + CENT)]
            for evaluation in self.objective.stream(affordable):
                evaluations.append(evaluation)
                status = self.take(evaluation)
                if status is not None:
                    break
        self.solver.tell([e.candidate for e in evaluations], [e.value for e in evaluations])
        return status

    def answer(self, query: GradientQuery | PreviewQuery) -> Status | None:
        """Answer a query, tell the solver, and note it in the trace."""
        if isinstance(query, GradientQuery):
            answer = self.objective.gradient(query.weights, query.estimator, query.noise)
            value = answer.value
            self.solver.learn(query, answer)
        else:
            values = self.previews(query)
            value = min(values, default=math.inf)
            self.solver.learn(query, values)
        self.pay()
        self.note(query, value)
        return self.over()

    def evaluate_noise(self, query: NoiseQuery) -> Status | None:
        """Answer a query about noise; images of the full sampler count as an evaluation."""
        last = query.estimator is not None and self.left < self.price - CENT
        if last:  # the rest pays for an evaluation of the current noise
            query = replace(query, estimator=None, steps=None)
        before, answer = self.cost.spent, self.objective.evaluate_noise(query)
        if not last:
            self.solver.learn(query, answer)
        if query.estimator is not None:
            self.price = self.cost.spent - before
            self.note(query, answer.evaluation.value)
        if not answer.final:
            self.pay()
            return self.over()
        status = self.take(answer.evaluation)
        if self.viewer is not None and answer.images is not None:
            self.viewer(self.trace.records[-1], answer.images)
        return status or ("budget" if last else None)

    def note(self, query: GradientQuery | PreviewQuery | NoiseQuery, value: float) -> None:
        step = {
            "kind": type(query).__name__.removesuffix("Query").lower(),
            "value": value,
            **self.solver.state(),
        }
        self.trace.note(step | {"spent": self.cost.spent, "seconds": self.seconds})

    def previews(self, query: PreviewQuery) -> tuple[float, ...]:
        """Return previews that leave one evaluation in the budget; all others count as infinite."""
        prices = self.objective.prices(query.candidates, query.step, query.seeds)
        sums = itertools.accumulate(prices)
        count = sum(total <= self.left - 1 + CENT for total in sums)
        known = self.objective.preview(query.candidates[:count], query.step, query.seeds)
        return (*known, *[math.inf] * (len(query.candidates) - count))

    def pay(self) -> float:
        """Update the progress bar with the cost, and return the added cost."""
        new = self.cost.spent - self.paid
        self.paid += new
        self.bar.set_postfix(loss=f"{mean(self.best.losses):.4f}", refresh=False)
        self.bar.update(min(new, self.bar.total - self.bar.n))
        return new

    def take(self, evaluation: "Evaluation") -> Status | None:
        """Keep an evaluation; return the reason if the search ends with it."""
        if not self.begun:
            self.baseline = self.best = evaluation
            self.begun = True
        else:
            self.best = self.objective.better(self.best, evaluation)
        self.free = 0 if self.pay() else self.free + 1
        record = self.trace.append(self.record(evaluation))
        if self.callback is not None and self.callback(record):
            return "stopped"
        return self.over()

    def record(self, evaluation: "Evaluation") -> Record:
        return Record(
            index=len(self.trace.records),
            candidate=evaluation.candidate,
            positive=str(evaluation.prompts.positive),  # as a plain string, for the file
            negative=evaluation.prompts.negative,
            losses=evaluation.losses,
            value=evaluation.value,
            best=self.best.value,
            evaluations=self.cost.evaluations,
            images=self.cost.images,
            denoiser_forwards=self.cost.denoiser_forwards,
            spent=self.paid,
            seconds=self.seconds,
            solver=self.solver.name,
            guidance=evaluation.prompts.guidance,
            window=evaluation.prompts.window,
        )

    def over(self) -> Status | None:
        """Return which limit is reached, if any."""
        if self.left < 1 - CENT:
            return "budget"
        if self.free >= MOST_FREE:
            return "exhausted"
        if self.trace.reading:  # the time limit applies after the recorded part
            return self.trace.ended
        late = self.budget.seconds is not None and self.seconds >= self.budget.seconds
        return "seconds" if late else None

    def finish(self, status: Status) -> Result:
        status = self.close(status)
        records = self.trace.records
        if bad := sum(bool(r.losses) and math.isinf(r.value) for r in records):
            warnings.warn(_not_finite(self.objective.loss, bad, len(records)), stacklevel=3)
        best, baseline = self.best, self.baseline
        return Result(
            candidate=best.candidate,
            prompts=best.prompts,
            losses=best.losses,
            baseline_losses=baseline.losses,
            status=status,
            cost=self.cost,
            trace=self.trace,
            objective=self.objective,
            noise=best.noise,
            noise_images=best.images,
            error=self.error,
        )

    def close(self, status: Status) -> Status:
        """Write the end of the trace; return the status, which is "failed" if writing fails."""
        reason = None if self.error is None else describe(self.error)
        try:
            self.trace.finish(status, self.seconds, self.cost, reason)
        except OSError as error:
            self.error = self.error or error
            status = self.trace.status = "failed"
            self.trace.error = describe(self.error)
        if self.error is not None:
            release(self.error)
            share = f"{self.paid:.1f} of {self.budget.evaluations} evaluations"
            warnings.warn(
                f"the search failed after {share} and returns the best so far: "
                f"{describe(self.error)}",
                stacklevel=4,
            )
        return status


def _settings_of(model: "TextToImage") -> dict[str, Any]:
    """Return the known settings of a model; a black box has none."""
    found = {}
    for name in ("steps", "guidance", "image_size", "dtype"):
        with suppress(AttributeError, ValueError):
            found[name] = getattr(model, name)
    return {k: v if isinstance(v, int | float) else str(v) for k, v in found.items()}


def _not_finite(loss: Any, bad: int, count: int) -> str:
    said = f"{bad} of {count} candidates had losses that are not finite, by {name_of(loss)}"
    if bad < count:
        return f"{said}; they count as infinitely bad"
    return f"{said}: nothing was found, since candidates cannot be compared"


def _described(part: Any) -> str | None:
    return None if part is None else name_of(part)

"""Evaluations and seconds until a search has gained a given amount.

`dpodiff.improve` is called as by a user, with verification in the budget, on the hardest prompts of
a world and with increasing budgets. The methods differ in solver, space and loss. The gain of a
prompt is the decrease of the mean `measure` by the returned prompt, on seeds that neither the
search nor its verification has used. If nothing was proven better, the user's own prompt is
returned, and the gain is 0. The gain of a budget is the mean over prompts and search seeds. The row
of a method has the first budget whose gain is at least `gain`. `evaluations` is the cost per prompt
at that budget, including verification. A method that does not reach the gain has the largest
budget, and its ratios are lower bounds.

The last method needs no search: `best of N` keeps the best images of the user's own prompt (see
`dpodiff.search_noise`). Its gain is that of these images. So `measure` must differ from the
searched loss: otherwise images would be measured by the loss that selected them. Loading and the
images for the measurement are not timed. Methods alternate on each prompt.

`evaluations, relative` and `seconds, relative` are ratios to the first method.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from common import Goal, Report, Row, main
from world import World, on_world

import dpodiff
from dpodiff import Budget, Objective, Result, Space
from dpodiff.api.defaults import DEFAULT_SPACE, is_toy
from dpodiff.api.parts import chosen_loss
from dpodiff.losses.base import Loss
from dpodiff.toy.captions import parse
from dpodiff.toy.judge import Judge


@dataclass(frozen=True)
class Way:
    """A method to improve a prompt.

    Args:
        solver: solver of `dpodiff.improve`; None keeps the best images of the prompt itself.
        space: space to search.
        loss: name of the loss; None is the default of the model or of the world.
    """

    solver: str | None
    space: str = DEFAULT_SPACE
    loss: str | None = None


PAPER = "the paper's EPO"
WAYS = {
    "the default": Way("epo"),
    PAPER: Way("dpodiff-epo", "antonym+nplib", "toy"),
    "TPE": Way("tpe"),
    "best of N": Way(None),
}
JUDGE = "judge"
TEST_SEEDS = range(10_000, 10_016)  # not used by any search

SIZES = {
    "small": {
        "world": "toy",
        "measure": None,
        "prompts": 2,
        "gain": 0.0,
        "budgets": (12,),
        "seeds": 2,
        "steps": 2,
        "verify": 6,
    },
    "toy": {
        "world": "toy",
        "measure": JUDGE,
        "prompts": 20,
        "gain": 0.1,
        "budgets": (20, 40, 80),
        "seeds": 4,
        "steps": 6,
        "verify": 40,
    },
}

Measure = Callable[[torch.Tensor, str], float]  # (images, prompt) -> mean, lower is better


@dataclass
class Run:
    """One search: its cost, and the gain of its prompt or its images."""

    evaluations: float
    seconds: float
    accepted: bool
    gain: float


@dataclass
class Climb:
    """The runs of one method with increasing budgets."""

    runs: dict[int, list[Run]] = field(default_factory=dict)

    def mean(self, name: str) -> float:
        """Return the mean of a field over the runs with the last budget."""
        values = [float(getattr(run, name)) for run in self.last]
        return sum(values) / len(values)

    @property
    def last(self) -> list[Run]:
        return self.runs[max(self.runs)]


def measure(
    world: World,
    *,
    measure: str | None,
    prompts: int,
    gain: float,
    budgets: Sequence[int],
    seeds: int,
    steps: int,
    verify: int,
    repeats: int,
) -> Report:
    """Increase the budget of every method until it gains enough; `repeats` are search seeds.

    Args:
        world: world with the model and the hard prompts.
        measure: measure of the gain: `JUDGE`, the share of images that are not all as asked and
            clean, the name of a loss, or None for the model's default loss.
        prompts: number of the hardest prompts.
        gain: gain to reach.
        budgets: budgets in increasing order.
        seeds, verify: as in `dpodiff.improve`.
        steps: number of steps of a rollout.
        repeats: number of searches per prompt, with different seeds.
    """
    model = world.model()
    model.steps = steps
    own = None if is_toy(model) else world.loss()
    search = partial(
        run,
        model=model,
        own=own,
        seeds=seeds,
        verify=verify,
        measure=named_measure(measure, own, model),
    )
    climbs = {name: Climb() for name in WAYS}
    hard = [world.space] if world.hard is None else world.hard(prompts)
    for budget in budgets:
        open_ = [name for name, c in climbs.items() if not c.runs or c.mean("gain") < gain]
        for space, seed, name in itertools.product(hard, range(repeats), open_):
            found = search(WAYS[name], space.prompt, budget=budget, seed=seed)
            climbs[name].runs.setdefault(budget, []).append(found)
    return report(climbs, gain)


def named_measure(name: str | None, own: Loss | None, model: dpodiff.Model) -> Measure:
    """Return the measure of the gain."""
    if name == JUDGE:
        judge = Judge.load(device=str(model.device))
        return lambda images, prompt: bad_images(judge, images, prompt)
    loss = chosen_loss(name or own, model, "toy")
    return lambda images, prompt: loss(images, [prompt] * len(images)).mean().item()


def bad_images(judge: Judge, images: torch.Tensor, prompt: str) -> float:
    """Return the share of images that are not all as asked, or not clean."""
    verdicts = judge.check(images, [parse(prompt)] * len(images))
    return sum(not (one["all"] and one["clean"]) for one in verdicts) / len(images)


def run(
    way: Way,
    prompt: str,
    *,
    model: dpodiff.Model,
    own: Loss | None,
    budget: int,
    seeds: int,
    seed: int,
    verify: int,
    measure: Measure,
) -> Run:
    """Run and time one search, and measure its gain, which is not timed."""
    start = time.perf_counter()
    loss = way.loss or own
    if way.solver is None:
        first = seed * 1000
        result = best_images(loss, prompt, model, budget, range(first, first + seeds))
    else:
        result = dpodiff.improve(
            prompt,
            model=model,
            loss=loss,
            space=way.space,
            lexicon="toy",
            solver=way.solver,
            budget=budget,
            seeds=seeds,
            seed=seed,
            verify=verify,
            progress=False,
        )
    seconds = time.perf_counter() - start
    if result.error is not None:  # the time of an incomplete search is not comparable
        raise result.error
    accepted = way.solver is None or bool(result.verification and result.verification.accepted)
    gain = gained(result, measure) if accepted else 0.0
    return Run(float(result.cost.spent), seconds, accepted, gain)


def best_images(
    loss: str | Loss | None, prompt: str, model: dpodiff.Model, budget: int, seeds: range
) -> Result:
    """Return the best of as many images of the prompt as the budget allows."""
    objective = Objective(model, chosen_loss(loss, model), Space(prompt, ()), seeds)
    return dpodiff.search_noise(objective, Budget(budget), progress=False)


def gained(result: Result, measure: Measure) -> float:
    """Return the decrease of the measure relative to the user's own prompt."""
    objective = result.objective
    prompt, own = objective.space.prompt, objective.space.identity
    if result.noise is not None:  # the gain of these images
        before, after = objective.images(own, objective.seeds), result.images
    else:
        before = objective.images(own, TEST_SEEDS)
        after = objective.images(result.candidate, TEST_SEEDS)
    device = objective.model.device
    with torch.no_grad():
        return measure(before.to(device), prompt) - measure(after.to(device), prompt)


def report(climbs: dict[str, Climb], gain: float) -> Report:
    """Return one row per method; the goal needs both the first method and the paper's EPO."""
    first = next(iter(climbs.values()))
    rows = [
        {
            "way": name,
            "reached": "yes" if climb.mean("gain") >= gain else "no",
            "budget": max(climb.runs),
            "searches": len(climb.last),
            "better": climb.mean("accepted"),
            "gain": climb.mean("gain"),
            "evaluations": climb.mean("evaluations"),
            "seconds": climb.mean("seconds"),
            "evaluations, relative": climb.mean("evaluations") / first.mean("evaluations"),
            "seconds, relative": climb.mean("seconds") / first.mean("seconds"),
        }
        for name, climb in climbs.items()
    ]
    return Report(rows, list(goals(rows)), list(notes(rows, gain)))


def goals(rows: Sequence[Row]) -> Iterator[Goal]:
    """Yield the goal that the first method needs at most a fifth of the paper's EPO."""
    first, paper = rows[0], next((row for row in rows if row["way"] == PAPER), None)
    if paper is None or paper is first or first["reached"] == "no":
        return
    ratio = first["evaluations"] / paper["evaluations"]
    bound = "" if paper["reached"] == "yes" else ", which never gets there, at its largest budget"
    yield Goal(f"evaluations of {first['way']} over those of {PAPER}{bound}", ratio, 0.2)


def notes(rows: Sequence[Row], gain: float) -> Iterator[str]:
    """Yield a line with the methods that did not reach the gain."""
    late = [row["way"] for row in rows if row["reached"] == "no"]
    if late:
        yield f"A gain of {gain:g} was not reached with the largest budget: {', '.join(late)}"


if __name__ == "__main__":
    main(__doc__, on_world(measure), SIZES, repeats=1)

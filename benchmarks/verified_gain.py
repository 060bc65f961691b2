"""How many evaluations, and how many seconds, until a search has gained a given amount for sure?

`dpodiff.improve` is called as its user calls it, with verification in the budget, on the hardest
prompts of a world and with larger and larger budgets. The ways differ in solver, space and loss. A
prompt gains what the returned prompt lowers the mean `measure` by, on seeds that neither the search
nor its verification has seen. Where nothing was proven better, the user's own prompt is returned,
which gains 0. The gain of a budget is the mean over prompts and search seeds, and the first budget
at which it reaches `gain` is the row of a way. `evaluations` is what was spent at that budget for
each prompt, verification included; a way that never gets there stands with the largest budget, and
its ratios are lower bounds.

The last way needs no search: `best of N` keeps the best images of the user's own prompt (see
`dpodiff.search_noise`). Its gain is that of these images. `measure` is therefore not the loss that
is searched: else the images would be measured by what they were chosen by. Loading, and the images
that the gain is measured with, are off the clock. Ways take turns on each prompt.

`evaluations, relative` and `seconds, relative` are over those of the first way.
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
    """How a prompt is improved.

    Args:
        solver: of `dpodiff.improve`; None keeps the best images of the prompt itself.
        space: that is searched.
        loss: by name; None is the default of the model, or the world's own.
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
TEST_SEEDS = range(10_000, 10_016)  # no search comes near

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
        "prompts": 6,
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
    """One search: what it spent, and what its prompt or its images gained."""

    evaluations: float
    seconds: float
    accepted: bool
    gain: float


@dataclass
class Climb:
    """The runs of one way, budget after budget."""

    runs: dict[int, list[Run]] = field(default_factory=dict)

    def mean(self, name: str) -> float:
        """The mean of a field of the runs with the last budget."""
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
    """Climbs the budgets with every way until it gains enough; `repeats` are search seeds.

    Args:
        world: gives the model and the hard prompts.
        measure: of the gain: `JUDGE`, which counts images that are not all as asked and clean, the
            name of a loss, or None for the model's default loss.
        prompts: how many of the hardest.
        gain: to be reached.
        budgets: in rising order.
        seeds, verify: as for `dpodiff.improve`.
        steps: of a rollout.
        repeats: searches a prompt, each with a seed of its own.
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
    """What a gain is measured by."""
    if name == JUDGE:
        judge = Judge.load(device=str(model.device))
        return lambda images, prompt: bad_images(judge, images, prompt)
    loss = chosen_loss(name or own, model, "toy")
    return lambda images, prompt: loss(images, [prompt] * len(images)).mean().item()


def bad_images(judge: Judge, images: torch.Tensor, prompt: str) -> float:
    """Share of images that are not all as asked, or not clean."""
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
    """One search by one way, timed, and its gain, off the clock."""
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
    if result.error is not None:  # half a search has no time to compare
        raise result.error
    accepted = way.solver is None or bool(result.verification and result.verification.accepted)
    gain = gained(result, measure) if accepted else 0.0
    return Run(float(result.cost.spent), seconds, accepted, gain)


def best_images(
    loss: str | Loss | None, prompt: str, model: dpodiff.Model, budget: int, seeds: range
) -> Result:
    """The best of as many images of the prompt as the budget pays for."""
    objective = Objective(model, chosen_loss(loss, model), Space(prompt, ()), seeds)
    return dpodiff.search_noise(objective, Budget(budget), progress=False)


def gained(result: Result, measure: Measure) -> float:
    """How much lower the measure is than for the user's own prompt."""
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
    """One row a way; the goal is set where both the first way and the paper's EPO were run."""
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
    """A first way that reaches the gain needs at most a fifth of what the paper's EPO needs."""
    first, paper = rows[0], next((row for row in rows if row["way"] == PAPER), None)
    if paper is None or paper is first or first["reached"] == "no":
        return
    ratio = first["evaluations"] / paper["evaluations"]
    bound = "" if paper["reached"] == "yes" else ", which never gets there, at its largest budget"
    yield Goal(f"evaluations of {first['way']} over those of {PAPER}{bound}", ratio, 0.2)


def notes(rows: Sequence[Row], gain: float) -> Iterator[str]:
    """Those that never got there, in a line."""
    late = [row["way"] for row in rows if row["reached"] == "no"]
    if late:
        yield f"A gain of {gain:g} was not reached with the largest budget: {', '.join(late)}"


if __name__ == "__main__":
    main(__doc__, on_world(measure), SIZES, repeats=1)

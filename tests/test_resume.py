"""An interrupted search goes on where it was, and comes to the result of one that was not."""

import dataclasses
import shutil

import pytest
from gaussian import Gaussian
from helpers import FakeModel, negative_space, shade

import dpodiff
from dpodiff import DNO, EPO, Budget, Objective, Space, Trace, search
from dpodiff.gradients import Full
from dpodiff.solvers import GPO, HPO, PEZ, Joint, ReNO, Rung, Screening, ZeroOrder
from dpodiff.solvers.best_of_n import search_noise
from dpodiff.spaces.space import Slot

WORDS = negative_space(9, 9, 9)
SETTINGS = {
    "loss": shade,
    "space": WORDS,
    "budget": 20,
    "seeds": 2,
    "verify": 8,
    "batch_size": 3,
    "progress": False,
}
SIDES = Space(
    "left left",
    (Slot("left", ("left", "", "right"), start=0), Slot("left", ("left", "", "right"), start=5)),
)
SMALL = {"population": 4, "parents": 2, "mutations": 2, "crossovers": 1}


def improve(path, model=None, **settings):
    """A search of 12 candidates, and a verification on 8 fresh seeds, in batches of 3 images."""
    model = model or FakeModel()
    return dpodiff.improve("a red ball", model=model, trace=path, **SETTINGS | settings)


class Counting(Gaussian):
    """Counts the batches that it makes."""

    def __init__(self):
        super().__init__()
        self.batches = 0

    def decode(self, latents):
        self.batches += 1
        return super().decode(latents)


def distance(images, prompts):
    """From images of the clean latent 3."""
    return ((images - 0.8) / 0.1).square().mean(dim=(1, 2, 3))


def dno(goal, **settings):
    return DNO(goal.space, goal.noise(), lr=0.1, estimator=Full(), **settings)


SOLVERS = {
    "gpo": lambda goal: GPO(SIDES, steps=8, batch=2),
    "hpo": lambda goal: HPO(SIDES, steps=8, **SMALL),
    "pez": lambda goal: PEZ(SIDES, steps=8, patience=2),
    "screened": lambda goal: Screening(EPO(SIDES, **SMALL), [Rung(step=3, seeds=1, best_of=2)]),
    "raced": lambda goal: Screening(EPO(SIDES, **SMALL), [Rung(seeds=1, best_of=2)]),
    "dno": lambda goal: dno(goal, gamma=0.1),
    "reno": lambda goal: ReNO(SIDES, goal.noise(), lr=0.1, every=2),
    "zero-order": lambda goal: ZeroOrder(SIDES, goal.noise(), neighbors=2),
    "joint": lambda goal: Joint(GPO(SIDES, steps=8), dno(goal), prompts=2, steps=2),
}


def run(kind, path, model=None, budget=9, **settings):
    goal = Objective(model or Counting(), distance, SIDES, (0, 1), batch_size=3)
    how = {"trace": Trace(path, **settings), "progress": False}
    if kind == "best of n":
        return search_noise(goal, Budget(budget), **how)
    return search(SOLVERS[kind](goal), goal, Budget(budget), **how)


def told(result):
    """What a result says, without times and memory."""
    return {
        "candidate": result.candidate,
        "losses": result.losses,
        "found": result.found.losses,
        "noise": None if result.noise is None else result.noise.tolist(),
        "status": result.status,
        "verdict": result.verdict,
        "cost": dataclasses.asdict(result.cost) | {"seconds": 0, "peak_memory": 0},
        "records": [dataclasses.replace(one, seconds=0.0) for one in result.trace.records],
        "steps": [step | {"seconds": 0} for step in result.trace.steps],
    }


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def answers(lines):
    return sum(b'"answer"' in line for line in lines)


def test_from_any_line_a_search_comes_to_the_same_result(tmp_path):
    path, model = tmp_path / "trace.jsonl", FakeModel()
    expected, whole = told(improve(path, model)), lines_of(path)
    for count in range(len(whole)):
        path.write_bytes(b"".join(whole[:count]))
        again = FakeModel()
        assert told(improve(path, again)) == expected, count
        assert again.batches == model.batches[answers(whole[:count]) :]
        assert Trace.load(path).verdict == expected["verdict"]


@pytest.mark.parametrize("kind", [*SOLVERS, "best of n"])
def test_from_any_line_other_solvers_do_so_too(tmp_path, kind):
    path, model = tmp_path / "trace.jsonl", Counting()
    expected, whole = told(run(kind, path, model)), lines_of(path)
    tensors = tmp_path / "trace.jsonl.tensors"
    shutil.copytree(tensors, tmp_path / "kept") if tensors.exists() else None
    for count in range(2, len(whole), 3):
        path.write_bytes(b"".join(whole[:count]))
        again = Counting()
        assert told(run(kind, path, again)) == expected, count
        assert again.batches < model.batches
        if tensors.exists():
            shutil.rmtree(tensors)
            shutil.copytree(tmp_path / "kept", tensors)

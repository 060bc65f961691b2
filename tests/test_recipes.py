import subprocess
import sys

import pytest
import tiny
from analytic import Multilinear, hidden_best
from helpers import shade

from dpodiff import Budget, Objective, Slot, Space, load, search
from dpodiff.solvers import Solver
from dpodiff.solvers.recipes import RECIPES

# "llm" searches no space of slots, and asks a server: see test_llm_search. "listed" is no search.
every_recipe = pytest.mark.parametrize("name", sorted(RECIPES.keys() - {"llm", "listed"}))


@every_recipe
def test_recipes_make_solvers_that_search(name):
    goal, _ = hidden_best()
    solver = RECIPES[name](goal.space, steps=25, seed=4)
    assert isinstance(solver, Solver)
    seen = goal.drive(solver, 30)
    assert len(set(seen)) == 30
    assert goal(solver.recommend()) == min(map(goal, seen))
    assert solver.seed == 4


@every_recipe
@pytest.mark.parametrize("steps", [1, 50])
def test_recipes_see_a_small_space_whole_whatever_the_rollout(name, steps):
    goal = Multilinear([[0.0, 1.0], [0.0], [0.0, -1.0, 1.0]])
    solver = RECIPES[name](goal.space, steps=steps)
    assert set(goal.drive(solver, 100)) == set(goal.space)
    assert solver.ask() == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = load(str(tiny.stable_diffusion(tmp_path_factory.mktemp("tiny") / "sd")), device="cpu")
    model.steps = 4
    return model


@every_recipe
def test_recipes_keep_to_the_budget_on_a_real_model(model, name):
    slots = tuple(Slot("", ("", *row), "negative") for row in (tiny.WORDS[3:7], tiny.WORDS[8:14]))
    space = Space("a red ball on the sea", slots)
    objective = Objective(model, shade, space, (0, 1))
    solver = RECIPES[name](space, steps=model.steps, seed=0)
    result = search(solver, objective, Budget(26), progress=False)
    assert result.status == "budget"
    assert 25 < result.cost.spent <= 26 + 1e-6
    assert sum(result.losses) <= sum(result.baseline_losses)
    assert len(result.trace.records) == result.cost.evaluations > 1
    assert (result.cost.gradients == 20) == ("gpo" in name or "hpo" in name)
    assert (result.cost.previews > 0) == ("screened" in name or "raced" in name)
    assert len(result.trace.steps) >= result.cost.gradients


@pytest.mark.parametrize("name", ["epo", "sparse-epo", "forward", "raced-forward", "tpe"])
def test_given_candidates_are_among_the_first(name):
    goal, best = hidden_best()
    solver = RECIPES[name](goal.space, steps=25, first=[best])
    assert best in goal.drive(solver, 20)[1:9]
    assert solver.recommend() == best


@every_recipe
def test_equal_seeds_give_equal_searches(name):
    goal, _ = hidden_best()
    first, second = (goal.drive(RECIPES[name](goal.space, steps=25, seed=2), 30) for _ in range(2))
    assert first == second


def test_the_papers_settings():
    goal, _ = hidden_best()
    names = ("epo", "gpo", "hpo")
    made = {name: RECIPES[f"dpodiff-{name}"](goal.space, steps=50).parameters for name in names}
    evolution = {"population": 20, "parents": 10, "mutations": 10, "rate": 0.1, "crossovers": 10}
    gradient = {"temperature": 1, "first": 1, "low": 0, "high": 3, "lr": 0.1, "momentum": 0.5}
    gradient |= {"alpha": 0.99, "clip": 0.025}
    assert evolution.items() <= made["epo"].items()
    assert gradient.items() <= made["gpo"].items()
    assert evolution.items() <= made["hpo"].items()
    assert made["hpo"]["gpo"] == made["gpo"]
    assert made["gpo"]["estimators"] == [f"Shortcut(step={15 + i // 2}, k=1)" for i in range(20)]


def test_what_the_papers_recipes_spell_out_are_the_solvers_defaults():
    from dpodiff.solvers import EPO, GPO, HPO

    goal, _ = hidden_best()
    for name, plain in {
        "dpodiff-epo": EPO(goal.space),
        "dpodiff-gpo": GPO(goal.space, steps=25),
        "dpodiff-hpo": HPO(goal.space, steps=25),
    }.items():
        assert RECIPES[name](goal.space, steps=25).parameters == plain.parameters


def test_names_of_recipes_are_known_without_torch():
    code = (
        "import sys, dpodiff.solvers.recipes\n"
        "dpodiff.solvers.recipes.RECIPES['epo'], dpodiff.solvers.recipes.RECIPES['hpo']\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

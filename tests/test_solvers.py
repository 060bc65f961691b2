import json
import math
import subprocess
import sys

import pytest
import torch
from helpers import PROBLEMS, FakeModel, negative_space, shade

from dpodiff import EPO, Budget, Objective, RandomSearch, Slot, Space, search

SOLVERS = [EPO, RandomSearch]
every_solver = pytest.mark.parametrize("solver_class", SOLVERS)
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def drive(solver, function, budget):
    """The ask/tell loop by hand: all candidates evaluated, in order."""
    seen = []
    while len(seen) < budget and (candidates := solver.ask()):
        candidates = candidates[: budget - len(seen)]
        solver.tell(candidates, [function(candidate) for candidate in candidates])
        seen += candidates
    return seen


def run(solver_class, *sizes, budget=12, loss=shade, seed=0, space=None, constraint=None, **more):
    space = space or negative_space(*sizes)
    objective = Objective(FakeModel(), loss, space, (0, 1), constraint=constraint)
    solver = solver_class(space, seed=seed)
    return search(solver, objective, Budget(budget), progress=False, **more)


@every_problem
@every_solver
def test_candidates_fit_and_are_never_repeated(solver_class, problem):
    seen = drive(solver_class(problem.space), problem.function, 150)
    assert len(set(seen)) == len(seen) == min(150, problem.space.size)
    for candidate in seen:
        problem.space.decode(candidate)


@every_problem
@every_solver
def test_the_best_told_is_recommended(solver_class, problem):
    solver = solver_class(problem.space)
    seen = drive(solver, problem.function, 30)
    assert problem.function(solver.recommend()) == min(map(problem.function, seen))


@pytest.mark.parametrize("name", ["plateau", "one slot", "unequal slots"])
@every_solver
def test_small_spaces_are_seen_whole(solver_class, name):
    problem = PROBLEMS[name]
    solver = solver_class(problem.space)
    drive(solver, problem.function, 10**6)
    assert problem.function(solver.recommend()) == problem.lowest
    assert solver.ask() == []


@every_problem
@every_solver
def test_equal_seeds_give_equal_searches(solver_class, problem):
    first, second, other = (
        drive(solver_class(problem.space, seed=seed), problem.function, 40) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


@every_solver
def test_without_values_the_user_prompt_is_recommended(solver_class):
    space = negative_space(3, 3)
    assert solver_class(space).recommend() == space.identity


@every_solver
def test_told_candidates_are_not_proposed(solver_class):
    space = negative_space(2, 2)
    solver = solver_class(space)
    solver.tell([space.identity, (1, 1)], [0.0, math.nan])
    assert sorted(solver.ask()) == [(0, 1), (1, 0)]
    assert solver.recommend() == space.identity


def test_random_search_does_not_depend_on_its_batch():
    problem = PROBLEMS["separable"]
    one, many = (
        drive(RandomSearch(problem.space, batch=batch), problem.function, 40) for batch in (1, 7)
    )
    assert one == many


def test_evolution_beats_random_search_where_slots_add_up():
    problem = PROBLEMS["separable"]
    best = {
        solver_class: [
            min(
                map(
                    problem.function,
                    drive(solver_class(problem.space, seed=s), problem.function, 80),
                )
            )
            for s in range(10)
        ]
        for solver_class in SOLVERS
    }
    assert sum(best[EPO]) < sum(best[RandomSearch]) - 10


def test_children_come_from_the_best_parents():
    space = negative_space(*[30] * 8)
    solver = EPO(space, population=4, parents=2, mutations=5, crossovers=5, rate=0.01)
    parents = [(1,) * 8, (2,) * 8]
    solver.tell([*parents, (3,) * 8, (4,) * 8], [0.0, 0.1, 5.0, math.nan])
    solver.tell([(5,) * 8], [6.0])
    children = solver.ask()
    for child in children[:5]:  # one slot of one parent changed
        assert min(sum(a != b for a, b in zip(child, p, strict=True)) for p in parents) == 1
    for child in children[5:]:
        assert set(child) == {1, 2}


def test_candidates_without_a_value_do_not_count_as_population():
    solver = EPO(negative_space(9, 9, 9), population=4, parents=2)
    candidates = solver.ask()
    solver.tell(candidates, [math.inf, 0.1, math.nan, 0.2])
    assert len(solver.ask()) == 2


@pytest.mark.parametrize(
    "settings", [{"parents": 1}, {"parents": 30}, {"mutations": 0, "crossovers": 0}]
)
def test_impossible_evolution_is_refused(settings):
    with pytest.raises(ValueError, match="EPO needs"):
        EPO(negative_space(3), **settings)


@every_solver
@pytest.mark.parametrize("budget", [1, 2, 19, 40])
def test_the_budget_is_met_exactly(solver_class, budget):
    result = run(solver_class, 9, 9, 9, budget=budget)
    assert result.status == "budget"
    assert result.cost.evaluations == len(result.trace.records) == budget
    assert result.cost.images == sum(result.objective.model.batches) == 2 * budget


@every_solver
def test_the_user_prompt_comes_first_and_is_the_baseline(solver_class):
    result = run(solver_class, 9, 9)
    first = result.trace.records[0]
    assert first.candidate == (0, 0)
    assert first.losses == result.baseline_losses == result.objective.score((0, 0))


@every_solver
def test_the_result_is_the_best_ever_evaluated(solver_class):
    result = run(solver_class, 9, 9, budget=30)
    records = result.trace.records
    best = min(records, key=lambda record: record.value)
    assert (result.candidate, result.losses) == (best.candidate, best.losses)
    assert [r.best for r in records] == [
        min(r.value for r in records[: i + 1]) for i in range(len(records))
    ]


@every_solver
def test_small_spaces_end_as_exhausted(solver_class):
    result = run(solver_class, 2, 3, budget=40)
    assert result.status == "exhausted"
    assert {r.candidate for r in result.trace.records} == set(negative_space(2, 3))


def test_a_callback_stops_the_search():
    seen = []
    result = run(RandomSearch, 9, 9, callback=lambda r: seen.append(r) or r.evaluations == 5)
    assert result.status == "stopped"
    assert seen == result.trace.records
    assert len(seen) == 5


def test_time_stops_the_search():
    space = negative_space(9, 9)
    objective = Objective(FakeModel(), shade, space, (0,))
    result = search(RandomSearch(space), objective, Budget(50, seconds=1e-9), progress=False)
    assert result.status == "seconds"
    assert result.cost.evaluations == 1


def failing(error, after):
    """A loss that raises once `after` batches were judged."""
    batches = []

    def loss(images, prompts):
        batches.append(images)
        if len(batches) > after:
            raise error
        return shade(images, prompts)

    return loss


def test_an_interrupt_keeps_what_there_is():
    result = run(RandomSearch, 9, 9, 9, budget=40, loss=failing(KeyboardInterrupt, 2))
    assert result.status == "stopped"
    assert result.cost.evaluations == len(result.trace.records) == 9


def test_an_interrupt_before_the_baseline_passes_through():
    with pytest.raises(KeyboardInterrupt):
        run(RandomSearch, 9, loss=failing(KeyboardInterrupt, 0))


def test_losses_that_are_not_finite_are_survived_with_one_warning():
    def loss(images, prompts):
        losses = shade(images, prompts)
        return torch.where(losses > 0.5, torch.nan, losses)

    with pytest.warns(UserWarning, match=r"of 40 candidates") as warned:
        result = run(EPO, 9, 9, 9, budget=40, loss=loss)
    assert len(warned) == 1
    assert all(map(math.isfinite, result.losses))


def test_rejected_candidates_are_recorded_and_free():
    result = run(RandomSearch, 5, 5, budget=8, constraint=lambda p: "w0-1" not in p.negative)
    rejected = [r for r in result.trace.records if not r.losses]
    assert result.cost.evaluations == 8
    assert len(result.trace.records) == 8 + len(rejected)
    assert all("w0-1" in r.negative and r.value == math.inf for r in rejected)


def test_a_constraint_that_allows_nothing_ends_the_search():
    result = run(RandomSearch, 100, 100, constraint=lambda prompts: False)
    assert result.status == "exhausted"
    assert result.candidate == (0, 0)


def test_known_candidates_are_free():
    space = negative_space(2, 2)
    objective = Objective(FakeModel(), shade, space, (0, 1))
    objective.evaluate([(0, 0), (0, 1)])
    result = search(RandomSearch(space), objective, Budget(40), progress=False)
    assert (result.cost.evaluations, result.cost.cache_hits) == (2, 2)


def test_prompts_that_read_the_same_do_not_hang_the_search():
    slots = tuple(Slot("", ("", "dark"), "negative") for _ in range(12))
    result = run(RandomSearch, space=Space("a ball", slots))
    assert result.status == "exhausted"
    assert result.cost.evaluations == 2


def test_progress_tells_the_best_loss_on_stderr(capsys):
    space = negative_space(9)
    objective = Objective(FakeModel(), shade, space, (0,), task="attack")
    result = search(EPO(space), objective, Budget(5))
    out, err = capsys.readouterr()
    assert out == ""
    assert "epo" in err
    assert "5.0/5" in err
    assert f"loss={result.losses[0]:.4f}" in err


def test_the_stamp_says_how_to_run_it_again():
    result = run(EPO, 3, 3, budget=4, seed=7)
    parameters = result.trace.stamp.parameters
    assert json.loads(json.dumps(parameters)) == parameters
    assert parameters["solver"]["name"] == "epo"
    assert parameters["solver"]["seed"] == 7
    assert parameters["budget"]["evaluations"] == 4
    assert parameters["loss"] == "shade"
    assert Space.from_json(parameters["space"]) == result.objective.space


def test_solver_and_objective_must_share_their_space():
    objective = Objective(FakeModel(), shade, negative_space(3), (0,))
    with pytest.raises(ValueError, match="same space"):
        search(EPO(negative_space(4)), objective, Budget(4))


def test_importing_the_package_needs_no_torch():
    code = (
        "import sys, dpodiff\n"
        "dpodiff.Space, dpodiff.EPO, dpodiff.search, dpodiff.Trace, dpodiff.improve\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

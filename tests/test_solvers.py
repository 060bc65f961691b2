import json
import math
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from helpers import PROBLEMS, FakeModel, negative_space, shade

from dpodiff import (
    EPO,
    TPE,
    Budget,
    ForwardSelection,
    Objective,
    RandomSearch,
    Slot,
    Space,
    search,
)
from dpodiff.solvers.forward_selection import additive_effects

SPARSE = partial(EPO, population=8, parents=4, mutations=4, crossovers=4, changed=2)
SOLVERS = [EPO, RandomSearch, ForwardSelection, SPARSE, TPE]
NAMES = ["epo", "random", "forward selection", "sparse epo", "tpe"]
every_solver = pytest.mark.parametrize("solver_class", SOLVERS, ids=NAMES)
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
    assert first != other or len(problem.space.slots) == 1


@every_solver
def test_without_values_the_user_prompt_is_recommended(solver_class):
    space = negative_space(3, 3)
    assert solver_class(space).recommend() == space.identity


@every_solver
def test_told_candidates_are_not_proposed(solver_class):
    space = negative_space(2, 2)
    solver = solver_class(space)
    solver.tell([space.identity, (1, 1)], [0.0, math.nan])
    assert sorted(solver.ask() + solver.ask()) == [(0, 1), (1, 0)]
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
        for solver_class in (EPO, RandomSearch)
    }
    assert sum(best[EPO]) < sum(best[RandomSearch]) - 10


def lowest(solver_class, problem, budget):
    """The lowest value found with each of ten seeds, the user's prompt told first."""
    found = []
    for seed in range(10):
        solver = solver_class(problem.space, seed=seed)
        own = problem.function(problem.space.identity)
        solver.tell([problem.space.identity], [own])
        seen = drive(solver, problem.function, budget - 1)
        found.append(min([own, *map(problem.function, seen)]))
    return found


def test_solvers_that_start_near_the_prompt_find_the_one_change_that_helps():
    problem = PROBLEMS["planted"]
    assert lowest(ForwardSelection, problem, 28) == [problem.lowest] * 10
    assert max(lowest(RandomSearch, problem, 28)) == 0  # its candidates fill nearly all slots
    assert sum(lowest(SPARSE, problem, 28)) < sum(lowest(EPO, problem, 28)) - 5


def test_the_first_population_changes_few_slots():
    space = PROBLEMS["planted"].space
    candidates = EPO(space, population=40, changed=2).ask()
    assert {np.count_nonzero(candidate) for candidate in candidates} == {1, 2}
    assert len(candidates) == 40


@pytest.mark.parametrize("solver_class", [EPO, SPARSE, ForwardSelection, TPE])
def test_given_candidates_are_evaluated_first(solver_class):
    space = negative_space(5, 5, 5)
    given = [(4, 0, 4), (1, 1, 1), (4, 0, 4), (0, 0, 0)]
    solver = solver_class(space, first=given)
    solver.tell([space.identity], [0.0])
    asked = solver.ask()
    assert asked[:2] == given[:2]
    assert given[0] not in asked[1:]
    assert solver.parameters["first"] == [list(candidate) for candidate in given]


def test_given_candidates_count_as_population():
    space = negative_space(9, 9, 9)
    given = [(1, 1, 1), (2, 2, 2)]
    assert len(EPO(space, population=8, parents=2, first=given).ask()) == 8


@pytest.mark.parametrize("solver_class", [EPO, ForwardSelection, TPE])
def test_given_candidates_that_do_not_fit_are_refused(solver_class):
    with pytest.raises(ValueError, match="no choice 3"):
        solver_class(negative_space(3, 3), first=[(0, 3)])


def test_forward_selection_changes_each_slot_once_before_any_twice():
    space = negative_space(4, 1, 2, 3)
    solver = ForwardSelection(space, singles=5)
    identity, *singles = solver.ask()
    assert identity == space.identity
    assert sorted(singles[:3], reverse=True) == [(1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert sorted(singles[3:]) == [(0, 0, 0, 2), (2, 0, 0, 0)]


def test_forward_selection_adds_up_what_helps_alone():
    space = negative_space(*[2] * 8)
    solver = ForwardSelection(space, singles=8)
    gains = [-1, 1, -1, 1, 1, -1, 1, 1]
    seen = drive(solver, lambda c: float(np.dot(c, gains)), 11)
    assert (1, 0, 1, 0, 0, 1, 0, 0) in seen[9:]


def test_forward_selection_takes_a_word_out_again():
    """Each of two words helps alone, and only the second one with the third."""

    def value(candidate):
        one, two, three = candidate
        return -1.0 * one - 1.0 * two - 1.0 * three + 3.0 * one * (two + three)

    solver = ForwardSelection(negative_space(2, 2, 2), singles=3, batch=2)
    solver.tell([(1, 1, 1)], [value((1, 1, 1))])
    drive(solver, value, 7)
    assert solver.recommend() == (0, 1, 1)


def test_effects_of_choices_are_those_of_an_additive_function():
    rng = np.random.default_rng(0)
    space = negative_space(3, 4, 2)
    effects = [np.array([0.0, *rng.normal(size=len(slot.choices) - 1)]) for slot in space.slots]
    values = {c: 5.0 + sum(row[k] for row, k in zip(effects, c)) for c in space}
    values[1, 1, 1] = math.inf  # left out
    found = additive_effects(space, values, ridge=1e-9)
    for row, known in zip(found, effects, strict=True):
        np.testing.assert_allclose(row, known, atol=1e-6)


def test_effects_without_values_are_zero():
    assert [row.tolist() for row in additive_effects(negative_space(2, 1), {})] == [[0, 0], [0]]


@pytest.mark.parametrize("settings", [{"singles": 0}, {"batch": 0}, {"ridge": 0.0}])
def test_impossible_forward_selection_is_refused(settings):
    with pytest.raises(ValueError, match="of forward selection must be"):
        ForwardSelection(negative_space(3), **settings)


def test_tpe_beats_random_search_where_slots_add_up():
    problem = PROBLEMS["separable"]
    assert sum(lowest(TPE, problem, 80)) < sum(lowest(RandomSearch, problem, 80)) - 10


def test_tpe_survives_values_that_are_not_finite():
    solver = TPE(negative_space(5, 5, 5), startup=2)
    solver.tell([(0, 0, 0), (1, 1, 1)], [math.nan, math.inf])
    seen = drive(solver, lambda c: math.inf if c[0] == 1 else float(sum(c)), 60)
    assert len(set(seen)) == 60
    assert solver.recommend() in seen


def test_tpe_without_optuna_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'dpodiff\[optuna\]'"):
        TPE(negative_space(3))


@pytest.mark.parametrize("settings", [{"startup": 0}, {"batch": 0}])
def test_impossible_tpe_is_refused(settings):
    with pytest.raises(ValueError, match="TPE's .* must be at least 1"):
        TPE(negative_space(3), **settings)


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
    "settings",
    [{"parents": 1}, {"parents": 30}, {"mutations": 0, "crossovers": 0}, {"changed": 0}],
)
def test_impossible_evolution_is_refused(settings):
    with pytest.raises(ValueError, match="EPO needs|(parents|changed) must be at least"):
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


@every_solver
def test_a_space_in_which_everything_harms_gives_the_user_prompt(solver_class):
    batches = []

    def harmed(images, prompts):
        """Losses 0 for the images of the user's prompt, which come first, and 1 for all others."""
        batches.append(images)
        return torch.full((len(images),), float(len(batches) > 1))

    result = run(solver_class, 4, 4, 4, budget=20, loss=harmed)
    assert result.candidate == (0, 0, 0)
    assert result.losses == result.baseline_losses == (0, 0)
    assert {record.value for record in result.trace.records[1:]} == {1.0}


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

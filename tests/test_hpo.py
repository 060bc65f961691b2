import json
from functools import partial

import numpy as np
import pytest
from analytic import Multilinear, hidden_best
from helpers import negative_space

from dpodiff.objective.queries import GradientQuery
from dpodiff.solvers import EPO, GPO, HPO, shortcuts


def first_population(solver, goal):
    solver.tell([goal.space.identity], [goal(goal.space.identity)])
    while isinstance(asked := solver.ask(), GradientQuery):
        solver.learn(asked, goal.answer(asked))
    return asked


def test_gradients_come_first_then_a_population_then_children():
    goal, _ = hidden_best(slots=8)
    solver = HPO(goal.space, steps=50)
    seen = goal.drive(solver, 60)
    assert [isinstance(asked, GradientQuery) for asked in goal.asked] == [True] * 20 + [False] * 3
    assert [len(asked) for asked in goal.asked[20:22]] == [19, 20]  # with the user's prompt: 20
    assert len(set(seen)) == len(seen)


def test_the_first_population_follows_what_was_learned():
    goal, best = hidden_best(slots=20)  # so large that drawing without repetition hardly shows
    solver = HPO(goal.space, steps=50, population=301)
    population = np.array(first_population(solver, goal))
    assert len(population) == 300
    for column, row in zip(population.T, solver.gpo.relaxed.probabilities(), strict=True):
        shares = np.bincount(column, minlength=len(row)) / len(column)
        assert shares == pytest.approx(row, abs=0.1)
    assert (population == best).mean() > 0.6  # 0.2 by chance


def test_the_first_population_begins_with_the_most_likely_candidate():
    goal, best = hidden_best(slots=8)
    assert first_population(HPO(goal.space, steps=50), goal)[0] == best


def test_a_known_mode_is_not_proposed_again():
    goal = Multilinear([[-1.0, 0.0, 0.0]] * 6)  # the user's prompt is the best there is
    solver = HPO(goal.space, steps=50)
    population = first_population(solver, goal)
    assert solver.gpo.relaxed.mode() == goal.space.identity
    assert goal.space.identity not in population
    assert np.mean(np.array(population) == 0) > 0.6


def test_after_the_gradients_it_evolves_like_epo():
    goal, _ = hidden_best(slots=8)
    solver = HPO(
        goal.space, steps=50, population=4, parents=2, mutations=3, crossovers=0, rate=0.01
    )
    goal.drive(solver, 4)
    best = sorted(solver.values, key=solver.values.get)[:2]
    for child in solver.ask():
        assert min(sum(a != b for a, b in zip(child, p, strict=True)) for p in best) == 1


def test_at_equal_evaluations_it_beats_evolution_alone():
    def lowest(make):
        runs = (hidden_best(slots=10, seed=seed)[0] for seed in range(8))
        return [min(map(goal, goal.drive(make(goal.space), 30))) for goal in runs]

    hybrid, plain = lowest(partial(HPO, steps=50)), lowest(EPO)
    assert np.mean(hybrid) < np.mean(plain) - 1


@pytest.mark.parametrize("sizes", [(), (1, 1), (2,), (2, 3)])
def test_small_spaces_are_seen_whole_and_end(sizes):
    goal = Multilinear([[float(k) for k in range(size)] for size in sizes])
    solver = HPO(goal.space, steps=5)
    assert set(goal.drive(solver, 100)) == set(goal.space)
    assert solver.ask() == []
    assert solver.recommend() == goal.space.identity


def test_equal_seeds_give_equal_searches():
    goal, _ = hidden_best()
    runs = [goal.drive(HPO(goal.space, steps=50, seed=seed), 50) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_the_gradient_phase_can_be_set():
    gpo = partial(GPO, schedule=partial(shortcuts, iterations=3), temperature=0.5)
    solver = HPO(negative_space(4, 4), steps=50, gpo=gpo, population=6, parents=2)
    assert (len(solver.gpo.estimators), solver.gpo.temperature) == (3, 0.5)
    parameters = solver.parameters
    assert json.loads(json.dumps(parameters)) == parameters
    assert (parameters["name"], parameters["population"]) == ("hpo", 6)
    assert parameters["gpo"]["temperature"] == 0.5


def test_it_tells_what_its_gradient_phase_believes():
    solver = HPO(negative_space(2, 2), steps=50)
    assert solver.state() == solver.gpo.state()


@pytest.mark.parametrize("settings", [{"parents": 1}, {"mutations": 0, "crossovers": 0}])
def test_impossible_evolution_is_refused(settings):
    with pytest.raises(ValueError, match="EPO needs|parents must be at least 2"):
        HPO(negative_space(3), steps=50, **settings)

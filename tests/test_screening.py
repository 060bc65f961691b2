import json
import math

import numpy as np
import pytest
from analytic import Multilinear, hidden_best
from helpers import negative_space

from dpodiff import BlackBox, Budget, Objective, search
from dpodiff.losses import white
from dpodiff.objective.queries import GradientQuery, PreviewQuery
from dpodiff.solvers import EPO, HPO, PEZ, RandomSearch, Rung, Screening
from dpodiff.solvers.recipes import RECIPES


def screened(goal, *rungs, batch=4, seed=0):
    return Screening(RandomSearch(goal.space, batch=batch, seed=seed), rungs or (Rung(seeds=1),))


def test_one_in_so_many_is_promoted_and_it_is_the_best():
    goal, _ = hidden_best()
    solver = screened(goal, Rung(step=5, seeds=1, best_of=3))
    look = solver.ask()
    assert (look.step, look.seeds, len(look.candidates)) == (5, 1, 12)
    solver.learn(look, goal.answer(look))
    assert solver.ask() == sorted(look.candidates, key=goal)[:4]


def test_rungs_follow_each_other_with_fewer_candidates():
    goal, _ = hidden_best()
    solver = screened(goal, Rung(seeds=1, best_of=3), Rung(seeds=2, best_of=2), batch=5)
    looks = []
    while isinstance(asked := solver.ask(), PreviewQuery):
        looks.append(asked)
        solver.learn(asked, goal.answer(asked))
    assert [(look.seeds, len(look.candidates)) for look in looks] == [(1, 30), (2, 10)]
    assert set(looks[1].candidates) < set(looks[0].candidates)
    assert asked == sorted(looks[0].candidates, key=goal)[:5]


def test_looks_alone_are_never_recommended():
    goal, _ = hidden_best(slots=2, choices=3)
    solver = screened(goal, Rung(seeds=1, best_of=2), batch=2)
    goal.drive(solver, 1)
    look = solver.ask()
    solver.learn(look, [-99.0] * len(look.candidates))
    assert solver.recommend() == goal.space.identity
    assert solver.values == {goal.space.identity: goal(goal.space.identity)}


def test_the_wrapped_solver_is_told_and_evolves():
    goal, _ = hidden_best(slots=8)
    epo = EPO(goal.space, population=8, parents=4, mutations=4, crossovers=4)
    solver = Screening(epo, [Rung(seeds=1)])
    seen = goal.drive(solver, 40)
    assert epo.values.keys() == set(seen)
    assert epo.recommend() == solver.recommend() == min(seen, key=goal)
    assert len(set(seen)) == len(seen)


def test_good_looks_make_evolution_faster():
    def lowest(wrap):
        goals = (hidden_best(slots=10, seed=seed)[0] for seed in range(6))
        return sum(min(map(goal, goal.drive(wrap(EPO(goal.space)), 30))) for goal in goals)

    assert lowest(lambda epo: Screening(epo, [Rung(seeds=1)])) < lowest(lambda epo: epo) - 5


def test_gradients_are_passed_on():
    goal, best = hidden_best(slots=8)
    solver = Screening(HPO(goal.space, steps=50), [Rung(seeds=1)])
    goal.drive(solver, 22)
    kinds = [type(asked).__name__ for asked in goal.asked]
    assert kinds == ["GradientQuery"] * 20 + ["PreviewQuery", "list", "PreviewQuery", "list"]
    assert solver.solver.gpo.relaxed.mode() == best
    assert solver.state() == solver.solver.state()


def test_a_solver_that_proposes_one_by_one_is_left_alone():
    goal, best = hidden_best()
    solver = Screening(PEZ(goal.space, steps=50), [Rung(seeds=1)])
    goal.drive(solver, 30)
    assert not any(isinstance(asked, PreviewQuery) for asked in goal.asked)
    assert solver.recommend() == best


@pytest.mark.parametrize("sizes", [(), (1, 1), (2,), (1, 2, 1), (3, 2), (4, 4, 4)])
def test_small_spaces_are_seen_whole_and_end(sizes):
    goal = Multilinear([[float(k) for k in range(size)] for size in sizes])
    solver = Screening(EPO(goal.space), [Rung(seeds=1), Rung(seeds=2)])
    seen = goal.drive(solver, 1000)
    assert sorted(seen) == list(goal.space)
    assert solver.ask() == []


def test_those_left_out_come_last_the_most_promising_first():
    goal = Multilinear([[float(k) for k in range(9)]])
    solver = screened(goal, Rung(seeds=1, best_of=4), batch=2)
    goal.drive(solver, 3)
    assert solver.ask() == [(3,), (4,), (5,), (6,), (7,), (8,)]


def test_looks_nobody_could_pay_for_count_as_bad():
    goal, _ = hidden_best()
    solver = screened(goal, batch=2)
    look = solver.ask()
    solver.learn(look, (3.0, 1.0, *[math.inf] * 6))
    assert solver.ask() == [look.candidates[1], look.candidates[0]]


def test_equal_seeds_give_equal_searches():
    goal, _ = hidden_best()
    runs = [goal.drive(screened(goal, seed=seed), 40) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_gradients_alone_are_no_look():
    goal, _ = hidden_best()
    solver = Screening(HPO(goal.space, steps=50), [Rung(seeds=1)])
    assert isinstance(solver.ask(), GradientQuery)


def test_parameters_tell_of_both():
    goal, _ = hidden_best()
    parameters = Screening(EPO(goal.space, seed=3), [Rung(step=5)]).parameters
    assert json.loads(json.dumps(parameters)) == parameters
    assert parameters["name"] == "screened epo"
    assert parameters["rungs"] == [{"step": 5, "seeds": None, "best_of": 4}]
    assert parameters["solver"]["population"] == 20
    assert parameters["seed"] == 3


@pytest.mark.parametrize("wrong", [{"step": 0}, {"seeds": 0}, {"step": -1}, {"best_of": 1}])
def test_rungs_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        Rung(**wrong)


def test_no_rung_is_refused():
    goal, _ = hidden_best()
    with pytest.raises(ValueError, match="at least one rung"):
        Screening(EPO(goal.space), [])


def paint(prompt, negative, seed):
    """Brighter with one word, darker with each other one, and by chance with the seed."""
    words = negative.split(", ") if negative else []
    shade = 0.5 - 0.05 * len(words) + 0.2 * ("w4-4" in words)
    noise = np.random.default_rng([seed, *negative.encode()]).normal(0, 0.01)
    return np.full((2, 2, 3), shade + noise)


def test_a_race_over_the_seeds_finds_the_one_change_that_helps():
    space = negative_space(*[5] * 8)  # 32 changes of one slot
    goal = Objective(BlackBox(paint), white, space, range(4))
    solver = RECIPES["raced-forward"](space)
    result = search(solver, goal, Budget(18), progress=False)
    assert result.prompts.negative == "w4-4"
    assert result.cost.previews == 32 + 16
    # The baseline; one seed of 32 changes, another of 16, two more of 8, no image twice; and with
    # what is left, all seeds of one more.
    assert result.cost.images == 4 + 32 + 16 + 2 * 8 + 4 == 4 * result.cost.spent

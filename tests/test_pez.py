import json
import math

import pytest
import torch
from analytic import Multilinear, hidden_best
from helpers import negative_space

from dpodiff.objective.queries import GradientQuery, ValueAndGradient
from dpodiff.solvers import PEZ


def slope(*rows):
    return ValueAndGradient(0.0, tuple(torch.tensor(row, dtype=torch.float64) for row in rows))


def started(goal, **settings):
    """A solver that was told the user's prompt, as by the loop."""
    solver = PEZ(goal.space, steps=50, **settings)
    solver.tell([goal.space.identity], [goal(goal.space.identity)])
    return solver


def test_it_finds_the_best_of_a_separable_problem():
    goal, best = hidden_best()
    solver = PEZ(goal.space, steps=50)
    goal.drive(solver, 40)
    assert solver.recommend() == best


def test_it_starts_at_the_users_prompt():
    goal, _ = hidden_best()
    assert PEZ(goal.space, steps=50).ask() == [goal.space.identity]


def test_gradients_are_taken_a_hair_off_the_projection():
    solver = started(Multilinear([[0.0, 1.0, 2.0, 3.0], [0.0]]), softness=0.04)
    (weights, alone) = solver.ask().weights
    assert weights.tolist() == pytest.approx([0.97, 0.01, 0.01, 0.01])
    assert alone.tolist() == [1.0]


def test_small_moves_add_up_until_the_projection_changes():
    goal = Multilinear([[0.0, -1.0, 0.5]])
    solver = started(goal)
    gradients = 0
    while isinstance(asked := solver.ask(), GradientQuery):
        assert asked.weights[0].argmax() == 0
        solver.learn(asked, goal.answer(asked))
        gradients += 1
    assert asked == [(1,)]
    assert 2 <= gradients <= 6


def test_what_a_slots_choices_share_does_not_count():
    goal = Multilinear([[0.0, -1.0, 0.5]])
    plain, shifted = (started(goal, weight_decay=0.0) for _ in range(2))
    for solver, shift in ((plain, 0.0), (shifted, 1e3)):
        for _ in range(3):
            query = solver.ask()
            solver.learn(query, slope([shift, shift - 1.0, shift + 0.5]))
    torch.testing.assert_close(plain.point, shifted.point)


def test_every_new_projection_is_evaluated_once():
    goal, _ = hidden_best()
    seen = goal.drive(PEZ(goal.space, steps=50), 40)
    assert len(set(seen)) == len(seen) == 40
    assert all(len(asked) == 1 for asked in goal.asked if isinstance(asked, list))


def test_a_point_that_stands_still_is_given_up_for_another():
    goal = Multilinear([[-1.0, 0.0, 0.0]] * 4)  # nothing better than the user's prompt
    solver = started(goal, patience=3)
    for _ in range(3):
        query = solver.ask()
        solver.learn(query, goal.answer(query))
    (restart,) = solver.ask()
    assert restart != goal.space.identity
    assert solver.projection == restart
    assert [int(row.argmax()) for row in solver.point] == list(restart)


def test_the_schedule_is_used_over_and_over():
    goal = Multilinear([[-1.0, 0.0]] * 8)
    goal.drive(PEZ(goal.space, steps=50), 8)
    steps = [q.estimator.step for q in goal.asked if isinstance(q, GradientQuery)]
    assert steps[:21] == [15 + i // 2 for i in range(20)] + [15]


@pytest.mark.parametrize("sizes", [(), (1, 1), (2,), (1, 2, 1), (3, 2)])
def test_small_spaces_are_seen_whole_and_end(sizes):
    goal = Multilinear([[float(k) for k in range(size)] for size in sizes])
    solver = PEZ(goal.space, steps=5)
    assert set(goal.drive(solver, 100)) == set(goal.space)
    assert solver.ask() == []


def test_gradients_that_are_not_finite_move_nothing_and_warn():
    goal, _ = hidden_best(slots=1, choices=3)
    solver = started(goal, patience=2)
    before = [row.tolist() for row in solver.point]
    for _ in range(2):
        query = solver.ask()
        with pytest.warns(UserWarning, match="not finite"):
            solver.learn(query, slope([0.0, math.nan, 1.0]))
    assert [row.tolist() for row in solver.point] == before
    assert isinstance(solver.ask(), list)  # and the search goes on from elsewhere


def test_equal_seeds_give_equal_searches():
    goal = Multilinear([[-1.0, 0.0, 0.0]] * 4)
    runs = [goal.drive(PEZ(goal.space, steps=50, seed=seed), 20) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_parameters_and_state_are_json_ready():
    solver = PEZ(negative_space(2, 3), steps=50)
    assert json.loads(json.dumps(solver.parameters)) == solver.parameters
    assert solver.state() == {"point": [[1.0, 0.0], [1.0, 0.0, 0.0]]}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"lr": 0}, "lr"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"softness": 0.5}, "softness"),
        ({"softness": -0.1}, "softness"),
        ({"patience": 0}, "patience"),
    ],
)
def test_impossible_settings_are_refused(settings, name):
    with pytest.raises(ValueError, match=name):
        PEZ(negative_space(3), steps=50, **settings)

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from analytic import Multilinear, hidden_best
from helpers import negative_space

from dpodiff.gradients import Shortcut
from dpodiff.objective.queries import GradientQuery, ValueAndGradient
from dpodiff.solvers import GPO, shortcuts


def gradient_phase(solver, goal):
    while isinstance(asked := solver.ask(), GradientQuery):
        solver.learn(asked, goal.answer(asked))
    return asked


def test_the_schedule_of_50_steps_is_the_papers():
    places = [estimator.step for estimator in shortcuts(50)]
    assert places == [15 + i // 2 for i in range(20)]
    assert {estimator.k for estimator in shortcuts(50)} == {1}


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 25, 100])
def test_the_schedule_fits_any_rollout(steps):
    places = [estimator.step for estimator in shortcuts(steps)]
    assert len(places) == 20
    assert places == sorted(places)
    assert set(places) <= set(range(steps))


def test_the_schedule_takes_other_lengths_and_places():
    assert shortcuts(10, iterations=3, first=0, last=0.5, repeat=2, k=5) == [
        Shortcut(0, 5),
        Shortcut(0, 5),
        Shortcut(5, 5),
    ]


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"repeat": 0}, {"k": 0}])
def test_an_empty_schedule_is_refused(wrong):
    with pytest.raises(ValueError, match="from 1 on"):
        shortcuts(50, **wrong)


@pytest.mark.parametrize("wrong", [{"last": 1.0}, {"first": -0.1}, {"k": 30}])
def test_a_schedule_outside_the_rollout_is_refused(wrong):
    with pytest.raises(ValueError, match="do not fit in 50"):
        shortcuts(50, **wrong)


def test_twenty_gradients_come_before_candidates():
    goal, _ = hidden_best()
    solver = GPO(goal.space, steps=50)
    goal.drive(solver, 40)
    kinds = [isinstance(asked, GradientQuery) for asked in goal.asked]
    assert kinds == sorted(kinds, reverse=True)
    assert [q.estimator.step for q in goal.asked[:20]] == [15 + i // 2 for i in range(20)]
    for query in goal.asked[:20]:
        for weights, slot in zip(query.weights, goal.space.slots, strict=True):
            assert weights.shape == (len(slot.choices),)
            assert weights.sum() == pytest.approx(1)
            assert not weights.requires_grad


def test_the_best_choice_becomes_more_likely():
    goal, best = hidden_best()
    solver = GPO(goal.space, steps=50)
    before = [row[k] for row, k in zip(solver.relaxed.probabilities(), best, strict=True)]
    gradient_phase(solver, goal)
    after = [row[k] for row, k in zip(solver.relaxed.probabilities(), best, strict=True)]
    assert all(a > b for a, b in zip(after, before, strict=True))
    assert solver.relaxed.mode() == best


def test_a_cost_turned_round_is_learned_the_other_way_round():
    costs = [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]
    solver = GPO(negative_space(3, 3), steps=50)
    gradient_phase(solver, Multilinear(costs))
    dear, cheap = solver.relaxed.probabilities()
    assert dear[1] < 0.1 and cheap[1] > 0.5


def test_the_gradient_of_the_logits_is_the_chain_rule():
    goal, _ = hidden_best(slots=2, choices=3)
    solver = GPO(goal.space, steps=50, clip=math.inf, lr=1e-9)
    query = solver.ask()
    solver._optimizer.step = lambda: got.extend(row.grad.clone() for row in solver.relaxed.logits)
    got = []
    solver.learn(query, goal.answer(query))
    for w, cost, gradient in zip(query.weights, goal.costs, got, strict=True):
        jacobian = torch.diag(w) - torch.outer(w, w)  # of the softmax, at temperature 1
        torch.testing.assert_close(gradient, jacobian @ cost)


def test_gradients_are_clipped_one_by_one():
    solver = GPO(negative_space(3), steps=50, clip=0.5, alpha=0.0, momentum=0.0)
    seen = []
    solver._optimizer.step = lambda: seen.append(solver.relaxed.logits[0].grad.clone())
    query = solver.ask()
    solver.learn(query, ValueAndGradient(0.0, (torch.tensor([1e6, 0.0, -1e6]).double(),)))
    assert seen[0].abs().max() == 0.5
    assert seen[0].sign().tolist()[0] == 1


def test_logits_stay_in_their_bounds():
    goal = Multilinear([[1e9, -1e9, 0.0], [-1e9, 1e9, 0.0]])
    solver = GPO(goal.space, steps=50, lr=5.0)
    while isinstance(asked := solver.ask(), GradientQuery):
        solver.learn(asked, goal.answer(asked))
        for row in solver.relaxed.logits:
            assert row.min() >= 0 and row.max() <= 3
    assert [row.tolist() for row in solver.relaxed.logits] == [[0, 3, 0], [3, 0, 0]]


def test_samples_follow_what_was_learned():
    goal, best = hidden_best(slots=20)  # so large that drawing without repetition hardly shows
    solver = GPO(goal.space, steps=50, batch=300)
    samples = np.array(gradient_phase(solver, goal))
    shares = (samples == best).mean(axis=0)
    expected = [row[k] for row, k in zip(solver.relaxed.probabilities(), best, strict=True)]
    assert shares == pytest.approx(expected, abs=0.1)


def test_samples_do_not_depend_on_the_batch():
    goal, _ = hidden_best()
    one, many = (goal.drive(GPO(goal.space, steps=50, batch=b), 40) for b in (1, 7))
    assert one == many


@pytest.mark.parametrize("sizes", [(), (1,), (1, 1), (2,), (1, 2, 1), (3, 2)])
def test_small_spaces_are_seen_whole_and_end(sizes):
    goal = Multilinear([[float(k) for k in range(size)] for size in sizes])
    solver = GPO(goal.space, steps=5)
    assert set(goal.drive(solver, 100)) == set(goal.space)
    assert solver.ask() == []


def test_nothing_is_learned_where_there_is_nothing_to_choose():
    goal = Multilinear([[0.0], [0.0]])
    goal.drive(GPO(goal.space, steps=50), 40)
    assert goal.asked == []


def test_a_slot_of_one_choice_does_not_disturb_the_others():
    goal = Multilinear([[0.0], [0.0, 0.0, -1.0]])
    solver = GPO(goal.space, steps=50)
    gradient_phase(solver, goal)
    assert solver.relaxed.mode() == (0, 2)


def learn_with_holes(solver, goal, broken, bad):
    """The gradient phase, some gradients spoilt; whether the logits stood still in each step."""
    still = []
    while isinstance(query := solver.ask(), GradientQuery):
        before = [row.tolist() for row in solver.relaxed.logits]
        slope = goal.answer(query)
        if solver.taken in broken:
            slope.gradients[2][1] = bad
        solver.learn(query, slope)
        still.append(before == [row.tolist() for row in solver.relaxed.logits])
    return still


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite_are_skipped_with_one_warning(bad):
    goal, best = hidden_best()
    solver = GPO(goal.space, steps=50)
    with pytest.warns(UserWarning, match="2 of 20 gradients were not finite") as warned:
        still = learn_with_holes(solver, goal, {0, 7}, bad)
    assert len(warned) == 1
    assert (solver.skipped, still[0], still[1], still[7]) == (2, True, False, True)
    assert solver.relaxed.mode() == best


def test_without_any_finite_gradient_it_samples_where_it_started():
    goal, _ = hidden_best()
    solver = GPO(goal.space, steps=50)
    start = solver.state()
    with pytest.warns(UserWarning, match="20 of 20"):
        learn_with_holes(solver, goal, range(20), math.nan)
    assert solver.state() == start
    assert isinstance(solver.ask(), list)


def test_equal_seeds_give_equal_searches():
    goal, _ = hidden_best()
    runs = [goal.drive(GPO(goal.space, steps=50, seed=seed), 40) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_parameters_and_state_are_json_ready():
    goal, _ = hidden_best(slots=2)
    solver = GPO(goal.space, steps=50, schedule=partial(shortcuts, iterations=2))
    assert json.loads(json.dumps(solver.parameters)) == solver.parameters
    assert solver.parameters["estimators"] == ["Shortcut(step=15, k=1)"] * 2
    (a, b) = json.loads(json.dumps(solver.state()))["probabilities"]
    assert sum(a) == pytest.approx(1) and len(b) == 5


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"temperature": 0}, "temperature"),
        ({"lr": -1}, "lr"),
        ({"clip": 0}, "clip"),
        ({"batch": 0}, "batch"),
        ({"momentum": 1}, "momentum"),
        ({"alpha": -0.1}, "alpha"),
        ({"first": 4}, "logits"),
        ({"low": 0.5}, "logits"),
        ({"lr": math.nan}, "lr"),
    ],
)
def test_impossible_settings_are_refused(settings, name):
    with pytest.raises(ValueError, match=name):
        GPO(negative_space(3), steps=50, **settings)

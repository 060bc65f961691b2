"""Relaxed points: distributions over choices that can be learned and drawn from."""

import numpy as np
import torch
from helpers import negative_space

from dpodiff.gradients.relaxation import Relaxed, corner, entropy

SPACE = negative_space(3, 1, 5)


def test_the_start_leans_to_the_first_choice():
    first, single, wide = Relaxed.start(SPACE).probabilities()
    np.testing.assert_allclose(first, np.exp([1, 0, 0]) / (np.e + 2))
    assert single == [1.0]
    np.testing.assert_allclose(wide.sum(), 1)


def test_gumbel_draws_choose_with_the_probabilities_of_the_logits():
    point = Relaxed((torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64),))
    rng = np.random.default_rng(0)
    draws = [int(point.gumbel(rng)[0].argmax()) for _ in range(4000)]
    shares = np.bincount(draws, minlength=3) / 4000
    np.testing.assert_allclose(shares, point.probabilities()[0], atol=0.03)


def test_a_low_temperature_is_near_a_corner_and_a_high_one_near_the_middle():
    point = Relaxed.start(SPACE)
    cold = point.gumbel(np.random.default_rng(1), temperature=0.01)[2]
    hot = point.gumbel(np.random.default_rng(1), temperature=100.0)[2]
    assert cold.max() > 0.99
    assert hot.max() < 0.25


def test_draws_have_a_gradient_to_the_logits_and_sum_to_one():
    point = Relaxed.start(SPACE)
    weights = point.gumbel(np.random.default_rng(2))
    assert all(abs(row.sum().item() - 1) < 1e-12 for row in weights)
    weights[0][1].backward()
    assert point.logits[0].grad[1] > 0 > point.logits[0].grad[0]


def test_equal_seeds_draw_equal_points():
    point = Relaxed.start(SPACE)
    a, b = (point.gumbel(np.random.default_rng(3)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_candidates_follow_the_probabilities():
    point = Relaxed((torch.tensor([0.0, 30.0]), torch.tensor([30.0, 0.0, 0.0])))
    assert point.draw(np.random.default_rng(0)) == point.mode() == (1, 0)


def test_a_corner_has_all_its_weight_on_the_candidate():
    assert [row.tolist() for row in corner(SPACE, (2, 0, 1))] == [
        [0, 0, 1],
        [1],
        [0, 1, 0, 0, 0],
    ]


def test_entropy_is_zero_once_every_slot_has_decided():
    assert entropy([np.array([0.0, 1.0]), np.array([1.0])]) == 0
    np.testing.assert_allclose(entropy([np.array([0.5, 0.5])]), np.log(2))

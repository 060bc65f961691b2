"""What counts: denoiser rows of any model, and losses of final images alone."""

from dataclasses import dataclass

import pytest
from gaussian import Gaussian

from dpodiff import Budget, Objective, Space, search
from dpodiff.gradients import Estimator, Full, Shortcut
from dpodiff.objective.queries import NoiseQuery
from dpodiff.solvers import DNO


def brightness(images, prompts):
    return images.mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class Wrapped(Estimator):
    """Another estimator's images, as a user's own class may make them."""

    inner: Estimator

    def __call__(self, model, noise, positive, negative, *, steps, guidance):
        return self.inner(model, noise, positive, negative, steps=steps, guidance=guidance)


def test_estimates_of_a_wrapped_estimator_do_not_count_as_evaluations():
    goal = Objective(Gaussian(), brightness, Space("far"), [0])
    assert not goal.evaluate_noise(NoiseQuery(goal.noise(), (), Wrapped(Shortcut(0)))).final
    assert not goal.evaluate_noise(NoiseQuery(goal.noise(), (), Wrapped(Full()))).final
    result = search(DNO(goal.space, goal.noise(), estimator=Wrapped(Shortcut(0))), goal, Budget(6))
    assert result.losses == pytest.approx(goal.score(result.candidate))


class Uncounted(Gaussian):
    """A model whose denoiser rows are never counted."""

    forwards = property(lambda self: 0, lambda self, value: None)
    backwards = property(lambda self: 0, lambda self, value: None)


def test_a_model_that_counts_nothing_does_not_search_for_ever():
    goal = Objective(Uncounted(), brightness, Space("far"), [0])
    with pytest.warns(UserWarning, match="counted no denoiser rows"):
        result = search(DNO(goal.space, goal.noise()), goal, Budget(3))
    assert result.status == "failed"


def test_rows_are_counted_for_a_model_that_only_predicts():
    goal = Objective(Gaussian(), brightness, Space("far"), [0])
    search(DNO(goal.space, goal.noise(), estimator=Full()), goal, Budget(4))
    assert goal.cost.denoiser_forwards > 0 < goal.cost.backward_passes

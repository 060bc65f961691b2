import math

import pytest
import torch
from helpers import FakeModel, fake_shade, negative_space, shade

from dpodiff import Budget, Objective, Trace
from dpodiff.solvers import search_noise

SEEDS = (0, 1, 2)


def objective(task="improve", loss=shade, seeds=SEEDS):
    return Objective(FakeModel(), loss, negative_space(4, 4), seeds, task=task, batch_size=5)


def run(goal, evaluations=6, **settings):
    return search_noise(goal, Budget(evaluations), progress=False, **settings)


def all_shades(count):
    return sorted((fake_shade("a red ball", "", seed), seed) for seed in range(count))


def test_the_best_images_of_all_are_kept():
    result = run(objective())
    assert result.losses == pytest.approx([loss for loss, _ in all_shades(18)[:3]])
    assert result.images[:, 0, 0, 0].tolist() == pytest.approx(result.losses)
    assert result.status == "budget"


def test_attacks_keep_the_worst_images():
    result = run(objective(task="attack"))
    assert result.losses == pytest.approx([loss for loss, _ in all_shades(18)[:-4:-1]])


def test_the_prompt_is_the_users_own_all_along():
    result = run(objective())
    assert result.prompts == ("a red ball", "")
    assert {(r.positive, r.negative) for r in result.trace.records} == {("a red ball", "")}


def test_the_baseline_is_that_of_every_search():
    goal = objective()
    result = run(goal)
    assert result.baseline_losses == pytest.approx(
        sorted(goal.evaluate([goal.space.identity])[0].losses)
    )
    assert len(result.before) == 3


def test_it_costs_what_a_search_costs():
    goal = objective()
    result = run(goal, evaluations=7)
    assert (result.cost.evaluations, result.cost.images, result.cost.spent) == (7, 21, 7)
    assert goal.cost.evaluations == 0
    assert sum(goal.model.batches) == 21


def test_records_only_get_better():
    records = run(objective(), evaluations=20).trace.records
    values = [record.value for record in records]
    assert values == sorted(values, reverse=True)
    assert [record.evaluations for record in records] == list(range(1, 21))


def test_seeds_far_apart_share_no_noise():
    result = run(objective(seeds=(7, 3, 10)), evaluations=30)
    noise = result.objective.drawn
    assert len(noise) == 90


def test_images_of_other_seeds_can_be_had():
    result = run(objective())
    images = result.objective.images(result.candidate, [100, 101])
    assert images[:, 0, 0, 0].tolist() == pytest.approx(
        [fake_shade("a red ball", "", seed) for seed in (100, 101)]
    )


def test_losses_that_are_not_finite_are_never_the_best():
    def loss(images, prompts):
        losses = shade(images, prompts)
        return torch.where(losses < 0.3, torch.nan, losses)

    with pytest.warns(UserWarning, match="1 of 20 candidates"):  # the first, with nothing else
        result = run(objective(loss=loss, seeds=(0, 1, 2, 3, 4)), evaluations=20)
    assert all(map(math.isfinite, result.losses))
    assert min(result.losses) > 0.3


def test_trace_and_budget_of_one(tmp_path):
    result = run(objective(), evaluations=1, trace=Trace(tmp_path / "noise.jsonl"))
    assert len(Trace.load(tmp_path / "noise.jsonl").records) == 1
    assert result.losses == result.baseline_losses

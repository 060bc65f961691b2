import math

import pytest
import torch
from helpers import STEPS, FakeModel, fake_shade, negative_space, shade

from dpodiff import Budget, Evaluation, Objective, Slot, Space
from dpodiff.spaces.space import Prompts

SEEDS = (3, 5, 8)


def objective(space=None, loss=shade, seeds=SEEDS, **settings):
    return Objective(FakeModel(), loss, space or negative_space(4, 4), seeds, **settings)


def expected(prompts, seeds=SEEDS):
    return pytest.approx([fake_shade(*prompts, seed) for seed in seeds])


def test_losses_are_of_each_seed_and_value_is_their_mean():
    goal = objective()
    (evaluation,) = goal.evaluate([(1, 2)])
    assert evaluation.prompts == ("a red ball", "w0-1, w1-2")
    assert evaluation.losses == expected(evaluation.prompts)
    assert evaluation.value == pytest.approx(sum(evaluation.losses) / 3)


def test_attacks_maximize():
    improve, attack = (objective(task=task).evaluate([(1, 1)])[0] for task in ("improve", "attack"))
    assert attack.losses == improve.losses
    assert attack.value == -improve.value


def test_the_loss_is_asked_about_the_user_prompt():
    asked = []
    space = Space("a ball", (Slot("ball", ("ball", "orb")),))
    objective(
        space, lambda images, prompts: asked.extend(prompts) or shade(images, prompts)
    ).evaluate([(1,)])
    assert asked == ["a ball"] * 3


def test_batches_cross_the_borders_of_candidates():
    goal = objective(batch_size=8)
    evaluations = goal.evaluate([(0, k) for k in range(4)] + [(1, 1)])
    assert goal.model.batches == [8, 7]
    for evaluation in evaluations:
        assert evaluation.losses == expected(evaluation.prompts)


def test_evaluations_stream_as_soon_as_they_are_known():
    goal = objective(batch_size=4)
    next(goal.stream([(0, k) for k in range(4)]))
    assert goal.model.batches == [4]


def test_nothing_is_evaluated_twice():
    goal = objective()
    first = goal.evaluate([(1, 1), (2, 2), (1, 1)])
    again = goal.evaluate([(2, 2)])
    assert first[0] == first[2]
    assert again == [first[1]]
    assert sum(goal.model.batches) == 6
    assert (goal.cost.evaluations, goal.cost.cache_hits) == (2, 2)


def test_candidates_that_read_the_same_are_evaluated_once():
    twice = Slot("", ("", "dark"), "negative")
    goal = objective(Space("a ball", (twice, twice)))
    a, b = goal.evaluate([(0, 1), (1, 0)])
    assert (a.candidate, b.candidate, a.losses) == ((0, 1), (1, 0), b.losses)
    assert goal.cost.evaluations == 1


def test_ledger():
    goal = objective(batch_size=4)
    goal.evaluate([(0, 1), (1, 0)])
    cost = goal.cost
    assert (cost.evaluations, cost.images, cost.denoiser_forwards) == (2, 6, 6 * 2 * STEPS)
    assert cost.seconds > 0
    assert cost.peak_memory > 2**20
    assert cost.since(cost).images == 0


def test_images_and_scores_stand_outside_the_ledger():
    goal = objective(batch_size=2)
    images = goal.images((0, 1))
    held_out = goal.score((0, 1), seeds=[11, 12])
    other = goal.score((0, 1), loss=lambda images, prompts: 1 - shade(images, prompts))
    prompts = goal.space.decode((0, 1))
    assert images.shape == (3, 3, 2, 2)
    assert images[:, 0, 0, 0].tolist() == expected(prompts)
    assert list(held_out) == expected(prompts, (11, 12))
    assert [1 - loss for loss in other] == expected(prompts)
    assert goal.cost.images == goal.cost.evaluations == goal.cost.denoiser_forwards == 0


@pytest.mark.parametrize("task", ["improve", "attack"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_infinitely_bad(bad, task):
    goal = objective(loss=lambda images, prompts: torch.tensor([0.5, bad, 0.5]), task=task)
    (evaluation,) = goal.evaluate([(0, 1)])
    assert evaluation.value == math.inf
    assert str(evaluation.losses[1]) == str(bad)


def test_rejected_candidates_cost_nothing():
    goal = objective(constraint=lambda prompts: "w0-1" not in prompts.negative)
    kept, rejected = goal.evaluate([(2, 0), (1, 0)])
    assert rejected.rejected
    assert rejected.value == math.inf
    assert not kept.rejected
    assert (goal.cost.evaluations, goal.cost.images) == (1, 3)


def test_the_user_prompt_is_never_rejected():
    (evaluation,) = objective(constraint=lambda prompts: False).evaluate([(0, 0)])
    assert not evaluation.rejected


def test_prompts_that_the_model_cannot_take_are_rejected():
    goal = objective(Space("a ball", (Slot("ball", ("ball", "unspeakable")),)))
    assert goal.evaluate([(1,)])[0].rejected


def test_no_graph_is_kept():
    weight = torch.ones((), requires_grad=True)
    seen = []

    def loss(images, prompts):
        seen.append((weight * images).mean(dim=(1, 2, 3)))
        return seen[-1]

    objective(loss=loss).evaluate([(0, 1)])
    assert not seen[0].requires_grad


def test_a_loss_of_the_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"\(\) for a batch of 3"):
        objective(loss=lambda images, prompts: images.mean()).evaluate([(0, 0)])


def on_noise(losses, noise, penalties=(), candidate=(0, 0)):
    worth = (sum(losses) + sum(penalties)) / len(losses)
    kept = {"noise": torch.full((2, 1, 1, 1, 1), noise), "penalties": penalties}
    return Evaluation(candidate, Prompts("a red ball", ""), losses, worth, **kept)


def test_of_one_candidate_on_two_noises_each_seed_keeps_its_better():
    goal = objective(seeds=(0, 1))
    old, new = on_noise((1.0, 1.0), 0.0), on_noise((0.5, 0.5), 1.0, penalties=(0.25, 0.75))
    best = goal.better(old, new)
    assert best.losses == (0.5, 1.0)
    assert best.penalties == (0.25, 0.0)
    assert best.value == (0.75 + 1.0) / 2
    assert best.noise.flatten().tolist() == [1.0, 0.0]


def test_a_loss_that_is_not_finite_is_never_a_seeds_best():
    goal = objective(seeds=(0, 1))
    best = goal.better(on_noise((math.nan, 1.0), 0.0), on_noise((3.0, math.nan), 1.0))
    assert best.losses == (3.0, 1.0)


def test_of_two_candidates_the_mean_decides():
    goal = objective(seeds=(0, 1))
    old, new = on_noise((1.0, 1.0), 0.0), on_noise((0.0, 1.5), 1.0, candidate=(0, 1))
    assert goal.better(old, new) is new
    assert goal.better(new, old) is new


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": ()}, "seed"),
        ({"task": "worsen"}, "task"),
        ({"batch_size": 0}, "batch_size"),
        ({"eta": 2}, "eta must lie"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        objective(**settings)


@pytest.mark.parametrize("settings", [{"evaluations": 0}, {"seconds": 0.0}, {"seconds": math.nan}])
def test_bad_budgets_are_refused(settings):
    with pytest.raises(ValueError, match="budget"):
        Budget(**settings)


def test_images_of_a_preview_are_not_made_again():
    goal = objective(seeds=(0, 1, 2, 3))
    candidates = [(0, 1), (2, 2)]
    few = goal.preview(candidates, seeds=1)
    assert (goal.cost.images, goal.cost.spent) == (2, 0.5)
    goal.preview(candidates, seeds=2)
    assert (goal.cost.images, goal.cost.spent) == (4, 1.0)
    evaluations = goal.evaluate([*candidates, (1, 1)])
    assert (goal.cost.images, goal.cost.spent) == (12, 3.0)
    assert sum(goal.model.batches) == 12
    for candidate, evaluation, first in zip(candidates, evaluations, few):
        assert evaluation.losses == goal.score(candidate)
        assert evaluation.losses[0] == first


def test_previews_of_known_candidates_are_free():
    goal = objective(negative_space(4), seeds=(0, 1))
    (evaluation,) = goal.evaluate([(1,)])
    assert goal.preview([(1,)], seeds=1) == (evaluation.losses[0],)
    assert goal.preview([(1,)]) == (evaluation.value,)
    assert (goal.cost.images, goal.cost.spent) == (2, 1.0)


def test_images_of_the_users_prompt_and_the_best_candidate_are_made_once():
    goal = objective(task="attack")
    found = goal.evaluate([(i, j) for i in range(3) for j in range(3)])
    own, *_, worst = sorted(found, key=lambda one: (one.candidate != (0, 0), one.value))
    best = min(found, key=lambda one: one.value)
    assert best is not own
    made = sum(goal.model.batches)
    images = goal.images(own.candidate, [5, 3])
    assert images.mean((1, 2, 3)).tolist() == expected(own.prompts, (5, 3))
    assert goal.images(best.candidate).mean((1, 2, 3)).tolist() == expected(best.prompts)
    assert sum(goal.model.batches) == made
    others = goal.images(own.candidate, [99])
    assert others.mean((1, 2, 3)).tolist() == expected(own.prompts, [99])
    goal.images(worst.candidate)
    assert sum(goal.model.batches) == made + 1 + len(SEEDS)

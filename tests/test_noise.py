"""Noise as a variable: the rollouts are those of diffusers, and of a closed form."""

import copy
import math

import pytest
import tiny
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from gaussian import DEVIATION, SLOPE, Gaussian, line

from dpodiff.gradients import SDO, Checkpointed, DRTune, Full, Shortcut, Truncated
from dpodiff.models.noise import FixedNoise, draw
from dpodiff.models.sampling import sample
from dpodiff.models.stable_diffusion import StableDiffusion
from dpodiff.objective import Objective
from dpodiff.objective.cost import Budget
from dpodiff.objective.queries import NoiseQuery
from dpodiff.solvers.best_of_n import search_noise
from dpodiff.spaces.space import Slot, Space

SPACE = Space("a red ball", (), "blurry")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.stable_diffusion(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture(scope="module")
def model(folder):
    model = StableDiffusion.from_pretrained(folder, device="cpu")
    model.steps, model.guidance = 5, 3.0
    return model


def first_half(images, prompts):
    return images[:, :, :8].mean(dim=(1, 2, 3))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_images_are_those_of_the_stock_pipeline(folder, model, eta):
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    goal = Objective(model, first_half, SPACE, [3, 7], eta=eta)
    stock = [
        pipeline(
            "a red ball",
            negative_prompt="blurry",
            num_inference_steps=5,
            guidance_scale=3.0,
            eta=eta,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        ).images
        for seed in (3, 7)
    ]
    torch.testing.assert_close(goal.images(()), torch.cat(stock), atol=2e-5, rtol=0)
    torch.testing.assert_close(goal.images((), noise=goal.noise()), goal.images(()))


def test_best_of_n_draws_all_noise_anew(model):
    goal = Objective(model, first_half, SPACE, [0, 1], eta=1.0)
    result = search_noise(goal, Budget(3), progress=False)
    seen = Objective(model, first_half, SPACE, range(6), eta=1.0).score(())
    assert result.losses == pytest.approx(sorted(seen)[:2], abs=1e-5)


def test_at_eta_0_a_seed_is_what_it_always_was(model):
    goal = Objective(model, first_half, SPACE, [0, 1])
    assert goal.noise().shape == (2, 1, 4, 8, 8)
    expected = model.generate(["a red ball"] * 2, ["blurry"] * 2, [0, 1])
    torch.testing.assert_close(goal.images((), noise=goal.noise()), expected)


def test_a_seed_s_noise_depends_on_no_other(model):
    both, one = draw(model, [4, 9], 1.0), draw(model, [9], 1.0)
    assert both.shape == (2, 6, 4, 8, 8)
    assert torch.equal(both[1:], one)
    assert not torch.equal(both[0], both[1])
    assert torch.equal(both[:, 0], model.latents([4, 9]))


def test_a_step_at_eta_1_is_that_of_ddpm():
    model = Gaussian()
    stock = DDPMScheduler.from_config(model.schedule.config, variance_type="fixed_small")
    stock.set_timesteps(model.steps)
    noise = torch.randn(1, 9, 3, 4, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    text, rollout = model.encode(["right"]), {"steps": 8, "guidance": 1.0}
    for index in range(7):
        t, view = stock.timesteps[index], FixedNoise(model, noise, 1.0)
        x = noise[:, 0] * (index + 1)
        ours = sample(view, x, text, text, **rollout, start=index, stop=index + 1)
        middle = stock.step(model.denoise(x, t, text), t, x, generator=torch.manual_seed(1))
        added = torch.randn(x.shape, generator=torch.manual_seed(1), dtype=x.dtype)
        deviation = math.sqrt(stock._get_variance(t))
        expected = middle.prev_sample + deviation * (noise[:, index + 1] - added)
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_image_is_the_closed_form_of_the_noise(eta):
    model = Gaussian()
    noise = draw(model, range(3), eta)
    offset, slope, added = line(model, "far left", eta)
    expected = offset + slope * noise[:, 0]
    if eta:
        expected = expected + sum(k * noise[:, i + 1] for i, k in enumerate(added))
    view = FixedNoise(model, noise, eta)
    images = view.generate(["far left"] * 3, [""] * 3, range(3))
    torch.testing.assert_close(images, 0.5 + 0.1 * expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_many_steps_give_the_spread_of_the_data(eta):
    model = Gaussian()
    model.steps = 200
    _, slope, added = line(model, "left", eta)
    spread = math.sqrt(slope**2 + sum(k**2 for k in added) * (eta > 0))
    assert math.isclose(spread, DEVIATION, rel_tol=0.05)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("estimator", [Full(), Checkpointed()], ids=str)
def test_gradients_are_the_slopes_of_the_closed_form(eta, estimator):
    model = Gaussian()
    goal = Objective(
        model, lambda images, prompts: images.sum((1, 2, 3)), Space("far"), [0, 1], eta=eta
    )
    look = goal.evaluate_noise(NoiseQuery(goal.noise(), (), estimator))
    _, slope, added = line(model, "far", eta)
    slopes = [slope, *added] if eta else [slope]
    expected = 0.1 * torch.tensor(slopes, dtype=torch.float64).view(1, -1, 1, 1, 1)
    torch.testing.assert_close(
        look.gradients, expected.expand_as(look.gradients), rtol=1e-5, atol=0
    )


def test_truncation_reaches_the_noise_of_its_own_steps_only():
    goal = Objective(Gaussian(), first_half, Space("far"), [0], eta=1.0)
    reached = (
        goal.evaluate_noise(NoiseQuery(goal.noise(), (), Truncated(3)))
        .gradients.abs()
        .sum((0, 2, 3, 4))
        > 0
    )
    assert reached.tolist() == [False] * 6 + [True] * 3


def test_an_estimator_without_a_way_back_is_named():
    goal = Objective(Gaussian(), first_half, Space("far"), [0])
    with pytest.raises(ValueError, match=r"Truncated\(k=2\) keeps no graph .* eta = 0"):
        goal.evaluate_noise(NoiseQuery(goal.noise(), (), Truncated(2)))


@pytest.mark.parametrize("estimator", [Full(), Checkpointed(), DRTune(2), Shortcut(0, 5)], ids=str)
def test_losses_of_true_images_are_evaluations(model, estimator):
    goal = Objective(model, first_half, SPACE, [0, 1])
    look = goal.evaluate_noise(NoiseQuery(goal.noise(), (), estimator))
    (evaluation,) = Objective(model, first_half, SPACE, [0, 1]).evaluate([()])
    assert look.final
    assert look.losses == pytest.approx(evaluation.losses, abs=1e-5)
    assert look.images.shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    "query", [{"estimator": Shortcut(0, 2)}, {"estimator": Full(), "steps": 3}, {"steps": 3}]
)
def test_losses_of_rough_images_are_not(model, query):
    goal = Objective(model, first_half, SPACE, [0])
    assert not goal.evaluate_noise(NoiseQuery(goal.noise(), (), **query)).final


def test_work_is_paid_for_by_its_denoiser_rows(model):
    for estimator, spent in ((None, 1), (Full(), 3), (Checkpointed(), 4), (Shortcut(0, 1), 3 / 5)):
        goal = Objective(model, first_half, SPACE, [0, 1])
        goal.evaluate_noise(NoiseQuery(goal.noise(), (), estimator))
        assert math.isclose(goal.cost.spent, spent)
        assert (goal.cost.evaluations, goal.cost.gradients) == (not estimator, bool(estimator))
    goal.evaluate_noise(NoiseQuery(goal.noise(), (), steps=2))
    assert math.isclose(goal.cost.spent, 3 / 5 + 2 / 5)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_the_batch_size_changes_nothing(model, eta):
    looks = []
    for size in (3, 1):
        goal = Objective(model, first_half, SPACE, range(3), eta=eta, batch_size=size)
        looks.append(goal.evaluate_noise(NoiseQuery(goal.noise(), (), Full())))
    torch.testing.assert_close(looks[0].gradients, looks[1].gradients, atol=1e-6, rtol=1e-3)
    assert looks[0].losses == pytest.approx(looks[1].losses, abs=1e-6)


def test_an_attack_turns_the_sign():
    looks = []
    for task in ("improve", "attack"):
        goal = Objective(Gaussian(), first_half, Space("far"), [0], task=task)
        looks.append(goal.evaluate_noise(NoiseQuery(goal.noise(), (), Full())))
    assert looks[0].losses == looks[1].losses
    assert [-value for value in looks[0].values] == list(looks[1].values)
    torch.testing.assert_close(looks[0].gradients, -looks[1].gradients)


def test_gradients_of_words_can_be_asked_on_other_noise():
    from dpodiff.spaces.space import Slot

    space = Space("go left", (Slot("left", ("left", "right")),))
    goal = Objective(Gaussian(), lambda i, p: i.square().mean((1, 2, 3)), space, [0, 1])
    weights = [torch.tensor([0.5, 0.5], dtype=torch.float64)]
    own, same, moved = (
        goal.gradient(weights, Full(), noise) for noise in (None, goal.noise(), goal.noise() + 1)
    )
    assert own.value == same.value
    assert own.value != moved.value


@pytest.mark.parametrize("eta", [-0.1, 1.5, math.nan])
def test_an_eta_outside_its_range_is_refused(eta):
    with pytest.raises(ValueError, match="eta must lie from 0"):
        Objective(Gaussian(), first_half, Space("far"), [0], eta=eta)


def test_noise_that_does_not_fit_is_refused():
    model = Gaussian()
    goal = Objective(model, first_half, Space("far"), [0, 1])
    with pytest.raises(ValueError, match="2 seeds need as many noises, not 1"):
        goal.evaluate_noise(NoiseQuery(goal.noise()[:1], ()))
    with pytest.raises(ValueError, match=r"eta = 1.0 the noise must be \(seeds, 9, "):
        FixedNoise(model, draw(model, [0]), 1.0)
    with pytest.raises(ValueError, match="noise is for 8 steps, not 4"):
        FixedNoise(model, draw(model, [0], 1.0), 1.0).scheduler(4)


def test_eta_above_0_needs_ddim():
    from diffusers import FlowMatchEulerDiscreteScheduler

    model = Gaussian()
    flow = FlowMatchEulerDiscreteScheduler()
    flow.set_timesteps(8)
    model.scheduler = lambda steps: copy.copy(flow)
    with pytest.raises(ValueError, match="eta = 0.5 needs DDIM; gaussian is sampled with Flow"):
        FixedNoise(model, draw(model, [0], 0.5), 0.5).scheduler(8)


@pytest.mark.parametrize("step", [0, 3, 7])
def test_the_graph_of_one_step_carries_the_noise_through_it_and_along_the_skips_elsewhere(step):
    model = Gaussian()
    texts = model.encode(["left"]), model.encode([""])
    noise = model.latents([0]).requires_grad_()
    images = SDO(step)(model, noise, *texts, steps=model.steps, guidance=1.0)
    (found,) = torch.autograd.grad(images.sum(), noise)

    expected, scheduler = SLOPE, model.scheduler(model.steps)
    for index, t in enumerate(scheduler.timesteps):
        points = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
        points[1] = 1.0
        predicted = model.denoise(points if index == step else 0 * points, t, texts[0])
        low, high = scheduler.step(predicted, t, points).prev_sample
        expected *= float((high - low).mean())
    assert torch.allclose(found, torch.full_like(found, expected))


def test_the_scale_that_half_precision_needs_leaves_the_gradient_as_it_is(monkeypatch):
    space = Space("left", (Slot("left", ("left", "right")),))
    objective = Objective(Gaussian(), first_half, space, [0, 1])
    weights = [torch.tensor([0.3, 0.7], dtype=torch.float64)]
    plain = objective.gradient(weights, Full()).gradients[0]
    monkeypatch.setattr("dpodiff.objective.text.loss_scale", lambda dtype: 1024.0)
    assert plain.abs().max() > 0
    assert torch.allclose(objective.gradient(weights, Full()).gradients[0], plain)

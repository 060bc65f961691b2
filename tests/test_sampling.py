"""Sampling: rollouts that can be cut anywhere, and guidance in one batch."""

import pytest
import tiny
import torch

from dpodiff.models.sampling import guided, sample
from dpodiff.models.stable_diffusion import StableDiffusion


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny.stable_diffusion(tmp_path_factory.mktemp("sd") / "tiny")
    return StableDiffusion.from_pretrained(folder, device="cpu")


@pytest.fixture
def rollout(model):
    """The noise and the encodings of a batch of two."""
    positive = model.encode(["a red ball", "a blue box"])
    negative = model.encode(["", "blurry"])
    return model.latents([0, 1]), positive, negative


@pytest.mark.parametrize("cut", [0, 2, 5])
def test_a_rollout_can_be_cut_at_any_step(model, rollout, cut):
    x, positive, negative = rollout
    settings = {"steps": 5, "guidance": 3.0}
    whole = sample(model, x, positive, negative, **settings)
    half = sample(model, x, positive, negative, **settings, stop=cut)
    rest = sample(model, half, positive, negative, **settings, start=cut)
    assert torch.equal(rest, whole)


def test_no_step_leaves_the_latents_as_they_are(model, rollout):
    x, positive, negative = rollout
    forwards = model.forwards
    assert sample(model, x, positive, negative, steps=5, guidance=3.0, stop=0) is x
    assert model.forwards == forwards


def test_guidance_in_one_batch_equals_two_separate_calls(model, rollout):
    x, positive, negative = rollout
    towards, away = model.denoise(x, 500, positive), model.denoise(x, 500, negative)
    expected = away + 7.5 * (towards - away)
    actual = guided(model, x, 500, positive, negative, 7.5)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_without_guidance_the_negative_prompt_is_not_run(model, rollout, guidance):
    x, positive, negative = rollout
    forwards = model.forwards
    prediction = guided(model, x, 500, positive, negative, guidance)
    assert model.forwards == forwards + len(x)
    assert torch.equal(prediction, model.denoise(x, 500, positive))


def test_a_row_does_not_depend_on_its_batch(model, rollout):
    x, positive, negative = rollout
    batch = sample(model, x, positive, negative, steps=3, guidance=3.0)
    alone = sample(model, x[1:], positive[1:], negative[1:], steps=3, guidance=3.0)
    torch.testing.assert_close(batch[1:], alone, atol=1e-5, rtol=0)


def test_rollouts_do_not_share_a_scheduler(model):
    first, second = model.scheduler(5), model.scheduler(7)
    assert len(first.timesteps) == 5
    assert len(second.timesteps) == 7


def test_gradients_reach_noise_and_encodings(model, rollout):
    x, positive, negative = (tensor.clone().requires_grad_() for tensor in rollout)
    sample(model, x, positive, negative, steps=2, guidance=3.0).square().sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in (x, positive, negative))


@pytest.mark.parametrize("side", [0, 1], ids=["positive", "negative"])
def test_a_side_alone_has_its_gradient_of_both_and_half_the_graph(model, rollout, side):
    x, *texts = rollout

    def gradient(asked):
        ends = [text.clone().requires_grad_(k in asked) for k, text in enumerate(texts)]
        model.backwards = 0
        guided(model, x, 500, *ends, 7.5).square().sum().backward()
        return ends[side].grad, model.backwards

    alone, rows = gradient([side])
    both, all_rows = gradient([0, 1])
    torch.testing.assert_close(alone, both)
    assert (rows, all_rows) == (len(x), 2 * len(x))

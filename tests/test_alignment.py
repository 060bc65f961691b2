"""Noise optimization in one call: sane defaults, and errors before any image is made."""

import math

import pytest
import torch
from gaussian import Gaussian

from dpodiff.api import advice
from dpodiff.api.alignment import METHODS, align
from dpodiff.gradients import Full, Hybrid
from dpodiff.models.black_box import BlackBox
from dpodiff.spaces.space import Slot, Space


def brightness(images, prompts):
    return -images.mean(dim=(1, 2, 3))


def through_numpy(images, prompts):
    return torch.tensor(-images.numpy().mean(axis=(1, 2, 3)))


def detached(images, prompts):
    return brightness(images.detach(), prompts)


def run(model=None, **settings):
    kept = {"model": model or Gaussian(), "loss": brightness, "progress": False, "budget": 20}
    return align("far", **kept | settings)


SPACE = Space("far", (Slot("far", ("far", "near", "")),))


@pytest.mark.parametrize("method", [*(name for name in METHODS if name != "joint"), "best-of-n"])
def test_every_method_betters_the_loss_within_the_budget(method):
    result = run(method=method, seeds=2)
    assert len(result.losses) == 2
    assert sum(result.losses) <= sum(result.baseline_losses)
    assert result.cost.spent <= 20 + 1e-9
    assert result.prompts == ("far", "")


def test_a_joint_search_changes_words_and_noise():
    settings = {"space": SPACE, "prompts": 3, "steps": 2, "lr": 0.1}
    result = run(method="joint", seeds=2, **settings)
    assert sum(result.losses) < sum(result.baseline_losses)
    assert result.noise is not None
    tried = {record.positive for record in result.trace.records}
    assert {"far", "near"} <= tried


def test_a_joint_search_changes_the_negative_prompt_if_no_space_is_given():
    settings = {"model": "toy", "budget": 3, "prompts": 2, "seeds": 1, "lr": 0.1}
    result = align("a red ball", method="joint", progress=False, loss=brightness, **settings)
    assert any(record.negative for record in result.trace.records)


@pytest.mark.parametrize("method", ["dno", "zero-order", "joint"])
def test_the_images_of_the_best_noise_are_kept(method):
    settings = {"model": "toy", "budget": 12, "seeds": 2, "progress": False, "loss": brightness}
    result = align("a red ball", method=method, **settings)
    model = result.objective.model
    before = model.forwards
    images = result.images
    assert model.forwards == before
    again = result.objective.images(result.candidate, noise=result.noise)
    assert (images - again).abs().max() < 1e-5


def test_a_joint_search_takes_words_of_ones_own():
    settings = {"model": "toy", "budget": 3, "prompts": 2, "seeds": 1, "lr": 0.1}
    settings |= {"space": "nplib+modifiers", "nplib": ["dark"], "modifiers": ["sharp"]}
    result = align("a red ball", method="joint", progress=False, loss=brightness, **settings)
    choices = [slot.choices for slot in result.objective.space.slots]
    assert choices == [("", "dark"), ("", "sharp")]


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("estimator", ["checkpointed", "full", "hybrid", Full(), Hybrid(2)])
def test_estimators_go_by_name_or_as_they_are(estimator, eta):
    result = run(estimator=estimator, eta=eta, seeds=1, budget=60, lr=0.1)
    assert result.losses < result.baseline_losses
    assert result.noise.shape[1] == (9 if eta else 1)


@pytest.mark.parametrize("loss", [through_numpy, detached])
def test_the_hybrid_takes_losses_without_a_gradient(loss):
    settings = {"estimator": Hybrid(8), "gamma": 0.01, "lr": 0.1, "budget": 60}
    result = run(loss=loss, seeds=1, **settings)
    assert result.losses < result.baseline_losses


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eta": 1.2}, "eta must lie"),
        ({"eta": -1}, "eta must lie"),
        ({"gamma": -0.1}, "gamma must be at least 0"),
        ({"lr": 0}, "lr must be above 0"),
        ({"lr": math.nan}, "lr must be a finite number"),
        ({"loss": detached}, "the loss detached has no gradient in the images; the hybrid"),
        ({"loss": through_numpy}, "no gradient in the images; the hybrid"),
        ({"method": "adam"}, "unknown method 'adam'; choose from dno, reno"),
        ({"estimator": "finite"}, "unknown estimator 'finite'; choose from"),
        ({"method": "reno", "eta": 0.5}, "set eta to 0"),
        ({"budget": 0}, "budget"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"task": "worsen"}, "task"),
        ({"space": SPACE}, "'dno' does not change words; a space is for method='joint'"),
        ({"nplib": ["dark"]}, "nplib chooses words of a space, and 'dno' changes no words"),
        ({"method": "joint", "modifiers": ["sharp"]}, "modifiers is for the space 'modifiers'"),
        ({"method": "joint", "space": "synonims", "lexicon": "toy"}, "unknown space 'synonims'"),
        ({"method": "joint", "space": Space("far", ())}, "nothing can change in 'far'"),
        ({"method": "joint", "space": SPACE, "steps": 0}, "steps"),
    ],
)
def test_bad_arguments_give_one_error_before_any_image(settings, message):
    model = Gaussian()
    with pytest.raises(ValueError, match=message):
        run(model, **settings)
    assert model.forwards == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gama": 1.0}, r"align\(method='dno'\) takes no 'gama'; did you mean 'gamma'"),
        ({"bugdet": 1}, "takes no 'bugdet'; did you mean 'budget'"),
        ({"method": "zero-order", "gamma": 1.0}, "'gamma'; its settings are radius, neighbors"),
        ({"method": "zero-order", "estimator": "full"}, "takes no 'estimator'"),
        ({"method": "best-of-n", "gamma": 1.0}, "takes no 'gamma'; it has no settings"),
        ({"method": "joint", "prompt_count": 1}, "'prompt_count'; did you mean 'prompts?'"),
        ({"solver": "epo"}, r"takes no 'solver'; .*method='dno'.*improve\(solver=...\)"),
        ({"locked": ["far"]}, "takes no 'locked'; the words are searched by dpodiff.improve"),
    ],
)
def test_unknown_arguments_are_answered_with_what_is_meant(settings, message):
    model = Gaussian()
    with pytest.raises(TypeError, match=message):
        run(model, **settings)
    assert model.forwards == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "epo"}, r"dpodiff.improve\(prompt, solver='epo'\)"),
        ({"method": "gpo", "task": "attack"}, r"dpodiff.attack\(prompt, solver='gpo'\)"),
        ({"method": "DNO"}, "unknown method 'DNO'; .*did you mean 'dno'"),
        ({"method": 5}, "unknown method 5"),
        ({"viewer": 5}, "viewer must be a callable .* not 5"),
    ],
)
def test_a_method_that_is_none_is_answered_with_what_is_meant(settings, message):
    with pytest.raises(ValueError, match=message):
        run(**settings)


def test_the_table_of_methods_is_complete():
    assert (*METHODS, "best-of-n") == advice.METHODS


def test_a_black_box_shows_no_noise():
    box = BlackBox(lambda prompt, negative, seed: torch.full((3, 2, 2), (seed % 5) / 5))
    with pytest.raises(ValueError, match="gives no access to its noise; method='best-of-n'"):
        run(box)
    assert run(box, method="best-of-n", seeds=2).losses[0] < 0


def test_a_trace_a_callback_and_a_viewer_follow_the_search(tmp_path):
    seen, film = [], []
    result = run(
        trace=tmp_path / "trace.jsonl",
        callback=seen.append,
        viewer=lambda record, images: film.append(images),
    )
    assert seen == result.trace.records
    assert len(film) == len(seen) - 1
    assert (tmp_path / "trace.jsonl").exists()

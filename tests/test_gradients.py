"""Gradients through the sampler, proven on a tiny model in float64."""

import math

import numpy as np
import pytest
import tiny
import torch

from dpodiff.gradients import SDO, Checkpointed, DRTune, Full, Shortcut, Truncated
from dpodiff.models.stable_diffusion import StableDiffusion
from dpodiff.objective import Objective
from dpodiff.objective.cost import Budget
from dpodiff.objective.queries import NoiseQuery
from dpodiff.solvers import GPO, HPO, PEZ, search
from dpodiff.spaces.space import Slot, Space

STEPS = 4
SPACE = Space(
    "a red ball",
    (Slot("ball", ("ball", "boat", "box star")), Slot("", ("", "blurry", "sky"), "negative")),
)
ALL = [Full(), Checkpointed(), Truncated(2), Shortcut(1, 2), SDO(2), DRTune(2)]


def tiny_model(folder, prediction="epsilon"):
    tiny.stable_diffusion(folder, tiny.ddim(prediction_type=prediction))
    model = StableDiffusion.from_pretrained(folder, device="cpu", dtype=torch.float64)
    model.vae.double()
    model.steps, model.guidance = STEPS, 3.0
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny") / "sd")


@pytest.fixture(scope="module")
def v_model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny") / "v", "v_prediction")


def waves(images, prompts):
    """A smooth loss that no symmetry makes flat."""
    ramp = torch.linspace(0, 3, images[0].numel(), dtype=images.dtype).view(images[0].shape)
    return ((images + ramp).sin() * ramp).mean(dim=(1, 2, 3))


def noise(model, count=2):
    return model.latents(range(count)).double()


def texts(model, count=2):
    pair = model.encode(["a red ball", "blurry"]).clone().split(1)
    return [text.expand(count, -1, -1).contiguous() for text in pair]


def text_gradient(model, estimator, guidance=3.0):
    ends = [text.clone().requires_grad_() for text in texts(model)]
    images = estimator(model, noise(model), *ends, steps=STEPS, guidance=guidance)
    gradients = torch.autograd.grad(waves(images, []).sum(), ends, allow_unused=True)
    return [torch.zeros_like(e) if g is None else g for g, e in zip(gradients, ends)]


def objective(model, task="improve", seeds=(0, 1, 2), **settings):
    return Objective(model, waves, SPACE, seeds, task=task, **settings)


def weights(seed=0):
    torch.manual_seed(seed)
    return [torch.randn(3, dtype=torch.float64).softmax(0) for _ in SPACE.slots]


def central_difference(goal, point, estimator, slot, choice, h=1e-5):
    def value(shift):
        moved = [row.clone() for row in point]
        moved[slot][choice] += shift
        return goal.gradient(moved, estimator).value

    return (value(h) - value(-h)) / (2 * h)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("estimator", [Full(), Checkpointed(), Shortcut(0, 2)], ids=str)
def test_gradients_agree_with_finite_differences(model, v_model, prediction, estimator):
    goal = objective(model if prediction == "epsilon" else v_model)
    point = weights()
    slope = goal.gradient(point, estimator)
    for slot in range(2):
        for choice in range(3):
            expected = central_difference(goal, point, estimator, slot, choice)
            found = float(slope.gradients[slot][choice])
            assert math.isclose(found, expected, rel_tol=2e-3, abs_tol=1e-8)


def test_checkpointing_changes_nothing(model):
    for full, again in zip(text_gradient(model, Full()), text_gradient(model, Checkpointed())):
        torch.testing.assert_close(full, again)


@pytest.mark.parametrize("estimator", [Full(), Checkpointed(), Shortcut(1, 2)], ids=str)
def test_graphs_in_blocks_change_nothing_but_the_rows(model, estimator):
    found, rows = [], []
    for in_blocks in (False, True):
        model.in_blocks, model.forwards, model.backwards = in_blocks, 0, 0
        found.append(text_gradient(model, estimator))
        rows.append((model.forwards, model.backwards))
    model.in_blocks = False
    for whole, blocks in zip(*found):
        torch.testing.assert_close(blocks, whole)
    (made, back), (again, back_again) = rows
    assert (again, back_again) == (made + back, back)  # each row gone back through is made again


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_estimators_that_keep_every_step_are_the_full_gradient(model, guidance):
    full = text_gradient(model, Full(), guidance)
    for estimator in (Shortcut(0, STEPS), Truncated(STEPS)):
        for a, b in zip(full, text_gradient(model, estimator, guidance)):
            torch.testing.assert_close(a, b)


def test_without_guidance_the_negative_prompt_has_no_gradient(model):
    positive, negative = text_gradient(model, Full(), guidance=1.0)
    assert positive.abs().sum() > 0
    assert negative.abs().sum() == 0


def test_the_last_step_alone_is_the_same_to_all_who_keep_it(model):
    last = text_gradient(model, Truncated(1))
    for estimator in (SDO(STEPS - 1), Shortcut(STEPS - 1, 1)):
        for a, b in zip(last, text_gradient(model, estimator)):
            torch.testing.assert_close(a, b)


def test_drtune_is_the_sum_of_its_single_steps(model):
    whole = text_gradient(model, DRTune(STEPS))
    parts = [text_gradient(model, SDO(step)) for step in range(STEPS)]
    for side in range(2):
        torch.testing.assert_close(whole[side], sum(part[side] for part in parts))


@pytest.mark.parametrize("estimator", [Full(), Checkpointed(), Truncated(2), SDO(2), DRTune(2)])
def test_images_of_the_true_end_are_those_of_the_sampler(model, estimator):
    images = estimator(model, noise(model), *texts(model), steps=STEPS, guidance=3.0)
    expected = model.generate(["a red ball"] * 2, ["blurry"] * 2, [0, 1])
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("estimator", ALL, ids=str)
def test_only_the_steps_an_estimator_names_keep_a_graph(model, estimator):
    model.forwards = model.backwards = 0
    text_gradient(model, estimator)
    kept = {Full(): 4, Checkpointed(): 4, Truncated(2): 2, Shortcut(1, 2): 2, SDO(2): 1}
    assert model.backwards == 2 * 2 * kept.get(estimator, 2)
    made = {Checkpointed(): 8, Shortcut(1, 2): 3}
    assert model.forwards == 2 * 2 * made.get(estimator, 4)


@pytest.mark.parametrize(
    "estimator", [Shortcut(4), Shortcut(-1), Shortcut(2, 3), Truncated(0), SDO(4), DRTune(9)]
)
def test_steps_outside_the_rollout_are_refused(model, estimator):
    with pytest.raises(ValueError, match=r"must lie from \d+ to \d+"):
        text_gradient(model, estimator)


def test_the_value_at_a_corner_is_that_of_the_candidate(model):
    goal = objective(model)
    point = [torch.tensor(row, dtype=torch.float64) for row in ([0, 0, 1], [0, 1, 0])]
    slope = goal.gradient(point, Checkpointed())
    (evaluation,) = goal.evaluate([(2, 1)])
    assert math.isclose(slope.value, evaluation.value, rel_tol=1e-4)


def test_an_attack_turns_the_sign(model):
    gain, loss = (
        objective(model, task).gradient(weights(), Full()) for task in ("attack", "improve")
    )
    assert gain.value == -loss.value
    for a, b in zip(gain.gradients, loss.gradients):
        torch.testing.assert_close(a, -b)


def test_the_batch_size_changes_nothing(model):
    whole, parts = (
        objective(model, batch_size=size).gradient(weights(), Shortcut(1)) for size in (3, 1)
    )
    assert math.isclose(whole.value, parts.value, rel_tol=1e-9)
    for a, b in zip(whole.gradients, parts.gradients):
        torch.testing.assert_close(a, b)


def test_a_gradient_is_paid_for_by_its_share_of_denoiser_rows(model):
    goal = objective(model)
    goal.gradient(weights(), Shortcut(1, 1))
    assert goal.cost.gradients == 1
    assert goal.cost.denoiser_forwards == 3 * 2 * 2  # seeds x branches x (one step + one kept)
    assert goal.cost.backward_passes == 3 * 2
    np.testing.assert_allclose(goal.cost.spent, (2 + 2 * 1) / STEPS)


def test_a_side_without_slots_keeps_no_graph(model):
    goal = Objective(model, waves, Space("a ball", SPACE.slots[1:]), (0,))
    goal.gradient([weights()[1]], Shortcut(1, 1))
    assert goal.cost.backward_passes == 1


def test_a_loss_without_a_gradient_names_the_solvers_that_need_none(model):
    goal = Objective(model, lambda images, prompts: images.detach().mean((1, 2, 3)), SPACE, (0,))
    with pytest.raises(ValueError, match="'epo' and 'random' need none"):
        goal.gradient(weights(), Shortcut(1))


def test_previews_show_the_clean_estimate_of_an_early_step(model):
    goal = objective(model)
    early = goal.preview([(0, 0), (1, 2)], step=2, seeds=1)
    image = model.generate(["a red ball"], [""], [0], stop=2)
    assert math.isclose(early[0], float(waves(image, [])), rel_tol=1e-6)
    assert (goal.cost.previews, goal.cost.images) == (2, 2)
    np.testing.assert_allclose(goal.cost.spent, 2 * (2 / STEPS) * (1 / 3))
    assert goal.cost.denoiser_forwards == 2 * 2 * 2


def test_a_preview_after_some_steps_is_made_of_known_candidates_too(model):
    goal = objective(model)
    goal.evaluate([(1, 2)])
    images = goal.cost.images
    goal.preview([(1, 2)], step=2, seeds=1)
    assert goal.cost.images == images + 1


def test_a_preview_of_all_steps_and_seeds_is_the_value(model):
    goal = objective(model)
    (value,) = goal.preview([(1, 1)])
    assert math.isclose(value, goal.evaluate([(1, 1)])[0].value, rel_tol=1e-6)
    assert goal.cost.spent == 1


def test_images_are_made_with_the_guidance_of_their_candidate(model):
    space = Space("a red ball", (Slot("guidance", ("", "2", "6"), "guidance"), SPACE.slots[1]))
    goal = Objective(model, waves, space, (0, 1), batch_size=16)
    mixed = [(1, 0), (0, 1), (2, 0), (1, 1), (0, 0)]
    for candidate, evaluation in zip(mixed, goal.evaluate(mixed)):
        prompts = space.decode(candidate)
        pair = [[text] * 2 for text in prompts]
        guidance = [None, 2.0, 6.0][candidate[0]]
        assert evaluation.prompts.guidance == guidance
        images = model.generate(*pair, [0, 1], guidance=guidance)
        torch.testing.assert_close(torch.tensor(evaluation.losses), waves(images, []).float())
        torch.testing.assert_close(goal.images(candidate), images)
    assert goal.cost.evaluations == len({e.losses for e in goal.evaluate(mixed)}) == 5
    early = model.generate(["a red ball"], [""], [0], guidance=2.0, stop=2)
    assert goal.preview([(1, 0)], step=2, seeds=1) == pytest.approx(waves(early, []).tolist())


def test_a_given_noise_is_denoised_with_the_guidance_of_its_candidate(model):
    space = Space("a red ball", (Slot("guidance", ("", "2", "6"), "guidance"),))
    goal = Objective(model, waves, space, (0, 1))
    for candidate in space:
        losses = goal.evaluate([candidate])[0].losses
        for estimator in (None, Full()):
            answer = goal.evaluate_noise(NoiseQuery(goal.noise(), candidate, estimator))
            assert answer.losses == pytest.approx(losses, rel=1e-5)
        images = goal.images(candidate, noise=goal.noise())
        torch.testing.assert_close(images, goal.images(candidate))


def test_guidance_has_no_gradient_and_modifiers_have_one(model):
    modifiers = Slot("modifier", ("", "blurry", "dark"), "modifier")
    space = Space("a red ball", (Slot("guidance", ("", "2", "6"), "guidance"), modifiers))
    goal = Objective(model, waves, space, (0,))
    weights = [torch.tensor([0.2, 0.5, 0.3]).double()] * 2
    guidance, words = goal.gradient(weights, Shortcut(1)).gradients
    assert guidance.tolist() == [0, 0, 0]
    assert words.abs().max() > 0
    value = goal.gradient([torch.eye(3).double()[k] for k in (2, 1)], Full()).value
    assert value == pytest.approx(goal.evaluate([(0, 1)])[0].value, rel=1e-5)


def test_what_the_constraint_rejects_is_not_previewed():
    from helpers import FakeModel, negative_space, shade

    goal = Objective(
        FakeModel(), shade, negative_space(3), (0,), constraint=lambda p: "w0-1" not in p.negative
    )
    values = goal.preview([(1,), (2,)], seeds=1)
    assert values[0] == math.inf > values[1]
    assert goal.cost.previews == 1


@pytest.mark.parametrize("solver_class", [GPO, HPO, PEZ])
def test_solvers_with_gradients_take_a_space_with_guidance(model, solver_class):
    slots = (Slot("guidance", ("", "2", "6"), "guidance"), *SPACE.slots)
    space = Space("a red ball", slots)
    solver = solver_class(space, steps=STEPS)
    result = search(solver, Objective(model, waves, space, (0,)), Budget(24), progress=False)
    assert result.status == "budget"
    assert result.cost.gradients > 0
    assert len({record.candidate for record in result.trace.records}) > 1
    if solver_class is GPO:  # no gradient says which guidance is better
        np.testing.assert_allclose(
            solver.relaxed.probabilities()[0], np.exp([1, 0, 0]) / np.exp([1, 0, 0]).sum()
        )

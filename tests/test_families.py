"""The grid of families: each makes the stock pipeline's images, and has the right gradients.

Every family is a tiny random checkpoint in its stock format. What holds for Stable Diffusion alone
is tested in `test_models`.
"""

import copy

import numpy as np
import pytest
import tiny
import torch
from families import BUILDERS, DISTILLED, FLOWS, STEPS, Family

from dpodiff.gradients import Full, Shortcut, Truncated
from dpodiff.gradients.mixing import mix
from dpodiff.gradients.relaxation import Relaxed, corner
from dpodiff.models import NAMES, LoadError, PromptError, load
from dpodiff.models.devices import choose_device
from dpodiff.models.pipelines import FAMILIES
from dpodiff.models.sampling import sample
from dpodiff.spaces.space import Slot, Space

SPACE = Space(
    "a red ball, on the sea",
    (
        Slot("ball", ("ball", "boat", "box star", "")),
        Slot("", ("", "blurry", "sky"), "negative"),
        Slot("", ("", "green tree"), "negative"),
    ),
    "house",
)


@pytest.fixture(scope="module", params=BUILDERS)
def family(request, tmp_path_factory):
    folder = BUILDERS[request.param](tmp_path_factory.mktemp("families") / "model")
    return Family(request.param, folder)


@pytest.fixture(scope="module")
def loaded(family):
    return family.load()


@pytest.fixture
def model(loaded):
    """The model, its settings as they were when it was loaded."""
    return copy.copy(loaded)


@pytest.fixture(scope="module")
def exact(family):
    return family.exact()


@pytest.fixture
def double_throughout(monkeypatch):
    """No rounding on the way: here and there, the parts do a step in float32."""
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


def waves(images):
    """A smooth loss that no symmetry makes flat."""
    ramp = torch.linspace(0, 3, images[0].numel(), dtype=images.dtype).view(images[0].shape)
    return ((images + ramp).sin() * ramp).mean()


def loss_of(model, estimator, weights):
    """The loss of one image of a mixture."""
    texts = [model.encode_mixture(side) for side in mix(SPACE, weights)]
    rollout = {"steps": model.steps, "guidance": model.guidance}
    return waves(estimator(model, model.latents([0]).double(), *texts, **rollout))


def test_images_are_those_of_the_stock_pipeline(family, model):
    model.guidance = 5.0  # or a distilled model would refuse the negative prompt
    cases = [("", 7, 1.0), ("blurry", 8, 5.0)]
    if not family.name.startswith("flux"):  # whose pipeline guides with a negative prompt only
        cases += [("", 7, 5.0)]
    steps = 1 if family.name == "sdxl-turbo" else STEPS  # it would add noise in between
    for negative, seed, guidance in cases:
        # The stock SDXL tells an absent negative prompt from an empty one; here there is one kind.
        stock = family.stock("a red ball, on the sea", negative or None, seed, guidance, steps)
        arguments = [["a red ball, on the sea"], [negative], [seed]]
        image = model.generate(*arguments, steps=steps, guidance=guidance)
        torch.testing.assert_close(image, stock, atol=2e-5, rtol=0)


def test_each_input_changes_the_image(model):
    model.guidance = 5.0
    base = (["a red ball"], ["blurry"], [0])
    image = model.generate(*base, steps=2)
    for index, other in enumerate((["a blue box"], ["green"], [1])):
        changed = model.generate(*base[:index], other, *base[index + 1 :], steps=2)
        assert (changed - image).abs().max() > 1e-3


def test_the_folder_says_how_many_steps_and_how_much_guidance(family, model):
    defaults = {
        "sd-v1": (50, 7.5),
        "sd-v2": (50, 7.5),
        "sd-turbo": (1, 0.0),
        "sdxl": (50, 5.0),
        "sdxl-turbo": (1, 0.0),
        "sd3": (28, 7.0),
        "sd3.5 without T5": (28, 7.0),
        "flux-dev": (28, 1.0),
        "flux-schnell": (4, 1.0),
        "pixart-sigma": (20, 4.5),
        "sana": (20, 4.5),
        "z-image": (8, 1.0),
    }
    assert (model.steps, model.guidance) == defaults[family.name]
    assert model.takes_negative == (family.name not in DISTILLED)


def test_without_guidance_negative_prompts_are_refused(model):
    model.guidance = min(model.guidance, 1.0)
    model.check("a red ball")
    with pytest.raises(PromptError, match="ignores negative prompts.*guidance above 1"):
        model.generate(["a red ball"], ["blurry"], [0])
    model.guidance = 2.0
    model.check("a red ball", "blurry")


@pytest.mark.parametrize("estimator", [Full(), Shortcut(0, 2)], ids=["full", "shortcut"])
def test_text_gradients_agree_with_finite_differences(exact, estimator, double_throughout):
    def value(*logits):
        weights = Relaxed(logits).gumbel(np.random.default_rng(0))
        return loss_of(exact, estimator, weights)

    point = Relaxed.start(SPACE).logits
    gradients = torch.autograd.grad(value(*point), point)
    assert all((gradient != 0).all() for gradient in gradients)
    torch.manual_seed(0)
    for _ in range(2):
        way = [torch.randn_like(row) for row in point]
        with torch.no_grad():
            ahead, behind = (value(*(p + h * w for p, w in zip(point, way))) for h in (1e-4, -1e-4))
        found = sum((g * w).sum() for g, w in zip(gradients, way))
        torch.testing.assert_close(found, (ahead - behind) / 2e-4, rtol=1e-4, atol=1e-9)


def test_a_shortcut_over_all_remaining_steps_is_the_full_gradient(exact, double_throughout):
    def gradient(estimator):
        relaxed = Relaxed.start(SPACE)
        weights = relaxed.gumbel(np.random.default_rng(0))
        return torch.autograd.grad(loss_of(exact, estimator, weights), relaxed.logits)

    for estimators in ((Full(), Shortcut(0, STEPS)), (Truncated(1), Shortcut(STEPS - 1, 1))):
        for a, b in zip(*map(gradient, estimators)):
            torch.testing.assert_close(a, b)


def test_x0_is_recovered_from_the_true_prediction(family, model):
    x0, noise = model.latents([0, 1]), model.latents([2, 3])
    scheduler = model.scheduler(STEPS)
    t = scheduler.timesteps[[1, 2]]
    if family.name in FLOWS:
        x = model.schedule.scale_noise(x0, model.schedule.timesteps[[20, 700]], noise)
        t, truth = model.schedule.timesteps[[20, 700]], noise - x0
    else:
        x = scheduler.add_noise(x0, noise, t)
        velocity = family.name == "sd-v2"
        truth = scheduler.get_velocity(x0, noise, t) if velocity else noise
    torch.testing.assert_close(model.predict_x0(x, t, truth), x0, atol=1e-4, rtol=0)
    one = model.predict_x0(x[1:], t[1], truth[1:])  # one timestep for all rows
    torch.testing.assert_close(one, x0[1:], atol=1e-4, rtol=0)


def test_the_estimate_after_the_last_step_is_the_image(family, model):
    # Where the sampler ends without noise, x0-hat of its last step is what it gives.
    if family.name in {"sd-v1", "sd-v2"}:
        pytest.skip("their last step leaves a little noise")
    texts = model.encode(["a red ball"]), model.encode([""])
    x = sample(model, model.latents([0]), *texts, steps=3, guidance=3.0, stop=2)
    end = sample(model, x, *texts, steps=3, guidance=3.0, start=2)
    t = model.scheduler(3).timesteps[2]
    away, towards = (model.denoise(x, t, text) for text in texts[::-1])
    estimate = model.predict_x0(x, t, away + 3.0 * (towards - away))
    torch.testing.assert_close(estimate, end, atol=1e-3, rtol=0)


def test_a_corner_is_the_candidate_it_stands_for(exact, double_throughout):
    for candidate in list(SPACE)[::3]:
        sides = mix(SPACE, corner(SPACE, candidate))
        for side, text in zip(sides, SPACE.decode(candidate), strict=True):
            mixed = exact.encode_mixture(side)
            torch.testing.assert_close(mixed, exact.encode([text]), rtol=1e-6, atol=1e-6)


def test_a_rollout_can_be_cut_at_any_step(model):
    texts = model.encode(["a red ball", "a boat"]), model.encode(["", "blurry"])
    rollout = {"steps": 5, "guidance": 3.0}
    whole = sample(model, model.latents([0, 1]), *texts, **rollout)
    half = sample(model, model.latents([0, 1]), *texts, **rollout, stop=2)
    assert torch.equal(sample(model, half, *texts, **rollout, start=2), whole)


def test_each_distinct_text_is_encoded_once_by_each_encoder(model):
    seen = []
    hooks = [
        encoder.network.register_forward_hook(lambda net, ids, out: seen.append(len(ids[0])))
        for encoder in model.text_encoders
    ]
    first = model.encode(["a red star", "a sky", "a red star"])
    again = model.encode(["a blue star", "a red star"])
    for hook in hooks:
        hook.remove()
    assert seen == [2] * len(model.text_encoders) + [1] * len(model.text_encoders)
    assert torch.equal(first[0], first[2]) and torch.equal(first[0], again[1])


def test_half_precision_is_for_denoiser_and_text_encoders_only(family):
    model = family.load(dtype=torch.bfloat16)
    networks = [model.denoiser, *(encoder.network for encoder in model.text_encoders)]
    assert all(network.dtype == torch.bfloat16 for network in networks)
    assert model.vae.dtype == torch.float32
    assert not any(p.requires_grad for part in (*networks, model.vae) for p in part.parameters())
    image = model.generate(["a red ball"], [""], [0], steps=2, guidance=1.0)
    assert image.dtype == torch.float32 and image.isfinite().all()


def test_a_long_prompt_is_refused_not_cut(model):
    limit = model.text_encoders[0].limit
    with pytest.raises(PromptError, match=rf"\d+ tokens.*at most {limit}"):
        model.check(" ".join(["red"] * limit))


def test_images_have_the_size_that_is_asked_for(model):
    model.image_size = 24
    assert model.generate(["a boat"], [""], [0], steps=1, guidance=0).shape == (1, 3, 24, 24)
    model.image_size = 25
    with pytest.raises(ValueError, match=r"image_size must be a multiple of \d"):
        model.latents([0])


def test_no_negative_prompt_is_zeros_for_sdxl_as_its_folder_says(tmp_path):
    folder = tiny.sdxl(tmp_path / "sdxl")
    encoding = load(str(folder), device="cpu").encode(["", "blurry"])
    assert encoding[0].abs().sum() == 0 < encoding[1].abs().sum()
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("true", "false"))
    assert load(str(folder), device="cpu").encode([""]).abs().sum() > 0


def test_z_image_needs_the_template_of_its_chat(tmp_path):
    pipeline = Family("z-image", tiny.z_image(tmp_path / "model")).pipeline
    pipeline.tokenizer.chat_template = None
    with pytest.raises(LoadError, match="has no chat_template"):
        load(pipeline)


def test_short_names_are_hub_ids_of_known_families(monkeypatch):
    from dpodiff import models

    asked = []
    monkeypatch.setattr(
        models, "_pipeline_class", lambda folder, name: asked.append(folder) or "Unheard"
    )
    for name, hub_id in NAMES.items():
        with pytest.raises(ValueError, match=f"{name} is a Unheard.*{', '.join(FAMILIES)}"):
            load(name)
        assert asked[-1] == hub_id


def test_the_device_is_the_one_with_the_most_free_memory(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda k: ((5, 9, 2)[k], 10))
    assert choose_device() == choose_device("auto") == torch.device("cuda", 1)
